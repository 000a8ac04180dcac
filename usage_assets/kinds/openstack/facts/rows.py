"""Rows of a source -> intervals, rejects and accounts: every row is kept, rejected with a reason, or outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from usage_assets.core.months import next_month
from usage_assets.facts.tables import INTERVALS, REJECTS, RESOURCE_NAMES
from usage_assets.intervals import materialize, subtract
from usage_assets.kinds.openstack.facts.exclusions import EXCLUDED, excluded_parts

INSTANT = pl.Datetime("us")
ROW = "row"
DESCRIBED = (
    "month",
    "metric",
    "source",
    "entity_id",
    "original_start_at",
    "original_end_at",
    "node",
    "node_type",
    "project_id",
    "user_id",
    "reservation_id",
    "lease_id",
)
# a column of this name tells, per row, whether the join with that table found anything
JOINED = "joined_"
_HOUR_US = 3_600_000_000


def microseconds(start: str, end: str) -> pl.Expr:
    """From one instant to the other, as whole numbers: sums of them are exact."""
    return (pl.col(end) - pl.col(start)).dt.total_microseconds()


def month_bounds(months: Sequence[date], extracted: Mapping[date, datetime]) -> pl.LazyFrame:
    """Per month: month_start, month_end and limit_at, the lesser of the month's end and the extraction."""
    starts = [datetime(month.year, month.month, 1) for month in months]
    ends = [datetime(after.year, after.month, 1) for after in map(next_month, months)]
    limits = [
        max(start, min(end, extracted.get(month, end))) for month, start, end in zip(months, starts, ends, strict=True)
    ]
    return pl.LazyFrame(
        {"month": list(months), "month_start": starts, "month_end": ends, "limit_at": limits},
        schema={"month": pl.Date, "month_start": INSTANT, "month_end": INSTANT, "limit_at": INSTANT},
    )


def born(*others: str) -> pl.Expr:
    """created_at, else the earliest other time of the row."""
    return pl.coalesce("created_at", pl.min_horizontal(*others))


def with_own_span(rows: pl.LazyFrame, bounds: pl.LazyFrame) -> pl.LazyFrame:
    """Add own_start and own_end: the row's span within its month before any parent or sibling.

    Takes original_start_at and original_end_at; nothing counts past limit_at, so what a lease plans after the dump is
    outside. A row without a start has no span.
    """
    start = pl.when(pl.col("original_start_at").is_not_null()).then(
        pl.max_horizontal("original_start_at", "month_start")
    )
    end = pl.min_horizontal("original_end_at", "limit_at")
    return rows.join(bounds, on="month", how="inner").with_columns(own_start=start, own_end=end)


def never_ran() -> pl.Expr:
    """The row ends at or before its start."""
    return pl.col("original_start_at") >= pl.col("original_end_at")


def reason(*cases: tuple[str, pl.Expr]) -> pl.Expr:
    """The first case that holds, as column `reason`; null where none does."""
    return pl.coalesce(*(pl.when(condition).then(pl.lit(name)) for name, condition in cases)).alias("reason")


