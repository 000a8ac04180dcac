"""Intervals, rejects and accounts from the rows of a source: each row is kept, rejected with a reason, or outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from usage_assets.core.months import next_month
from usage_assets.facts.tables import INTERVALS, REJECTS, RESOURCE_NAMES
from usage_assets.intervals import materialize, subtract
from usage_assets.kinds.openstack.facts.exclusions import EXCLUDED, excluded_parts
from usage_assets.schema import Table
from usage_assets.warehouse.bookkeeping import ACCOUNTS

INSTANT = pl.Datetime("us")
ROW = "row"
_REQUIRED = ("month", "metric", "source", "entity_id", "original_start_at", "original_end_at", "node")
_OPTIONAL = ("node_type", "project_id", "user_id", "reservation_id", "lease_id")
DESCRIBED = (*_REQUIRED, *_OPTIONAL)
"""Columns that an interval or reject takes from its row; the last five are null where the row has none."""
# a column of this name is true where the join of the row with that table found anything
JOINED = "joined_"
IF_EXCLUDED = pl.col(f"^{EXCLUDED}$")
"""The column EXCLUDED, where the rows have it."""
NO_START = pl.col("original_start_at").is_null()
NEVER_RAN = pl.col("original_start_at") >= pl.col("original_end_at")
"""The row ends at or before its start."""


def microseconds(start: str, end: str) -> pl.Expr:
    """From one instant to the other, as whole numbers: sums of them are exact."""
    return (pl.col(end) - pl.col(start)).dt.total_microseconds()


def hours(us: pl.Expr) -> pl.Expr:
    """Whole microseconds in hours."""
    # a column, not a number: polars multiplies by a number's reciprocal, but not in a frame of one row, so that months
    # built one by one would differ from the range in the last digit
    return us / (us * 0 + 3_600_000_000)


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


def lives(rows: pl.LazyFrame, *columns: str, **more: pl.Expr | str) -> pl.LazyFrame:
    """The rows numbered (`row`), with row_id, created, start_at and end_at (open = null), and the columns asked for."""
    created = born("updated_at", "deleted_at")
    ended = pl.min_horizontal("deleted_at", "gone_at")
    own = {"row_id": "id", "created": created, "start_at": created, "end_at": ended}
    return rows.with_row_index(ROW).select(ROW, "month", IF_EXCLUDED, *columns, **(own | more))


def latest(rows: pl.LazyFrame, by: list[str], *columns: str, **renamed: str) -> pl.LazyFrame:
    """Of rows alike in `by` the one created last, then of the greatest id: `by` and the columns asked for."""
    wanted = dict.fromkeys(columns) | renamed
    return (
        rows.with_columns(_born=born("updated_at", "deleted_at"))
        .sort("_born", "id", nulls_last=False)
        .group_by(by)
        .agg(pl.col(column or name).last().alias(name) for name, column in wanted.items())
    )


def with_own_span(rows: pl.LazyFrame, bounds: pl.LazyFrame, *rejects: tuple[str, pl.Expr]) -> pl.LazyFrame:
    """Add own_start and own_end, the row's span within its month before any parent or sibling, and reason.

    start_at and end_at become original_start_at and original_end_at. Nothing counts past limit_at, so what a lease
    plans after the dump is outside. A row without a start has no span. `reason` is the first of `rejects` (reason,
    condition) that holds, else null.
    """
    start, end = pl.col("original_start_at"), pl.min_horizontal("original_end_at", "limit_at")
    return (
        rows.rename({"start_at": "original_start_at", "end_at": "original_end_at"})
        .join(bounds, on="month", how="inner")
        .with_columns(
            own_start=pl.when(start.is_not_null()).then(pl.max_horizontal(start, "month_start")),
            own_end=end,
            reason=pl.coalesce(pl.when(condition).then(pl.lit(name)) for name, condition in rejects),
        )
    )


def spans(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The own spans of rows that are not rejected, without their excluded parts, as `start_at`, `end_at`."""
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
    """The rows of one source and what counts of each.

    `rows` has row (a number), own_start, own_end, reason and DESCRIBED; `pieces` has row, start_at, end_at, node_type
    and resources, and other columns of DESCRIBED where they replace the row's. `lost` lists, in order, frames of pieces
    with the reason for a row that has none in them.
    """

    rows: pl.LazyFrame
    pieces: pl.LazyFrame
    lost: tuple[tuple[pl.Expr, pl.LazyFrame], ...]


@dataclass(frozen=True)
class Settled:
    """Lazy rows of facts.intervals, facts.rejects and serving.accounts of one source."""

    intervals: pl.LazyFrame
    rejects: pl.LazyFrame
    accounts: pl.LazyFrame


