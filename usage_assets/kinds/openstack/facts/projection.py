"""Projected lead time: when the machines that a lease asked for were first free, as known at its request."""

from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from usage_assets.intervals import clip, materialize, projected
from usage_assets.intervals.algebra import ENGINE, FAR_FUTURE, FAR_PAST
from usage_assets.kinds.openstack.facts.committed import PHYSICAL
from usage_assets.kinds.openstack.facts.filters import HOST_COLUMNS, Filter, UnreadableFilterError, read_filter
from usage_assets.kinds.openstack.facts.inputs import Inputs
from usage_assets.kinds.openstack.facts.labels import OWNER, labels
from usage_assets.kinds.openstack.facts.machines import segments
from usage_assets.kinds.openstack.facts.rows import born, hours, latest
from usage_assets.kinds.openstack.site.model import OpenStackSite

Filters = dict[tuple[str | None, ...], Filter]
_LEASE = ["month", "lease_id"]
_TEXTS = ["resource_properties", "hypervisor_properties"]


def machines_asked() -> pl.Expr:
    """The least number of `count_range` ("2-4", or "2"); null where it is no number."""
    return pl.col("count_range").str.extract(r"^\s*(\d+)\s*(?:-\s*\d*\s*)?$").cast(pl.Int64)


def readable_filters(details: pl.LazyFrame) -> Filters:
    """The filters of reservations by their texts, each read once; unreadable ones are left out.

    Empty texts add no part, so that filters of the same meaning are equal.
    """
    columns = [name for name in _TEXTS if name in details.collect_schema().names()]
    out = {}
    for texts in details.select(columns).unique().sort(columns).collect(engine=ENGINE).rows():
        try:
            out[texts] = Filter(parts=tuple(each for each in map(read_filter, texts) if each.parts))
        except UnreadableFilterError:
            continue
    return out


def projections(
    site: OpenStackSite,
    raw: Inputs,
    leases: pl.LazyFrame,
    reservations: pl.LazyFrame,
    *,
    hosts: pl.LazyFrame,
    bounds: pl.LazyFrame,
) -> pl.LazyFrame:
    """row, projected, is_censored and projected_inexact of the leases of whole hosts whose request is known.

    `leases` are all leases of the months (lease_id, row, created_at, deleted_at ..., `is_kept` where asked for in its
    month). A month uses its own rows, each lease that was alive in it: one that ended before and is still being cleaned
    after as the month begins is not seen.
    """
    people = materialize(leases.select("lease_id").unique().with_row_index("holder"))
    leases = materialize(leases.join(people, on="lease_id", how="inner"))
    filters = readable_filters(raw["blazar_computehost_reservations"])
    requests = materialize(_requests(raw, leases.filter("is_kept"), reservations, filters))
    found = projected(
        requests.select("request", "holder", "kind", "at", "count", "length"),
        _machines(raw, requests, hosts, bounds, filters),
        _bookings(raw, leases, reservations, hosts, bounds),
        cleaning=timedelta(minutes=site.cleaning_minutes),
        horizon=timedelta(days=site.leadtime_horizon_days),
    )
    return found.lazy().select(
        "is_censored",
        row="request",
        projected=hours(pl.col("wait").dt.total_microseconds()),
        projected_inexact="inexact",
    )


def _numbered(filters: Filters) -> dict[Filter, int]:
    """A number, the kind, for each filter; texts of the same meaning are of one kind."""
    return {each: number for number, each in enumerate(dict.fromkeys(filters.values()))}


def _requests(raw: Inputs, leases: pl.LazyFrame, reservations: pl.LazyFrame, filters: Filters) -> pl.LazyFrame:
    """Per lease and filter: request (its row), month, holder, kind (number of the filter), at, count, length.

    A lease that asks for anything unreadable is left out, and so is one whose plan has no length.
    """
    details = latest(
        raw["blazar_computehost_reservations"], ["month", "reservation_id"], *_TEXTS, "count_range"
    ).with_columns(has_details=pl.lit(value=True))
    kinds = _numbered(filters)
    numbers = pl.LazyFrame(
        [(*texts, kinds[each]) for texts, each in filters.items()],
        schema=dict.fromkeys(_TEXTS, pl.String) | {"kind": pl.UInt32},
        orient="row",
    )
    each = (
        reservations.filter(pl.col("resource_type") == PHYSICAL)
        .join(details, on=["month", "reservation_id"], how="left")
        .join(numbers, on=_TEXTS, how="left", nulls_equal=True)
        # without details the texts are null, as those of an empty filter
        .with_columns(kind=pl.when("has_details").then("kind"), count=machines_asked())
        .filter((pl.col("kind").is_not_null() & (pl.col("count") > 0).fill_null(value=False)).all().over(_LEASE))
    )
    return (
        leases.with_columns(length=pl.col("end_date") - pl.col("start_date"))
        .filter(pl.col("length") > timedelta(0))
        .join(materialize(each), on=_LEASE, how="inner")
        .group_by("row", "month", "holder", "kind", "created_at", "length")
        .agg(pl.col("count").sum())
        .rename({"row": "request", "created_at": "at"})
    )


