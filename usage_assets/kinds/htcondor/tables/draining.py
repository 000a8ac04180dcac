"""Draining and refusing: GPUs that were taken out of service, for how long, and whether they still are."""

import polars as pl

from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.figures import hours
from usage_assets.kinds.htcondor.tables.options import Result
from usage_assets.kinds.htcondor.tables.poll_coverage import HOUR

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
    at = observed.polls["poll_at"]
    rows = _episodes(cube, "is_drained")
    is_open = rows["after"] == observed.count
    end = at.gather(rows["after"].clip(upper_bound=max(observed.count - 1, 0)))
    table = rows.select(
        *_GPU,
        at.gather(rows["first"]).alias("start_at"),
        at.gather(rows["after"] - 1).alias("last_at"),
        pl.when(~is_open).then(end).alias("end_at"),
        (pl.col("after") - pl.col("first")).cast(pl.Int64).alias("polls"),
        hours("weight").alias("hours_observed"),
        is_open.alias("is_open"),
    )
    elapsed = pl.col("end_at").fill_null(pl.lit(observed.window.end)) - pl.col("start_at")
    table = table.insert_column(-1, table.select(hours_elapsed=elapsed / pl.duration(hours=1)).to_series())
    return Result(table.sort("machine", "gpu", "start_at"), cube.metadata())


def draining_by_host(cube: Cube) -> Result:
    """A row per machine with a drained GPU: machine, devices, gpus, episodes, first_at, last_at (polls, UTC).

    Further: gpu_hours_observed (drained GPUs x hours seen), gpu_hours_estimated, is_open (some GPU still was at the
    newest poll).
    """
    episodes = draining_episodes(cube)
    rows = (
        episodes.frame.group_by("machine")
        .agg(
            devices=_names("device"),
            gpus=pl.col("gpu").n_unique().cast(pl.Int64),
            episodes=pl.len().cast(pl.Int64),
            first_at=pl.col("start_at").min(),
            last_at=pl.col("last_at").max(),
            gpu_hours_observed=pl.col("hours_observed").sum(),
            gpu_hours_estimated=pl.col("hours_observed").sum() * (cube.observed.scale or 0),
            is_open=pl.col("is_open").any(),
        )
        .sort("gpu_hours_observed", "machine", descending=[True, False])
    )
    return Result(rows, episodes.metadata)


def refusing_hosts(cube: Cube) -> Result:
    """A row per machine and reason to refuse jobs: machine, reason, devices, gpus, first_seen, last_seen (UTC).

    Further: is_still_set (the last poll of the window that saw the machine saw the reason), gpu_hours_refusing (GPUs
    that no job held), gpu_hours_set (all with the reason, those whose jobs ran on too); hours as observed.
    """
    rows = cube.counted.with_columns(
        pl.col("machine", "device", "reason").cast(pl.String()), newest=pl.col("last").max().over("machine")
    )
    at = cube.observed.polls["poll_at"]
    table = (
        rows.filter(pl.col("reason").is_not_null())
        .group_by("machine", "reason")
        .agg(
            devices=_names("device"),
            gpus=pl.col("gpu").n_unique().cast(pl.Int64),
            first_seen=pl.col("first").min(),
            last_seen=pl.col("last").max(),
            is_still_set=pl.col("last").max() == pl.col("newest").first(),
            gpu_hours_refusing=_WEIGHT.filter("is_refusing").sum() / HOUR,
            gpu_hours_set=_WEIGHT.sum() / HOUR,
        )
        .sort("machine", "reason")
    )
    seen = [at.gather(table[name]).alias(name) for name in ("first_seen", "last_seen")]
    return Result(table.with_columns(seen), cube.metadata())


def _names(column: str) -> pl.Expr:
    return pl.col(column).unique().sort().str.join(", ")


def _episodes(cube: Cube, flag: str) -> pl.DataFrame:
    """Stretches of polls in which a GPU had a flag: `_GPU`, first, after, weight; runs that touch are one."""
    kinds = cube.counted.filter(flag).select("kind", pl.col(_GPU).cast(pl.String()))
    runs = cube.spans.join(kinds, on="kind", how="inner").sort("machine", "gpu", "first")
    other_gpu = [pl.col(name).ne_missing(pl.col(name).shift(1)) for name in ("machine", "gpu")]
    fresh = pl.any_horizontal(*other_gpu, pl.col("first") != pl.col("after").shift(1))
    merged = (
        runs.with_columns(_episode=fresh.fill_null(value=True).cast(pl.Int64).cum_sum())
        .group_by("machine", "gpu", "_episode")
        .agg(pl.col("device").last(), pl.col("first").min(), pl.col("after").max())
    )
    return merged.with_columns(cube.observed.weights(merged)).drop("_episode")
