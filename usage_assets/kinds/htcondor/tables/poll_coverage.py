"""The part of a window that polls of the pool cover, and the weight of each poll.

The unit of counting is a bucket of time: a bucket with one poll and one with three weigh the same, so pools that are
polled every 5 and every 15 minutes compare. A bucket that the window cuts weighs its part inside. Time without
polls is unknown, neither idle nor busy.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import polars as pl

from usage_assets.kinds.htcondor.tables.window import Window

HOUR = 12 * 3_600_000_000
"""Weight of an hour. Weights are whole twelfths of a microsecond: sums are the same in any order, 2, 3, 4, 6 or 12
polls share any time without a rest, and 20,000 GPUs fit a year of it into 64 bits."""
_MICROSECOND = HOUR // 3_600_000_000
_INSTANT = pl.Datetime("us")


def weighed(polls: pl.Series, bucket_minutes: int, edges: pl.Series) -> pl.DataFrame:
    """poll_at, bucket_at, piece and weight of polls in order of time: the polls of a piece share its length.

    `edges` cut time, in order: the polls lie between the first and the last of them. A piece is what a bucket of so
    many minutes has between two neighbouring edges, `piece` the place of the first of these.
    """
    place = (edges.search_sorted(polls, side="right").cast(pl.Int64) - 1).alias("piece")
    by = ["bucket_at", "piece"]
    bucket = pl.col("bucket_at")
    start = pl.max_horizontal(bucket, pl.col("from_at"))
    end = pl.min_horizontal(bucket.dt.offset_by(f"{bucket_minutes}m"), pl.col("to_at"))
    return (
        pl.LazyFrame({"poll_at": polls})
        .with_columns(
            place,
            edges.gather(place).alias("from_at"),
            edges.gather(place + 1).alias("to_at"),
            bucket_at=pl.col("poll_at").dt.truncate(f"{bucket_minutes}m"),
        )
        .with_columns(
            length=(end - start).dt.total_microseconds() * _MICROSECOND,
            number=pl.int_range(pl.len(), dtype=pl.Int64).over(by),
            among=pl.len().over(by).cast(pl.Int64),
        )
        # whole numbers that add up to the length exactly, also where it can't be shared evenly
        .select(
            "poll_at",
            "bucket_at",
            "piece",
            weight=(pl.col("number") + 1) * pl.col("length") // pl.col("among")
            - pl.col("number") * pl.col("length") // pl.col("among"),
        )
        .collect()
    )


@dataclass(frozen=True)
class PollCoverage:
    """The polls of a window. `polls`: poll_at, bucket_at and weight (HOUR is that of an hour), in order of time."""

    window: Window
    bucket_minutes: int
    polls: pl.DataFrame

    @classmethod
    def of(cls, polls: pl.DataFrame, window: Window, bucket_minutes: int = 15) -> "PollCoverage":
        """The polls that lie in the window, of facts.gpu_polls; the polls of a bucket share its part of the window."""
        inside = pl.col("poll_at").is_between(window.start, window.end, closed="left")
        instants = polls.lazy().select(pl.col("poll_at").cast(_INSTANT)).filter(inside).unique().sort("poll_at")
        edges = pl.Series([window.start, window.end], dtype=_INSTANT)
        return cls(window, bucket_minutes, weighed(instants.collect()["poll_at"], bucket_minutes, edges).drop("piece"))

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
    def weight(self) -> int:
        """Weight of all that was seen."""
        return int(self.sums[-1])

    @property
    def hours(self) -> float:
        """Hours that were seen: at most those of the window."""
        return self.weight / HOUR

    @property
    def scale(self) -> float | None:
        """Factor from observed hours to those estimated for the whole window; null where nothing was seen."""
        return self.window.hours / self.hours if self.intervals else None

    @property
    def first(self) -> datetime | None:
        """The first poll."""
        return self.polls["poll_at"][0] if self.count else None

    @property
    def last(self) -> datetime | None:
        """The last poll."""
        return self.polls["poll_at"][-1] if self.count else None

    @cached_property
    def sums(self) -> pl.Series:
        """Weight of the first 0, 1, 2 ... polls: a stretch of polls weighs the difference of two of them."""
        return pl.concat([pl.Series("sums", [0], dtype=pl.Int64), self.polls["weight"].cum_sum()])

    def weights(self, spans: pl.DataFrame) -> pl.Series:
        """`weight` of spans `[first, after)` of polls."""
        return (self.sums.gather(spans["after"]) - self.sums.gather(spans["first"])).alias("weight")

    def spans(self, runs: pl.DataFrame) -> pl.DataFrame:
        """Runs (start_at, end_at) that a poll of the window saw, as `[first, after)` in places of its polls."""
        first, after = self._places(runs["start_at"]), self._places(runs["end_at"])
        placed = runs.drop("start_at", "end_at").with_columns(first.alias("first"), after.alias("after"))
        return placed.filter(pl.col("first") < pl.col("after"))

    def _places(self, instants: pl.Series) -> pl.Series:
        """How many polls lie before each instant. Few instants differ: each is looked up once."""
        values = instants.cast(_INSTANT).to_frame("at")
        known = values.unique()
        places = self.polls["poll_at"].search_sorted(known["at"], side="left").cast(pl.UInt32)
        return values.join(known.with_columns(place=places), on="at", how="left", maintain_order="left")["place"]
