"""Facts -> exact steps, and means and hours per bucket, for any kind of site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from usage_assets.facts.tables import RESOURCE_NAMES
from usage_assets.intervals import bucket_edges, integrate, step_function
from usage_assets.intervals.steps import DECIMALS
from usage_assets.partitions import next_month
from usage_assets.sites import Gap
from usage_assets.timelines.metrics import BY_NAME, Metric, derivable
from usage_assets.timelines.tables import USAGE, USAGE_STEPS

_INSTANT = pl.Datetime("us")
_GROUP = ("month", "metric", "node_type")
_CURRENT = pl.lit("current").alias("collector_type")


@dataclass(frozen=True)
class Scope:
    """What a site's usage timeline covers.

    `counted` metrics and `resources` give the dense series; `gaps` are the known gaps per counted metric;
    `utilization_of` fixes what utilization is a share of (null: reservable where nothing ran on demand in the month).
    """

    site: str
    bucket_minutes: int
    counted: tuple[str, ...]
    resources: tuple[str, ...]
    gaps: Mapping[str, tuple[Gap, ...]]
    utilization_of: str | None = None


@dataclass(frozen=True)
class UsageFrames:
    """The two tables of the stage: schemas USAGE and USAGE_STEPS."""

    usage: pl.DataFrame
    steps: pl.DataFrame


def build_usage(
    scope: Scope,
    months: Sequence[date],
    intervals: pl.DataFrame,
    extracted: Mapping[date, datetime],
    node_types: pl.DataFrame,
) -> UsageFrames:
    """Usage of all months at once; each month uses its own facts only.

    `node_types` (month, node_type) are the types of the month's machines: dense series exist for them and for those in
    the facts. Known gaps are null. The running month ends at its extraction.
    """
    facts = intervals.lazy().filter(pl.col("metric").is_in(scope.counted))
    windows = _windows(months, extracted)
    series = _series(scope, facts, node_types.lazy(), windows)
    steps = step_function(facts, by=_GROUP, amounts=scope.resources).collect().lazy()
    known = _known(facts, scope.resources)
    buckets = bucket_edges(series, minutes=scope.bucket_minutes)
    hours = integrate(steps, buckets.select(*_GROUP, "bucket_at", "until"), by=_GROUP, amounts=scope.resources)
    counted = _without_gaps(_nulled(hours, known, scope.resources), scope, "bucket_at", "until").collect().lazy()
    whole = pl.concat([counted, *_derived(scope, counted)], how="diagonal_relaxed")
    usage = _means(whole, scope)
    stepped = _dense_steps(scope, steps, series, known)
    done = pl.collect_all([usage, stepped])
    return UsageFrames(*done)


def _windows(months: Sequence[date], extracted: Mapping[date, datetime]) -> pl.LazyFrame:
    starts = [datetime(month.year, month.month, 1) for month in months]
    ends = [datetime(after.year, after.month, 1) for after in map(next_month, months)]
    limits = [min(end, extracted.get(month, end)) for month, end in zip(months, ends, strict=True)]
    return pl.LazyFrame(
        {"month": list(months), "start_at": starts, "end_at": limits},
        schema={"month": pl.Date, "start_at": _INSTANT, "end_at": _INSTANT},
    ).filter(pl.col("start_at") < pl.col("end_at"))


def _series(scope: Scope, facts: pl.LazyFrame, node_types: pl.LazyFrame, windows: pl.LazyFrame) -> pl.LazyFrame:
    """Every series of a month: its node types x the site's counted metrics. A month without machines has one type."""
    types = pl.concat([node_types.select("month", "node_type"), facts.select("month", "node_type")]).unique()
    metrics = pl.LazyFrame({"metric": list(scope.counted)}, schema={"metric": pl.String})
    return (
        windows.join(types, on="month", how="left")
        .with_columns(pl.col("node_type").fill_null("unknown"))
        .join(metrics, how="cross")
    )


def _known(facts: pl.LazyFrame, resources: Sequence[str]) -> pl.LazyFrame:
    """Per series whether any of its intervals knows a resource; a series without intervals has no row."""
    return facts.group_by(_GROUP).agg(pl.col(name).is_not_null().any().alias(f"knows_{name}") for name in resources)


