"""Legacy hours against ours, day by day, and causes of differences: daily integrals on both sides, never samples."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import chain, combinations
from os.path import commonprefix

import polars as pl

from usage_assets.facts.tables import REJECTS
from usage_assets.kinds.openstack.legacy.usage import METRICS
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.timelines.scope import usage_scope
from usage_assets.reports.tables import LEGACY_COMPARISON
from usage_assets.reports.tolerance import TOLERANCE_HOURS, TOLERANCE_SHARE, close_to
from usage_assets.sites.base import Gap
from usage_assets.specs.asset import Built
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Reader

KNOWN_GAP, MAINTENANCE, DUPLICATE = "known gap", "maintenance", "duplicate host"
ONE_SIDE, MERGED, UNEXPLAINED = "one side only", "merged types", "unexplained"
CAPACITY = ("total", "reservable", "committed")
"""Metrics in whose facts a host that is there twice counts once: the others are rejected as duplicates."""
_KEY = ["month", "date", "node_type", "metric"]
_DECIMALS = 6
_TERMS = {"idle": ("committed", "occupied_reservation"), "available_reservable": ("reservable", "committed")}
"""Metrics that are made of others, and those."""
_OF_MACHINES = ("total", "reservable")
"""Metrics of the machines there are: their use does not depend on the names of types."""
_MOST_TYPES, _MOST_MERGED = 16, 4
_SCHEMA = pl.Schema({"month": pl.Date, "node_type": pl.String, "merged": pl.String})

_HOURS = f"""
SELECT month, timestamp::DATE AS date, node_type, metric, collector_type,
       CASE WHEN bool_or(hours IS NULL) THEN NULL ELSE sum(hours) END AS hours
FROM {USAGE.qualified}
WHERE site = $site AND month IN (SELECT unnest($months::DATE[])) AND resource = 'nodes'
  AND metric IN (SELECT unnest($metrics::VARCHAR[]))
GROUP BY ALL
"""
_DUPLICATES = f"""
WITH spans AS (
  SELECT metric, node_type, start_at, end_at, coalesce(nodes, 1) AS nodes FROM {REJECTS.qualified}
  WHERE site = $site AND month IN (SELECT unnest($months::DATE[])) AND reason = 'duplicate'
    AND metric IN (SELECT unnest($metrics::VARCHAR[])) AND start_at < end_at
), days AS (
  SELECT *, unnest(generate_series(date_trunc('day', start_at), end_at - INTERVAL 1 MICROSECOND, INTERVAL 1 DAY)) AS day
  FROM spans
)
SELECT day::DATE AS date, node_type, metric,
       sum(nodes * epoch(least(end_at, day + INTERVAL 1 DAY) - greatest(start_at, day)) / 3600) AS hours
FROM days GROUP BY ALL
"""


Rows = tuple[pl.DataFrame, pl.DataFrame]
"""Rows of timelines.usage by day (month, date, node_type, metric, collector_type, hours), and hours of duplicates.

