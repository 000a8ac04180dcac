"""Hours per host, project and user: sums of intervals in whole parts, so that groups add up to their site."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from usage_assets.core.hashing import hashes, salt_of
from usage_assets.facts.tables import INTERVALS
from usage_assets.intervals.steps import DECIMALS_OF, parts_of
from usage_assets.kinds.openstack.facts.rows import month_bounds
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.timelines.scope import usage_scope
from usage_assets.schema import Table
from usage_assets.specs.asset import Built
from usage_assets.timelines.dimension_tables import NOBODY, USAGE_BY_HOST, USAGE_BY_PROJECT, USAGE_BY_USER
from usage_assets.timelines.usage import Scope
from usage_assets.warehouse import Reader

DAILY = ("nodes", "vcpus", "gpus", "devices")
"""Resources of daily rows: the others follow from the machine's size and would triple the table."""
UNNAMED = "unknown"
_HELD = ("committed", "occupied", "reserved")
_PERIOD = ("month", "timestamp")
_HOUR_US = 3_600_000_000
_DUST = DECIMALS_OF["nodes"] - 2
_DIGITS = 15
_PARTS = 10.0**9
_INSTANT = pl.Datetime("us")

_WHERE = (
    "site = $site AND month BETWEEN $first AND $last AND month IN (SELECT unnest($months::DATE[])) "
    "AND metric IN (SELECT unnest($metrics::VARCHAR[]))"
)
_DAYS = "unnest(range(date_trunc('day', start_at), end_at, INTERVAL 1 DAY))"


def slots(scope: Scope) -> dict[str, tuple[str, ...]]:
    """Columns of the tables -> the counted metrics that they add up; empty where the site counts none of them."""
    plain = {name: (name,) for name in ("total", "reservable", "committed")}
    occupied = tuple(name for name in scope.counted if name.startswith("occupied_"))
    wanted = plain | {"occupied": occupied, "reserved": ("occupied_reservation",)}
    return {slot: tuple(name for name in names if name in scope.counted) for slot, names in wanted.items()}


