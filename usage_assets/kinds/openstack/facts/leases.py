"""Leases: the outcome of each, and its lead times by plan and in fact."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import polars as pl

from usage_assets.facts.tables import LEASES, REJECTS
from usage_assets.intervals import materialize
from usage_assets.intervals.algebra import ENGINE
from usage_assets.kinds.openstack.facts.deletions import with_deletions
from usage_assets.kinds.openstack.facts.devices import device_types
from usage_assets.kinds.openstack.facts.exclusions import read_excluded_leases
from usage_assets.kinds.openstack.facts.filters import HOST_COLUMNS
from usage_assets.kinds.openstack.facts.inputs import MARKED, Inputs, read_capabilities, read_raw
from usage_assets.kinds.openstack.facts.labels import OWNER
from usage_assets.kinds.openstack.facts.machines import host_rows, segments, types_of_hosts
from usage_assets.kinds.openstack.facts.names import MACHINE_NAMES
from usage_assets.kinds.openstack.facts.node_types import declared_types
from usage_assets.kinds.openstack.facts.projection import machines_asked, projections, readable_filters
from usage_assets.kinds.openstack.facts.rows import accounts, born, hours, latest, month_bounds, shaped
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.specs.asset import Built
from usage_assets.warehouse import Reader

METRIC, SOURCE = "leadtime", "blazar_leases"
BACKDATED = timedelta(seconds=90)
"""Blazar cuts a start to the minute: one so little before the request means at once."""
ROLLED_BACK_WITHIN = timedelta(seconds=60)
EVENT_WITHIN = timedelta(days=1)
"""A start event done later than this after the start is no evidence of it."""

_DETAILS = ("month", "id", *MARKED, "reservation_id", "resource_properties", "count_range")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "blazar_leases": ("month", "id", *MARKED, "project_id", "user_id", "start_date", "end_date", "status"),
    "blazar_reservations": ("month", "id", *MARKED, "lease_id", "resource_type", "status"),
    "blazar_computehost_reservations": (*_DETAILS, "hypervisor_properties"),
    "blazar_device_reservations": _DETAILS,
    "blazar_events": ("month", "id", *MARKED, "lease_id", "status"),
}
_SHARED = (
    *("blazar_computehosts", "host_capabilities", "blazar_computehost_allocations"),
    *("blazar_devices", "device_capabilities", "blazar_device_allocations"),
)
_LEASE = ["month", "lease_id"]


def read_leases(reader: Reader, site: OpenStackSite, months: Sequence[date]) -> Inputs:
    """Inputs of the leases of some months, with all attributes of hosts that their filters name."""
    frames = read_raw(reader, site.key, months, only=_SHARED)
    for name, columns in _COLUMNS.items():
        where = "event_type = 'start_lease'" if name == "blazar_events" else ""
        rows = reader.frame(BY_NAME[name].table, site.key, months, columns=columns, where=where)
        frames[name] = with_deletions(rows.lazy())
    frames["excluded_leases"] = read_excluded_leases(reader, site, months).lazy()
    frames["filter_hosts"] = reader.frame(
        BY_NAME["blazar_computehosts"].table, site.key, months, columns=("month", *HOST_COLUMNS)
    ).lazy()
    filters = readable_filters(frames["blazar_computehost_reservations"])
    names = {leaf.name for each in filters.values() for leaf in each.leaves} - set(HOST_COLUMNS)
    frames["filter_capabilities"] = read_capabilities(reader, site.key, months, "host_capabilities", names)
    return frames


def build_leases(site: OpenStackSite, months: Sequence[date], raw: Inputs, extracted: Mapping[date, datetime]) -> Built:
    """Rows of facts.leases, of facts.rejects and of serving.accounts.

    A lease lies in the month of its created_at. One without any time is rejected, and so is one that was asked for
    while the site's file excludes it.
    """
    bounds = month_bounds(months, {})
    hosts = materialize(host_rows(raw))
    rows = materialize(_rows(raw, extracted))
    kept = materialize(rows.filter("is_kept"))
    reservations = materialize(
        raw["blazar_reservations"].select(*_LEASE, "resource_type", "status", reservation_id="id")
    )
    held = materialize(_held(raw, site, reservations, kept, hosts=hosts, bounds=bounds))
    asked = materialize(_asked(raw, reservations))
    events = latest(raw["blazar_events"], _LEASE, "status", "updated_at", "deleted_at").select(
        *_LEASE, event_status="status", event_at="updated_at", event_deleted="deleted_at"
    )
    joined = (
        kept.join(_of_reservations(reservations), on=_LEASE, how="left")
        .join(held, on=_LEASE, how="left")
        .join(asked, on=_LEASE, how="left")
        .join(events, on=_LEASE, how="left")
        .join(projections(site, raw, rows, reservations, hosts=hosts, bounds=bounds), on="row", how="left")
    )
    leases = _timed(joined).with_columns(
        site=pl.lit(site.key),
        nodes=pl.coalesce("nodes_held", "nodes_asked"),
        node_type=pl.coalesce("types_held", "types_asked", pl.lit("unknown")),
    )
    status = pl.when("is_kept").then(pl.lit("kept")).when(pl.col("reason").is_null()).then(pl.lit("outside"))
    known = rows.with_columns(metric=pl.lit(METRIC), source=pl.lit(SOURCE), entity_id="lease_id")
    counted = known.with_columns(status=status.otherwise(pl.lit("rejected")), own_us=0, kept_us=0)
    frames = (
        leases.select(LEASES.names).cast(LEASES.polars_schema),
        shaped(
            known.filter(pl.col("reason").is_not_null()).with_columns(node_type=pl.lit("unknown")), REJECTS, site.key
        ),
        accounts(counted, site.key, "leases"),  # a lease is an instant here, without hours
    )
    return Built(*pl.collect_all(frames, engine=ENGINE))


def _rows(raw: Inputs, extracted: Mapping[date, datetime]) -> pl.LazyFrame:
    """All leases of the months; `is_kept` in the month of their request, or the reason to reject them."""
    created = born("start_date", "updated_at", "deleted_at")
    dumps = pl.LazyFrame(
        {"month": list(extracted), "extracted_at": list(extracted.values())},
        schema={"month": pl.Date, "extracted_at": pl.Datetime("us")},
    )
    rows = materialize(
        raw["blazar_leases"]
        .with_row_index("row")
        .rename({"id": "lease_id"})
        .with_columns(created_at=created, deleted_at=pl.min_horizontal("deleted_at", "gone_at"))
        .with_columns(
            is_timeless=pl.col("created_at").is_null() | pl.col("is_endless"),
            is_of_month=(pl.col("created_at").dt.month_start().dt.date() == pl.col("month")).fill_null(value=False),
        )
        .join(dumps, on="month", how="left")
    )
    of_month = rows.filter("is_of_month").select("month", "row", "created_at", id="lease_id")
    excluded = (
        raw["excluded_leases"]
        .join(of_month, on=["month", "id"], how="inner")
        .filter(pl.col("created_at").is_between("start_at", "end_at", closed="left"))
        .group_by("row")
        .agg(action=pl.col("explanation").sort_by("rule").first())
    )
    reason = (
        pl.when("is_timeless").then(pl.lit("bad_time")).when(pl.col("action").is_not_null()).then(pl.lit("excluded"))
    )
    return (
        rows.join(excluded, on="row", how="left")
        .with_columns(reason=reason)
        .with_columns(is_kept=pl.col("is_of_month") & pl.col("reason").is_null())
    )


def _of_reservations(reservations: pl.LazyFrame) -> pl.LazyFrame:
    """Per lease: the types of its reservations, and whether one is in error."""
    return reservations.group_by(_LEASE).agg(
        resource_type=pl.col("resource_type").drop_nulls().unique().sort().str.join(", "),
        has_error=(pl.col("status") == "error").any(),
    )


def _held(
    raw: Inputs,
    site: OpenStackSite,
    reservations: pl.LazyFrame,
    leases: pl.LazyFrame,
    *,
    hosts: pl.LazyFrame,
    bounds: pl.LazyFrame,
) -> pl.LazyFrame:
    """Per lease the machines and devices that it held when asked for: nodes_held and types_held (null if unknown)."""
    host_types = types_of_hosts(raw, hosts, segments(hosts), bounds)
    at_request = pl.col("start_at").is_null() | pl.col("created_at").is_between("start_at", "end_at", closed="left")
    # one join at a time: given two by month and another key, the planner joins by month alone, millions of rows
    own = materialize(reservations.join(leases.select(*_LEASE, "created_at"), on=_LEASE, how="inner")).select(
        *_LEASE, "reservation_id", "created_at"
    )
    machines = (
        raw["blazar_computehost_allocations"]
        .select("month", "reservation_id", row_id="compute_host_id")
        .join(own, on=["month", "reservation_id"], how="inner")
        .join(hosts.select("month", "row_id", "hostname"), on=["month", "row_id"], how="left")
        .join(host_types, on=["month", "hostname"], how="left")
        .filter(at_request)
    )
    devices = (
        raw["blazar_device_allocations"]
        .select("month", "reservation_id", owner_id="device_id")
        .join(own, on=["month", "reservation_id"], how="inner")
        .join(device_types(raw), on=OWNER, how="left")
        .filter(at_request)
        .select(*_LEASE, pl.col("node_type").fill_null("unknown"), hostname="owner_id")
    )
    of_machines = declared_types(machines, site.node_types, raw[MACHINE_NAMES]).select(
        *_LEASE, "node_type", hostname=pl.coalesce("hostname", "row_id")
    )
    known = pl.col("node_type").filter(pl.col("node_type") != "unknown")
    return (
        pl.concat([of_machines, devices])
        .group_by(_LEASE)
        .agg(
            nodes_held=pl.col("hostname").n_unique().cast(pl.Int64),
            types_held=pl.when(known.len() > 0).then(pl.col("node_type").unique().sort().str.join(", ")),
            has_held=pl.lit(value=True),
        )
    )


def _asked(raw: Inputs, reservations: pl.LazyFrame) -> pl.LazyFrame:
    """Per lease the machines and devices asked for, as far as known: nodes_asked, and the types that filters name."""
    found = []
    named = {"blazar_computehost_reservations": "node_type", "blazar_device_reservations": "machine_name"}
    for table, name in named.items():
        texts = pl.LazyFrame(
            [
                (texts[0], sorted(each.values_of(name)))
                for texts, each in readable_filters(raw[table]).items()
                if each.values_of(name)
            ],
            schema={"resource_properties": pl.String, "types": pl.List(pl.String)},
            orient="row",
        )
        details = latest(raw[table], ["month", "reservation_id"], "resource_properties", "count_range")
        found.append(
            details.join(reservations.select(*_LEASE, "reservation_id"), on=["month", "reservation_id"], how="inner")
            .join(texts.unique("resource_properties"), on="resource_properties", how="left", nulls_equal=True)
            .select(*_LEASE, "types", count=machines_asked())
        )
    types = pl.col("types").explode(empty_as_null=False, keep_nulls=False).unique().sort()
    return (
        pl.concat(found)
        .group_by(_LEASE)
        .agg(
            nodes_asked=pl.when(pl.col("count").is_not_null().any()).then(pl.col("count").sum()),
            types_asked=types.str.join(", "),
        )
        .with_columns(types_asked=pl.when(pl.col("types_asked") != "").then("types_asked"))
    )


def _timed(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Add outcome, requested, effective and its basis."""
    created, start, deleted = pl.col("created_at"), pl.col("start_date"), pl.col("deleted_at")
    scheduled = pl.max_horizontal("start_date", "created_at")
    event, status = pl.col("event_status"), pl.col("status")
    is_error = (event == "ERROR") | (status == "ERROR")
    never_done = pl.col("has_error") & event.ne_missing("DONE")
    at_once = pl.col("has_held").is_null() & (deleted <= created + ROLLED_BACK_WITHIN)
    cases = (
        ("never_ran", pl.col("end_date") < start),
        ("rolled_back", deleted.is_not_null() & ((status == "CREATING") | at_once)),
        ("cancelled", deleted <= scheduled),
        ("pending", start > pl.col("extracted_at")),
        ("failed", is_error | never_done),
        ("not_run", event.is_in(["UNDONE", "IN_PROGRESS"])),
    )
    outcome = pl.coalesce(
        *(pl.when(condition.fill_null(value=False)).then(pl.lit(name)) for name, condition in cases), pl.lit("started")
    )
    done = pl.col("event_at")
    by_event = (
        (event == "DONE")
        & pl.col("event_deleted").is_null()
        & done.is_between(scheduled, scheduled + EVENT_WITHIN, closed="both")
    ).fill_null(value=False)
    actual = pl.when(by_event).then(done).otherwise(scheduled)
    started = pl.col("outcome") == "started"
    requested = start - created
    waited = hours(requested.dt.total_microseconds())
    return rows.with_columns(
        outcome=outcome,
        requested=pl.when((requested < timedelta(0)) & (requested > -BACKDATED)).then(0.0).otherwise(waited),
    ).with_columns(
        effective=pl.when(started).then(hours((actual - created).dt.total_microseconds())),
        basis=pl.when(started).then(pl.when(by_event).then(pl.lit("event")).otherwise(pl.lit("schedule"))),
    )
