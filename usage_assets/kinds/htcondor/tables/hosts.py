"""Hosts: what each machine offered and gave, which ones stood still, and which ones do not count."""

import polars as pl

from usage_assets.kinds.htcondor.pool import classes
from usage_assets.kinds.htcondor.pool.hosts import HostList
from usage_assets.kinds.htcondor.pool.rules import TIERS
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.figures import average, estimated, hours, percent
from usage_assets.kinds.htcondor.tables.labels import LABELS, ordered
from usage_assets.kinds.htcondor.tables.options import Result

_TEXTS = ("machine", "gpu", "device", "masked", "tier")
_WEIGHT = pl.col("weight")
_EDGES = (pl.col("first").min(), pl.col("last").max())
BACKFILL_ONLY = "backfill_only"


def host_table(cube: Cube) -> Result:
    """A row per machine and device, masked machines too and marked; all devices.

    Columns: machine, device, is_masked, reason (of the mask), gpus (different ones), available_avg,
    primary_allocated_avg, backfill_allocated_avg, allocated_avg (GPUs; the sum of both), allocated_percent,
    gpu_hours_observed, gpu_hours_estimated, available_hours_observed (GPU-hours), first_seen, last_seen (UTC).
    """
    primary = _held("primary")
    rows = (
        _texted(cube.kinds)
        .group_by("machine", "device", "masked")
        .agg(
            pl.struct("gpu").n_unique().cast(pl.Int64).alias("gpus"),
            _WEIGHT.sum().alias("available"),
            _WEIGHT.filter(primary).sum().alias("primary"),
            _WEIGHT.filter(_held("backfill")).sum().alias("backfill"),
            *_EDGES,
        )
        .with_columns(allocated=pl.col("primary") + pl.col("backfill"))
        .sort("machine", "device")
        .pipe(_dated, cube)
    )
    observed = cube.observed
    return Result(
        rows.select(
            "machine",
            "device",
            pl.col("masked").is_not_null().alias("is_masked"),
            pl.col("masked").alias("reason"),
            "gpus",
            *(
                average(name, observed).alias(column)
                for name, column in (
                    ("available", "available_avg"),
                    ("primary", "primary_allocated_avg"),
                    ("backfill", "backfill_allocated_avg"),
                    ("allocated", "allocated_avg"),
                )
            ),
            percent("allocated", "available").alias("allocated_percent"),
            hours("allocated").alias("gpu_hours_observed"),
            estimated("allocated", observed).alias("gpu_hours_estimated"),
            hours("available").alias("available_hours_observed"),
            "first_seen",
            "last_seen",
        ),
        cube.metadata(),
    )


def excluded_hosts(cube: Cube) -> Result:
    """A row per masked machine: machine, reason, gpus, is_seen, first_seen, last_seen (UTC).

    Machines of the pool's list that no poll of the window saw are there too, by the name in the list.
    """
    masked = (
        _texted(cube.kinds.filter(pl.col("masked").is_not_null()))
        .group_by("machine", pl.col("masked").alias("reason"))
        .agg(pl.col("gpu").n_unique().cast(pl.Int64).alias("gpus"), pl.lit(value=True).alias("is_seen"), *_EDGES)
        .pipe(_dated, cube)
        .drop("first", "last")
    )
    machines = masked["machine"].to_list()
    absent = [(name, why) for name, why in cube.pool.masked.items() if not any(m in HostList([name]) for m in machines)]
    if cube.options.hosts:
        absent = []
    rest = pl.DataFrame(absent, schema={"machine": pl.String(), "reason": pl.String()}, orient="row").with_columns(
        gpus=pl.lit(0, dtype=pl.Int64()), is_seen=pl.lit(value=False)
    )
    return Result(pl.concat([masked, rest], how="diagonal").sort("machine", "reason"), cube.metadata())


