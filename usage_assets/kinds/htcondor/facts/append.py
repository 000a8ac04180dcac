"""Later polls added to the facts of a month: the same tables as when the whole month is built anew.

What was open at the last stored poll (`open_rows`) is all that later polls can change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import polars as pl

from usage_assets.kinds.htcondor.facts.build import MonthFacts, added_reasons, month_facts
from usage_assets.kinds.htcondor.facts.polls import month_end
from usage_assets.kinds.htcondor.facts.rows import Polled
from usage_assets.kinds.htcondor.pool.rules import Pool

_TIMES = ("start_at", "end_at", "original_start_at", "original_end_at", "polls")


@dataclass(frozen=True)
class _Seam:
    """Where later polls meet stored ones: `until` is when the last stored poll now ends."""

    last: datetime
    first: datetime
    until: datetime
    missed: int


def extend(pool: Pool, site: str, month: date, stored: MonthFacts, polled: Polled) -> MonthFacts:
    """The month's facts with later polls; ValueError where one is not later than every stored poll."""
    if stored.polls.is_empty() or polled.polls.is_empty():
        return month_facts(pool, site, month, polled) if stored.polls.is_empty() else stored
    added = addition(pool, site, month, open_rows(stored), polled)
    last = stored.polls.select(pl.col("poll_at").max()).item()
    settled = pl.col("end_at") <= last
    return MonthFacts(
        polls=pl.concat([stored.polls, added.polls]),
        runs=pl.concat([stored.runs.filter(settled), added.runs]).sort("machine", "gpu", "start_at"),
        performance=pl.concat([stored.performance, added.performance]),
        intervals=pl.concat([stored.intervals.filter(settled), added.intervals]),
        rejects=pl.concat([stored.rejects.filter(settled), added.rejects]),
        rows_kept=stored.rows_kept + added.rows_kept,
        reasons=added_reasons([stored.reasons, added.reasons]),
    )


def open_rows(stored: MonthFacts) -> MonthFacts:
    """The last poll of a month, and what of runs, intervals and rejects reaches beyond it."""
    last = stored.polls.select(pl.col("poll_at").max()).item()
    beyond = pl.col("end_at") > last
    return replace(
        stored,
        polls=stored.polls.filter(pl.col("poll_at") == last),
        runs=stored.runs.filter(beyond),
        performance=stored.performance.clear(),
        intervals=stored.intervals.filter(beyond),
        rejects=stored.rejects.filter(beyond),
    )


def addition(pool: Pool, site: str, month: date, tail: MonthFacts, polled: Polled) -> MonthFacts:
    """What takes the place of the `open_rows` of a month with later polls: these rows mended, and the new ones.

    Its polls, performance and numbers of rows are those of the new polls alone.
    """
    new = month_facts(pool, site, month, polled)
    seam = _seam(pool, month, tail.polls["poll_at"][0], new.polls.select(pl.col("poll_at").min()).item())
    missed = pl.when(pl.col("poll_at") == seam.first).then(seam.missed).otherwise("missed")
    return replace(
        new,
        polls=new.polls.with_columns(missed=missed.cast(pl.Int64)),
        runs=_joined(tail.runs, new.runs, seam),
        intervals=_joined(tail.intervals, new.intervals, seam),
        rejects=_joined(tail.rejects, new.rejects, seam),
    )


def _seam(pool: Pool, month: date, last: datetime, first: datetime) -> _Seam:
    if first <= last:
        msg = f"a poll at {first} is not later than the last one stored, at {last}: build the month anew"
        raise ValueError(msg)
    step = timedelta(minutes=pool.poll_minutes)
    if 2 * (first - last) <= 3 * step:
        return _Seam(last, first, first, 0)
    missed = (2 * (first - last) + step) // (2 * step) - 1
    return _Seam(last, first, min(last + step, month_end(month)), missed)


def _joined(before: pl.DataFrame, after: pl.DataFrame, seam: _Seam) -> pl.DataFrame:
    """Open rows end where the last stored poll now ends; one that goes on in the first new poll is one row with it."""
    ends = {name: pl.lit(seam.until, dtype=pl.Datetime("us")) for name in _have(before, ("end_at", "original_end_at"))}
    before = before.with_columns(**ends)
    if seam.missed:
        return pl.concat([before, after])
    begins = pl.col("start_at") == seam.first
    alike = [name for name in before.columns if name not in _TIMES]
    went_on = after.filter(begins).join(before, on=alike, how="inner", nulls_equal=True, suffix="_before")
    starts = _have(before, ("start_at", "original_start_at"))
    merged = went_on.with_columns(
        *(pl.col(f"{name}_before").alias(name) for name in starts),
        *(pl.col(name) + pl.col(f"{name}_before") for name in _have(before, ("polls",))),
    ).select(before.columns)
    ended = before.join(went_on, on=alike, how="anti", nulls_equal=True)
    fresh = after.filter(begins).join(went_on, on=alike, how="anti", nulls_equal=True)
    return pl.concat([ended, merged, fresh, after.filter(~begins)])


def _have(frame: pl.DataFrame, names: Sequence[str]) -> list[str]:
    return [name for name in names if name in frame.columns]