def _nulled(frame: pl.LazyFrame, known: pl.LazyFrame, resources: Sequence[str]) -> pl.LazyFrame:
    """Null where a series has intervals and none of them knows the resource: unknown is not zero."""
    joined = frame.join(known, on=list(_GROUP), how="left")
    return joined.with_columns(
        pl.when(pl.col(f"knows_{name}").fill_null(value=True)).then(name).alias(name) for name in resources
    ).drop(f"knows_{name}" for name in resources)


def _without_gaps(frame: pl.LazyFrame, scope: Scope, start: str, end: str) -> pl.LazyFrame:
    """Null where a bucket or stretch meets a known gap of its metric."""
    in_gap = pl.lit(value=False)
    for metric, gaps in scope.gaps.items():
        for gap in gaps:
            meets = (pl.col(start) < pl.lit(gap.end).cast(_INSTANT)) & (pl.col(end) > pl.lit(gap.start).cast(_INSTANT))
            in_gap = in_gap | ((pl.col("metric") == metric) & meets)
    return frame.with_columns(pl.when(~in_gap).then(name).alias(name) for name in scope.resources)


def _derived(scope: Scope, counted: pl.LazyFrame) -> list[pl.LazyFrame]:
    """Buckets of the derived metrics, as hours; utilization as a share in place of hours."""
    metrics = derivable(set(scope.counted))
    plain = [metric for metric in metrics if not metric.is_ratio]
    terms = pl.LazyFrame(
        [
            (metric.name, term, float(weight), len(_terms(metric, scope)))
            for metric in plain
            for term, weight in _terms(metric, scope).items()
        ],
        schema={"derived": pl.String, "metric": pl.String, "weight": pl.Float64, "terms": pl.Int64},
        orient="row",
    )
    key = ["month", "derived", "node_type", "bucket_at", "until"]
    summed = (
        counted.join(terms, on="metric", how="inner")
        .group_by(key)
        .agg(
            # a sum with an unknown term is unknown
            pl.when(pl.col(name).count() == pl.col("terms").first())
            .then((pl.col(name) * pl.col("weight")).sum().round(DECIMALS) + 0.0)
            .alias(name)
            for name in scope.resources
        )
        .rename({"derived": "metric"})
    )
    out = [summed]
    if any(metric.is_ratio for metric in metrics):
        out.append(_utilization(scope, pl.concat([counted, summed], how="diagonal_relaxed")))
    return out


def _terms(metric: Metric, scope: Scope) -> dict[str, int]:
    """A metric as weights of counted ones; a weight of 0 still has to be known."""
    if metric.is_counted:
        return {metric.name: 1}
    weights: dict[str, int] = {}
    signed = [(name, 1) for name in metric.plus] + [(name, -1) for name in metric.minus]
    for name, sign in signed:
        term = BY_NAME[name]
        if term.is_counted and name not in scope.counted:
            continue
        for counted, weight in _terms(term, scope).items():
            weights[counted] = weights.get(counted, 0) + sign * weight
    return weights


def _utilization(scope: Scope, buckets: pl.LazyFrame) -> pl.LazyFrame:
    """Occupied as a share of reservable where nothing ran on demand in the site's month, else of total."""
    key = ["month", "node_type", "bucket_at", "until"]
    amounts = list(scope.resources)
    has = set(scope.counted)
    if scope.utilization_of is not None:
        base = pl.lit(scope.utilization_of)
    elif "reservable" not in has:
        base = pl.lit("total")
    else:
        on_demand = pl.any_horizontal(
            pl.col(name).filter(pl.col("metric") == "occupied_ondemand").sum() > 0 for name in amounts
        ).over("month")
        base = pl.when(on_demand).then(pl.lit("total")).otherwise(pl.lit("reservable"))
    based = buckets.with_columns(base=base)
    over = based.filter(pl.col("metric") == pl.col("base")).select(
        *key, *(pl.col(name).alias(f"over_{name}") for name in amounts)
    )
    occupied = based.filter(pl.col("metric") == "occupied").select(*key, *amounts)
    return occupied.join(over, on=key, how="inner").select(
        *key,
        pl.lit("utilization").alias("metric"),
        *(
            pl.when(pl.col(f"over_{name}") > 0).then(pl.col(name) / pl.col(f"over_{name}")).alias(name)
            for name in amounts
        ),
    )