def never_active(cube: Cube) -> Result:
    """A row per machine whose primary slots no job held a GPU of, in all of the window; all devices.

    Columns: machine, devices (names, comma between), gpus, available_hours_observed, backfill_hours_observed
    (GPU-hours that backfill jobs held there), last_seen (UTC). Machines that only offer backfill are not there.
    """
    rows = (
        _texted(cube.counted)
        .group_by("machine")
        .agg(
            _names("device").alias("devices"),
            pl.col("gpu").filter(pl.col("primary_state").is_not_null()).n_unique().cast(pl.Int64).alias("gpus"),
            _WEIGHT.filter(pl.col("primary_state").is_not_null()).sum().alias("available"),
            _WEIGHT.filter(_held("primary")).sum().alias("primary"),
            _WEIGHT.filter(_held("backfill")).sum().alias("backfill"),
            *_EDGES,
        )
        .filter((pl.col("primary") == 0) & (pl.col("available") > 0))
        .sort("machine")
        .pipe(_dated, cube)
    )
    return Result(
        rows.select(
            "machine",
            "devices",
            "gpus",
            hours("available").alias("available_hours_observed"),
            hours("backfill").alias("backfill_hours_observed"),
            "last_seen",
        ),
        cube.metadata(),
    )


def machine_categories(cube: Cube) -> Result:
    """A row per machine and class of its primary slots; all devices.

    Columns: category (the class, or backfill_only where no primary slot lists its GPUs), label, machine, devices,
    gpus, available_hours_observed, percent (of the machine's hours). A machine that changed its class, or whose slots
    are of several, has several rows.
    """
    category = pl.col("primary_class").cast(pl.String()).fill_null(pl.lit(BACKFILL_ONLY))
    rows = (
        _texted(cube.counted)
        .group_by(category.alias("category"), "machine")
        .agg(
            _names("device").alias("devices"),
            pl.col("gpu").n_unique().cast(pl.Int64).alias("gpus"),
            _WEIGHT.sum().alias("available"),
        )
        .with_columns(_all=pl.col("available").sum().over("machine"))
    )
    ranked = ordered(rows, (*classes.PRIMARY, BACKFILL_ONLY), "machine", column="category")
    return Result(
        ranked.select(
            "category",
            pl.col("category").replace(LABELS | {BACKFILL_ONLY: "Backfill slots only"}).alias("label"),
            "machine",
            "devices",
            "gpus",
            hours("available").alias("available_hours_observed"),
            percent("available", "_all").alias("percent"),
        ),
        cube.metadata(),
    )


def unused_gpus(cube: Cube, tier: str | None = TIERS[0]) -> Result:
    """A row per GPU that no primary job held in all of the window, of one tier (Flagship) or, with null, of all.

    Columns: tier, machine, gpu, device, classes (in which primary slots offered it), available_hours_observed,
    backfill_hours_observed, is_idle (no backfill job held it either), first_seen, last_seen (UTC).
    """
    offered = _texted(cube.counted.filter(pl.col("primary_state").is_not_null()))
    lent = (
        _texted(cube.counted).group_by("machine", "gpu").agg(_WEIGHT.filter(_held("backfill")).sum().alias("backfill"))
    )
    rows = (
        offered.group_by("machine", "gpu")
        .agg(
            pl.col("tier", "device").sort_by("last").last(),
            _names("primary_class").alias("classes"),
            _WEIGHT.sum().alias("available"),
            _WEIGHT.filter(_held("primary")).sum().alias("primary"),
            *_EDGES,
        )
        .filter(pl.col("primary") == 0)
        .join(lent, on=["machine", "gpu"], how="left")
        .sort("tier", "machine", "gpu")
        .pipe(_dated, cube)
    )
    if tier is not None:
        rows = rows.filter(pl.col("tier") == tier)
    return Result(
        rows.select(
            "tier",
            "machine",
            "gpu",
            "device",
            "classes",
            hours("available").alias("available_hours_observed"),
            hours("backfill").alias("backfill_hours_observed"),
            (pl.col("backfill") == 0).alias("is_idle"),
            "first_seen",
            "last_seen",
        ),
        cube.metadata(),
    )


def _held(side: str) -> pl.Expr:
    return (pl.col(f"{side}_state") == "claimed").fill_null(value=False)


def _texted(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(*_TEXTS, "primary_class").cast(pl.String()))


def _names(column: str) -> pl.Expr:
    return pl.col(column).drop_nulls().unique().sort().str.join(", ")


def _dated(frame: pl.DataFrame, cube: Cube) -> pl.DataFrame:
    """With the instants at which polls of the window saw a group first and last."""
    polls = cube.observed.polls["poll_at"]
    return frame.with_columns(
        polls.gather(frame["first"]).alias("first_seen"), polls.gather(frame["last"]).alias("last_seen")
    )
