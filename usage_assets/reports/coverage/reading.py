"""What coverage is judged by: what the sites' files ask for, and what the bookkeeping tables hold."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

import polars as pl

from usage_assets.core import settings
from usage_assets.core.months import month_of, months_between, next_month
from usage_assets.reports.coverage.judge import Stored, coverage
from usage_assets.schema import Table
from usage_assets.sites.base import Gap, Site
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import DUMPS, FAILED_CHECKS, GATES, VERSIONS

_EXPECTED = {
    "site": pl.String(),
    "month": pl.Date(),
    "asset": pl.String(),
    "settle_days": pl.Int64(),
    "gap_hours": pl.Float64(),
    "gap": pl.String(),
}


def judged(reader: Reader, kinds: Mapping[str, Kind], sites: Mapping[str, Site], now: datetime) -> pl.DataFrame:
    """Rows of reports.coverage of these sites as of now."""
    limit = timedelta(hours=settings.stale_hours())
    return coverage(expected(kinds, sites.values(), now.date()), stored(reader, sites), now, limit)


def expected(kinds: Mapping[str, Kind], sites: Iterable[Site], today: date) -> pl.DataFrame:
    """Every month since a site's first one, for every asset that it has, and the known gaps in it."""
    parts = [_of_site(kinds[site.kind], site, months_between(site.first_month, month_of(today))) for site in sites]
    return pl.concat([pl.DataFrame(schema=_EXPECTED), *parts])


def assets_of(kind: Kind, site: Site) -> list[str]:
    """The assets of a site whose months the bookkeeping tables speak of, in the order in which they are made."""
    return [
        *(kind.asset("raw", table.name) for table in kind.tables_of(site)),
        *(kind.asset("facts", fact.name) for fact in kind.facts),
        *(kind.asset("timelines", name) for name in ("usage", "usage_steps")),
        *(kind.asset(table.stage, table.name) for table in kind.tables if table.applies(site)),
    ]


def stored(reader: Reader, sites: Mapping[str, Site]) -> Stored:
    """What the bookkeeping tables hold of these sites."""
    dumps = _ask(
        reader,
        DUMPS,
        "SELECT site, month, table_name AS asset, max(extracted_at) AS extracted_at, "
        f"arg_max(rows, extracted_at) AS dumped_rows FROM {DUMPS.qualified} GROUP BY ALL",
        {"extracted_at": pl.Datetime("us"), "dumped_rows": pl.Int64()},
    )
    kinds = {key: f"{site.kind}/raw/" for key, site in sites.items()}
    return Stored(
        readiness=_ask(
            reader,
            GATES,
            f"SELECT site, month, asset, ok, reason FROM {GATES.qualified}",
            {"ok": pl.Boolean(), "reason": pl.String()},
        ),
        versions=_ask(
            reader,
            VERSIONS,
            f"SELECT site, month, asset, version, rows, written_at FROM {VERSIONS.qualified}",
            {"version": pl.Int64(), "rows": pl.Int64(), "written_at": pl.Datetime("us")},
        ),
        dumps=dumps.with_columns(
            asset=pl.col("site").replace_strict(kinds, default=None, return_dtype=pl.String()) + pl.col("asset")
        ),
        failed=_ask(
            reader,
            FAILED_CHECKS,
            f"SELECT site, month, asset, count(*) AS checks_failed FROM {FAILED_CHECKS.qualified} "
            "WHERE severity = 'ERROR' GROUP BY ALL",
            {"checks_failed": pl.Int64()},
        ),
    )


def _ask(reader: Reader, table: Table, query: str, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The answer, without a row where the table is not there yet."""
    key = {"site": pl.String(), "month": pl.Date(), "asset": pl.String()}
    return reader.sql(query) if reader.has(table) else pl.DataFrame(schema={**key, **columns})


def _of_site(kind: Kind, site: Site, months: Sequence[date]) -> pl.DataFrame:
    raw = {kind.asset("raw", table.name): table.name for table in kind.tables_of(site)}
    by_source = {name: [gap for gap in site.known_gaps if gap.source == name] for name in raw.values()}
    rows = []
    every = [_gap_hours(site.known_gaps, month) for month in months]
    for asset in assets_of(kind, site):
        gaps = by_source.get(raw.get(asset, ""), [])
        own = [_gap_hours(gaps, month) if gaps else 0.0 for month in months] if asset in raw else every
        for month, hours in zip(months, own, strict=True):
            whole = bool(gaps) and hours >= _hours(month)
            rows.append((site.key, month, asset, site.settle_days, hours, raw[asset] if whole else None))
    return pl.DataFrame(rows, schema=_EXPECTED, orient="row")


def _hours(month: date) -> float:
    return (next_month(month) - month).days * 24.0


def _gap_hours(gaps: Sequence[Gap], month: date) -> float:
    """Hours of a month that lie in any of the gaps."""
    end = next_month(month)
    days = 0
    reached = month
    for gap in sorted(gaps, key=lambda gap: gap.start):
        first, last = max(gap.start, reached), min(gap.end, end)
        if first < last:
            days += (last - first).days
            reached = last
    return days * 24.0
