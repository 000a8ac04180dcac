"""Runs: one GPU in one state over consecutive polls, from its states poll by poll."""

import polars as pl

from usage_assets.kinds.htcondor.facts.slot_states import STATE_NAMES
from usage_assets.kinds.htcondor.pool import classes, columns

_ALIKE = ("primary_is", "backfill_is", "backfill_class", "is_drained", "is_refusing", "model", "memory_mb", "reason")


def runs(states: pl.DataFrame, gpus: pl.DataFrame, polls: pl.DataFrame) -> pl.DataFrame:
    """GPU_RUNS without site and month, and `reject`: the reason why rows name no GPU, null for GPUs.

    A run ends where the state changes, where the GPU is not seen, and where polls are missing.
    """
    of_entity = states.unique("entity", keep="first", maintain_order=True).sort("entity")
    hosted = states["is_hosted"].gather(gpus["backfill"])
    order = pl.Enum(classes.BACKFILL)
    marked = gpus.select(
        *("entity", "poll", "primary", "backfill", "is_drained", "is_refusing", "model", "memory_mb", "reason"),
        # a run of rows that name no GPU has no state: that of their first row is not that of them all
        is_gpu=of_entity["reject"].is_null().gather(gpus["entity"]),
        primary_is=states["meaning"].gather(gpus["primary"]),
        backfill_is=states["meaning"].gather(gpus["backfill"]),
        backfill_class=pl.when(pl.lit(hosted).is_not_null()).then(
            columns.backfill_class(pl.lit(hosted), pl.col("has_projects")).cast(order)
        ),
        is_apart=polls["is_apart"].gather(gpus["poll"]),
    )
    changes = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in _ALIKE)
    starts = marked.with_row_index("row").filter(
        pl.col("entity").ne_missing(pl.col("entity").shift(1))
        | (pl.col("poll") != pl.col("poll").shift(1) + 1)
        | pl.col("is_apart")
        | (pl.col("is_gpu") & changes)
    )
    last = marked["poll"].gather(starts["row"].cast(pl.Int64).shift(-1, fill_value=marked.height) - 1)
    of_runs = of_entity.select("host", "gpu_name", "masked", "reject")
    return starts.select(
        machine=of_runs["host"].gather(starts["entity"]),
        gpu=of_runs["gpu_name"].gather(starts["entity"]),
        start_at=polls["poll_at"].gather(starts["poll"]),
        end_at=polls["closes_at"].gather(last),
        polls=last.cast(pl.Int64) - starts["poll"].cast(pl.Int64) + 1,
        device=_value(states["model"], starts["model"]),
        memory_mb=_value(states["memory_mb"], starts["memory_mb"]),
        **_of_slot(states, starts["primary"], "primary"),
        **_of_slot(states, starts["backfill"], "backfill"),
        is_drained="is_drained",
        is_refusing="is_refusing",
        reason=_value(states["reason"], starts["reason"]),
        masked=of_runs["masked"].gather(starts["entity"]),
        reject=of_runs["reject"].gather(starts["entity"]),
    ).with_columns(backfill_class=starts["backfill_class"].cast(pl.String))


def _of_slot(states: pl.DataFrame, state_id: pl.Series, kind: str) -> dict[str, pl.Series]:
    """State, class, user and job of the states that count."""
    names = pl.Series(STATE_NAMES)
    return {
        f"{kind}_state": names.gather(states["rank"].gather(state_id)),
        f"{kind}_class": states["primary_class"].gather(state_id),
        f"{kind}_user": states["user"].gather(state_id),
        f"{kind}_job": states["job"].gather(state_id),
    }


def _value(known: pl.Series, number: pl.Series) -> pl.Series:
    """The values that `rank("dense")` numbered from 1 on."""
    return known.drop_nulls().unique().sort().gather(number - 1)
