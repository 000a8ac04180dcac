"""What held before, between and after the rows that say it."""

from collections.abc import Sequence

import polars as pl

from usage_assets.intervals.algebra import FAR_FUTURE, FAR_PAST

_FIRST = pl.lit(FAR_PAST, dtype=pl.Datetime("us"))
_LAST = pl.lit(FAR_FUTURE, dtype=pl.Datetime("us"))


def fill_between(segments: pl.LazyFrame, *, by: Sequence[str], nearest: bool = False) -> pl.LazyFrame:
    """Disjoint segments of each group, stretched so that together they cover all time.

    A gap goes to the segment before it, the time before the first one to the first; with `nearest`, a gap is split in
    its middle. The segment's own bounds stay in `real_start_at` and `real_end_at`.
    """
    keys = list(by)
    ordered = segments.sort([*keys, "start_at"])
    start, end = pl.col("start_at"), pl.col("end_at")
    if nearest:
        gap_before = start - end.shift(1).over(keys)
        begins = start - _half(gap_before)
        ends = end + (start.shift(-1).over(keys) - end - _half(start.shift(-1).over(keys) - end))
    else:
        begins = pl.when(end.shift(1).over(keys).is_not_null()).then(start)
        ends = start.shift(-1).over(keys)
    return ordered.with_columns(
        real_start_at=start,
        real_end_at=end,
        start_at=begins.fill_null(_FIRST),
        end_at=ends.fill_null(_LAST),
    )


def _half(duration: pl.Expr) -> pl.Expr:
    return pl.duration(microseconds=duration.dt.total_microseconds() // 2)
