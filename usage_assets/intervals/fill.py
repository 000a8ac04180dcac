"""Segments stretched over the gaps before, between and after them."""

from collections.abc import Sequence

import polars as pl

from usage_assets.intervals.algebra import FAR_FUTURE, FAR_PAST, is_first

_FIRST = pl.lit(FAR_PAST, dtype=pl.Datetime("us"))
_LAST = pl.lit(FAR_FUTURE, dtype=pl.Datetime("us"))


def fill_between(segments: pl.LazyFrame, *, by: Sequence[str], nearest: bool = False) -> pl.LazyFrame:
    """Disjoint segments of each group, stretched so that together they cover all time.

    A gap goes to the segment before it, the time before the first one to the first; with `nearest`, a gap is split in
    its middle. The segment's own bounds stay in `real_start_at` and `real_end_at`.
    """
    keys = list(by)
    first = is_first(keys)
    last = first.shift(-1).fill_null(value=True)
    start, end = pl.col("start_at"), pl.col("end_at")
    before, after = end.shift(1), start.shift(-1)
    ordered = segments.sort([*keys, "start_at"])
    begins = start - _half(start - before) if nearest else start
    # the same middle from both sides, so that the stretches meet
    ends = after - _half(after - end) if nearest else after
    begins, ends = pl.when(~first).then(begins), pl.when(~last).then(ends)
    return ordered.with_columns(
        real_start_at=start,
        real_end_at=end,
        start_at=begins.fill_null(_FIRST),
        end_at=ends.fill_null(_LAST),
    )


def _half(duration: pl.Expr) -> pl.Expr:
    return pl.duration(microseconds=duration.dt.total_microseconds() // 2)
