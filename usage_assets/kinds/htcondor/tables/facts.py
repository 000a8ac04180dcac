"""The facts that tables of a pool are made of, with its runs in codes, so that a year of them is small.

A pool has millions of runs a year, and few kinds of them: one GPU with one user in one class comes again and again.
Coded, a run is a number and two instants; texts are kept once per kind.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import polars as pl

from usage_assets.core.errors import UsageError
from usage_assets.kinds.htcondor.tables.window import Window

KIND: tuple[str, ...] = (
    *("machine", "gpu", "device", "memory_mb", "primary_state", "primary_class", "primary_user", "backfill_state"),
    *("backfill_class", "backfill_user", "is_drained", "is_refusing", "reason", "masked"),
)
"""Columns of facts.gpu_runs that say what a run is, apart from its time and its jobs."""
_TEXTS = tuple(name for name in KIND if name not in {"memory_mb", "is_drained", "is_refusing"})
_MANY = 2**62


@dataclass(frozen=True)
class Coded:
    """Runs in codes.

    `kinds` has a row per kind: its number `kind` and the columns KIND, texts as Categorical. `runs` has a row per run:
    kind, start_at, end_at.
    """

    kinds: pl.DataFrame
    runs: pl.DataFrame


USAGE: tuple[str, ...] = ("machine", "device", "class")
"""What performance is added up by, over the polls of a window; `gpus` and `usage` are the sums."""


@dataclass(frozen=True)
class Facts:
    """The compact facts of a pool, of at least the window asked for; more does not matter.

    `runs`, `polls` and `performance` are facts.gpu_runs, facts.gpu_polls and facts.gpu_performance. Facts that were
    reduced while they were read have `coded` runs and `usage` in place of runs and performance: they are of one
    window, `covers`, and can be used for no other.
    """

    polls: pl.DataFrame
    runs: pl.LazyFrame | None = None
    performance: pl.LazyFrame | None = None
    coded: Coded | None = None
    usage: pl.DataFrame | None = None
    covers: Window | None = None

    @classmethod
    def of(
        cls,
        runs: pl.DataFrame | pl.LazyFrame,
        polls: pl.DataFrame | pl.LazyFrame,
        performance: pl.DataFrame | pl.LazyFrame,
    ) -> "Facts":
        """Facts from three frames, lazy or not."""
        return cls(polls.lazy().collect(), runs.lazy(), performance.lazy())

    def coded_in(self, window: Window) -> Coded:
        """Runs in codes, at least those that meet a window."""
        if self.coded is not None and self._answers(window):
            return self.coded
        near = (pl.col("start_at") < window.end) & (pl.col("end_at") > window.start)
        runs = self._whole(self.runs, window).filter(near)
        months = list(window.utc_months)
        return code(runs) if len(months) == 1 else code(*(runs.filter(pl.col("month") == month) for month in months))

    def usage_in(self, window: Window) -> pl.DataFrame:
        """Performance of a window added up over its polls: USAGE, gpus, usage."""
        if self.usage is not None and self._answers(window):
            return self.usage
        inside = pl.col("poll_at").is_between(window.start, window.end, closed="left")
        rows = self._whole(self.performance, window).filter(inside)
        return rows.group_by(USAGE).agg(pl.col("gpus").sum(), pl.col("usage").sum()).collect()

    def _answers(self, window: Window) -> bool:
        return self.covers is None or (self.covers.start, self.covers.end) == (window.start, window.end)

    def _whole(self, frame: pl.LazyFrame | None, window: Window) -> pl.LazyFrame:
        if frame is not None:
            return frame
        msg = (
            f"facts were read for another window than {window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"
        )
        raise UsageError(msg)


def code(*parts: pl.DataFrame | pl.LazyFrame) -> Coded:
    """Runs of facts.gpu_runs in codes; given in parts, one after the other, they take the memory of one part."""
    # a list of values per meaning: their numbers are small, so that one number can stand for a whole row
    values = {meaning: pl.Categorical(pl.Categories.random()) for meaning in {_meaning(name) for name in _TEXTS}}
    coded = [_coded(part.lazy(), values) for part in parts]
    if len(coded) == 1:
        return coded[0]
    every = pl.concat(part.kinds.drop("kind") for part in coded)
    kinds, numbers = _distinct(every)
    starts = accumulate((part.kinds.height for part in coded), initial=0)
    runs = [
        part.runs.with_columns(numbers.slice(start, part.kinds.height).gather(part.runs["kind"]).alias("kind"))
        for part, start in zip(coded, starts, strict=False)
    ]
    return Coded(kinds, pl.concat(runs))


def _coded(runs: pl.LazyFrame, values: Mapping[str, pl.DataType]) -> Coded:
    frame = (
        runs.select(*KIND, "start_at", "end_at")
        .with_columns(pl.col(name).cast(values[_meaning(name)]) for name in _TEXTS)
        .collect()
    )
    kinds, numbers = _distinct(frame)
    return Coded(kinds, frame.select(numbers.alias("kind"), "start_at", "end_at"))


def _distinct(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """The kinds among rows, numbered, and the number of each row."""
    key = _key(frame)
    is_new = key.is_first_distinct()
    kinds = frame.filter(is_new).select(KIND).with_row_index("kind")
    numbered = kinds.select("kind").with_columns(key.filter(is_new))
    found = key.to_frame().join(numbered, on="key", how="left", maintain_order="left")
    return kinds, found["kind"]


def _meaning(name: str) -> str:
    """The subject of a column, the same for primary and backfill slots."""
    return name.removeprefix("primary_").removeprefix("backfill_")


def _key(frame: pl.DataFrame) -> pl.Series:
    """One number per row that is the same for rows alike in KIND, and for no others."""
    numbers = [_number(frame[name]) for name in KIND]
    counts = [_count(frame[name]) for name in KIND]
    half = len(KIND) // 2
    if math.prod(counts) < _MANY:
        # both halves at once; column by column, so that no more than one of them is spread out
        low, high = frame.select(
            _joined(numbers[:half], counts[:half]).alias("low"), _joined(numbers[half:], counts[half:]).alias("high")
        ).get_columns()
        return (low * math.prod(counts[half:]) + high).alias("key")
    key, size = pl.zeros(frame.height, dtype=pl.Int64(), eager=True), 1
    for number, count in zip(numbers, counts, strict=True):
        if size * count >= _MANY:
            # numbers of the rows that there are, in place of those that there might be
            key, size = (key.rank("dense") - 1).cast(pl.Int64), frame.height
        key = key * count + frame.select(number).to_series()
        size *= count
    return key.alias("key")


def _joined(numbers: Sequence[pl.Expr], counts: Sequence[int]) -> pl.Expr:
    """Several numbers as one, each below its count."""
    key = numbers[0]
    for number, count in zip(numbers[1:], counts[1:], strict=True):
        key = key * count + number
    return key


def _number(column: pl.Series) -> pl.Expr:
    """A number per value, zero for null: small ones, for there are few values."""
    value = pl.col(column.name)
    if column.dtype == pl.Int64():
        known = column.drop_nulls().unique()
        numbers = pl.int_range(1, known.len() + 1, dtype=pl.Int64, eager=True)
        return value.replace_strict(known, numbers, default=0, return_dtype=pl.Int64)
    return (value.to_physical().cast(pl.Int64) + 1).fill_null(0)


def _count(column: pl.Series) -> int:
    """How many numbers `_number` may give."""
    if column.dtype == pl.Int64():
        return column.n_unique() + 1
    largest = column.to_physical().cast(pl.UInt32).max()
    return 2 + (largest if isinstance(largest, int) else 0)