Those are the hours of rows that facts rejected as duplicates: date, node_type, metric, hours.
"""


def read(reader: Reader, site: OpenStackSite, months: Sequence[date]) -> Rows:
    """Daily sums of both collectors, and the hours of duplicates."""
    params = {"site": site.key, "months": list(months)}
    hours = reader.sql(_HOURS, params | {"metrics": list(METRICS)})
    if reader.has(REJECTS):
        return hours, reader.sql(_DUPLICATES, params | {"metrics": list(CAPACITY)})
    schema = {"date": pl.Date, "node_type": pl.String, "metric": pl.String, "hours": pl.Float64}
    return hours, pl.DataFrame(schema=schema)


def make(site: OpenStackSite, months: Sequence[date], rows: Rows, extracted: Mapping[date, datetime]) -> Built:
    """The comparison of some months; the day in which a month was read is not whole and is left out."""
    del months
    scope, (read_hours, duplicates) = usage_scope(site), rows
    ends = pl.LazyFrame(
        {"month": list(extracted), "read_at": list(extracted.values())},
        schema={"month": pl.Date, "read_at": pl.Datetime("us")},
    )
    hours = (
        read_hours.lazy()
        .join(ends, on="month", how="left")
        .filter((pl.col("date").cast(pl.Datetime("us")).dt.offset_by("1d") <= pl.col("read_at")).fill_null(value=True))
    )
    out = compare(hours, duplicates.lazy(), gaps=scope.gaps, counted=scope.counted)
    return Built(out.with_columns(site=pl.lit(site.key)).select(LEGACY_COMPARISON.names).collect())


def compare(
    hours: pl.LazyFrame, duplicates: pl.LazyFrame, *, gaps: Mapping[str, Sequence[Gap]], counted: Sequence[str]
) -> pl.LazyFrame:
    """Both collectors side by side per day, node type and metric, with difference (ours less theirs) and its cause.

    `gaps` are the known gaps per counted metric, `counted` the metrics that the site counts. A type that one counter
    lacks counts with 0 on that side, where that counter has any hours of the day and metric; unknown hours are null.
    Types that theirs has as one (`merged_types`) are explained together.
    """
    rows = hours.collect()
    groups = merged_types(rows).lazy()
    ours, theirs = (
        rows.lazy()
        .filter(pl.col("collector_type") == name)
        .select(*_KEY, pl.col("hours").alias(f"{name}_hours"), pl.lit(value=True).alias(f"{name}_has"))
        for name in ("current", "legacy")
    )
    both = (
        theirs.join(ours, on=_KEY, how="full", coalesce=True)
        .join(groups, on=["month", "node_type"], how="left")
        .with_columns(_counted(name) for name in ("current", "legacy"))
        .with_columns(
            difference=(pl.col("current_counted") - pl.col("legacy_counted")).round(_DECIMALS) + 0.0,
            group=pl.coalesce("merged", "node_type"),
        )
    )
    legacy, difference = pl.col("legacy_hours"), pl.col("difference")
    one_sided = pl.col("current_hours").is_null() != legacy.is_null()
    lacked = pl.col("merged").is_not_null() & legacy.is_null()
    return (
        both.join(_of_groups(both, duplicates), on=["date", "group", "metric"], how="left")
        .with_columns(
            relative_difference=pl.when(legacy != 0).then(difference / legacy),
            cause=pl.when((pl.col("metric") == "maintenance") & ("maintenance" not in counted))
            .then(pl.when(legacy.abs() > TOLERANCE_HOURS).then(pl.lit(MAINTENANCE)))
            .when(close_to("current_counted", "legacy_counted"))
            .then(pl.lit(None, dtype=pl.String))
            .when(_in_gap(gaps))
            .then(pl.lit(KNOWN_GAP))
            .when(lacked | (pl.col("is_merged") & pl.col("merged").is_not_null()))
            .then(pl.lit(MERGED))
            .when(pl.col("current_hours").is_null() & legacy.is_null())
            .then(pl.lit(None, dtype=pl.String))
            .when(one_sided & pl.col("merged").is_null())
            .then(pl.lit(ONE_SIDE))
            .otherwise("of_group"),
        )
        .select(*_KEY, "legacy_hours", "current_hours", "difference", "relative_difference", "cause")
    )


def _counted(name: str) -> pl.Expr:
    """A side's hours; of a type that it lacks 0, where it has any hours of the day and metric."""
    hours = pl.col(f"{name}_hours")
    has_any = hours.is_not_null().any().over("date", "metric")
    return pl.when(pl.col(f"{name}_has").is_null() & has_any).then(0.0).otherwise(hours).alias(f"{name}_counted")


def _of_groups(both: pl.LazyFrame, duplicates: pl.LazyFrame) -> pl.LazyFrame:
    """Per day, group of types and metric: whether its sums are alike (`is_merged`), else the cause (`of_group`)."""
    sums = both.group_by("date", "group", "metric").agg(
        current_hours=pl.col("current_counted").sum(), legacy_hours=pl.col("legacy_counted").sum()
    )
    of_maintenance = sums.filter(pl.col("metric") == "maintenance").select(
        "date", "group", maint_hours="legacy_hours", our_maint_hours="current_hours"
    )
    names = both.select("date", "node_type", "group").unique()
    double = [pl.col("hours").filter(pl.col("metric") == metric).sum().alias(f"{metric}_double") for metric in CAPACITY]
    doubled = duplicates.join(names, on=["date", "node_type"], how="inner").group_by("date", "group").agg(double)
    return (
        sums.join(of_maintenance, on=["date", "group"], how="left")
        .join(doubled, on=["date", "group"], how="left")
        .select(
            "date",
            "group",
            "metric",
            is_merged=close_to("current_hours", "legacy_hours"),
            of_group=pl.when(_explained_by("maint_hours") | _explained_by("our_maint_hours"))
            .then(pl.lit(MAINTENANCE))
            .when(pl.any_horizontal(_explained_by(f"{metric}_double") for metric in CAPACITY))
            .then(pl.lit(DUPLICATE))
            .otherwise(pl.lit(UNEXPLAINED)),
        )
    )


