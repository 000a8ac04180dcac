"""Status of each site-month of each asset: a pure function of what is expected, what is stored, and the time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from usage_assets.reports.tables import COVERAGE
from usage_assets.warehouse.readiness import GATED

_KEY = ("site", "month", "asset")


@dataclass(frozen=True)
class Stored:
    """Rows of the bookkeeping tables, each frame unique by site, month and asset.

    `readiness`: ok, reason. `versions`: version, rows, written_at. `dumps`, the latest of each raw asset: extracted_at,
    dumped_rows. `failed`, checks of severity ERROR: checks_failed.
    """

    readiness: pl.DataFrame
    versions: pl.DataFrame
    dumps: pl.DataFrame
    failed: pl.DataFrame


def coverage(expected: pl.DataFrame, stored: Stored, now: datetime, stale_after: timedelta) -> pl.DataFrame:
    """Rows of reports.coverage, one per expected site, month and asset.

    `expected` has site, month, asset, settle_days, gap_hours, and gap: the source whose known gap spans the month, of
    a raw asset; null of others. A month is stale when its rows were last read before it ended, or longer than
    `stale_after` ago while it can change: until `settle_days` after its end. When it was read is when its source was,
    or when its rows were written if that is earlier. Nothing is asked of a month, or of its end, before `stale_after`
    has passed: the next night has to come first.
    """
    joined = expected.lazy()
    for frame in (stored.readiness, stored.versions, stored.dumps, stored.failed):
        joined = joined.join(frame.lazy(), on=_KEY, how="left")
    month_extracted_at = stored.dumps.group_by("site", "month").agg(month_extracted_at=pl.col("extracted_at").min())
    limit = pl.lit(stale_after)
    return (
        joined.join(month_extracted_at.lazy(), on=("site", "month"), how="left")
        .with_columns(
            extracted_at=pl.coalesce("extracted_at", "month_extracted_at"),
            rows=pl.coalesce("rows", "dumped_rows"),
            checks_failed=pl.col("checks_failed").fill_null(0),
            began=pl.col("month").cast(pl.Datetime("us")),
        )
        .filter(pl.col("ok").is_not_null() | (pl.col("began") + limit <= now))
        .with_columns(ended=pl.col("began").dt.offset_by("1mo"), seen=pl.min_horizontal("extracted_at", "written_at"))
        .with_columns(
            unread=(pl.col("ended") + limit < now) & (pl.col("seen") < pl.col("ended")),
            old=(pl.col("ended") + pl.duration(days="settle_days") > now) & (pl.lit(now) - pl.col("seen") > limit),
        )
        .with_columns(status=_status())
        .with_columns(reason=_reason(now))
        .select(COVERAGE.names)
        .sort(_KEY)
        .collect()
        .cast(COVERAGE.polars_schema)
    )


def _status() -> pl.Expr:
    gap = pl.when(pl.col("gap").is_not_null()).then(pl.lit("known_gap"))
    return (
        pl.when(pl.col("ok").is_null())
        .then(gap.otherwise(pl.lit("missing")))
        .when(~pl.col("ok"))
        .then(pl.when(pl.col("reason").str.starts_with(GATED)).then(pl.lit("waits")).otherwise(pl.lit("refused")))
        .otherwise(pl.coalesce(gap, pl.when(pl.col("unread") | pl.col("old")).then(pl.lit("stale")), pl.lit("ok")))
    )


def _reason(now: datetime) -> pl.Expr:
    read = pl.col("seen").dt.strftime("%Y-%m-%d %H:%M")
    hours = (pl.lit(now) - pl.col("seen")).dt.total_hours().cast(pl.String)
    status = pl.col("status")
    return (
        pl.when(status == "missing")
        .then(pl.lit("never built"))
        .when(status == "known_gap")
        .then(pl.format("known gap of {}", "gap"))
        .when((status == "stale") & pl.col("unread"))
        .then(pl.format("last read {} UTC, before the month ended", read))
        .when(status == "stale")
        .then(pl.format("last read {} UTC, {} h ago", read, hours))
        .when(status.is_in(["waits", "refused"]))
        .then(pl.col("reason").str.strip_prefix(GATED).fill_null("no reason is recorded"))
    )
