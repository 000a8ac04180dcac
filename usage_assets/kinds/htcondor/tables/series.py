"""How many GPUs of each class were offered and held, from one stretch of time to the next."""

from datetime import datetime, timedelta

import polars as pl

from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.figures import SUMS
from usage_assets.kinds.htcondor.tables.labels import TOTAL, label, names_of
from usage_assets.kinds.htcondor.tables.levels import device_levels
from usage_assets.kinds.htcondor.tables.options import Result
from usage_assets.kinds.htcondor.tables.poll_coverage import HOUR, weighed
from usage_assets.kinds.htcondor.tables.window import Unit, Window, to_utc

_STARTS = "bucket_at"


def time_series(cube: Cube, minutes: int | None = None) -> Result:
    """A row per bucket and class, then `total` (each GPU once), all devices. Function 7.

    Columns: bucket_at (UTC), local_at (the pool's clocks), hours (of the bucket within the window), class, label,
    allocated_avg, available_avg, drained_avg, refusing_avg (GPUs, null where no poll saw the bucket),
    allocated_percent, gpu_hours_observed (null where nothing was seen), coverage (share of the bucket seen).
    Buckets are so many minutes wide (those of the options by default), counted from the local midnight before the
    window.
    """
    return Result(_classed(cube, _regular(cube, minutes)), cube.metadata())


def calendar_series(cube: Cube, unit: Unit) -> Result:
    """The same as `time_series` by local days, weeks (from Monday) or months; the first and the last may be parts."""
    return Result(_classed(cube, _calendar(cube.observed.window, unit)), cube.metadata())


def weekly_trend(cube: Cube) -> Result:
    """A row per local week and class, then `total`: the columns of `time_series`, and what a trend needs.

    Further columns: is_whole (the window holds the whole week), gpu_hours_estimated (of the whole week, from what was
    seen of it), change_percent (against the week before), trend_hours (slope of a straight line through the estimated
    hours of whole weeks, GPU-hours per week). A gap lowers coverage and the observed hours, not the estimate.
    """
    window = cube.observed.window
    parts = list(window.parts("week"))
    starts = _calendar(window, "week")
    hours = [Window.of("week", part.local_start.date(), window.timezone).hours for part in parts]
    weeks = pl.DataFrame({_STARTS: starts, "is_whole": [part.is_whole("week") for part in parts], "_hours": hours})
    estimated = pl.col("gpu_hours_estimated")
    before = estimated.shift(1).over("class")
    rows = (
        _classed(cube, starts)
        .join(weeks, on=_STARTS, how="left", maintain_order="left")
        .with_columns(gpu_hours_estimated=pl.col("allocated_avg") * pl.col("_hours"))
        .drop("_hours")
        .with_columns(change_percent=pl.when(before > 0).then(100 * (estimated / before - 1)))
    )
    number = (pl.col(_STARTS) - window.start) / timedelta(weeks=1)
    known = rows.with_columns(number=number).filter("is_whole").drop_nulls("gpu_hours_estimated")
    slope = known.group_by("class").agg(
        trend_hours=pl.when(pl.len() > 1).then(pl.cov("number", "gpu_hours_estimated") / pl.col("number").var())
    )
    return Result(rows.join(slope, on="class", how="left", maintain_order="left"), cube.metadata())


def device_series(cube: Cube, minutes: int | None = None) -> Result:
    """A row per bucket and device, all classes, each GPU once: the columns of `time_series`, device in place of class.

    Filtered families are left out unless all devices are asked for. What a heat map of devices draws.
    """
    kinds = cube.shown(cube.counted)
    wide = device_levels(kinds, cube.spans, cube.observed)
    names = tuple(kinds["device"].cast(pl.String()).unique().sort())
    frame = _averaged(cube, _regular(cube, minutes), wide, names)
    return Result(frame.rename({"class": "device"}), cube.metadata(filtered=True))


def _regular(cube: Cube, minutes: int | None) -> pl.Series:
    """Where buckets of so many minutes begin."""
    width = timedelta(minutes=minutes or cube.options.bucket_minutes)
    window = cube.observed.window
    midnight = to_utc(datetime.combine(window.local_start.date(), datetime.min.time()), window.timezone)
    first = midnight + (window.start - midnight) // width * width
    return pl.datetime_range(first, window.end, width, closed="left", time_unit="us", eager=True)


def _calendar(window: Window, unit: Unit) -> pl.Series:
    return pl.Series(_STARTS, [part.start for part in window.parts(unit)], dtype=pl.Datetime("us"))


def _classed(cube: Cube, starts: pl.Series) -> pl.DataFrame:
    """The series of all classes and the total."""
    frame = _averaged(cube, starts, cube.levels, (*names_of(cube.options.classes), TOTAL))
    return frame.with_columns(label()).select("bucket_at", "local_at", "hours", "class", "label", *frame.columns[4:])


def _averaged(cube: Cube, starts: pl.Series, levels: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    """Averages per bucket and name, from levels at polls: each bucket is counted as a window of its own would be."""
    observed, window = cube.observed, cube.observed.window
    first, last = (pl.Series([at], dtype=starts.dtype) for at in (window.start, window.end))
    edges = pl.concat([first, starts.slice(1), last])
    shares = weighed(observed.polls["poll_at"], observed.bucket_minutes, edges)
    weight = pl.col("weight")
    summed = (
        levels.lazy()
        .with_columns(shares["weight"], place=shares["piece"])
        .group_by("place")
        .agg((pl.exclude("weight") * weight).sum(), weight.sum())
        .collect()
    )
    start, end = pl.lit(window.start), pl.lit(window.end)
    bucket, until = pl.col(_STARTS), pl.col("until")
    zoned = bucket.dt.replace_time_zone("UTC").dt.convert_time_zone(window.timezone)
    table = (
        pl.DataFrame({_STARTS: starts, "until": starts.shift(-1).fill_null(window.end)})
        .with_columns(
            place=pl.int_range(pl.len(), dtype=pl.Int64),
            local_at=zoned.dt.replace_time_zone(None),
            hours=(pl.min_horizontal(until, end) - pl.max_horizontal(bucket, start)) / timedelta(hours=1),
        )
        .join(summed, on="place", how="left", maintain_order="left")
    )
    frames = [_one_class(table, name) for name in names] or [_one_class(table, "").clear()]
    return pl.concat(frames).sort(_STARTS, maintain_order=True)


def _one_class(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """The rows of one class: a bucket that no poll saw is null."""
    weight = pl.col("weight")
    has = set(table.columns)
    sums = {sum_: pl.col(f"{name}.{sum_}") if f"{name}.{sum_}" in has else weight * 0 for sum_ in SUMS}
    return table.select(
        _STARTS,
        "local_at",
        "hours",
        pl.lit(name).alias("class"),
        *((column / weight).alias(f"{sum_}_avg") for sum_, column in sums.items()),
        allocated_percent=pl.when(sums["available"] > 0).then(100 * sums["allocated"] / sums["available"]),
        gpu_hours_observed=sums["allocated"] / HOUR,
        coverage=weight.fill_null(0) / HOUR / pl.col("hours"),
    )