def _explained_by(column: str) -> pl.Expr:
    """Whether the difference is these hours, more or less, within the tolerance of the legacy hours."""
    amount = pl.col(column)
    moved = pl.max_horizontal(
        *(close_to(pl.col("current_hours") + sign * amount, pl.col("legacy_hours")) for sign in (1, -1))
    )
    return (moved & (amount.abs() > TOLERANCE_HOURS)).fill_null(value=False)


def _in_gap(gaps: Mapping[str, Sequence[Gap]]) -> pl.Expr:
    """Whether the day lies in a known gap of what its metric is made of."""
    out = pl.lit(value=False)
    for metric in METRICS:
        for gap in {gap for term in _TERMS.get(metric, (metric,)) for gap in gaps.get(term, ())}:
            days = (pl.col("date") >= pl.lit(gap.start)) & (pl.col("date") < pl.lit(gap.end))
            out = out | ((pl.col("metric") == metric) & days)
    return out


def merged_types(hours: pl.DataFrame) -> pl.DataFrame:
    """month, node_type, merged: our node types that the legacy counter has within the type `merged`, and that type.

    `hours` has month, date, node_type, metric, collector_type and hours. A type of theirs is merged where, on most days
    of the month that it was counted on, its hours are those of ours of that name together with those of others of ours
    that they lack.
    """
    known = hours.filter(pl.col("metric").is_in(_OF_MACHINES) & pl.col("hours").is_not_null())
    out: list[tuple[object, str, str]] = []
    for (month,), rows in known.group_by("month", maintain_order=True):
        out += [(month, name, into) for name, into in _of_month(rows)]
    return pl.DataFrame(out, schema=_SCHEMA, orient="row")


def _of_month(rows: pl.DataFrame) -> Iterator[tuple[str, str]]:
    ours, theirs = (_days(rows.filter(collector_type=name)) for name in ("current", "legacy"))
    lacking = sorted(name for name, days in ours.items() if name not in theirs and max(days.values()) > TOLERANCE_HOURS)
    if not lacking or len(lacking) > _MOST_TYPES:
        return
    for name in sorted(theirs):
        own = ours.get(name, {})
        if _agree(theirs[name], [own]):
            continue
        subsets = chain.from_iterable(combinations(lacking, size) for size in range(1, _MOST_MERGED + 1))
        found = [parts for parts in subsets if _agree(theirs[name], [own, *(ours[each] for each in parts)])]
        if not found:
            continue
        # of several sums that fit, the one whose names are most alike
        best = min(found, key=lambda parts: (-_likeness(name, parts), len(parts), parts))
        lacking = [each for each in lacking if each not in best]
        yield from ((each, name) for each in sorted({*best, name}))


def _days(rows: pl.DataFrame) -> dict[str, dict[tuple[str, date], float]]:
    """Hours by node type, metric and day."""
    out: dict[str, dict[tuple[str, date], float]] = {}
    for metric, day, name, hours in rows.select("metric", "date", "node_type", "hours").iter_rows():
        out.setdefault(name, {})[metric, day] = hours
    return out


def _agree(theirs: Mapping[tuple[str, date], float], parts: Sequence[Mapping[tuple[str, date], float]]) -> bool:
    """Whether the parts add up to theirs on most days, by one of the metrics."""
    good: Counter[str] = Counter()
    days: Counter[str] = Counter()
    for (metric, day), hours in theirs.items():
        days[metric] += 1
        added = sum(part.get((metric, day), 0.0) for part in parts)
        good[metric] += abs(added - hours) <= max(TOLERANCE_HOURS, TOLERANCE_SHARE * abs(hours))
    return any(2 * good[metric] > days[metric] for metric in days)


def _likeness(name: str, parts: Iterable[str]) -> float:
    shared = [len(commonprefix([name, part])) for part in parts]  # noqa: RUF071 - of names, letter by letter
    return sum(shared) / len(shared)
