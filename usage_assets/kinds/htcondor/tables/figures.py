"""The figures of a row: averages, shares and hours from sums of weights, the same in every table."""

from collections.abc import Sequence

import polars as pl

from usage_assets.kinds.htcondor.tables.poll_coverage import HOUR, PollCoverage

SUMS: tuple[str, ...] = ("allocated", "available", "drained", "refusing")
"""Sums of weights that figures are made of: of GPUs that are held, offered, drained, and whose machine refuses jobs."""
FIGURES: tuple[str, ...] = (
    *("allocated_avg", "available_avg", "allocated_percent", "drained_avg", "drained_percent", "refusing_avg"),
    *("gpu_hours_observed", "gpu_hours_estimated", "available_hours_observed"),
)
"""Columns that tables of allocation end with; `declarations` says what they mean."""


def conditions(is_held: pl.Expr) -> dict[str, pl.Expr]:
    """Sum -> which rows it is of."""
    flags = (pl.col("is_drained"), pl.col("is_refusing"))
    return dict(zip(SUMS, (is_held, pl.lit(value=True), *flags), strict=True))


def added(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Sums of weights per group: SUMS."""
    weight = pl.col("weight")
    sums = [weight.filter(of).sum().alias(name) for name, of in conditions(pl.col("state") == "claimed").items()]
    return frame.lazy().group_by(list(by)).agg(sums).collect() if by else frame.select(sums)


def figures(sums: pl.DataFrame, observed: PollCoverage) -> pl.DataFrame:
    """The same rows with FIGURES in place of the sums. Where no poll saw anything they are unknown, not zero."""
    return sums.with_columns(
        *(average(name, observed).alias(f"{name}_avg") for name in SUMS),
        *(percent(name, "available").alias(f"{name}_percent") for name in ("allocated", "drained")),
        gpu_hours_observed=hours("allocated"),
        gpu_hours_estimated=estimated("allocated", observed),
        available_hours_observed=hours("available"),
    ).drop(SUMS)


def average(name: str, observed: PollCoverage) -> pl.Expr:
    """A sum of weights as a mean over the time seen."""
    return pl.col(name) / observed.weight if observed.weight else pl.lit(None, dtype=pl.Float64())


def hours(name: str) -> pl.Expr:
    """A sum of weights as hours observed."""
    return pl.col(name) / HOUR


def estimated(name: str, observed: PollCoverage) -> pl.Expr:
    """A sum of weights as hours of the whole window."""
    return average(name, observed) * observed.window.hours


def percent(part: str, whole: str) -> pl.Expr:
    """Ratio of two sums, so that rows and totals agree; null where the whole is nothing."""
    return pl.when(pl.col(whole) > 0).then(100 * pl.col(part) / pl.col(whole))
