"""The distinct states of slots: in which kind of slot a GPU is, in which state, and for whom."""

import polars as pl

from usage_assets.kinds.htcondor.pool import columns
from usage_assets.kinds.htcondor.pool.devices import UNKNOWN
from usage_assets.kinds.htcondor.pool.ids import is_id
from usage_assets.kinds.htcondor.pool.rules import Pool

CLAIMED, IDLE, OTHER = 0, 1, 2
"""Ranks of the states: the least one of a GPU's rows counts."""
STATE_NAMES = ("claimed", "idle", "other")

# after the ranks the slot's name; the other columns only make the order of rows the same in every run
_ORDER = (
    *("slot", "remote_owner", "global_job_id", "prioritized_projects", "device", "memory_mb", "prevent_jobs_reason"),
    *("state", "machine", "gpu"),
)


def distinct_states(pool: Pool, distinct: pl.DataFrame) -> pl.DataFrame:
    """The distinct rows in the order in which they win, and what they mean.

    Sorted by GPU (`entity`), primary slots before backfill, then by rank: of the rows of a GPU at a poll the first one
    counts. `reject` is the reason why a row names no GPU; `machine_id` numbers machines, `slot_id` slots of machines.
    """
    slot = pl.col("slot").fill_null("").str.extract(r"^([^@]*)").str.to_lowercase()
    read = (
        distinct.with_columns(host=_text("machine"))
        # rows that name no machine are all one
        .with_columns(gpu_name=pl.when(pl.col("host").is_not_null()).then(_text("gpu")))
        .with_columns(
            reject=pl.when(pl.col("host").is_null())
            .then(pl.lit("null_key"))
            .when(pl.col("gpu_name").is_null())
            .then(pl.lit("no_gpu"))
            .when(~is_id(pl.col("gpu_name")))
            .then(pl.lit("bad_gpu")),
            is_backfill=slot.str.contains("backfill", literal=True),
            is_interactive=slot.str.contains("interactive", literal=True),
            rank=pl.when(pl.col("state") == "Claimed")
            .then(CLAIMED)
            .when(pl.col("state") == "Unclaimed")
            .then(IDLE)
            .otherwise(OTHER)
            .cast(pl.Int8),
            is_drained=pl.col("state").eq_missing("Drained"),
            has_projects=pl.col("prioritized_projects").fill_null("").str.strip_chars(" \t\r\n,") != "",
            user=_text("remote_owner").fill_null(UNKNOWN),
            job=_text("global_job_id"),
            reason=_text("prevent_jobs_reason"),
            model=_text("device"),
            is_hosted=columns.applied(pool.is_hosted, pl.col("host"), pl.Boolean()),
            masked=columns.applied(pool.mask_reason, pl.col("host"), pl.String()),
        )
        .sort("host", "gpu_name", "is_backfill", "rank", *_ORDER, nulls_last=True)
        .with_row_index("state_id")
    )
    claimed = pl.col("rank") == CLAIMED
    return read.with_columns(
        entity=pl.struct("host", "gpu_name").rle_id(),
        machine_id=pl.col("host").rle_id(),
        slot_id=pl.struct("host", "slot").rank("dense"),
        user=pl.when(claimed).then("user"),
        job=pl.when(claimed).then("job"),
        primary_class=pl.when(~pl.col("is_backfill")).then(
            columns.primary_class(pl.col("is_hosted"), pl.col("has_projects"), pl.col("is_interactive"))
        ),
    ).with_columns(
        # alike in all that a run keeps of the row: a job that moves to another slot of the machine stays one run
        meaning=pl.struct("is_backfill", "rank", "primary_class", "user", "job").rank("dense").cast(pl.Int32),
    )


def _text(name: str) -> pl.Expr:
    """A text without blanks around it; null where nothing is left."""
    stripped = pl.col(name).str.strip_chars()
    return pl.when(stripped != "").then(stripped)
