"""The fact assets of an OpenStack site, from the raw rows of any number of its months at once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from usage_assets.kinds.openstack.facts.labels import labelled
from usage_assets.kinds.openstack.facts.names import MACHINE_NAMES
from usage_assets.kinds.openstack.facts.node_types import declared_types
from usage_assets.kinds.openstack.facts.rows import Outcome, Settled, month_bounds, settle
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.warehouse.bookkeeping import ACCOUNTS

# fact asset -> metrics whose rows it owns; `occupied` itself is the metric of servers rejected before their booking
METRICS_OF: dict[str, tuple[str, ...]] = {
    "total": ("total",),
    "reservable": ("reservable",),
    "committed": ("committed", "maintenance"),
    "occupied": ("occupied", "occupied_reservation", "occupied_ondemand", "occupied_unknown", "occupied_maintenance"),
    "active": ("active",),
}


@dataclass(frozen=True)
class Facts:
    """What the facts stage stores of a site's months: schemas INTERVALS, REJECTS and ACCOUNTS."""

    intervals: pl.DataFrame
    rejects: pl.DataFrame
    accounts: pl.DataFrame
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    """Fact assets that are a whole table: none of this kind."""


def build_facts(
    site: OpenStackSite,
    months: Sequence[date],
    raw: Inputs,
    extracted: Mapping[date, datetime],
    only: Collection[str] | None = None,
) -> Facts:
    """Rules 1 to 9 for all months at once; each month uses its own raw rows only.

    `extracted` says when each month's source was read, `only` which fact assets are wanted.
    """
    wanted = set(METRICS_OF if only is None else only)
    outcomes = _outcomes(site, raw, month_bounds(months, extracted))
    settled = [
        (asset, settle(outcome, site=site.key))
        for asset, each in outcomes.items()
        if asset in wanted or (asset == "occupied" and "active" in wanted)
        for outcome in each
    ]
    if "active" in wanted:
        settled = _with_activity(settled, raw, site.key)
    settled = [(asset, one) for asset, one in settled if asset in wanted]
    intervals = _stacked([one.intervals for _, one in settled], INTERVALS.empty())
    rejects = _stacked([one.rejects for _, one in settled], REJECTS.empty())
    accounts = _stacked([_account(asset, one) for asset, one in settled], ACCOUNTS.empty())
    kept, rejected, counted = pl.collect_all([intervals, rejects, accounts], engine=ENGINE)
    return Facts(kept, rejected, counted)


def _with_activity(settled: list[tuple[str, Settled]], raw: Inputs, site: str) -> list[tuple[str, Settled]]:
    """The same with rule 6, which is made of the final occupied intervals; they are computed once."""
    done = [
        (asset, replace(one, intervals=materialize(one.intervals)) if asset == "occupied" else one)
        for asset, one in settled
    ]
    occupied_intervals = _stacked([one.intervals for asset, one in done if asset == "occupied"], INTERVALS.empty())
    return [*done, ("active", activity.active(occupied_intervals, activity.off(raw), site=site))]


def node_types(site: OpenStackSite, raw: Inputs) -> pl.DataFrame:
    """month, node_type of the Blazar hosts and devices that the months' own raw rows (not context) speak of.

    Machines that Blazar does not know have their type in the facts.
    """
    begins = pl.col("month").cast(pl.Datetime("us"))
    month = {"start_at": begins, "end_at": begins.dt.offset_by("1mo")}
    hosts = materialize(machines.host_rows(raw))
    own = hosts.filter(~pl.col("is_context")).select("month", "row_id", "hostname", **month)
    typed = declared_types(
        labelled(own, machines.host_labels(raw, hosts), "row_id"), site.node_types, raw[MACHINE_NAMES]
    )
    on_edge = labelled(
        raw["blazar_devices"].select("month", "id", "device_type", **month), devices.device_labels(raw), "id"
    )
    return (
        pl.concat([typed.select("month", "node_type"), on_edge.select("month", node_type=devices.type_of_device())])
        .unique()
        .sort("month", "node_type")
        .collect()
    )


def _outcomes(site: OpenStackSite, raw: Inputs, bounds: pl.LazyFrame) -> dict[str, list[Outcome]]:
    """The outcomes per fact asset: of machines, and of edge devices where the months have any."""
    found = _of_machines(site, raw, bounds)
    if not all(is_empty(raw[name]) for name in ("blazar_devices", "blazar_device_allocations", "zun_container")):
        for asset, outcome in _of_devices(site, raw, bounds).items():
            found[asset].append(outcome)
    return found


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
    allocations = materialize(committed.host_allocations(raw, host_rows, bounds, site.maintenance))
    holdings = materialize(committed.held(allocations, reservable))
    whole, parts = (
        materialize(committed.whole_machines(holdings)),
        materialize(committed.parts_of_machines(raw, holdings)),
    )
    left = capacity.whole(reservable)
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
    rows = devices.device_rows(raw, bounds, "total")
    reservable = devices.device_rows(raw, bounds, "reservable").filter("reservable")
    allocations = devices.device_allocations(raw, rows, bounds, site.maintenance)
    holdings = materialize(devices.held(allocations, reservable))
    own = materialize(devices.owned_by_leases(holdings))
    return {
        "total": devices.capacity(rows),
        "reservable": devices.capacity(reservable, own),
        "committed": devices.committed(allocations, holdings, own),
        "occupied": devices.occupied(devices.container_rows(raw, bounds, site.maintenance), holdings, rows),
    }


def _account(asset: str, settled: Settled) -> pl.LazyFrame:
    return settled.accounts.select(
        "site",
        "month",
        pl.lit(f"openstack/facts/{asset}").alias("asset"),
        *(name for name in ACCOUNTS.names if name not in {"site", "month", "asset", "reasons"}),
        pl.lit(None).alias("reasons"),
    ).cast(ACCOUNTS.polars_schema)


def _stacked(frames: list[pl.LazyFrame], empty: pl.DataFrame) -> pl.LazyFrame:
    return pl.concat([empty.lazy(), *(frame.select(empty.columns) for frame in frames)])
