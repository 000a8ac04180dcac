"""Tables by machine: what each one offered, who used it, which ones stood still, and which ones do not count."""

import polars as pl

from usage_assets.kinds.htcondor.pool import classes
from usage_assets.kinds.htcondor.pool.hosts import HostList
from usage_assets.kinds.htcondor.pool.rules import TIERS
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.figures import average, estimated, hours, percent
from usage_assets.kinds.htcondor.tables.labels import LABELS, ordered
from usage_assets.kinds.htcondor.tables.options import Result
from usage_assets.kinds.htcondor.tables.poll_coverage import HOUR

_WEIGHT = pl.col("weight")
_GPUS = pl.col("gpu").n_unique().cast(pl.Int64)
_FIRST_AND_LAST = (pl.col("first").min().alias("first_seen"), pl.col("last").max().alias("last_seen"))
_HAS_PRIMARY = pl.col("primary_state").is_not_null()
BACKFILL_ONLY = "backfill_only"


def host_table(cube: Cube) -> Result:
    """A row per machine and device, masked machines too and marked; all devices.

    Columns: machine, device, is_masked, reason (of the mask), gpus (different ones), available_avg,
    primary_allocated_avg, backfill_allocated_avg, allocated_avg (GPUs; the sum of both), allocated_percent,
    gpu_hours_observed, gpu_hours_estimated, available_hours_observed (GPU-hours), first_seen, last_seen (UTC).
    """
    rows = (
        _as_text(cube.kinds)
        .group_by("machine", "device", reason="masked")
        .agg(
            *_FIRST_AND_LAST,
            gpus=_GPUS,
            available=_WEIGHT.sum(),
            primary=_WEIGHT.filter(_held("primary")).sum(),
            backfill=_WEIGHT.filter(_held("backfill")).sum(),
        )
        .with_columns(allocated=pl.col("primary") + pl.col("backfill"))
        .sort("machine", "device")
    )
    observed = cube.observed
    table = _with_times(rows, cube).select(
        *("machine", "device", pl.col("reason").is_not_null().alias("is_masked"), "reason", "gpus"),
        average("available", observed).alias("available_avg"),
        average("primary", observed).alias("primary_allocated_avg"),
        average("backfill", observed).alias("backfill_allocated_avg"),
        average("allocated", observed).alias("allocated_avg"),
        percent("allocated", "available").alias("allocated_percent"),
        hours("allocated").alias("gpu_hours_observed"),
        estimated("allocated", observed).alias("gpu_hours_estimated"),
        hours("available").alias("available_hours_observed"),
        *("first_seen", "last_seen"),
    )
    return Result(table, cube.metadata())


def excluded_hosts(cube: Cube) -> Result:
    """A row per masked machine: machine, reason, gpus, is_seen, first_seen, last_seen (UTC).

    Machines of the pool's list that no poll of the window saw are there too, by the name in the list.
    """
    masked = _as_text(cube.kinds.filter(pl.col("masked").is_not_null())).group_by("machine", reason="masked")
    seen = _with_times(masked.agg(_GPUS.alias("gpus"), pl.lit(value=True).alias("is_seen"), *_FIRST_AND_LAST), cube)
    machines = [] if cube.options.hosts else seen["machine"].to_list()
    listed = {} if cube.options.hosts else cube.pool.masked
    unseen = [(name, why) for name, why in listed.items() if not any(m in HostList([name]) for m in machines)]
    rest = pl.DataFrame(unseen, schema={"machine": pl.String(), "reason": pl.String()}, orient="row").with_columns(
        gpus=pl.lit(0, dtype=pl.Int64()), is_seen=pl.lit(value=False)
    )
    return Result(pl.concat([seen, rest], how="diagonal").sort("machine", "reason"), cube.metadata())


