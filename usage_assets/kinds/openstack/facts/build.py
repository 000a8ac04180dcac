"""The fact assets of an OpenStack site, from the raw rows of any number of its months at once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

import polars as pl

from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.intervals import is_empty, materialize
from usage_assets.intervals.algebra import ENGINE
from usage_assets.kinds.openstack.facts import (
    activity,
    capacity,
    committed,
    devices,
    machines,
    maintenance,
    occupied,
    sources,
)
from usage_assets.kinds.openstack.facts.inputs import Inputs
from usage_assets.kinds.openstack.facts.names import MACHINE_NAMES
from usage_assets.kinds.openstack.facts.rows import Outcome, Settled, month_bounds, settle
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.schema import Table
from usage_assets.specs.facts import Facts
from usage_assets.warehouse.bookkeeping import ACCOUNTS

# fact asset -> metrics whose rows it owns; `occupied` itself is the metric of servers rejected before their booking
METRICS_OF: dict[str, tuple[str, ...]] = {
    "total": ("total",),
    "reservable": ("reservable",),
    "committed": ("committed", "maintenance"),
    "occupied": ("occupied", "occupied_reservation", "occupied_ondemand", "occupied_unknown", "occupied_maintenance"),
    "active": ("active",),
}


def build_facts(
    site: OpenStackSite,
    months: Sequence[date],
    raw: Inputs,
    extracted: Mapping[date, datetime],
    only: Collection[str] | None = None,
) -> Facts:
    """Facts by rules 1 to 9 for all months at once; each month uses its own raw rows only.

    `extracted` is when each month's source was read, `only` limits the fact assets.
    """
    wanted = set(METRICS_OF if only is None else only)
    outcomes = _outcomes(site, raw, month_bounds(months, extracted))
    settled = [
        (asset, settle(outcome, site=site.key, asset=asset))
        for asset, each in outcomes.items()
        if asset in wanted or (asset == "occupied" and "active" in wanted)
        for outcome in each
    ]
    if "active" in wanted:
        settled = _with_activity(settled, raw, site.key)
    parts = [each for asset, each in settled if asset in wanted]
    frames = (
        _stacked([each.intervals for each in parts], INTERVALS),
        _stacked([each.rejects for each in parts], REJECTS),
        _stacked([each.accounts for each in parts], ACCOUNTS),
    )
    intervals, rejects, counted = pl.collect_all(frames, engine=ENGINE)
    return Facts(intervals, rejects, counted)


def _with_activity(settled: list[tuple[str, Settled]], raw: Inputs, site: str) -> list[tuple[str, Settled]]:
    """Add the facts of rule 6, which rest on the final occupied intervals; those are computed once."""
    out = [
        (asset, replace(each, intervals=materialize(each.intervals)) if asset == "occupied" else each)
        for asset, each in settled
    ]
    held = _stacked([each.intervals for asset, each in out if asset == "occupied"], INTERVALS)
    return [*out, ("active", activity.active(held, activity.off(raw), site=site))]


def _outcomes(site: OpenStackSite, raw: Inputs, bounds: pl.LazyFrame) -> dict[str, list[Outcome]]:
    """The outcomes per fact asset: of machines, and of edge devices where the months have any."""
    out: dict[str, list[Outcome]] = _of_machines(site, raw, bounds)
    if not all(is_empty(raw[name]) for name in ("blazar_devices", "blazar_device_allocations", "zun_container")):
        for asset, outcome in _of_devices(site, raw, bounds).items():
            out[asset].append(outcome)
    return out


def _of_machines(site: OpenStackSite, raw: Inputs, bounds: pl.LazyFrame) -> dict[str, list[Outcome]]:
    """Rules 1 to 5, 8 and 9; what several of them share is computed once."""
    source_rows = sources.rows_of_sources(site, raw)
    host_rows = machines.host_rows(raw)
    alive = materialize(machines.segments(host_rows))
    host_types = materialize(sources.types_of_machines(raw, host_rows, alive, source_rows, bounds))
    known = sources.known_machines(site, source_rows)
    sizes = sources.sizes_of_machines(alive, source_rows, bounds)
    profile = materialize(
        machines.profile(known, sizes, host_types, bounds, node_types=site.node_types, names=raw[MACHINE_NAMES])
    )
    existence = materialize(machines.existing(profile))
    reservable = materialize(capacity.reservable_machines(alive, profile, bounds))
    hosts = host_rows.select("month", "row_id", node="hostname")
    source = "blazar_computehost_allocations"
    allocations = materialize(
        committed.allocation_rows(raw, bounds, source=source, owners=hosts, maintenance=site.maintenance)
    )
    holdings = materialize(committed.held(allocations, reservable))
    whole = materialize(committed.whole_machines(holdings))
    parts = materialize(committed.parts_of_machines(raw, holdings))
    left = reservable.select(*machines.HOST, "row", "start_at", "end_at", "node_type", *capacity.machine_resources())
    if site.maintenance is not None:
        left = materialize(maintenance.taken(left, whole, parts))
    servers = []
    for source in ("nova_instances", "nova_cell0_instances"):
        if not is_empty(raw[source]):
            rows = materialize(occupied.server_rows(raw, source, profile, bounds, site.maintenance))
            servers.append(occupied.occupied(raw, rows, holdings, profile, host_types, node_types=site.node_types))
    return {
        "total": [
            capacity.total(source_rows[source.name], profile, bounds, source=source.name)
            for source in sources.sources_of_total(site)
        ],
        "reservable": [capacity.reservable(host_rows, left, existence, bounds)],
        "committed": [committed.committed(allocations, holdings, whole, parts)],
        "occupied": servers,
    }


def _of_devices(site: OpenStackSite, raw: Inputs, bounds: pl.LazyFrame) -> dict[str, Outcome]:
    """Rules 7 and 8."""
    types = materialize(devices.device_types(raw))
    rows = devices.device_rows(raw, types, bounds, "total")
    reservable = devices.device_rows(raw, types, bounds, "reservable").filter("reservable")
    allocations = committed.allocation_rows(
        raw, bounds, source="blazar_device_allocations", owners=rows, maintenance=site.maintenance
    )
    holdings = materialize(devices.held(allocations, reservable, types))
    own = materialize(devices.owned_by_leases(holdings))
    return {
        "total": devices.capacity(rows, types),
        "reservable": devices.capacity(reservable, types, own),
        "committed": devices.committed(allocations, holdings, own),
        "occupied": devices.occupied(devices.container_rows(raw, bounds, site.maintenance), holdings, rows, types),
    }


def _stacked(frames: Sequence[pl.LazyFrame], table: Table) -> pl.LazyFrame:
    return pl.concat([table.empty().lazy(), *(frame.select(table.names) for frame in frames)])
