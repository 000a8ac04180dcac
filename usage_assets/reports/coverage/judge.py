"""Status of each site-month of each asset: what the sites' files ask for, what the bookkeeping has, and the time.

`coverage` is the judgement, a pure function; the others read its input.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from usage_assets.core import settings
from usage_assets.core.months import month_of, months_between, next_month
from usage_assets.reports.tables import COVERAGE
from usage_assets.sites.base import Gap, Site
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import DUMPS, FAILED_CHECKS, GATES, VERSIONS
from usage_assets.warehouse.readiness import GATED

_KEY = {"site": pl.String(), "month": pl.Date(), "asset": pl.String()}
_LATEST = f"""
SELECT site, month, table_name AS asset, max(extracted_at) AS extracted_at, arg_max(rows, extracted_at) AS dumped_rows
FROM {DUMPS.qualified} GROUP BY ALL
"""
_DUMPED = {**_KEY, "extracted_at": pl.Datetime("us"), "dumped_rows": pl.Int64()}
_EXPECTED = {**_KEY, "settle_days": pl.Int64(), "gap_hours": pl.Float64(), "gap": pl.String()}


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
        joined = joined.join(frame.lazy(), on=list(_KEY), how="left")
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
        .sort(list(_KEY))
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


def judged(reader: Reader, kinds: Mapping[str, Kind], sites: Mapping[str, Site], now: datetime) -> pl.DataFrame:
    """Rows of reports.coverage of these sites as of now."""
    limit = timedelta(hours=settings.stale_hours())
    return coverage(expected(kinds, sites.values(), now.date()), stored(reader, sites), now, limit)


def expected(kinds: Mapping[str, Kind], sites: Iterable[Site], today: date) -> pl.DataFrame:
    """Every month since a site's first one, for every asset that it has, and the known gaps in it."""
    parts = [_of_site(kinds[site.kind], site, months_between(site.first_month, month_of(today))) for site in sites]
    return pl.concat([pl.DataFrame(schema=_EXPECTED), *parts])


def assets_of(kind: Kind, site: Site) -> list[str]:
    """Assets of a site that the bookkeeping tables have months of, in the order in which they are built."""
    return [
        *(kind.asset("raw", table.name) for table in kind.tables_of(site)),
        *(kind.asset("facts", fact.name) for fact in kind.facts),
        *(kind.asset("timelines", name) for name in ("usage", "usage_steps")),
        *(kind.asset(table.stage, table.name) for table in kind.tables if table.applies(site)),
    ]


def stored(reader: Reader, sites: Mapping[str, Site]) -> Stored:
    """Rows of the bookkeeping tables of these sites."""
    failed = reader.frame(FAILED_CHECKS, columns=list(_KEY), where="severity = 'ERROR'")
    dumps = reader.sql(_LATEST) if reader.has(DUMPS) else pl.DataFrame(schema=_DUMPED)
    prefixes = {key: f"{site.kind}/raw/" for key, site in sites.items()}
    prefix = pl.col("site").replace_strict(prefixes, default=None, return_dtype=pl.String())
    return Stored(
        readiness=reader.frame(GATES, columns=[*_KEY, "ok", "reason"]),
        versions=reader.frame(VERSIONS, columns=[*_KEY, "version", "rows", "written_at"]),
        dumps=dumps.with_columns(asset=prefix + pl.col("asset")),
        failed=failed.group_by(*_KEY).len("checks_failed"),
    )


def _of_site(kind: Kind, site: Site, months: Sequence[date]) -> pl.DataFrame:
    raw = {kind.asset("raw", table.name): table.name for table in kind.tables_of(site)}
    of_all = [_gap_hours(site.known_gaps, month) for month in months]
    rows = []
    for asset in assets_of(kind, site):
        gaps = [gap for gap in site.known_gaps if gap.source == raw.get(asset)]
        hours = [_gap_hours(gaps, month) for month in months] if asset in raw else of_all
        for month, gap_hours in zip(months, hours, strict=True):
            whole = gaps and gap_hours >= (next_month(month) - month).days * 24
            rows.append((site.key, month, asset, site.settle_days, gap_hours, raw[asset] if whole else None))
    return pl.DataFrame(rows, schema=_EXPECTED, orient="row")


def _gap_hours(gaps: Sequence[Gap], month: date) -> float:
    """Hours of a month that lie in any of the gaps."""
    first, after = month.toordinal(), next_month(month).toordinal()
    days = (range(max(gap.start.toordinal(), first), min(gap.end.toordinal(), after)) for gap in gaps)
    return len(set().union(*days)) * 24.0