def _means(buckets: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """Long rows with value and hours of hours per bucket."""
    ratios = [metric.name for metric in derivable(set(scope.counted)) if metric.is_ratio]
    is_ratio = pl.col("metric").is_in(ratios)
    width = (pl.col("until") - pl.col("timestamp")).dt.total_microseconds() / 3_600_000_000
    return (
        buckets.rename({"bucket_at": "timestamp"})
        .with_columns(width=width)
        .unpivot(
            on=list(scope.resources),
            index=["month", "timestamp", "node_type", "metric", "width"],
            variable_name="resource",
            value_name="hours",
        )
        .with_columns(value=pl.when(is_ratio).then("hours").otherwise(pl.col("hours") / pl.col("width")))
        .with_columns(hours=pl.when(~is_ratio).then("hours"))
        .with_columns(pl.lit(scope.site).alias("site"), _CURRENT)
        .select(pl.col(name).cast(dtype) for name, dtype in USAGE.polars_schema.items())
    )


def _dense_steps(scope: Scope, steps: pl.LazyFrame, series: pl.LazyFrame, known: pl.LazyFrame) -> pl.LazyFrame:
    """Long steps: a row at the month's start and one per change of the series; nulls where unknown or in a gap."""
    amounts = list(scope.resources)
    marks = _gap_edges(scope, series)
    starts = series.select(*_GROUP, at="start_at")
    limits = series.select(*_GROUP, "end_at")
    empty = [pl.lit(None, dtype=pl.Float64).alias(name) for name in amounts]
    every = (
        pl.concat(
            [
                steps,
                pl.concat([starts, marks])
                .unique()
                .join(steps.select(*_GROUP, "at"), on=[*_GROUP, "at"], how="anti")
                .select(*_GROUP, "at", *empty),
            ]
        )
        .sort([*_GROUP, "at"])
        .with_columns(pl.col(name).forward_fill().over(_GROUP).fill_null(0.0) for name in amounts)
        .join(limits, on=list(_GROUP), how="inner")
        .filter(pl.col("at") < pl.col("end_at"))
        .with_columns(after=pl.col("at") + pl.duration(microseconds=1))
    )
    nulled = _without_gaps(_nulled(every, known, amounts), scope, "at", "after")
    changed = [
        (
            pl.col(name).ne_missing(pl.col(name).shift(1)).over(_GROUP)
            | pl.col("at").eq(pl.col("at").first().over(_GROUP))
        ).alias(f"new_{name}")
        for name in amounts
    ]
    ordered = nulled.sort([*_GROUP, "at"]).with_columns(changed)
    parts = [
        ordered.filter(pl.col(f"new_{name}")).select(
            "month", "node_type", "metric", timestamp="at", resource=pl.lit(name), value=pl.col(name)
        )
        for name in amounts
    ]
    return (
        pl.concat(parts)
        .with_columns(pl.lit(scope.site).alias("site"), _CURRENT)
        .select(pl.col(name).cast(dtype) for name, dtype in USAGE_STEPS.polars_schema.items())
    )


def _gap_edges(scope: Scope, series: pl.LazyFrame) -> pl.LazyFrame:
    """Where a known gap begins or ends within a series' month."""
    edges = [
        (metric, datetime(day.year, day.month, day.day))
        for metric, gaps in scope.gaps.items()
        for gap in gaps
        for day in (gap.start, gap.end)
    ]
    frame = pl.LazyFrame(edges, schema={"metric": pl.String, "at": _INSTANT}, orient="row")
    return (
        series.join(frame, on="metric", how="inner")
        .filter((pl.col("at") > pl.col("start_at")) & (pl.col("at") < pl.col("end_at")))
        .select(*_GROUP, "at")
        .unique()
    )


def expected_hours(scope: Scope, intervals: pl.DataFrame) -> pl.DataFrame:
    """Resource-hours of the facts per month, metric, node_type and resource: what the buckets must sum to."""
    span = (pl.col("end_at") - pl.col("start_at")).dt.total_microseconds() / 3_600_000_000
    return (
        intervals.lazy()
        .filter(pl.col("metric").is_in(scope.counted))
        .group_by(_GROUP)
        .agg((pl.col(name) * span).sum().alias(name) for name in scope.resources)
        .unpivot(on=list(scope.resources), index=list(_GROUP), variable_name="resource", value_name="hours")
        .collect()
    )


__all__ = ["RESOURCE_NAMES", "Scope", "UsageFrames", "build_usage", "expected_hours"]
