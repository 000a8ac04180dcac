"""Facts -> exact steps, and means and hours per bucket, for any kind of site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import polars as pl

from usage_assets.intervals import bucket_edges, held_values, integrate, is_first, materialize, step_function
from usage_assets.intervals.algebra import ENGINE
from usage_assets.intervals.steps import DECIMALS_OF
from usage_assets.sites.base import Gap
from usage_assets.specs.metric import Metric
from usage_assets.timelines.metrics import COVERAGE, RATIOS, Metrics, metrics_with
from usage_assets.timelines.observed import edges, ends, known_buckets, known_steps, observed_hours
from usage_assets.timelines.tables import USAGE, USAGE_STEPS

_INSTANT = pl.Datetime("us")
_GROUP = ("month", "metric", "node_type")
# decimals to which a difference of hours is kept, so that equal terms leave nothing behind
_DUST = DECIMALS_OF["nodes"] - 2
_BUCKET = ("month", "node_type", "bucket_at", "until")
# the five names of a row as codes: a third of the memory of texts, and DuckDB reads them as text
_CODED = pl.Categorical()
_CURRENT = pl.lit("current", dtype=_CODED)
_WIDTH = (pl.col("until") - pl.col("bucket_at")).dt.total_microseconds() / 3_600_000_000


@dataclass(frozen=True)
class Scope:
    """What a site's usage timeline covers.

    `counted` metrics and `resources` give the dense series, those `only_if_counted` in months alone whose facts count
    some of them. `gaps` are the known gaps per counted metric; `untold` are, per resource, the counted metrics of which
    none of the site's sources tells it: they are null. `utilization_of` fixes what utilization is a share of (null:
    reservable where nothing ran on demand in the month).
    """

    site: str
    bucket_minutes: int
    counted: tuple[str, ...]
    resources: tuple[str, ...]
    gaps: Mapping[str, tuple[Gap, ...]]
    utilization_of: str | None = None
    only_if_counted: tuple[str, ...] = ()
    untold: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kind_metrics: tuple[Metric, ...] = ()
    """Metrics of the site's kind beside the shared ones, its terms of `occupied` among them."""

    @property
    def metrics(self) -> Metrics:
        """Every metric that the site may have."""
        return metrics_with(self.kind_metrics)

    @property
    def derived(self) -> list[Metric]:
        """The derived metrics of the site, in an order in which each finds its terms."""
        return self.metrics.derivable(self.counted)

    @property
    def coded(self) -> pl.Enum:
        """Type of a column of the site's metrics: sorting and grouping by text costs several times as much."""
        return pl.Enum(list(self.metrics.by_name))


@dataclass(frozen=True)
class UsageFrames:
    """The two tables of the stage: USAGE and USAGE_STEPS, their text columns coded (`pl.Categorical`)."""

    usage: pl.DataFrame
    steps: pl.DataFrame


