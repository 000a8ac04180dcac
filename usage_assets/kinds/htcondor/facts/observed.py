"""What the registry of kinds calls for the facts of GPU pools."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import polars as pl

from usage_assets.kinds.htcondor.facts.polls import numbered, observed_stretches
from usage_assets.kinds.htcondor.facts.rows import Polled, read_polled
from usage_assets.kinds.htcondor.facts.tables import GPU_POLLS
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.raw.tables import GPU_STATE
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.warehouse import Reader


def read_raw(
    reader: Reader, site: HTCondorSite, months: Sequence[date], after: datetime | None = None
) -> Mapping[date, Polled]:
    """The raw rows of some months, or those of polls after an instant."""
    if not reader.has(GPU_STATE.table):
        empty = GPU_STATE.table.empty()
        return {month: Polled.of_frame(empty) for month in months}
    return read_polled(reader, GPU_STATE.table.qualified, site.key, months, copies=True, after=after)


def observed(reader: Reader, site: HTCondorSite, months: Sequence[date]) -> pl.DataFrame:
    """month, start_at, end_at of the stretches of each month in which no poll is missing."""
    polls = reader.frame(GPU_POLLS, site.key, months, columns=("month", "poll_at"))
    return stretches(site.pool(), polls)


def stretches(pool: Pool, polls: pl.DataFrame) -> pl.DataFrame:
    """The same of polls with their month."""
    parts = []
    for (month,), own in polls.group_by("month", maintain_order=True):
        assert isinstance(month, date)
        found = observed_stretches(numbered(pool, month, own.select("poll_at")))
        parts.append(found.select(pl.lit(month, dtype=pl.Date).alias("month"), "start_at", "end_at"))
    empty = pl.DataFrame(schema={"month": pl.Date, "start_at": pl.Datetime("us"), "end_at": pl.Datetime("us")})
    return pl.concat([empty, *parts])
