"""Series that figures draw: one site, one resource, a row per bucket and a column per metric."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import polars as pl

from usage_assets.specs.plot_context import Scene
from usage_assets.timelines.metrics import CAPACITIES, SHARED_METRICS, Metrics, metrics_with

DAY = timedelta(days=1)
_NEVER = datetime(1, 1, 1)
NOTHING = "No value is known for this time"
NO_MACHINES = "No machines in this month"


@dataclass(frozen=True)
class Sums:
    """Usage with node types added up. `rows` have value and complete: false where the amount of a node type is null.

    Then value is the sum of the others, null where none is known. `missing` are the node types that such sums lack:
    site, collector_type, resource, metric, node_type.
    """

    rows: pl.DataFrame
    missing: pl.DataFrame

    def lacking(self, by: str, **only: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Node types that the sums lack, by a column of `missing`; `only` are columns with the values that count."""
        rows = self.missing.filter(*(pl.col(name).is_in(list(values)) for name, values in only.items()))
        names = rows.group_by(by).agg(pl.col("node_type").unique().sort()).sort(by)
        return {key: tuple(types) for key, types in names.iter_rows()}


@dataclass(frozen=True)
class Series:
    """A site's values on a regular grid.

    `values` has a row per bucket, `timestamp` and a column per metric that the site has; what is unknown or was never
    built is null. `bucket` is the width of a bucket, `end_at` the end of the last one. `missing` are the node types of
    which the resource is not known while that of others is: the values are those of the others. `stacked` are the
    metrics that are areas of a stack, bottom to top.
    """

    resource: str
    values: pl.DataFrame
    bucket: timedelta
    end_at: datetime
    missing: tuple[str, ...] = ()
    stacked: tuple[str, ...] = ()

    def has(self, metric: str) -> bool:
        """Whether the site has the metric, with a value that is not null."""
        return metric in self.values.columns and self.values[metric].null_count() < self.values.height

    @property
    def edges(self) -> list[datetime]:
        """Start of each bucket, and the end of the last."""
        return [*self.values["timestamp"].to_list(), self.end_at]


def candidates(scene: Scene) -> tuple[str, ...]:
    """Resources in which a site may be drawn, the best first: machines, or what stands for them where there are none.

    Where servers share machines, vCPUs as the scheduler counts them: machines may be overcommitted, and in nodes such
    a site would look fuller than full.
    """
    return ("vcpus_overcommit", *scene.machines) if scene.shares_machines else scene.machines


def shown_resources(usage: pl.DataFrame, scene: Scene) -> tuple[str, ...]:
    """The resources that a stack shows: the best of those that the site has, and nodes too where it is vCPUs."""
    present = set(usage.filter(pl.col("value") != 0)["resource"].unique()) or set(usage["resource"].unique())
    best = next((name for name in candidates(scene) if name in present), scene.machines[0])
    nodes = best == "vcpus_overcommit" and not usage.filter(pl.col("resource") == "nodes").is_empty()
    return (best, "nodes") if nodes else (best,)


def month_series(usage: pl.DataFrame, scene: Scene, resource: str, metrics: Sequence[str] | None = None) -> Series:
    """The series of one month: every bucket, cut at the extraction where that comes before the month's end."""
    start, end = scene.window
    registry = metrics_with(scene.kind_metrics)
    rows = usage.filter((pl.col("timestamp") >= start) & (pl.col("timestamp") < end))
    wide = _wide(rows, resource, metrics or registry.shown)
    found = wide["timestamp"].diff().min()
    bucket = found if isinstance(found, timedelta) else timedelta(minutes=scene.site.bucket_minutes)
    extracted = scene.extracted_at
    end = min(end, extracted) if extracted is not None and extracted > start else end
    values, missing = dense(wide, start, end, bucket), _missing(rows, resource, registry.shown)
    return Series(resource, values, bucket, end, missing, registry.stacked)


def history_series(
    usage_daily: pl.DataFrame, resource: str, metrics: Metrics = SHARED_METRICS, *, missing: tuple[str, ...] = ()
) -> Series:
    """The series of a whole history by days, from its first row to its last."""
    wide = _wide(usage_daily, resource, metrics.shown)
    if wide.is_empty():
        return Series(resource, wide, DAY, _NEVER)
    first, last = wide["timestamp"][0], wide["timestamp"][-1]
    return Series(resource, dense(wide, first, last + DAY, DAY), DAY, last + DAY, missing, metrics.stacked)