def build_usage(
    scope: Scope,
    months: Sequence[date],
    intervals: pl.DataFrame,
    extracted: Mapping[date, datetime],
    node_types: pl.DataFrame,
    *,
    observed: pl.DataFrame | None = None,
) -> UsageFrames:
    """Usage of all months at once; each month uses its own facts only.

    `node_types` (month, node_type) are the types of the month's machines: dense series exist for them and for those in
    the facts. Known gaps are null. The running month ends at its extraction. `observed` (month, start_at, end_at) are
    stretches in which the site was seen, of sources that look now and then: means are over these alone, hours are those
    observed, and `coverage` says which share of a bucket was seen.
    """
    absent = _absent(scope, months, intervals)
    scope = replace(scope, resources=tuple(name for name in scope.resources if absent.get(name) != list(months)))
    types = pl.concat([node_types["node_type"], intervals["node_type"], pl.Series(["unknown"])]).unique().sort()
    coded = {"metric": scope.coded, "node_type": pl.Enum(types)}
    facts = (
        intervals.lazy()
        .filter(pl.col("metric").is_in(scope.counted))
        .select(*_GROUP, "start_at", "end_at", *scope.resources, _is_device=pl.col("devices").is_not_null())
        .cast(pl.Schema(coded))
    )
    windows = _windows(months, ends(extracted, observed))
    series = materialize(
        _series(scope, facts, node_types.lazy().cast(pl.Schema({"node_type": coded["node_type"]})), windows)
    )
    steps = materialize(step_function(facts, by=_GROUP, amounts=scope.resources))
    known = materialize(_known(facts, series, scope))
    buckets = bucket_edges(series, minutes=scope.bucket_minutes)
    hours = integrate(steps, buckets.select(*_GROUP, "bucket_at", "until"), by=_GROUP, amounts=scope.resources)
    counted = materialize(_without_gaps(_nulled(hours, known, scope.resources), scope, "bucket_at", "until"))
    if observed is None:
        whole = pl.concat([counted, *_derived(scope, counted)], how="diagonal").with_columns(observed=_WIDTH)
    else:
        covered = materialize(observed_hours(observed, buckets.select("month", "bucket_at", "until").unique()))
        counted = materialize(known_buckets(counted, covered, scope.resources).drop("observed"))
        parts = [counted, *_derived(scope, counted)]
        whole = pl.concat(parts, how="diagonal").join(covered, on=["month", "bucket_at", "until"], how="left")
        whole = pl.concat([whole, _coverage(scope, counted, covered)], how="diagonal")
    usage = _means(whole, scope)
    stepped = _dense_steps(scope, steps, series, known, observed)
    done = pl.collect_all([_without_absent(frame, absent) for frame in (usage, stepped)], engine=ENGINE)
    return UsageFrames(*done)


def _absent(scope: Scope, months: Sequence[date], intervals: pl.DataFrame) -> dict[str, list[date]]:
    """By resource that is only there if counted, the months that do not count any of it; those that lack it nowhere."""
    counted = {name: set(intervals.drop_nulls(name)["month"].unique()) for name in scope.only_if_counted}
    lacking = {name: [month for month in months if month not in there] for name, there in counted.items()}
    return {name: those for name, those in lacking.items() if those}


def _without_absent(rows: pl.LazyFrame, absent: Mapping[str, list[date]]) -> pl.LazyFrame:
    for name, months in absent.items():
        rows = rows.filter((pl.col("resource") != name) | ~pl.col("month").is_in(months))
    return rows


def _coverage(scope: Scope, counted: pl.LazyFrame, covered: pl.LazyFrame) -> pl.LazyFrame:
    """Buckets of the metric `coverage`, alike for every node type and resource."""
    share = (pl.col("observed") / _WIDTH).clip(upper_bound=1.0)
    return (
        counted.filter(pl.col("metric") == scope.counted[0])
        .select(_BUCKET)
        .join(covered, on=["month", "bucket_at", "until"], how="left")
        .select(
            *_BUCKET,
            pl.lit(COVERAGE, dtype=scope.coded).alias("metric"),
            *(share.alias(name) for name in scope.resources),
            observed=_WIDTH,
        )
    )


def _windows(months: Sequence[date], extracted: Mapping[date, datetime]) -> pl.LazyFrame:
    start = pl.col("month").cast(_INSTANT)
    read_at = [extracted.get(month) for month in months]
    frame = pl.LazyFrame({"month": list(months), "read_at": read_at}, schema={"month": pl.Date, "read_at": _INSTANT})
    whole = frame.select("month", start_at=start, end_at=pl.min_horizontal(start.dt.offset_by("1mo"), "read_at"))
    return whole.filter(pl.col("start_at") < pl.col("end_at"))


def _series(scope: Scope, facts: pl.LazyFrame, node_types: pl.LazyFrame, windows: pl.LazyFrame) -> pl.LazyFrame:
    """Every series of a month: its node types x the site's counted metrics. A month without machines has one type."""
    types = pl.concat([node_types.select("month", "node_type"), facts.select("month", "node_type")]).unique()
    metrics = pl.LazyFrame({"metric": list(scope.counted)}, schema={"metric": scope.coded})
    return (
        windows.join(types, on="month", how="left")
        .with_columns(pl.col("node_type").fill_null(pl.lit("unknown").cast(types.collect_schema()["node_type"])))
        .join(metrics, how="cross")
    )


