"""Tolerance of comparing two counts of a day's node-hours: old and new count differently to the minute."""

import polars as pl

TOLERANCE_HOURS = 0.5
TOLERANCE_SHARE = 0.005
"""The greater of the two applies: half an hour, or half a percent of the other count."""


def close_to(one: str | pl.Expr, other: str | pl.Expr) -> pl.Expr:
    """Whether two columns of hours are equal within the tolerance; null where one is."""
    left, right = (pl.col(each) if isinstance(each, str) else each for each in (one, other))
    return (left - right).abs() <= tolerance(right)


def tolerance(hours: pl.Expr) -> pl.Expr:
    """Difference up to which others count as equal to these hours."""
    return pl.max_horizontal(pl.lit(TOLERANCE_HOURS), hours.abs() * TOLERANCE_SHARE)
