"""Runs: one GPU in one state over consecutive polls, from its states poll by poll."""

import polars as pl

from usage_assets.kinds.htcondor.facts.slot_states import STATE_NAMES
from usage_assets.kinds.htcondor.pool import classes

_ALIKE = ("primary_is", "backfill_is", "backfill_class", "is_drained", "is_refusing", "model", "memory_mb", "reason")


def runs(distinct_states: pl.DataFrame, gpus: pl.DataFrame, polls: pl.DataFrame) -> pl.DataFrame:
    """GPU_RUNS without site and month, and `reject`: the reason why rows name no GPU, null for GPUs.

    A run ends where the state changes, where the GPU is not seen, and where polls are missing.
    """
    of_entity = distinct_states.unique("entity", keep="first", maintain_order=True).sort("entity")
    hosted = distinct_states["is_hosted"].gather(gpus["backfill"])
    marked = gpus.select(
        "entity",
        "poll",
        "primary",
        "backfill",
        "is_drained",
        "is_refusing",
        "model",
        "memory_mb",
        "reason",
        # of rows that name no GPU only that they are there: what their first one says is not said of the run
        is_gpu=of_entity["reject"].is_null().gather(gpus["entity"]),
        primary_is=distinct_states["meaning"].gather(gpus["primary"]),
        backfill_is=distinct_states["meaning"].gather(gpus["backfill"]),
        backfill_class=pl.when(hosted)
        .then(pl.lit(classes.BACKFILL.index(classes.BACKFILL_HOSTED), dtype=pl.Int8))
        .when(hosted.is_not_null() & gpus["has_projects"])
        .then(pl.lit(classes.BACKFILL.index(classes.BACKFILL_RESEARCHER), dtype=pl.Int8))
        .when(hosted.is_not_null())
        .then(pl.lit(classes.BACKFILL.index(classes.BACKFILL_OPEN), dtype=pl.Int8)),
        is_apart=polls["is_apart"].gather(gpus["poll"]),
    )
    changes = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in _ALIKE)
    starts = marked.with_row_index("row").filter(
        pl.col("entity").ne_missing(pl.col("entity").shift(1))
        | (pl.col("poll") != pl.col("poll").shift(1) + 1)
        | pl.col("is_apart")
        | (pl.col("is_gpu") & changes)
    )
    last_rows = starts.select((pl.col("row").cast(pl.Int64).shift(-1, fill_value=marked.height) - 1).alias("row"))[
        "row"
    ]
    last = marked["poll"].gather(last_rows)
    of_runs = of_entity.select("host", "gpu_name", "masked", "reject")
    return starts.select(
        machine=of_runs["host"].gather(starts["entity"]),
        gpu=of_runs["gpu_name"].gather(starts["entity"]),
        start_at=polls["poll_at"].gather(starts["poll"]),
        end_at=polls["closes_at"].gather(last),
        polls=last.cast(pl.Int64) - starts["poll"].cast(pl.Int64) + 1,
        device=_value(distinct_states["model"], starts["model"]),
        memory_mb=_value(distinct_states["memory_mb"], starts["memory_mb"]),
        **_of_slot(distinct_states, starts["primary"], "primary"),
        **_of_slot(distinct_states, starts["backfill"], "backfill"),
        is_drained="is_drained",
        is_refusing="is_refusing",
        reason=_value(distinct_states["reason"], starts["reason"]),
        masked=of_runs["masked"].gather(starts["entity"]),
        reject=of_runs["reject"].gather(starts["entity"]),
    ).with_columns(
        backfill_class=pl.Series(classes.BACKFILL).gather(starts["backfill_class"]),
    )


def _of_slot(distinct_states: pl.DataFrame, saying: pl.Series, kind: str) -> dict[str, pl.Series]:
    """State, class, user and job of the sayings that count."""
    names = pl.Series(STATE_NAMES)
    return {
        f"{kind}_state": names.gather(distinct_states["rank"].gather(saying)),
        f"{kind}_class": distinct_states["primary_class"].gather(saying),
        f"{kind}_user": distinct_states["user"].gather(saying),
        f"{kind}_job": distinct_states["job"].gather(saying),
    }


def _value(known: pl.Series, number: pl.Series) -> pl.Series:
    """The values that `rank("dense")` numbered from 1 on."""
    return known.drop_nulls().unique().sort().gather(number - 1)
