"""Backfill: how long GPUs stand free for it, and whose jobs had to make room for primary jobs.

A backfill job at one poll and a primary job in its place at the next one count as an eviction: it is inferred. A job
that came and went between two polls is not seen, and a gap in the polls is no evidence.
"""

import polars as pl

from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.figures import hours, percent
from usage_assets.kinds.htcondor.tables.options import Result

_GPU = ("machine", "gpu")


def availability_spells(cube: Cube) -> Result:
    """A row per stretch of polls in which backfill was offered a GPU that no primary job held.

    Columns: machine, gpu, device, class (of backfill, at its start), start_at, last_at (its first and last poll),
    hours_observed (the time that its polls stand for), hours_used (of them, held by backfill jobs), ended_by (one of
    spells.ENDS), is_cut (it began before the window's second poll or lasts to its end: its true length is not known).
    Filtered families are left out unless all devices are asked for.
    """
    at = cube.observed.polls["poll_at"]
    rows = _spells(cube)
    table = rows.select(
        pl.col(*_GPU, "device", "class").cast(pl.String()),
        at.gather(rows["first"]).alias("start_at"),
        at.gather(rows["after"] - 1).alias("last_at"),
        "hours_observed",
        hours("used").alias("hours_used"),
        *("ended_by", "is_cut"),
    )
    return Result(table.sort("machine", "gpu", "start_at"), cube.metadata(filtered=True))


def spell_lengths(cube: Cube) -> Result:
    """A row per device, after them `total`: how long availability spells are.

    Columns: device, spells, hours_mean, hours_median, hours_p90, hours_max (of whole spells: those that are not cut by
    the window), whole_spells, to_primary (spells that a primary job ended), to_primary_percent (of whole ones).
    """
    spells = _spells(cube).select("device", "hours_observed", "is_cut", "ended_by")
    length = pl.col("hours_observed").filter(~pl.col("is_cut"))
    taken = (pl.col("ended_by") == "primary") & ~pl.col("is_cut")
    rows = pl.concat(
        part.group_by("device")
        .agg(
            spells=pl.len().cast(pl.Int64),
            whole_spells=length.count().cast(pl.Int64),
            hours_mean=length.mean(),
            hours_median=length.median(),
            hours_p90=length.quantile(0.9, "linear"),
            hours_max=length.max(),
            to_primary=taken.sum().cast(pl.Int64),
        )
        .with_columns(pl.col("device").cast(pl.String()), to_primary_percent=percent("to_primary", "whole_spells"))
        .sort("device")
        for part in (spells, spells.with_columns(device=pl.lit("total")))
    )
    return Result(rows, cube.metadata(filtered=True))


def evictions_by_user(cube: Cube) -> Result:
    """A row per user of backfill, after them `total`: user, and the columns of `evictions_by_machine`."""
    return _rates(cube, "user")


def evictions_by_machine(cube: Cube) -> Result:
    """A row per machine with backfill jobs, after them `total`.

    Columns: machine, stints (stretches of polls in which jobs of one user held one GPU), ended (stints whose next poll
    was seen), evictions (of them, those after which a primary job held the GPU), eviction_percent (of ended),
    gpu_hours_observed, evictions_per_100_hours (of GPU-hours observed). Filtered families are left out unless all
    devices are asked for.
    """
    return _rates(cube, "machine")


def _spells(cube: Cube) -> pl.DataFrame:
    """Spells with their hours, and whether the window cuts them."""
    cut = (pl.col("first") == 0) | (pl.col("ended_by") == "window")
    return cube.backfill.spells.with_columns(hours("weight").alias("hours_observed"), cut.alias("is_cut"))


def _rates(cube: Cube, by: str) -> Result:
    rows = cube.backfill.stints.select(by, "ended_by", "weight")
    table = pl.concat(
        part.group_by(by)
        .agg(
            pl.len().cast(pl.Int64).alias("stints"),
            pl.col("ended_by").is_in(["primary", "withdrawn"]).sum().cast(pl.Int64).alias("ended"),
            (pl.col("ended_by") == "primary").sum().cast(pl.Int64).alias("evictions"),
            pl.col("weight").sum(),
        )
        .with_columns(pl.col(by).cast(pl.String()), gpu_hours_observed=hours("weight"))
        .sort("evictions", "weight", by, descending=[True, True, False])
        for part in (rows, rows.with_columns(pl.lit("total").alias(by)))
    )
    table = table.select(
        *(by, "stints", "ended", "evictions"),
        percent("evictions", "ended").alias("eviction_percent"),
        "gpu_hours_observed",
        percent("evictions", "gpu_hours_observed").alias("evictions_per_100_hours"),
    )
    return Result(table, cube.metadata(filtered=True))
