"""Whose jobs held how many GPU-hours, by class."""

import polars as pl

from usage_assets.kinds.htcondor.pool.devices import UNKNOWN
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.figures import estimated, hours, percent
from usage_assets.kinds.htcondor.tables.labels import TOTAL, class_of, label, names_of, ordered
from usage_assets.kinds.htcondor.tables.options import Result


def user_hours(cube: Cube) -> Result:
    """A row per user and class, and `total` of each user, of all devices; columns as `model_users`."""
    return Result(_by_user(cube, cube.sums), cube.metadata())


def model_users(cube: Cube, model: str | None = None) -> Result:
    """A row per user and class, and class `total` of each user, of GPUs of one model. Function 13 (H200 by default).

    Columns: user (Unknown where the job has no owner), class, label, gpu_hours_observed,
    gpu_hours_estimated, percent (of all hours of the table), percent_of_class. Users with most hours come first.
    A model is a display name, matched exactly; slices of a GPU have names of their own.
    """
    name = model or cube.options.model
    rows = cube.sums.filter(pl.col("device").cast(pl.String()) == name)
    notes = () if rows.height else (f"no GPU of the window is called {name}",)
    return Result(_by_user(cube, rows), cube.metadata(notes=notes))


def backfill_users(cube: Cube) -> Result:
    """A row per user and backfill class, and class `total` of each user; columns as `model_users`. Function 14.

    Filtered families are left out unless all devices are asked for.
    """
    rows = cube.shown(cube.sums.filter(pl.col("side") == "backfill"))
    return Result(_by_user(cube, rows), cube.metadata(filtered=True))


def _by_user(cube: Cube, sums: pl.DataFrame) -> pl.DataFrame:
    which = cube.options.classes
    user = pl.col("user").cast(pl.String())
    held = sums.filter(pl.col("state") == "claimed").select(
        pl.when(user.str.len_chars() > 0).then(user).otherwise(pl.lit(UNKNOWN)).alias("user"),
        class_of(which).alias("class"),
        "weight",
    )
    each = held.group_by("user", "class").agg(pl.col("weight").sum())
    of_user = each.group_by("user").agg(pl.lit(TOTAL).alias("class"), pl.col("weight").sum())
    weight = pl.col("weight")
    of_all = weight.filter(pl.col("class") == TOTAL)
    rows = pl.concat([each, of_user]).with_columns(
        _of_class=weight.sum().over("class"), _of_user=of_all.sum().over("user"), _all=of_all.sum()
    )
    # sorted by class, a stable sort by user keeps the classes of each user in order, the total first
    rows = ordered(rows, (TOTAL, *names_of(which))).sort(
        "_of_user", "user", descending=[True, False], maintain_order=True
    )
    return rows.select(
        "user",
        "class",
        pl.when(pl.col("class") == TOTAL).then(pl.lit("All classes")).otherwise(label()).alias("label"),
        hours("weight").alias("gpu_hours_observed"),
        estimated("weight", cube.observed).alias("gpu_hours_estimated"),
        percent("weight", "_all").alias("percent"),
        percent("weight", "_of_class").alias("percent_of_class"),
    )