def spans(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The own spans of rows that no reason rejects, less what is excluded of them, as `start_at`, `end_at`."""
    own = (
        rows.filter(pl.col("reason").is_null())
        .with_columns(start_at="own_start", end_at="own_end")
        .filter(pl.col("start_at") < pl.col("end_at"))
    )
    return less_excluded(own)


def less_excluded(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Closed intervals of rows without the parts that a rule of the site's file takes out."""
    if EXCLUDED not in rows.collect_schema().names():
        return rows
    known = materialize(rows)
    return subtract(known.drop(EXCLUDED), excluded_parts(known, "start_at", "end_at"), on=[ROW])


@dataclass(frozen=True)
class Outcome:
    """What became of the rows of one source.

    `rows` has row (a number), own_start, own_end, reason and the described columns; `pieces` has row, start_at, end_at,
    node_type and resources, and may name metric, node, reservation and lease anew. `lost` lists, in order, frames of
    pieces with the reason for a row that has none in them.
    """

    rows: pl.LazyFrame
    pieces: pl.LazyFrame
    lost: tuple[tuple[pl.Expr, pl.LazyFrame], ...]


@dataclass(frozen=True)
class Settled:
    """The tables made of an outcome, lazily: intervals, rejects, accounts."""

    intervals: pl.LazyFrame
    rejects: pl.LazyFrame
    accounts: pl.LazyFrame


def settle(outcome: Outcome, *, site: str) -> Settled:
    """Intervals, rejects and accounts of a source, from one classification of its rows."""
    found = materialize(outcome.pieces)
    rows = materialize(_classified(outcome, found))
    renamed = set(found.collect_schema().names())
    kept = found.join(
        rows.filter(pl.col("status") == "kept").select(
            ROW, "action", *(name for name in DESCRIBED if name not in renamed)
        ),
        on=ROW,
        how="inner",
    ).with_columns(pl.col("node_type").fill_null("unknown"))
    return Settled(
        intervals=_shaped(kept, INTERVALS.polars_schema, site),
        rejects=_shaped(_rejected(rows), REJECTS.polars_schema, site),
        accounts=accounts(rows, site),
    )


def _rejected(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rejected rows with their own spans; excluded time stands apart, with who took it out as its action."""
    empty = pl.col("own_start").is_null() | pl.col("own_end").is_null() | (pl.col("own_start") >= pl.col("own_end"))
    whole = rows.filter(pl.col("status") == "rejected").with_columns(
        pl.col("node_type").fill_null("unknown"),
        start_at=pl.when(~empty).then("own_start"),
        end_at=pl.when(~empty).then("own_end"),
        action=pl.lit(None, dtype=pl.String),
    )
    if EXCLUDED not in rows.collect_schema().names():
        return whole
    touched = materialize(rows.filter(pl.col("excluded_us") > 0).with_columns(pl.col("node_type").fill_null("unknown")))
    parts = excluded_parts(touched, "own_start", "own_end")
    taken = (
        touched.drop("action", "reason")
        .join(parts.rename({"said": "action"}), on=ROW, how="inner")
        .with_columns(reason=pl.lit("excluded"))
    )
    untouched = whole.filter(pl.col("excluded_us") == 0)
    left = subtract(whole.filter(pl.col("excluded_us") > 0), parts, on=[ROW])
    return pl.concat([untouched, left, taken], how="diagonal")


def _classified(outcome: Outcome, pieces: pl.LazyFrame) -> pl.LazyFrame:
    held = pieces.group_by(ROW).agg(kept_us=microseconds("start_at", "end_at").sum())
    joined = [name for name in outcome.rows.collect_schema().names() if name.startswith(JOINED)]
    rows = outcome.rows.select(ROW, "own_start", "own_end", "reason", *DESCRIBED, *joined, pl.col(f"^{EXCLUDED}$"))
    rows = _with_excluded_time(rows).join(held, on=ROW, how="left")
    lost = pl.lit(None, dtype=pl.String)
    for index, (name, survivors) in enumerate(reversed(outcome.lost)):
        flag = f"_has{index}"
        there = survivors.select(ROW).unique().with_columns(pl.lit(value=True).alias(flag))
        rows = rows.join(there, on=ROW, how="left")
        lost = pl.when(pl.col(flag).is_null()).then(name).otherwise(lost)
    own = pl.when(pl.col("own_start") < pl.col("own_end")).then(microseconds("own_start", "own_end"))
    outside = pl.col("reason").is_null() & (pl.col("own_start") >= pl.col("own_end"))
    return (
        rows.with_columns(own_us=own.fill_null(0), is_outside=outside)
        .with_columns(
            reason=pl.when(~pl.col("is_outside") & pl.col("kept_us").is_null() & pl.col("reason").is_null())
            .then(pl.when(pl.col("excluded_us") < pl.col("own_us")).then(lost).otherwise(pl.lit("excluded")))
            .otherwise("reason")
        )
        .with_columns(
            status=pl.when(pl.col("reason").is_not_null())
            .then(pl.lit("rejected"))
            .when("is_outside")
            .then(pl.lit("outside"))
            .otherwise(pl.lit("kept")),
            action=pl.when(pl.col("own_us") - pl.col("excluded_us") > pl.col("kept_us"))
            .then(pl.lit("clipped"))
            .otherwise(pl.lit("kept")),
        )
    )


def _with_excluded_time(rows: pl.LazyFrame) -> pl.LazyFrame:
    """excluded_us: how much of the own span of a row that nothing else rejects is excluded."""
    if EXCLUDED not in rows.collect_schema().names():
        return rows.with_columns(excluded_us=pl.lit(0, dtype=pl.Int64))
    counting = rows.filter(pl.col("reason").is_null())
    taken = excluded_parts(counting, "own_start", "own_end").group_by(ROW)
    return rows.join(taken.agg(excluded_us=microseconds("start_at", "end_at").sum()), on=ROW, how="left").with_columns(
        pl.col("excluded_us").fill_null(0)
    )


def accounts(rows: pl.LazyFrame, site: str) -> pl.LazyFrame:
    """Rows and hours per month and source, of rows with status, own_us and kept_us; excluded_us where there is any."""
    excluded = pl.col("excluded_us") if "excluded_us" in rows.collect_schema().names() else pl.col("own_us") * 0
    status = pl.col("status")
    joined = [name for name in rows.collect_schema().names() if name.startswith(JOINED)]
    joins = pl.lit(None, dtype=pl.String)
    if joined:
        # a join that multiplies rows shows as more rows out than in
        joins = pl.struct(
            pl.struct(rows_in=pl.col(ROW).n_unique(), rows_out=pl.len(), rows_matched=pl.col(name).sum()).alias(
                name.removeprefix(JOINED)
            )
            for name in joined
        ).struct.json_encode()
    # a column, not a number: polars multiplies by a number's reciprocal, but not in a frame of one row, so that months
    # built one by one would differ from the range in the last digit
    hour = pl.len().cast(pl.Int64) * 0 + _HOUR_US
    return (
        rows.group_by("month", "source")
        .agg(
            rows_in=pl.len(),
            rows_kept=(status == "kept").sum(),
            rows_rejected=(status == "rejected").sum(),
            rows_outside=(status == "outside").sum(),
            joins=joins,
            hours_in=pl.col("own_us").sum() / hour,
            hours_kept=pl.col("kept_us").filter(status == "kept").sum() / hour,
            hours_rejected=(
                pl.col("own_us").filter(status == "rejected").sum() + excluded.filter(status == "kept").sum()
            )
            / hour,
            hours_clipped=(pl.col("own_us") - excluded - pl.col("kept_us").fill_null(0))
            .filter(status != "rejected")
            .sum()
            / hour,
        )
        .with_columns(pl.lit(site).alias("site"))
    )


def _shaped(frame: pl.LazyFrame, schema: pl.Schema, site: str) -> pl.LazyFrame:
    """The declared columns in order, absent ones null."""
    have = set(frame.collect_schema().names())
    return frame.with_columns(pl.lit(site).alias("site")).select(
        (pl.col(name) if name in have or name == "site" else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in schema.items()
    )


def resources(**amounts: pl.Expr | float) -> list[pl.Expr]:
    """Resource columns of an interval; those not given are unknown (null)."""
    out = []
    for name in RESOURCE_NAMES:
        amount = amounts.get(name)
        expression = amount if isinstance(amount, pl.Expr) else pl.lit(amount)
        out.append(expression.cast(pl.Float64).alias(name))
    return out
