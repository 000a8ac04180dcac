"""What the kind reads of a pool: its raw rows by month, and the stretches of time that its polls cover."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import polars as pl

from usage_assets.kinds.htcondor.facts.polls import numbered
from usage_assets.kinds.htcondor.facts.rows import COLUMNS, Polled, read_polled
from usage_assets.kinds.htcondor.facts.tables import GPU_POLLS
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.raw.tables import GPU_STATE
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.warehouse import Reader


def read_raw(
    reader: Reader, site: HTCondorSite, months: Sequence[date], after: datetime | None = None
) -> Mapping[date, Polled]:
    """The raw rows of some months, or those of polls after an instant."""
    if reader.has(GPU_STATE.table):
        return read_polled(reader, GPU_STATE.table.qualified, site.key, months, copies=True, after=after)
    empty, key = GPU_STATE.table.empty(), pl.lit(0, dtype=pl.UInt64).alias("distinct_id")
    counts = {name: pl.lit(0, dtype=pl.Int64) for name in ("held_rows", "source_rows")}
    return dict.fromkeys(
        months,
        Polled(
            distinct=empty.select(key, *COLUMNS),
            rows=empty.select("poll_at", key, "average_usage"),
            polls=empty.select("poll_at", "local_at", **counts),
        ),
    )


def observed(reader: Reader, site: HTCondorSite, months: Sequence[date]) -> pl.DataFrame:
    """month, start_at, end_at of the stretches of each month in which no poll is missing."""
    return stretches(site.pool(), reader.frame(GPU_POLLS, site.key, months, columns=("month", "poll_at")))


def stretches(pool: Pool, polls: pl.DataFrame) -> pl.DataFrame:
    """The stretches in which no poll is missing, of polls with their month: month, start_at, end_at."""
    parts = [pl.DataFrame(schema={"month": pl.Date, "start_at": pl.Datetime("us"), "end_at": pl.Datetime("us")})]
    for (month,), own in polls.group_by("month", maintain_order=True):
        assert isinstance(month, date)
        parts.append(
            numbered(pool, month, own.select("poll_at"))
            .group_by(stretch=pl.col("is_apart").cum_sum())
            .agg(pl.lit(month, dtype=pl.Date).alias("month"), pl.col("poll_at").min(), pl.col("closes_at").max())
            .sort("poll_at")
            .select("month", start_at="poll_at", end_at="closes_at")
        )
    return pl.concat(parts)
