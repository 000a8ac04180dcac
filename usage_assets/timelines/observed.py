"""Observed time of sites whose sources are polled: outside it values are unknown, not zero."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import polars as pl

from usage_assets.intervals import integrate, materialize, step_function

_OBSERVED = "observed"


def ends(months: Mapping[date, datetime], observed: pl.DataFrame | None) -> dict[date, datetime]:
    """End of known time per month: the later of the extraction and the end of the last observed interval."""
    if observed is None:
        return dict(months)
    latest = dict(observed.group_by("month").agg(pl.col("end_at").max()).iter_rows())
    return {month: max(end, latest.get(month, end)) for month, end in months.items()}


def observed_hours(observed: pl.DataFrame, buckets: pl.LazyFrame) -> pl.LazyFrame:
    """Observed hours of each bucket (month, bucket_at, until), as `observed`."""
    spans = observed.lazy().select("month", "start_at", "end_at", pl.lit(1.0).alias(_OBSERVED))
    steps = materialize(step_function(spans, by=["month"], amounts=[_OBSERVED]))
    return integrate(steps, buckets, by=["month"], amounts=[_OBSERVED])


def known_buckets(hours: pl.LazyFrame, observed: pl.LazyFrame, resources: Sequence[str]) -> pl.LazyFrame:
    """The hours of each bucket with its `observed` hours; null where nothing was observed."""
    joined = hours.join(observed, on=["month", "bucket_at", "until"], how="left")
    return joined.with_columns(pl.when(pl.col(_OBSERVED) > 0).then(name).alias(name) for name in resources)


def edges(observed: pl.DataFrame) -> pl.LazyFrame:
    """month, at, is_seen: the starts and ends of observed intervals, and the month's start; sorted."""
    starts = observed.lazy().select("month", at="start_at", is_seen=pl.lit(value=True))
    stops = observed.lazy().select("month", at="end_at", is_seen=pl.lit(value=False))
    begins = observed.lazy().select("month", at=pl.col("month").cast(pl.Datetime("us")), is_seen=pl.lit(value=False))
    # where two meet, what begins counts
    return pl.concat([starts, stops, begins]).group_by("month", "at").agg(pl.col("is_seen").any()).sort("month", "at")


def known_steps(steps: pl.LazyFrame, changes: pl.LazyFrame, resources: Sequence[str]) -> pl.LazyFrame:
    """Rows with `month` and `at`; their values are null where the site was not observed."""
    joined = steps.sort("at").join_asof(changes.sort("at"), on="at", by="month", check_sortedness=False)
    return joined.with_columns(
        pl.when(pl.col("is_seen").fill_null(value=False)).then(name).alias(name) for name in resources
    ).drop("is_seen")