def _machines(
    raw: Inputs, requests: pl.LazyFrame, hosts: pl.LazyFrame, bounds: pl.LazyFrame, filters: Filters
) -> pl.LazyFrame:
    """Kind, machine, start_at, end_at: when the machine's row of computehosts matches the filter of the kind."""
    described = _attributes(raw, hosts).collect(engine=ENGINE)
    names = {name: pl.col(name) for name in described.columns if name.startswith("$")}
    have: Mapping[str, pl.Expr] = {name[1:]: column for name, column in names.items()}
    columns = ["month", "row", "_from", "_until"]
    matched = [
        described.filter(each.matches(have)).select(*columns, kind=pl.lit(number, dtype=pl.UInt32))
        for each, number in _numbered(filters).items()
    ]
    none = described.select(*columns, kind=pl.lit(0, dtype=pl.UInt32)).clear()
    used = materialize(
        pl.concat([none, *matched]).lazy().join(requests.select("month", "kind").unique(), on=["month", "kind"])
    )
    alive = materialize(clip(segments(hosts).join(bounds, on="month"), pl.col("month_start"), pl.col("month_end")))
    each = alive.join(used, on=["month", "row"], how="inner")
    return clip(each, pl.col("_from"), pl.col("_until")).select("kind", "start_at", "end_at", machine="hostname")


def _attributes(raw: Inputs, hosts: pl.LazyFrame) -> pl.LazyFrame:
    """Month and row of each host, and the attributes for filters as text: `$<column>` and `$<capability>`.

    A host whose capabilities changed has a row for each time, `[_from, _until)`.
    """
    columns = raw["filter_hosts"].select(
        "month",
        pl.col("id").alias("row_id"),
        *(pl.col(name).cast(pl.String).alias(f"${name}") for name in HOST_COLUMNS),
    )
    flags = ("$reservable", "$disabled")  # Blazar writes True and False
    capabilities = materialize(raw["filter_capabilities"])
    names = capabilities.select("name").unique().sort("name").collect(engine=ENGINE)["name"]
    owners = hosts.select("month", owner_id="row_id", ended="end_at")
    found = labels(capabilities, {name: f"${name}" for name in names}, owners)
    return (
        hosts.select("month", "row", "row_id")
        .join(columns, on=["month", "row_id"], how="inner")
        .join(found, left_on=["month", "row_id"], right_on=OWNER, how="left")
        .with_columns(_from=pl.col("start_at").fill_null(FAR_PAST), _until=pl.col("end_at").fill_null(FAR_FUTURE))
        .with_columns(pl.col(name).str.to_titlecase() for name in flags)
    )


def _bookings(
    raw: Inputs, leases: pl.LazyFrame, reservations: pl.LazyFrame, hosts: pl.LazyFrame, bounds: pl.LazyFrame
) -> pl.LazyFrame:
    """Machines that leases hold by plan: machine, holder, known_from and known_until within the month, plan, change."""
    # one join at a time: given two by month and another key, the planner joins by month alone, millions of rows
    planned = materialize(
        reservations.select("month", "lease_id", "reservation_id")
        .join(leases.filter(~pl.col("is_endless")).drop("row"), on=_LEASE, how="inner")
        .drop("lease_id")
    )
    machines = materialize(
        hosts.filter(pl.col("hostname").is_not_null())
        .select("month", "row_id", machine="hostname")
        .join(bounds, on="month", how="inner")
    )
    held = materialize(
        raw["blazar_computehost_allocations"]
        .filter(~pl.col("is_endless"))
        .select(
            "month",
            "reservation_id",
            row_id="compute_host_id",
            allocated=born("updated_at", "deleted_at"),
            dropped=pl.min_horizontal("deleted_at", "gone_at"),
        )
        .join(machines, on=["month", "row_id"], how="inner")
    )
    return held.join(planned, on=["month", "reservation_id"], how="inner").select(
        "holder",
        "machine",
        known_from=pl.max_horizontal("allocated", "created_at", "month_start"),
        known_until=pl.min_horizontal("dropped", "deleted_at", "month_end"),
        start_at=pl.coalesce("start_date", "created_at"),
        end_at="end_date",
        changed_at="updated_at",
    )