def runs(values: Sequence[Any]) -> Iterator[tuple[int, int, Any]]:
    """Maximal runs of equal values, as (first, last + 1, value)."""
    first = 0
    for value, run in groupby(values):
        last = first + sum(1 for _ in run)
        yield first, last, value
        first = last


def stack_height(series: Series) -> pl.Expr:
    """The height of a stack: a negative value takes no room."""
    stacked = [pl.col(name).clip(lower_bound=0) for name in series.stacked if series.has(name)]
    return pl.sum_horizontal(stacked) if stacked else pl.lit(0.0)


def highest(series: Series) -> float:
    """The greatest height that a stack or a capacity line reaches."""
    tops = [stack_height(series), *(pl.col(name) for name in CAPACITIES if series.has(name))]
    return float(series.values.select(pl.max_horizontal(tops).max()).item() or 0)


def without_machines(series: Series) -> bool:
    """Whether at all times of the series there is known to be no machine, and none is in use."""
    if "total" not in series.values.columns or series.values["total"].null_count():
        return False
    return series.values.height > 0 and highest(series) <= 0


def share(series: Series, of: str, over: str) -> pl.Series:
    """`of` as a share of `over`; null where either is unknown or there is nothing to share."""
    if not {of, over} <= set(series.values.columns):
        return pl.Series(of, [None] * series.values.height, dtype=pl.Float64)
    above, below = pl.col(of), pl.col(over)
    return series.values.select(pl.when(below > 0).then(above / below).alias(of))[of]


def utilization_over(fixed: str | None, series: Series) -> str:
    """Base of utilization, as in the timelines: reservable where nothing ran on demand, else total.

    The site's file may have `fixed` it. Over a whole history it is one and the same.
    """
    if fixed is not None:
        return fixed
    if "reservable" not in series.values.columns:
        return "total"
    on_demand = series.values.get_column("occupied_ondemand", default=pl.Series([0.0]))
    return "total" if on_demand.sum() > 0 else "reservable"


def _rows(usage: pl.DataFrame, resource: str, metrics: Sequence[str]) -> pl.DataFrame:
    rows = usage.filter((pl.col("resource") == resource) & pl.col("metric").is_in(list(metrics)))
    return rows.filter(pl.col("collector_type") == "current") if "collector_type" in rows.columns else rows


def _wide(usage: pl.DataFrame, resource: str, metrics: Sequence[str]) -> pl.DataFrame:
    """Node types added up; null where none of them is known."""
    rows = _rows(usage, resource, metrics)
    present = set(rows["metric"].unique())
    one = pl.col("value").filter
    return (
        rows.group_by("timestamp")
        .agg(
            pl.when(one(pl.col("metric") == name).count() > 0).then(one(pl.col("metric") == name).sum()).alias(name)
            for name in metrics
            if name in present
        )
        .sort("timestamp")
        .with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    )


def _missing(usage: pl.DataFrame, resource: str, metrics: Sequence[str]) -> tuple[str, ...]:
    if "node_type" not in usage.columns:
        return ()
    rows = _rows(usage, resource, metrics)
    partly = pl.col("value").is_null() & (pl.col("value").count().over("timestamp", "metric") > 0)
    return tuple(sorted(rows.filter(partly)["node_type"].unique()))


def dense(rows: pl.DataFrame, start: datetime, end: datetime, bucket: timedelta) -> pl.DataFrame:
    """A row per bucket of a span of time; null where `rows` have none for it."""
    grid = pl.select(timestamp=pl.datetime_range(start, end, bucket, closed="left", time_unit="us"))
    return grid.join(rows, on="timestamp", how="left", maintain_order="left")


def extremes(values: pl.Series) -> tuple[float, float]:
    """The least and the greatest value; zeros where none is known."""
    low, high = values.cast(pl.Float64).min(), values.cast(pl.Float64).max()
    return (low, high) if isinstance(low, float) and isinstance(high, float) else (0.0, 0.0)


def span(times: pl.Series) -> tuple[datetime, datetime]:
    """The first and the last of some instants, of which there is at least one."""
    first, last = times.min(), times.max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return first, last
