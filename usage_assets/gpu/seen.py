"""Seen: which part of a window the pool's polls saw, and how much each poll weighs.

The unit of counting is a bucket of time: a bucket with one poll and one with three weigh the same, so pools that are
polled every 5 and every 15 minutes compare. What no poll saw is unknown, neither idle nor busy.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import polars as pl

from usage_assets.gpu.window import Window

UNIT = 720_720
"""Weight of a whole bucket: up to 16 polls share it without a rest, so sums are the same in any order and window."""
_INSTANT = pl.Datetime("us")


@dataclass(frozen=True)
class Seen:
    """The polls of a window. `polls`: poll_at, bucket_at and weight (parts of UNIT), in order of time."""

    window: Window
    bucket_minutes: int
    polls: pl.DataFrame

    @classmethod
    def of(cls, polls: pl.DataFrame, window: Window, bucket_minutes: int = 15) -> "Seen":
        """The polls that lie in the window, of facts.gpu_polls; the polls of a bucket share its weight."""
        inside = pl.col("poll_at").is_between(window.start, window.end, closed="left")
        weighed = (
            polls.lazy()
            .select(pl.col("poll_at").cast(_INSTANT))
            .filter(inside)
            .unique()
            .sort("poll_at")
            .with_columns(bucket_at=pl.col("poll_at").dt.truncate(f"{bucket_minutes}m"))
            .with_columns(
                place=pl.int_range(pl.len(), dtype=pl.Int64).over("bucket_at"),
                among=pl.len().over("bucket_at").cast(pl.Int64),
            )
            # whole parts that add up to UNIT exactly, also where it can't be shared evenly
            .select(
                "poll_at",
                "bucket_at",
                weight=(pl.col("place") + 1) * UNIT // pl.col("among") - pl.col("place") * UNIT // pl.col("among"),
            )
            .collect()
        )
        return cls(window, bucket_minutes, weighed)

    @property
    def count(self) -> int:
        """Polls of the window."""
        return self.polls.height

    @cached_property
    def intervals(self) -> int:
        """Buckets that a poll of the pool saw."""
        return self.polls["bucket_at"].n_unique() if self.count else 0

    @property
    def expected(self) -> int:
        """Buckets that overlap the window."""
        return self.window.buckets(self.bucket_minutes)

    @property
    def coverage(self) -> float:
        """Share of the window's buckets that was seen."""
        return self.intervals / self.expected

    @property
    def bucket_hours(self) -> float:
        """Hours of one bucket."""
        return self.bucket_minutes / 60

    @property
    def hours(self) -> float:
        """Hours that were seen."""
        return self.intervals * self.bucket_hours

    @property
    def scale(self) -> float | None:
        """By what observed hours are multiplied to estimate those of the whole window; null where nothing was seen."""
        return self.window.hours / self.hours if self.intervals else None

    @property
    def first(self) -> datetime | None:
        """The first poll."""
        return self.at(0) if self.count else None

    @property
    def last(self) -> datetime | None:
        """The last poll."""
        return self.at(self.count - 1) if self.count else None

    def at(self, index: int) -> datetime:
        """When a poll of the window was made."""
        found: datetime = self.polls["poll_at"][index]
        return found

    @cached_property
    def sums(self) -> pl.Series:
        """Weight of the first 0, 1, 2 ... polls: a stretch of polls weighs the difference of two of them."""
        return pl.concat([pl.Series("sums", [0], dtype=pl.Int64), self.polls["weight"].cum_sum()])

    def spans(self, runs: pl.DataFrame) -> pl.DataFrame:
        """Runs (start_at, end_at) that a poll of the window saw, as `[first, after)` in places of its polls."""
        first, after = self._places(runs["start_at"]), self._places(runs["end_at"])
        placed = runs.drop("start_at", "end_at").with_columns(first.alias("first"), after.alias("after"))
        return placed.filter(pl.col("first") < pl.col("after"))

    def _places(self, instants: pl.Series) -> pl.Series:
        """How many polls lie before each instant. Few instants differ: each is looked up once."""
        name = "at"
        values = instants.cast(_INSTANT).to_frame(name)
        known = values.unique()
        places = self.polls["poll_at"].search_sorted(known[name], side="left").cast(pl.UInt32)
        return values.join(known.with_columns(place=places), on=name, how="left", maintain_order="left")["place"]
