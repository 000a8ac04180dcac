"""From intervals with amounts to exact step functions, and from those to means and integrals over buckets."""

from collections.abc import Sequence

import polars as pl

from usage_assets.intervals.algebra import FAR_PAST, is_first, materialize

# Sums of fractions leave dust that differs with their order. So amounts are counted in whole parts of a unit: shares of
# machines in 1e-12 (up to 9 million machines), anything else in 1e-9 (up to 9 billion).
DECIMALS = 9
DECIMALS_OF = {"nodes": 12}
_HOUR_US = 3_600_000_000


def parts_of(name: str) -> float:
    """How many parts a unit of an amount is counted in."""
    return 10.0 ** DECIMALS_OF.get(name, DECIMALS)


def step_function(intervals: pl.LazyFrame, *, by: Sequence[str], amounts: Sequence[str]) -> pl.LazyFrame:
    """The sum of the amounts of all intervals that cover an instant, per group, from `at` until the group's next row.

    Null amounts count as nothing. Before a group's first row the sum is 0.
    """
    amount = [(pl.col(name).fill_null(0.0) * parts_of(name)).round().cast(pl.Int64).alias(name) for name in amounts]
    deltas = pl.concat(
        [
            intervals.select(*by, pl.col("start_at").alias("at"), *amount),
            intervals.select(*by, pl.col("end_at").alias("at"), *(-each for each in amount)),
        ]
    )
    keys = list(by)
    changes = deltas.group_by([*keys, "at"]).agg(pl.col(name).sum() for name in amounts).sort([*keys, "at"])
    # every interval begins and ends in its group, so one running sum is back at 0 where the next group begins
    return changes.with_columns((pl.col(name).cum_sum() / parts_of(name)).alias(name) for name in amounts)


def held_values(amounts: Sequence[str]) -> list[pl.Expr]:
    """Of rows sorted by group and instant, with `_first`: the last amount known in its group, 0 before the first."""
    return [
        pl.when(pl.col("_first")).then(pl.col(name).fill_null(0.0)).otherwise(pl.col(name)).forward_fill().alias(name)
        for name in amounts
    ]


def bucket_edges(frame: pl.LazyFrame, *, minutes: int) -> pl.LazyFrame:
    """Every bucket of each row's `[start_at, end_at)`: columns `bucket_at` and `until`, the last one cut at the end.

    The rows' starts lie on a bucket's edge.
    """
    width = pl.duration(minutes=minutes)
    return (
        frame.filter(pl.col("start_at") < pl.col("end_at"))
        .with_columns(
            bucket_at=pl.datetime_ranges("start_at", "end_at", interval=f"{minutes}m", closed="left", time_unit="us")
        )
        .explode("bucket_at")
        .with_columns(until=pl.min_horizontal(pl.col("bucket_at") + width, "end_at"))
    )


def integrate(steps: pl.LazyFrame, buckets: pl.LazyFrame, *, by: Sequence[str], amounts: Sequence[str]) -> pl.LazyFrame:
    """Integral of a step function over each bucket, in amount-hours; zero where the function has no row yet.

    `buckets` has the groups' keys, `bucket_at` and `until`; adjoining buckets of a group share an edge. The edges enter
    the step function as changes by nothing, so that no step crosses one.
    """
    keys = list(by)
    marks = pl.concat(
        [
            steps.select(*keys, "at", *amounts, _edge=pl.lit(value=False)),
            buckets.select(
                *keys,
                pl.col("bucket_at").alias("at"),
                *(pl.lit(None, dtype=pl.Float64).alias(name) for name in amounts),
                pl.lit(value=True).alias("_edge"),
            ),
        ]
    )
    # at one instant the edge comes first, so that a step on the edge belongs to the bucket that begins there
    ordered = materialize(marks.sort([*keys, "at", "_edge"], descending=[*(False for _ in keys), False, True]))
    filled = ordered.with_columns(_first=is_first(keys)).with_columns(
        *held_values(amounts),
        # a step before its group's first edge lies in no bucket
        _bucket=pl.when("_edge")
        .then("at")
        .when("_first")
        .then(pl.lit(FAR_PAST, dtype=pl.Datetime("us")))
        .forward_fill(),
        _next=pl.when(~pl.col("_first").shift(-1)).then(pl.col("at").shift(-1)),
    )
    bounded = filled.join(
        buckets.select(*keys, "until", _bucket="bucket_at"), on=[*keys, "_bucket"], how="inner"
    ).with_columns(
        _hours=(pl.min_horizontal("_next", "until") - pl.col("at")).dt.total_microseconds().clip(lower_bound=0)
        / _HOUR_US
    )
    return (
        bounded.group_by([*keys, "_bucket", "until"])
        .agg((pl.col(name) * pl.col("_hours")).sum() for name in amounts)
        .rename({"_bucket": "bucket_at"})
    )
