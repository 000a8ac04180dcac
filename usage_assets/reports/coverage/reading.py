"""Input of the coverage status: what the sites' files ask for, and what the bookkeeping tables hold."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

import polars as pl

from usage_assets.core import settings
from usage_assets.core.months import month_of, months_between, next_month
from usage_assets.reports.coverage.judge import Stored, coverage
from usage_assets.sites.base import Gap, Site
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import DUMPS, FAILED_CHECKS, GATES, VERSIONS

_KEY = {"site": pl.String(), "month": pl.Date(), "asset": pl.String()}
_LATEST = f"""
SELECT site, month, table_name AS asset, max(extracted_at) AS extracted_at, arg_max(rows, extracted_at) AS dumped_rows
FROM {DUMPS.qualified} GROUP BY ALL
"""
_DUMPED = {**_KEY, "extracted_at": pl.Datetime("us"), "dumped_rows": pl.Int64()}
_EXPECTED = {**_KEY, "settle_days": pl.Int64(), "gap_hours": pl.Float64(), "gap": pl.String()}


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
