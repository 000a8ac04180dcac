"""Draining and refusing: GPUs that were taken out of service, for how long, and whether they still are."""

import polars as pl

from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.figures import hours
from usage_assets.kinds.htcondor.tables.options import Result

_GPU = ("machine", "gpu", "device")
_WEIGHT = pl.col("weight")


def draining_episodes(cube: Cube) -> Result:
    """A row per stretch of polls in which a GPU was drained, masked machines left out; all devices.

    Columns: machine, gpu, device, start_at (its first poll), last_at (its last), end_at (the poll that saw it
    otherwise; null where it lasts to the end of the window), polls, hours_observed (the time that its polls stand for),
    hours_elapsed (from start to the end, or to the window's end, gaps included), is_open. A poll that saw the GPU
    otherwise, or not at all, ends an episode; missed polls do not, and add no hours.
    """
    observed = cube.observed
    rows = _episodes(cube, "is_drained")
    at = observed.polls["poll_at"]
    after = rows["after"]
    closed = (after < observed.count).alias("closed")
    end = at.gather(after.clip(upper_bound=max(observed.count - 1, 0)))
    table = rows.with_columns(
        at.gather(rows["first"]).alias("start_at"),
        at.gather(rows["after"] - 1).alias("last_at"),
        closed,
        end.alias("_end"),
    ).with_columns(end_at=pl.when("closed").then("_end"))
    elapsed = pl.col("end_at").fill_null(pl.lit(observed.window.end)) - pl.col("start_at")
    return Result(
        table.select(
            *_GPU,
            "start_at",
            "last_at",
            "end_at",
            (pl.col("after") - pl.col("first")).cast(pl.Int64).alias("polls"),
            hours("weight").alias("hours_observed"),
            (elapsed / pl.duration(hours=1)).alias("hours_elapsed"),
            (~pl.col("closed")).alias("is_open"),
        ).sort("machine", "gpu", "start_at"),
        cube.metadata(),
    )


def draining_by_host(cube: Cube) -> Result:
    """A row per machine with a drained GPU: machine, devices, gpus, episodes, first_at, last_at (polls, UTC).

    Further: gpu_hours_observed (drained GPUs x hours seen), gpu_hours_estimated, is_open (some GPU still was at the
    newest poll).
    """
    episodes = draining_episodes(cube)
    rows = (
        episodes.frame.group_by("machine")
        .agg(
            pl.col("device").unique().sort().str.join(", ").alias("devices"),
            pl.col("gpu").n_unique().cast(pl.Int64).alias("gpus"),
            pl.len().cast(pl.Int64).alias("episodes"),
            pl.col("start_at").min().alias("first_at"),
            pl.col("last_at").max(),
            pl.col("hours_observed").sum().alias("gpu_hours_observed"),
            pl.col("is_open").any(),
        )
        .with_columns(gpu_hours_estimated=pl.col("gpu_hours_observed") * (cube.observed.scale or 0))
        .sort("gpu_hours_observed", "machine", descending=[True, False])
    )
    order = ("machine", "devices", "gpus", "episodes", "first_at", "last_at")
    return Result(rows.select(*order, "gpu_hours_observed", "gpu_hours_estimated", "is_open"), episodes.metadata)


def refusing_hosts(cube: Cube) -> Result:
    """A row per machine and reason to refuse jobs: machine, reason, devices, gpus, first_seen, last_seen (UTC).

    Further: is_still_set (the last poll of the window that saw the machine saw the reason), gpu_hours_refusing (GPUs
    that no job held), gpu_hours_set (all with the reason, those whose jobs ran on too); hours as observed.
    """
    set_ = cube.counted.with_columns(pl.col("machine", "device", "reason").cast(pl.String()))
    newest = set_.group_by("machine").agg(pl.col("last").max().alias("newest"))
    rows = (
        set_.filter(pl.col("reason").is_not_null())
        .group_by("machine", "reason")
        .agg(
            pl.col("device").unique().sort().str.join(", ").alias("devices"),
            pl.col("gpu").n_unique().cast(pl.Int64).alias("gpus"),
            pl.col("first").min(),
            pl.col("last").max(),
            _WEIGHT.filter("is_refusing").sum().alias("refusing"),
            _WEIGHT.sum().alias("set"),
        )
        .join(newest, on="machine", how="left")
        .sort("machine", "reason")
    )
    at = cube.observed.polls["poll_at"]
    return Result(
        rows.select(
            "machine",
            "reason",
            "devices",
            "gpus",
            at.gather(rows["first"]).alias("first_seen"),
            at.gather(rows["last"]).alias("last_seen"),
            (pl.col("last") == pl.col("newest")).alias("is_still_set"),
            hours("refusing").alias("gpu_hours_refusing"),
            hours("set").alias("gpu_hours_set"),
        ),
        cube.metadata(),
    )


def _episodes(cube: Cube, flag: str) -> pl.DataFrame:
    """Stretches of polls in which a GPU was so: `_GPU`, first, after, weight; runs that follow one another are one."""
    kinds = cube.counted.filter(flag).select("kind", pl.col(_GPU).cast(pl.String()))
    runs = cube.spans.join(kinds, on="kind", how="inner").sort("machine", "gpu", "first")
    fresh = (
        pl.col("machine").ne_missing(pl.col("machine").shift(1))
        | pl.col("gpu").ne_missing(pl.col("gpu").shift(1))
        | (pl.col("first") != pl.col("after").shift(1))
    )
    merged = (
        runs.with_columns(_episode=fresh.fill_null(value=True).cast(pl.Int64).cum_sum())
        .group_by("machine", "gpu", "_episode")
        .agg(pl.col("device").last(), pl.col("first").min(), pl.col("after").max())
    )
    sums = cube.observed.sums
    weight = sums.gather(merged["after"]) - sums.gather(merged["first"])
    return merged.with_columns(weight.alias("weight")).drop("_episode")
