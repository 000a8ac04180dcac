"""The polls of a month: when the pool was seen, until when what was seen holds, and which polls are missing."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import polars as pl

from usage_assets.core.months import next_month
from usage_assets.kinds.htcondor.pool.rules import Pool


def month_end(month: date) -> datetime:
    """The instant at which the month is over."""
    return datetime.combine(next_month(month), time())


def numbered(pool: Pool, month: date, polls: pl.DataFrame) -> pl.DataFrame:
    """The polls in order with their number `poll`; `closes_at`, `is_apart` and `missed`.

    What a poll saw holds until the next one or, where that is later than 1.5 intervals, for one interval; never past
    the month's end. A poll `is_apart` when polls are missing before it, so that nothing is known in between.
    """
    step = pl.lit(pool.poll_minutes * 60_000_000, dtype=pl.Int64)
    since = (pl.col("poll_at") - pl.col("poll_at").shift(1)).dt.total_microseconds()
    late = 2 * since > 3 * step
    apart = late.fill_null(value=False)
    alone = pl.col("poll_at") + step.cast(pl.Duration("us"))
    return (
        polls.sort("poll_at")
        .with_row_index("poll")
        .with_columns(
            is_apart=apart,
            missed=pl.when(apart).then((2 * since + step) // (2 * step) - 1).otherwise(0),
            closes_at=pl.min_horizontal(
                pl.when(~apart.shift(-1)).then(pl.col("poll_at").shift(-1)).otherwise(alone),
                pl.lit(month_end(month), dtype=pl.Datetime("us")),
            ),
        )
    )


def observed(pool: Pool, polls: pl.DataFrame, counted: pl.DataFrame, doubles: pl.DataFrame) -> pl.DataFrame:
    """GPU_POLLS without site and month: polls as `numbered` gives them, with what counts and what is double in each."""
    zone = ZoneInfo(pool.timezone)
    second_pass = [at.replace(tzinfo=UTC).astimezone(zone).fold == 1 for at in polls["poll_at"]]
    return (
        polls.join(counted, on="poll", how="left")
        .join(doubles, on="poll", how="left")
        .sort("poll")
        .select(
            "poll_at",
            "local_at",
            is_repeated=pl.Series(second_pass, dtype=pl.Boolean),
            rows="source_rows",
            duplicates=pl.col("doubles").fill_null(0) + pl.col("source_rows") - pl.col("held_rows"),
            machines=pl.col("machines").fill_null(0),
            gpus=pl.col("gpus").fill_null(0),
            missed="missed",
        )
    )
