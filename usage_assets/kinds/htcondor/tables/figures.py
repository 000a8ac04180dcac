"""The figures of a row: averages, shares and hours from sums of weights, the same in every table."""

from collections.abc import Sequence

import polars as pl

from usage_assets.kinds.htcondor.tables.poll_coverage import HOUR, PollCoverage

SUMS: tuple[str, ...] = ("allocated", "available", "drained", "refusing")
FIGURES: dict[str, str] = {
    "allocated_avg": "GPUs that jobs held, on average over the intervals seen (GPUs)",
    "available_avg": "GPUs offered: held, idle, drained or prevented (GPUs)",
    "allocated_percent": "allocated of available; null where nothing was available (percent)",
    "drained_avg": "GPUs of drained slots that no job held (GPUs)",
    "drained_percent": "drained of available (percent)",
    "refusing_avg": "GPUs of machines that prevented new jobs and that no job held (GPUs)",
    "gpu_hours_observed": "GPUs held x hours, in the intervals seen (GPU-hours)",
    "gpu_hours_estimated": "the same, stretched to the whole window; an estimate (GPU-hours)",
    "available_hours_observed": "GPUs offered x hours, in the intervals seen (GPU-hours)",
}
"""Columns that tables of allocation end with, and what they mean."""


def added(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Sums of weights per group: what was held, offered, drained and refusing."""
    weight = pl.col("weight")
    held = [
        weight.filter(pl.col("state") == "claimed").sum().alias("allocated"),
        weight.sum().alias("available"),
        weight.filter(pl.col("is_drained")).sum().alias("drained"),
        weight.filter(pl.col("is_refusing")).sum().alias("refusing"),
    ]
    if not by:
        return frame.select(held)
    return frame.lazy().group_by(list(by)).agg(held).collect()


def figures(sums: pl.DataFrame, observed: PollCoverage) -> pl.DataFrame:
    """The same rows with FIGURES in place of the sums. Nothing was seen = unknown, not zero."""
    return sums.with_columns(
        average("allocated", observed).alias("allocated_avg"),
        average("available", observed).alias("available_avg"),
        percent("allocated", "available").alias("allocated_percent"),
        average("drained", observed).alias("drained_avg"),
        percent("drained", "available").alias("drained_percent"),
        average("refusing", observed).alias("refusing_avg"),
        hours("allocated").alias("gpu_hours_observed"),
        estimated("allocated", observed).alias("gpu_hours_estimated"),
        hours("available").alias("available_hours_observed"),
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
