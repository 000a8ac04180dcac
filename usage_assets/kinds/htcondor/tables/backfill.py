"""Backfill: how long GPUs stand free for it, and whose jobs had to make room for primary jobs.

Polls tell that a backfill job was there and, at the next poll, a primary job in its place: an eviction, inferred. One
that came and went between two polls is not seen, and a gap of polls tells nothing.
"""

import polars as pl

from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.figures import hours
from usage_assets.kinds.htcondor.tables.options import Result

_GPU = ("machine", "gpu")


def availability_spells(cube: Cube) -> Result:
    """A row per stretch of polls in which backfill was offered a GPU that no primary job held.

    Columns: machine, gpu, device, class (of backfill, at its start), start_at, last_at (its first and last poll),
    hours_observed (the time that its polls stand for), hours_used (of them, held by backfill jobs), ended_by (one of
    follow.ENDS), is_cut (it began before the window's second poll or lasts to its end: its true length is not known).
    Filtered families are left out unless all devices are asked for.
    """
    at = cube.observed.polls["poll_at"]
    rows = _spells(cube).with_columns(pl.col(*_GPU, "device", "class").cast(pl.String()))
    return Result(
        rows.select(
            *_GPU,
            "device",
            "class",
            at.gather(rows["first"]).alias("start_at"),
            at.gather(rows["after"] - 1).alias("last_at"),
            "hours_observed",
            hours("used").alias("hours_used"),
            "ended_by",
            "is_cut",
        ).sort("machine", "gpu", "start_at"),
        cube.metadata(filtered=True),
    )


def spell_lengths(cube: Cube) -> Result:
    """A row per device, after them `total`: how long availability spells are.

    Columns: device, spells, hours_mean, hours_median, hours_p90, hours_max (of whole spells: those that are not cut by
    the window), whole_spells, to_primary (spells that a primary job ended), to_primary_percent (of whole ones).
    """
    spells = _spells(cube).select("device", "hours_observed", "is_cut", "ended_by")
    parts = [spells, spells.with_columns(device=pl.lit("total"))]
    length = pl.col("hours_observed").filter(~pl.col("is_cut"))
    taken = (pl.col("ended_by") == "primary") & ~pl.col("is_cut")
    rows = pl.concat(
        part.group_by("device")
        .agg(
            pl.len().cast(pl.Int64).alias("spells"),
            length.count().cast(pl.Int64).alias("whole_spells"),
            length.mean().alias("hours_mean"),
            length.median().alias("hours_median"),
            length.quantile(0.9, "linear").alias("hours_p90"),
            length.max().alias("hours_max"),
            taken.sum().cast(pl.Int64).alias("to_primary"),
        )
        .with_columns(pl.col("device").cast(pl.String()))
        .sort("device")
        for part in parts
    )
    share = pl.when(pl.col("whole_spells") > 0).then(100 * pl.col("to_primary") / pl.col("whole_spells"))
    return Result(rows.with_columns(to_primary_percent=share), cube.metadata(filtered=True))


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
    return cube.followed.spells.with_columns(hours("weight").alias("hours_observed"), cut.alias("is_cut"))


def _rates(cube: Cube, by: str) -> Result:
    rows = cube.followed.stints.select(by, "ended_by", "weight")
    taken = pl.col("ended_by") == "primary"
    ended = pl.col("ended_by").is_in(["primary", "withdrawn"])
    parts = [rows, rows.with_columns(pl.lit("total").alias(by))]
    table = pl.concat(
        part.group_by(by)
        .agg(
            pl.len().cast(pl.Int64).alias("stints"),
            ended.sum().cast(pl.Int64).alias("ended"),
            taken.sum().cast(pl.Int64).alias("evictions"),
            pl.col("weight").sum(),
        )
        .with_columns(pl.col(by).cast(pl.String()))
        .sort("evictions", "weight", by, descending=[True, True, False])
        for part in parts
    )
    held = hours("weight")
    return Result(
        table.select(
            by,
            "stints",
            "ended",
            "evictions",
            pl.when(pl.col("ended") > 0).then(100 * pl.col("evictions") / pl.col("ended")).alias("eviction_percent"),
            held.alias("gpu_hours_observed"),
            pl.when(pl.col("weight") > 0).then(100 * pl.col("evictions") / held).alias("evictions_per_100_hours"),
        ),
        cube.metadata(filtered=True),
    )