def settle(outcome: Outcome, *, site: str, asset: str) -> Settled:
    """Intervals, rejects and accounts of a source; `asset` is the fact asset that counts it."""
    pieces = materialize(outcome.pieces)
    rows = materialize(_classified(outcome, pieces))
    replaced = set(pieces.collect_schema().names())
    described = [name for name in DESCRIBED if name not in replaced]
    kept = pieces.join(
        rows.filter(pl.col("status") == "kept").select(ROW, "action", *described), on=ROW, how="inner"
    ).with_columns(pl.col("node_type").fill_null("unknown"))
    return Settled(
        intervals=shaped(kept, INTERVALS, site),
        rejects=shaped(_rejected(rows), REJECTS, site),
        accounts=accounts(rows, site, asset),
    )


def _rejected(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rejected rows with their own spans; excluded time stands apart, with who took it out as its action."""
    has_span = pl.col("own_start") < pl.col("own_end")
    whole = rows.filter(pl.col("status") == "rejected").with_columns(
        start_at=pl.when(has_span).then("own_start"),
        end_at=pl.when(has_span).then("own_end"),
        action=pl.lit(None, dtype=pl.String),
    )
    if EXCLUDED not in rows.collect_schema().names():
        return whole
    touched = materialize(rows.filter(pl.col("excluded_us") > 0))
    parts = excluded_parts(touched, "own_start", "own_end")
    taken = (
        touched.drop("action", "reason")
        .join(parts.rename({"explanation": "action"}), on=ROW, how="inner")
        .with_columns(reason=pl.lit("excluded"))
    )
    untouched = whole.filter(pl.col("excluded_us") == 0)
    left = subtract(whole.filter(pl.col("excluded_us") > 0), parts, on=[ROW])
    return pl.concat([untouched, left, taken], how="diagonal")


def _classified(outcome: Outcome, pieces: pl.LazyFrame) -> pl.LazyFrame:
    """The rows with status (kept, rejected, outside), reason, action, and own_us, kept_us and excluded_us."""
    held = pieces.group_by(ROW).agg(kept_us=microseconds("start_at", "end_at").sum())
    have = set(outcome.rows.collect_schema().names())
    rows = outcome.rows.select(
        *(ROW, "own_start", "own_end", "reason", IF_EXCLUDED, pl.col(f"^{JOINED}.*$"), *_REQUIRED),
        *(name if name in have else pl.lit(None, dtype=pl.String).alias(name) for name in _OPTIONAL),
    )
    rows = (
        _with_excluded_time(rows).join(held, on=ROW, how="left").with_columns(pl.col("node_type").fill_null("unknown"))
    )
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


def accounts(rows: pl.LazyFrame, site: str, asset: str) -> pl.LazyFrame:
    """Rows of serving.accounts: rows and hours per month and source.

    `rows` has status, own_us and kept_us, and excluded_us where any time is excluded.
    """
    have = rows.collect_schema().names()
    excluded = pl.col("excluded_us") if "excluded_us" in have else pl.col("own_us") * 0
    status, own, kept = pl.col("status"), pl.col("own_us"), pl.col("kept_us")
    # a join that multiplies rows shows as more rows out than in
    joins = [
        pl.struct(rows_in=pl.col(ROW).n_unique(), rows_out=pl.len(), rows_matched=pl.col(name).sum()).alias(
            name.removeprefix(JOINED)
        )
        for name in have
        if name.startswith(JOINED)
    ]
    counted = rows.group_by("month", "source").agg(
        rows_in=pl.len(),
        rows_kept=(status == "kept").sum(),
        rows_rejected=(status == "rejected").sum(),
        rows_outside=(status == "outside").sum(),
        joins=pl.struct(joins).struct.json_encode() if joins else pl.lit(None),
        hours_in=hours(own.sum()),
        hours_kept=hours(kept.filter(status == "kept").sum()),
        hours_rejected=hours(own.filter(status == "rejected").sum() + excluded.filter(status == "kept").sum()),
        hours_clipped=hours((own - excluded - kept.fill_null(0)).filter(status != "rejected").sum()),
    )
    return shaped(counted.with_columns(asset=pl.lit(f"openstack/facts/{asset}")), ACCOUNTS, site)


def shaped(frame: pl.LazyFrame, table: Table, site: str) -> pl.LazyFrame:
    """The columns of a table in order, those that the frame lacks null."""
    have = {"site", *frame.collect_schema().names()}
    return frame.with_columns(site=pl.lit(site)).select(
        (pl.col(name) if name in have else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in table.polars_schema.items()
    )


def resources(**amounts: pl.Expr | float) -> list[pl.Expr]:
    """Resource columns of an interval; those not given are unknown (null)."""
    given = {name: amount if isinstance(amount, pl.Expr) else pl.lit(amount) for name, amount in amounts.items()}
    return [given.get(name, pl.lit(None)).cast(pl.Float64).alias(name) for name in RESOURCE_NAMES]
