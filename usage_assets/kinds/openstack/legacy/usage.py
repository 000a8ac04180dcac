"""The legacy usage counter as a timeline of its own: daily node-hours per node type, collector_type `legacy`.

Their columns are defined nowhere in public. They are read as a partition of a day's hours: total_hours = maintenance +
reserved and unused + used + unreserved. `usage_assets.kinds.openstack.legacy.checks` checks that against the data.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import polars as pl

from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.specs.asset import Built
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Reader

DATABASE = "chameleon_usage"
REPORTS = BY_NAME["chameleon_usage_node_usage_report_cache"].table
COUNTS = BY_NAME["chameleon_usage_node_count_cache"].table
HOURS = ("maint_hours", "reserved_hours", "used_hours", "idle_hours", "total_hours")
DAY = ["month", "day", "node_type"]
_DUST = 6  # decimals of hours to which a difference is kept

# metric -> node-hours; a term that is null makes it null
_total, _maint = pl.col("total_hours"), pl.col("maint_hours")
_reserved, _used = pl.col("reserved_hours"), pl.col("used_hours")
METRICS: dict[str, pl.Expr] = {
    "total": _total,
    "reservable": _total - _maint,
    "committed": _reserved + _used,
    "occupied_reservation": _used,
    "idle": _reserved,
    "available_reservable": _total - _maint - _reserved - _used,
    "maintenance": _maint,
}


def has_legacy(site: OpenStackSite) -> bool:
    """Whether the site names the database of the caches."""
    return DATABASE in site.databases


def read(reader: Reader, site: OpenStackSite, months: Sequence[date]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of the two caches of some months: reports and counts of nodes."""
    return reader.frame(REPORTS, site.key, months), reader.frame(COUNTS, site.key, months)


def make(
    site: OpenStackSite,
    months: Sequence[date],  # noqa: ARG001 - one signature
    rows: tuple[pl.DataFrame, pl.DataFrame],
    extracted: Mapping[date, datetime],  # noqa: ARG001 - the caches are whole days, so the dump cuts none
) -> Built:
    """Rows of timelines.usage of collector_type legacy."""
    reports, counts = rows
    counts_fill = COUNTS.name in {source.name for source in site.sources.get("total", ())}
    return Built(legacy_usage(reports.lazy(), counts.lazy(), site, counts_fill=counts_fill).collect())


def legacy_usage(
    reports: pl.LazyFrame, counts: pl.LazyFrame, site: OpenStackSite, *, counts_fill: bool
) -> pl.LazyFrame:
    """Rows of timelines.usage: a row per day, node type and metric, resource nodes, value = hours / 24.

    With `counts_fill`, a day and node type that has no report has total = cnt, and no other metric.
    """
    days = one_per_day(reports)
    hours = days.select(*DAY, **METRICS).unpivot(
        on=list(METRICS), index=DAY, variable_name="metric", value_name="hours"
    )
    if counts_fill:
        missing = one_per_day(counts).join(days, on=DAY, how="anti")
        hours = pl.concat(
            [hours, missing.select(*DAY, metric=pl.lit("total"), hours=pl.col("cnt").cast(pl.Float64) * 24)]
        )
    rounded = pl.col("hours").round(_DUST) + 0.0
    return hours.select(
        *("month", "node_type", "metric"),
        site=pl.lit(site.key),
        timestamp="day",
        collector_type=pl.lit("legacy"),
        resource=pl.lit("nodes"),
        hours=rounded,
        value=rounded / 24,
    ).select(USAGE.names)


def one_per_day(rows: pl.LazyFrame) -> pl.LazyFrame:
    """One row per month, day and node type: of several that of the latest time, those still at the source first."""
    return (
        rows.with_columns(day=pl.col("date").cast(pl.Datetime("us")).dt.truncate("1d"))
        .filter(pl.col("day").is_not_null() & pl.col("node_type").is_not_null())
        .sort(*DAY, pl.col("gone_at").is_null(), "date", descending=[False, False, False, True, True])
        .unique(DAY, keep="first", maintain_order=True)
    )