def never_active(cube: Cube) -> Result:
    """A row per machine whose primary slots no job held a GPU of, in all of the window; all devices.

    Columns: machine, devices (names, comma between), gpus, available_hours_observed, backfill_hours_observed
    (GPU-hours that backfill jobs held there), last_seen (UTC). Machines that only offer backfill are not there.
    """
    rows = (
        _as_text(cube.counted)
        .group_by("machine")
        .agg(
            devices=_names("device"),
            gpus=pl.col("gpu").filter(_HAS_PRIMARY).n_unique().cast(pl.Int64),
            available_hours_observed=_hours(_HAS_PRIMARY),
            backfill_hours_observed=_hours(_held("backfill")),
            primary=_hours(_held("primary")),
            last_seen=pl.col("last").max(),
        )
        .filter(pl.col("primary") == 0, pl.col("available_hours_observed") > 0)
        .sort("machine")
        .drop("primary")
    )
    return Result(_with_times(rows, cube), cube.metadata())


def machine_categories(cube: Cube) -> Result:
    """A row per machine and class of its primary slots; all devices.

    Columns: category (the class, or backfill_only where no primary slot lists its GPUs), label, machine, devices,
    gpus, available_hours_observed, percent (of the machine's hours). A machine that changed its class, or whose slots
    are of several, has several rows.
    """
    category = pl.col("primary_class").fill_null(pl.lit(BACKFILL_ONLY))
    rows = (
        _as_text(cube.counted)
        .group_by(category.alias("category"), "machine")
        .agg(devices=_names("device"), gpus=_GPUS, available=_WEIGHT.sum())
        .with_columns(
            label=pl.col("category").replace(LABELS | {BACKFILL_ONLY: "Backfill slots only"}),
            available_hours_observed=hours("available"),
            _all=pl.col("available").sum().over("machine"),
        )
        .with_columns(percent=percent("available", "_all"))
    )
    columns = ("category", "label", "machine", "devices", "gpus", "available_hours_observed", "percent")
    ranked = ordered(rows, (*classes.PRIMARY, BACKFILL_ONLY), "machine", column="category")
    return Result(ranked.select(columns), cube.metadata())


def unused_gpus(cube: Cube, tier: str | None = TIERS[0]) -> Result:
    """A row per GPU that no primary job held in all of the window, of one tier (Flagship) or, with null, of all.

    Columns: tier, machine, gpu, device, classes (in which primary slots offered it), available_hours_observed,
    backfill_hours_observed, is_idle (no backfill job held it either), first_seen, last_seen (UTC).
    """
    gpu = ["machine", "gpu"]
    counted = _as_text(cube.counted)
    rows = (
        counted.filter(_HAS_PRIMARY)
        .group_by(gpu)
        .agg(
            pl.col("tier", "device").sort_by("last").last(),
            _names("primary_class").alias("classes"),
            _hours(pl.lit(value=True)).alias("available_hours_observed"),
            _hours(_held("primary")).alias("primary"),
            *_FIRST_AND_LAST,
        )
        .filter(pl.col("primary") == 0, pl.lit(value=True) if tier is None else pl.col("tier") == tier)
        .join(counted.group_by(gpu).agg(backfill_hours_observed=_hours(_held("backfill"))), on=gpu, how="left")
        .with_columns(is_idle=pl.col("backfill_hours_observed") == 0)
        .sort("tier", *gpu)
    )
    columns = ("tier", *gpu, "device", "classes", "available_hours_observed", "backfill_hours_observed", "is_idle")
    return Result(_with_times(rows, cube).select(*columns, "first_seen", "last_seen"), cube.metadata())


def _held(side: str) -> pl.Expr:
    return (pl.col(f"{side}_state") == "claimed").fill_null(value=False)


def _hours(condition: pl.Expr) -> pl.Expr:
    """GPU-hours observed of the rows that meet a condition."""
    return _WEIGHT.filter(condition).sum() / HOUR


def _as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String()))


def _names(column: str) -> pl.Expr:
    return pl.col(column).drop_nulls().unique().sort().str.join(", ")


def _with_times(frame: pl.DataFrame, cube: Cube) -> pl.DataFrame:
    """The rows with instants in place of the places of polls in `first_seen` and `last_seen`."""
    polls = cube.observed.polls["poll_at"]
    columns = [name for name in ("first_seen", "last_seen") if name in frame.columns]
    return frame.with_columns(polls.gather(frame[name]).alias(name) for name in columns)
