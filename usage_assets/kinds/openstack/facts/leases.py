"""Leases: what became of each, and how long it took until it began, by plan and in fact."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import polars as pl

from usage_assets.facts.tables import LEASES, REJECTS
from usage_assets.intervals import materialize
from usage_assets.intervals.algebra import ENGINE
from usage_assets.kinds.openstack.facts.deletions import with_deletions
from usage_assets.kinds.openstack.facts.devices import device_labels, type_of_device
from usage_assets.kinds.openstack.facts.exclusions import read_excluded_leases
from usage_assets.kinds.openstack.facts.filters import HOST_COLUMNS
from usage_assets.kinds.openstack.facts.inputs import MARKED, Inputs, read_host_capabilities, read_raw
from usage_assets.kinds.openstack.facts.machines import host_rows, segments, types_of_hosts
from usage_assets.kinds.openstack.facts.names import MACHINE_NAMES
from usage_assets.kinds.openstack.facts.node_types import declared_types
from usage_assets.kinds.openstack.facts.projection import hours, latest, machines_asked, projections, readable_filters
from usage_assets.kinds.openstack.facts.rows import born, month_bounds
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.specs.asset import Built
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import ACCOUNTS

ASSET = "openstack/facts/leases"
METRIC, SOURCE = "leadtime", "blazar_leases"
BACKDATED = timedelta(seconds=90)
"""Blazar cuts a start to the minute: one so little before the asking means at once."""
ROLLED_BACK_WITHIN = timedelta(seconds=60)
EVENT_WITHIN = timedelta(days=1)
"""A start event done later than this after its time says something else than the start."""

_DETAILS = ("month", "id", *MARKED, "reservation_id", "resource_properties", "count_range")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "blazar_leases": ("month", "id", *MARKED, "project_id", "user_id", "start_date", "end_date", "status"),
    "blazar_reservations": ("month", "id", *MARKED, "lease_id", "resource_type", "status"),
    "blazar_computehost_reservations": (*_DETAILS, "hypervisor_properties"),
    "blazar_device_reservations": _DETAILS,
}
_SHARED = (
    "blazar_computehosts",
    "host_capabilities",
    "blazar_computehost_allocations",
    "blazar_devices",
    "device_capabilities",
    "blazar_device_allocations",
)
_LEASE = ["month", "lease_id"]


def read_leases(reader: Reader, site: OpenStackSite, months: Sequence[date]) -> Inputs:
    """What the leases of some months are made of, and of hosts all that their filters name."""
    frames = read_raw(reader, site.key, months, only=_SHARED)
    for name, columns in _COLUMNS.items():
        frames[name] = with_deletions(reader.frame(BY_NAME[name].table, site.key, months, columns=columns).lazy())
    events = ("month", "id", *MARKED, "lease_id", "status")
    frames["start_events"] = with_deletions(
        reader.frame(
            BY_NAME["blazar_events"].table, site.key, months, columns=events, where="event_type = 'start_lease'"
        ).lazy()
    )
    frames["excluded_leases"] = read_excluded_leases(reader, site, months).lazy()
    frames["filter_hosts"] = reader.frame(
        BY_NAME["blazar_computehosts"].table, site.key, months, columns=("month", *HOST_COLUMNS)
    ).lazy()
    filters = readable_filters(frames["blazar_computehost_reservations"])
    names = {leaf.name for each in filters.values() for leaf in each.leaves} - set(HOST_COLUMNS)
    frames["filter_capabilities"] = read_host_capabilities(reader, site.key, months, names)
    return frames


def build_leases(site: OpenStackSite, months: Sequence[date], raw: Inputs, extracted: Mapping[date, datetime]) -> Built:
    """Rows of facts.leases, of facts.rejects and of serving.accounts.

    A lease lies in the month of its created_at; one that no time tells of is rejected, and so is one that was asked for
    in a time in which the site's file excludes it.
    """
    bounds = month_bounds(months, {})
    hosts = materialize(host_rows(raw))
    rows = materialize(_rows(raw, extracted))
    mine = materialize(rows.filter("is_kept"))
    reservations = materialize(
        raw["blazar_reservations"].select(*_LEASE, "resource_type", "status", reservation_id="id")
    )
    held = materialize(_held(raw, site, reservations, mine, hosts=hosts, bounds=bounds))
    asked = materialize(_asked(raw, reservations))
    events = latest(raw["start_events"], _LEASE, "status", "updated_at", "deleted_at").select(
        *_LEASE, event_status="status", event_at="updated_at", event_deleted="deleted_at"
    )
    joined = (
        mine.join(_of_reservations(reservations), on=_LEASE, how="left")
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
    made = pl.collect_all(
        [
            leases.select(LEASES.names).cast(LEASES.polars_schema),
            _rejected(rows.filter(pl.col("reason").is_not_null()), site),
            _accounts(rows, site),
        ],
        engine=ENGINE,
    )
    return Built(*made)


def _rows(raw: Inputs, extracted: Mapping[date, datetime]) -> pl.LazyFrame:
    """All leases of the months; `is_kept` in the month that they were asked for in, or the reason to reject them."""
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
            is_mine=(pl.col("created_at").dt.month_start().dt.date() == pl.col("month")).fill_null(value=False),
        )
        .join(dumps, on="month", how="left")
    )
    at = pl.col("created_at")
    excluded = (
        raw["excluded_leases"]
        .join(
            rows.filter("is_mine").select("month", "row", "created_at", id="lease_id"), on=["month", "id"], how="inner"
        )
        .filter((at >= pl.col("start_at")) & (at < pl.col("end_at")))
        .group_by("row")
        .agg(action=pl.col("said").sort_by("rule").first())
    )
    reason = (
        pl.when("is_timeless").then(pl.lit("bad_time")).when(pl.col("action").is_not_null()).then(pl.lit("excluded"))
    )
    return (
        rows.join(excluded, on="row", how="left")
        .with_columns(reason=reason)
        .with_columns(is_kept=pl.col("is_mine") & pl.col("reason").is_null())
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
    """Per lease the machines and devices that it held: nodes_held and types_held (null where nothing is known)."""
    host_types = types_of_hosts(raw, hosts, segments(hosts), bounds).rename({"start_at": "_from", "end_at": "_until"})
    at = pl.col("created_at")
    # one join at a time: given two by month and another key, the planner joins by month alone, millions of rows
    mine = materialize(reservations.join(leases.select(*_LEASE, "created_at"), on=_LEASE, how="inner")).select(
        *_LEASE, "reservation_id", "created_at"
    )
    machines = (
        raw["blazar_computehost_allocations"]
        .select("month", "reservation_id", row_id="compute_host_id")
        .join(mine, on=["month", "reservation_id"], how="inner")
        .join(hosts.select("month", "row_id", "hostname"), on=["month", "row_id"], how="left")
        .join(host_types, on=["month", "hostname"], how="left")
        .filter(pl.col("_from").is_null() | ((pl.col("_from") <= at) & (pl.col("_until") > at)))
    )
    names = device_labels(raw).rename({"start_at": "_from", "end_at": "_until"})
    devices = (
        raw["blazar_device_allocations"]
        .select("month", "reservation_id", id="device_id")
        .join(mine, on=["month", "reservation_id"], how="inner")
        .join(raw["blazar_devices"].select("month", "id", "device_type"), on=["month", "id"], how="left")
        .join(names, left_on=["month", "id"], right_on=["month", "owner_id"], how="left")
        .filter(pl.col("_from").is_null() | ((pl.col("_from") <= at) & (pl.col("_until") > at)))
        .select(*_LEASE, node_type=type_of_device(), hostname="id")
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
    for table, name in (
        ("blazar_computehost_reservations", "node_type"),
        ("blazar_device_reservations", "machine_name"),
    ):
        texts = pl.LazyFrame(
            [
                (texts[0], sorted(each.named(name)))
                for texts, each in readable_filters(raw[table]).items()
                if each.named(name)
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
    started = pl.col("outcome") == "started"
    requested = start - created
    return rows.with_columns(
        outcome=outcome,
        requested=pl.when((requested < timedelta(0)) & (requested > -BACKDATED)).then(0.0).otherwise(hours(requested)),
    ).with_columns(
        effective=pl.when(started).then(hours(pl.when(by_event).then(done).otherwise(scheduled) - created)),
        basis=pl.when(started).then(pl.when(by_event).then(pl.lit("event")).otherwise(pl.lit("schedule"))),
    )


def _rejected(rows: pl.LazyFrame, site: OpenStackSite) -> pl.LazyFrame:
    said = {
        "site": pl.lit(site.key),
        "metric": pl.lit(METRIC),
        "source": pl.lit(SOURCE),
        "entity_id": pl.col("lease_id"),
        "node_type": pl.lit("unknown"),
    } | {name: pl.col(name) for name in ("month", "project_id", "user_id", "lease_id", "action", "reason")}
    return rows.select(
        said.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in REJECTS.polars_schema.items()
    )


def _accounts(rows: pl.LazyFrame, site: OpenStackSite) -> pl.LazyFrame:
    """Where the rows went; a lease is an instant here, without hours."""
    kept, counts = pl.col("is_kept"), pl.col("reason").is_null()
    counted = rows.group_by("month").agg(
        rows_in=pl.len(),
        rows_kept=kept.sum(),
        rows_rejected=(~counts).sum(),
        rows_outside=(~kept & counts).sum(),
    )
    said = {"site": pl.lit(site.key), "asset": pl.lit(ASSET), "source": pl.lit(SOURCE), "joins": pl.lit(None)}
    said["reasons"] = pl.lit(None)
    have = {"month", "rows_in", "rows_kept", "rows_rejected", "rows_outside"}
    return counted.select(
        (pl.col(name) if name in have else said.get(name, pl.lit(0.0))).cast(dtype).alias(name)
        for name, dtype in ACCOUNTS.polars_schema.items()
    )