def read_hosts(reader: Reader, site: OpenStackSite, months: Sequence[date]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Hours of hosts (see Sums), by months and by days."""
    scope = usage_scope(site)
    keys = {"node": f"coalesce(node, '{UNNAMED}')", "node_type": "node_type"}
    monthly = Sums(keys, slots(scope), scope.resources)
    daily = Sums(keys, slots(scope), daily_resources(scope), by_days=True)
    return _read(reader, site, months, monthly), _read(reader, site, months, daily)


def read_projects(reader: Reader, site: OpenStackSite, months: Sequence[date]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Hours of projects (see Sums) by months, and their names."""
    return _read_holders(reader, site, months, "project_id"), read_names(reader, site, months)


def read_users(reader: Reader, site: OpenStackSite, months: Sequence[date]) -> pl.DataFrame:
    """Hours of users (see Sums) by months."""
    return _read_holders(reader, site, months, "user_id")


def make_hosts(
    site: OpenStackSite,
    months: Sequence[date],
    hours: tuple[pl.DataFrame, pl.DataFrame],
    extracted: Mapping[date, datetime],
) -> Built:
    """Rows of timelines.usage_by_host."""
    scope, (monthly, daily) = usage_scope(site), hours
    bounds = month_bounds(months, extracted)
    keys = ("node", "node_type")
    by_month = _long(monthly, bounds, scope, keys, scope.resources)
    by_day = _long(daily, bounds, scope, keys, daily_resources(scope), period="day")
    return Built(_shaped(pl.concat([by_month, by_day]), USAGE_BY_HOST, site))


def make_projects(
    site: OpenStackSite,
    months: Sequence[date],
    hours: tuple[pl.DataFrame, pl.DataFrame],
    extracted: Mapping[date, datetime],
) -> Built:
    """Rows of timelines.usage_by_project."""
    scope, (monthly, names) = usage_scope(site), hours
    rows = _long(monthly, month_bounds(months, extracted), scope, ("project_id",), scope.resources)
    with_names = rows.join(names, on=["month", "project_id"], how="left")
    return Built(_shaped(hidden(with_names, ("project_id", "project_name"), site), USAGE_BY_PROJECT, site))


def make_users(
    site: OpenStackSite, months: Sequence[date], hours: pl.DataFrame, extracted: Mapping[date, datetime]
) -> Built:
    """Rows of timelines.usage_by_user."""
    scope = usage_scope(site)
    rows = _long(hours, month_bounds(months, extracted), scope, ("user_id",), scope.resources)
    return Built(_shaped(hidden(rows, ("user_id",), site), USAGE_BY_USER, site))


def daily_resources(scope: Scope) -> tuple[str, ...]:
    """The resources of daily rows."""
    return tuple(name for name in DAILY if name in scope.resources)


def _read_holders(reader: Reader, site: OpenStackSite, months: Sequence[date], holder: str) -> pl.DataFrame:
    scope = usage_scope(site)
    wanted = {slot: metrics for slot, metrics in slots(scope).items() if slot in _HELD}
    return _read(reader, site, months, Sums({holder: f"coalesce({holder}, '{NOBODY}')"}, wanted, scope.resources))


@dataclass(frozen=True)
class Sums:
    """A query of the facts: hours per month or day, keys (column -> SQL), slot and resource."""

    keys: Mapping[str, str]
    slots: Mapping[str, tuple[str, ...]]
    resources: Sequence[str]
    by_days: bool = False

    @property
    def sql(self) -> str:
        """Columns month, timestamp, the keys and `<slot>.<resource>` in hours; days cut intervals at midnight.

        A slot without intervals is 0; one whose intervals all have null for the resource is null.
        """
        at = _DAYS if self.by_days else "month::TIMESTAMP"
        start, end = "start_at", "end_at"
        if self.by_days:
            start, end = "greatest(start_at, timestamp)", "least(end_at, timestamp + INTERVAL 1 DAY)"
        keys = ", ".join(f"{sql} AS {name}" for name, sql in self.keys.items())
        grouped = ", ".join(["month", "timestamp", *self.keys])
        # whole parts of a unit times whole microseconds: sums that no order of adding changes
        parts = ", ".join(f"sum(round({r} * {parts_of(r):.0f})::HUGEINT * span) AS {r}" for r in self.resources)
        sums = ", ".join(
            f'{_hours(metrics, name)} AS "{slot}.{name}"'
            for slot, metrics in self.slots.items()
            for name in self.resources
        )
        return f"""
        WITH held AS (
          SELECT month, {at} AS timestamp, {keys}, metric, start_at, end_at, {", ".join(self.resources)}
          FROM {INTERVALS.qualified} WHERE {_WHERE}
        ), spans AS (
          SELECT *, epoch_us({end}) - epoch_us({start}) AS span FROM held
        ), by_metric AS (
          SELECT {grouped}, metric, {parts} FROM spans GROUP BY {grouped}, metric
        )
        SELECT {grouped}, {sums} FROM by_metric GROUP BY {grouped}
        """

    @property
    def empty(self) -> pl.DataFrame:
        """No rows, for a warehouse without facts."""
        hours = [f"{slot}.{name}" for slot in self.slots for name in self.resources]
        schema: dict[str, pl.DataType] = {"month": pl.Date(), "timestamp": _INSTANT}
        return pl.DataFrame(schema=schema | dict.fromkeys(self.keys, pl.String()) | dict.fromkeys(hours, pl.Float64()))


def _hours(metrics: Sequence[str], resource: str) -> str:
    if not metrics:
        return "NULL::DOUBLE"
    where = f"FILTER (WHERE metric IN ({', '.join(map(repr, metrics))}))"
    per_hour = f"{parts_of(resource) * _HOUR_US:.0f}"
    return f"CASE WHEN count(*) {where} = 0 THEN 0 ELSE sum({resource}) {where} / {per_hour} END"


def _read(reader: Reader, site: OpenStackSite, months: Sequence[date], sums: Sums) -> pl.DataFrame:
    if not reader.has(INTERVALS):
        return sums.empty
    params = {"first": min(months, default=None), "last": max(months, default=None)}
    metrics = sorted({name for each in sums.slots.values() for name in each})
    return reader.sql(sums.sql, params | {"site": site.key, "months": list(months), "metrics": metrics})


def _long(
    hours: pl.DataFrame,
    bounds: pl.LazyFrame,
    scope: Scope,
    keys: Sequence[str],
    resources: Sequence[str],
    *,
    period: str = "month",
) -> pl.DataFrame:
    """One row per period, group and resource of which the group has any hours; null in known gaps; with shares.

    `hours` are rows of Sums, `bounds` is month_bounds().
    """
    frame = hours.join(bounds.select("month", "limit_at").collect(), on="month")
    wanted = {slot: names for slot, names in slots(scope).items() if f"{slot}.{resources[0]}" in frame.columns}
    start = pl.col("timestamp")
    until = pl.min_horizontal(start.dt.offset_by("1d" if period == "day" else "1mo"), "limit_at")
    known = {slot: ~_in_gap(scope, metrics, start, until) for slot, metrics in wanted.items()}
    rows = [
        frame.filter(pl.any_horizontal(pl.col(f"{slot}.{name}") > 0 for slot in wanted)).select(
            *_PERIOD,
            *keys,
            pl.lit(period).alias("period"),
            pl.lit(name).alias("resource"),
            # a float of so large a sum has no more digits
            *(
                pl.when(known[slot]).then(pl.col(f"{slot}.{name}").round_sig_figs(_DIGITS)).alias(f"{slot}_hours")
                for slot in wanted
            ),
        )
        for name in resources
    ]
    long = pl.concat(rows).with_columns(
        idle_hours=(pl.col("committed_hours") - pl.col("reserved_hours")).round(_DUST) + 0.0
    )
    return long.with_columns(_share(slot) for slot in ("committed", "occupied"))


def _share(slot: str) -> pl.Expr:
    """Of the site's hours, which are added up in whole parts: the same in any order, to the last digit."""
    parts = pl.col(f"{slot}_hours") * _PARTS
    site = parts.round().cast(pl.Int128).sum().over("timestamp", "resource").cast(pl.Float64)
    return pl.when(site > 0).then(parts / site).alias(f"{slot}_share")


def _in_gap(scope: Scope, metrics: Sequence[str], start: pl.Expr, end: pl.Expr) -> pl.Expr:
    """Whether a period meets a known gap of one of the metrics."""
    found = pl.lit(value=False)
    for gap in {gap for metric in metrics for gap in scope.gaps.get(metric, ())}:
        found = found | ((start < pl.lit(gap.end).cast(_INSTANT)) & (end > pl.lit(gap.start).cast(_INSTANT)))
    return found


def _shaped(frame: pl.DataFrame, table: Table, site: OpenStackSite) -> pl.DataFrame:
    """The declared columns, texts as codes: DuckDB reads them as text, in half the time."""
    return frame.with_columns(site=pl.lit(site.key)).select(
        pl.col(name).cast(pl.Categorical()) if kind == pl.String else pl.col(name)
        for name, kind in table.polars_schema.items()
    )


def read_names(reader: Reader, site: OpenStackSite, months: Sequence[date]) -> pl.DataFrame:
    """month, project_id (unique) and project_name: the site's own map, else Keystone's rows of the month."""
    projects = reader.frame(BY_NAME["keystone_project"].table, site.key, months, columns=("month", "id", "name"))
    found = projects.filter(pl.col("name").is_not_null() & ~pl.col("id").is_in(list(site.project_names)))
    own = pl.DataFrame(
        {"project_id": list(site.project_names), "project_name": list(site.project_names.values())},
        schema={"project_id": pl.String, "project_name": pl.String},
    )
    every = pl.DataFrame({"month": list(months)}, schema={"month": pl.Date}).join(own, how="cross")
    return pl.concat([every, found.rename({"id": "project_id", "name": "project_name"})])


def hidden(frame: pl.DataFrame, columns: Iterable[str], site: OpenStackSite) -> pl.DataFrame:
    """The frame with hashes in place of ids and names, where the site's file has hash_names; `none` stays."""
    if not site.hash_names:
        return frame
    salt = salt_of(site.key, "hash_names is true")
    texts = {column: set(frame[column].drop_nulls().unique()) - {NOBODY} for column in columns}
    return frame.with_columns(pl.col(column).replace(hashes(sorted(texts[column]), salt)) for column in texts)