def _known(facts: pl.LazyFrame, series: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """For each series and resource: is the amount known? As columns knows_<resource>.

    It is where the amount is non-null in at least one interval of the series. A series without intervals is zero where
    an interval of its node type has an amount; of a type without intervals, where one of the month has, or the month
    has no interval. Else it is unknown. Machines are no devices, and devices no machines: of each other they have none,
    which is known.
    """
    is_known = [
        (pl.lit(value=True) if name == "devices" else pl.col(name).is_not_null() | pl.col("_is_device")).alias(name)
        for name in scope.resources
    ]
    levels = (list(_GROUP), ["month", "node_type"], ["month"])
    found = series.select(_GROUP)
    marks = facts.select(*_GROUP, *is_known)
    for depth, keys in enumerate(levels):
        marks = materialize(marks.group_by(keys).agg(pl.col(name).any() for name in scope.resources))
        found = found.join(marks.rename({name: f"{name}_{depth}" for name in scope.resources}), on=keys, how="left")
    return found.select(
        *_GROUP,
        *(
            (
                pl.coalesce(*(f"{name}_{depth}" for depth in range(len(levels))), pl.lit(value=True))
                & ~_any_of("metric", scope.untold.get(name, ()))
            ).alias(f"knows_{name}")
            for name in scope.resources
        ),
    )


def _any_of(column: str, names: Sequence[str]) -> pl.Expr:
    return pl.any_horizontal(pl.lit(value=False), *(pl.col(column) == name for name in names))


def _nulled(frame: pl.LazyFrame, known: pl.LazyFrame, resources: Sequence[str]) -> pl.LazyFrame:
    """Null where a series does not know the resource: unknown is not zero."""
    joined = frame.join(known, on=list(_GROUP), how="left")
    return joined.with_columns(pl.when(pl.col(f"knows_{name}")).then(name).alias(name) for name in resources).drop(
        f"knows_{name}" for name in resources
    )


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
    wide = _side_by_side(scope, counted)
    out = []
    for metric in scope.derived:
        amounts = [(_sum(metric.name, scope, name).round(_DUST) + 0.0).alias(name) for name in scope.resources]
        values = _utilization(scope, metric) if metric.is_ratio else amounts
        out.append(wide.select(*_BUCKET, pl.lit(metric.name, dtype=scope.coded).alias("metric"), *values))
    return out


def _side_by_side(scope: Scope, counted: pl.LazyFrame) -> pl.LazyFrame:
    """One row per bucket and node type, `<metric>.<resource>` beside each other: every metric has the same buckets."""
    ordered = materialize(counted.sort("metric", *_BUCKET))
    columns = [ordered.filter(pl.col("metric") == scope.counted[0]).select(_BUCKET)]
    columns += [
        ordered.filter(pl.col("metric") == metric).select(
            pl.col(name).alias(f"{metric}.{name}") for name in scope.resources
        )
        for metric in scope.counted
    ]
    return materialize(pl.concat(columns, how="horizontal", strict=True))


def _sum(metric: str, scope: Scope, resource: str) -> pl.Expr:
    """A derived metric in one resource: unknown where one of its terms is."""
    weights = scope.metrics.weights(metric, scope.counted)
    return sum((pl.col(f"{term}.{resource}") * weight for term, weight in weights.items()), pl.lit(0.0))


def _utilization(scope: Scope, metric: Metric) -> list[pl.Expr]:
    """Occupied as a share of reservable where nothing ran on demand in the site's month, else of total."""
    (used,) = metric.plus
    bases = [name for name in metric.over if name in scope.counted]
    if scope.utilization_of in bases:
        bases = [scope.utilization_of]
    on_demand = pl.lit(value=False)
    if len(bases) > 1:
        on_demand = (
            pl.any_horizontal(pl.col(f"occupied_ondemand.{name}").fill_null(0) > 0 for name in scope.resources)
            .any()
            .over("month")
        )
    shares = []
    for name in scope.resources:
        over = pl.when(on_demand).then(f"{bases[-1]}.{name}").otherwise(f"{bases[0]}.{name}")
        share = _sum(used, scope, name) / over
        shares.append(pl.when(over > 0).then(share).alias(name))
    return shares


def _means(buckets: pl.LazyFrame, scope: Scope) -> pl.LazyFrame:
    """Long rows with value and hours of hours per bucket."""
    return (
        buckets.rename({"bucket_at": "timestamp", "observed": "width"})
        .with_columns(
            is_ratio=_any_of("metric", RATIOS),
            collector_type=_CURRENT,
            site=pl.lit(scope.site, dtype=_CODED),
            node_type=_coded("node_type"),
            metric=_coded("metric"),
        )
        .unpivot(
            on=list(scope.resources),
            index=["site", "month", "timestamp", "collector_type", "node_type", "metric", "width", "is_ratio"],
            variable_name="resource",
            value_name="hours",
        )
        .select(
            *(name for name in USAGE.names if name not in {"resource", "value", "hours"}),
            _coded("resource"),
            value=pl.when("is_ratio").then("hours").otherwise(pl.col("hours") / pl.col("width")),
            hours=pl.when(~pl.col("is_ratio")).then("hours"),
        )
    )


def _dense_steps(
    scope: Scope, steps: pl.LazyFrame, series: pl.LazyFrame, known: pl.LazyFrame, observed: pl.DataFrame | None
) -> pl.LazyFrame:
    """Long steps: a row at the month's start and one per change of the series; nulls where unknown or in a gap."""
    amounts = list(scope.resources)
    marks = _gap_edges(scope, series)
    if observed is not None:
        marks = pl.concat([marks, series.join(edges(observed).select("month", "at"), on="month").select(*_GROUP, "at")])
    starts = series.select(*_GROUP, at="start_at")
    limits = series.select(*_GROUP, "end_at")
    empty = [pl.lit(None, dtype=pl.Float64).alias(name) for name in amounts]
    # an edge that is no step says nothing new: what held before goes on
    quiet = pl.concat([starts, marks]).unique().join(steps.select(*_GROUP, "at"), on=[*_GROUP, "at"], how="anti")
    every = (
        pl.concat([steps, quiet.select(*_GROUP, "at", *empty)])
        .sort([*_GROUP, "at"])
        .with_columns(_first=is_first(_GROUP))
        .with_columns(held_values(amounts))
        .join(limits, on=list(_GROUP), how="inner", maintain_order="left")
        .filter(pl.col("at") < pl.col("end_at"))
        .with_columns(after=pl.col("at") + pl.duration(microseconds=1))
    )
    if observed is not None:
        every = known_steps(every, edges(observed), amounts)
    nulled = materialize(_without_gaps(_nulled(every, known, amounts), scope, "at", "after").sort([*_GROUP, "at"]))
    first = is_first(_GROUP)
    ordered = materialize(
        nulled.with_columns(
            (first | pl.col(name).ne_missing(pl.col(name).shift(1))).alias(f"new_{name}") for name in amounts
        )
    )
    parts = [
        ordered.filter(pl.col(f"new_{name}")).select(
            pl.lit(scope.site, dtype=_CODED).alias("site"),
            "month",
            pl.col("at").alias("timestamp"),
            _CURRENT.alias("collector_type"),
            _coded("node_type"),
            _coded("metric"),
            pl.lit(name, dtype=_CODED).alias("resource"),
            pl.col(name).alias("value"),
        )
        for name in amounts
    ]
    return pl.concat(parts).select(USAGE_STEPS.names)


def _coded(name: str) -> pl.Expr:
    """A column of names as codes; an enumeration becomes text first, once per name and not per row."""
    return pl.col(name).cast(_CODED)


def _gap_edges(scope: Scope, series: pl.LazyFrame) -> pl.LazyFrame:
    """Where a known gap begins or ends within a series' month."""
    edges = [(metric, day) for metric, gaps in scope.gaps.items() for gap in gaps for day in (gap.start, gap.end)]
    frame = pl.LazyFrame(edges, schema={"metric": scope.coded, "at": pl.Date}, orient="row")
    return (
        series.join(frame.cast({"at": _INSTANT}), on="metric", how="inner")
        .filter((pl.col("at") > pl.col("start_at")) & (pl.col("at") < pl.col("end_at")))
        .select(*_GROUP, "at")
        .unique()
    )
