"""Rows of the audit: what each asset of the facts read of each source, and where its rows and hours went."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from usage_assets.facts.tables import REJECTS
from usage_assets.reports.audit_page import page
from usage_assets.reports.tables import AUDIT
from usage_assets.sites.base import Site
from usage_assets.specs.asset import Built
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import ACCOUNTS

EXCLUDED = "excluded"
_SOURCE = ("month", "asset", "source")
# a row that is excluded in part and rejected for the rest leaves several pieces: it is one row
_REJECTED = f"""
WITH mine AS (
  SELECT r.month, o.asset, r.source, r.reason, r.entity_id, epoch_us(r.end_at) - epoch_us(r.start_at) AS span,
         coalesce(bool_or(r.reason = '{EXCLUDED}') OVER (PARTITION BY r.month, o.asset, r.source, r.entity_id), false)
           AS in_pieces
  FROM {REJECTS.qualified} r
  JOIN (SELECT unnest($metrics::VARCHAR[]) AS metric, unnest($assets::VARCHAR[]) AS asset) o ON o.metric = r.metric
  WHERE r.site = $site AND r.month IN (SELECT unnest($months::DATE[]))
)
SELECT month, asset, source, reason,
       count(*) FILTER (NOT in_pieces) + count(DISTINCT entity_id) FILTER (in_pieces) AS rows,
       coalesce(sum(span), 0)::DOUBLE / 3600000000 AS hours
FROM mine GROUP BY ALL
"""
_REASONS_SCHEMA = {"month": pl.Date(), **dict.fromkeys(("asset", "source", "reason"), pl.String())}
_REASONS_SCHEMA |= {"rows": pl.Int64(), "hours": pl.Float64()}


@dataclass(frozen=True)
class Read:
    """Rows of serving.accounts, and rejected rows and hours per month, asset, source and reason."""

    accounts: pl.DataFrame
    rejected: pl.DataFrame


def read(owners: Mapping[str, str], reader: Reader, site: Site, months: Sequence[date]) -> Read:
    """Accounts and rejects of every asset of the facts; `owners` has the asset of each metric."""
    rejected = pl.DataFrame(schema=_REASONS_SCHEMA)
    if reader.has(REJECTS):
        params = {"site": site.key, "months": list(months), "metrics": list(owners), "assets": list(owners.values())}
        rejected = reader.sql(_REJECTED, params).cast(pl.Schema(_REASONS_SCHEMA))
    accounts = reader.frame(ACCOUNTS, site.key, months)
    return Read(accounts.filter(pl.col("asset").is_in(sorted(set(owners.values())))), rejected)


def make(
    order: Sequence[str], site: Site, months: Sequence[date], found: Read, extracted: Mapping[date, datetime]
) -> Built:
    """Rows of reports.audit, and a page per month; `order` has the assets as they build on each other."""
    rows = _rows(site, found)
    pages = {
        month: page(site, month, rows.filter(pl.col("month") == month), extracted.get(month), order) for month in months
    }
    names = {month: f"{site.key}/{month:%Y-%m}/audit.html" for month in months}
    return Built(rows, files={month: {names[month]: text.encode()} for month, text in pages.items()})


def _rows(site: Site, found: Read) -> pl.DataFrame:
    accounts = found.accounts
    plain = [
        accounts.select(*_SOURCE, outcome=pl.lit(outcome), reason=pl.lit(""), rows=rows, hours=hours)
        for outcome, rows, hours in (
            ("read", pl.col("rows_in"), pl.col("hours_in")),
            ("kept", pl.col("rows_kept"), pl.col("hours_kept")),
            ("clipped", pl.lit(None, dtype=pl.Int64), pl.col("hours_clipped")),
            ("outside", pl.col("rows_outside"), pl.lit(0.0)),
        )
    ]
    rejected = _rejected(found).select(*_SOURCE, pl.lit("rejected").alias("outcome"), "reason", "rows", "hours")
    every = pl.concat([*plain, rejected]).join(accounts.select(*_SOURCE, "rows_in", "hours_in"), on=_SOURCE, how="left")
    return (
        every.with_columns(
            site=pl.lit(site.key),
            rows_share=pl.when(pl.col("rows_in") > 0).then(pl.col("rows") / pl.col("rows_in")),
            hours_share=pl.when(pl.col("hours_in") > 0).then(pl.col("hours") / pl.col("hours_in")),
        )
        .select(AUDIT.names)
        .sort("month", "asset", "source", "outcome", "reason")
    )


def _rejected(found: Read) -> pl.DataFrame:
    """Rejected rows and hours by reason: rows as the account has them, where it does, else counted in the rejects."""
    counts = [
        (*key, reason, number)
        for *key, reasons in found.accounts.select(*_SOURCE, "reasons").drop_nulls("reasons").iter_rows()
        for reason, number in json.loads(reasons).items()
    ]
    names = {name: _REASONS_SCHEMA[name] for name in (*_SOURCE, "reason", "rows")}
    rows = pl.DataFrame(counts, schema=names, orient="row")
    counted = found.accounts.drop_nulls("reasons").select(_SOURCE)
    stored = found.rejected.join(counted, on=_SOURCE, how="semi").drop("rows")
    by_account = rows.join(stored, on=[*_SOURCE, "reason"], how="full", coalesce=True).with_columns(
        pl.col("rows").fill_null(0), pl.col("hours").fill_null(0.0)
    )
    others = _of_rejects(found.rejected.join(counted, on=_SOURCE, how="anti"), found.accounts)
    return pl.concat([others, by_account.select(list(_REASONS_SCHEMA))])


def _of_rejects(rejected: pl.DataFrame, accounts: pl.DataFrame) -> pl.DataFrame:
    """Rejected rows and hours by reason; of excluded time only those rows that nothing else keeps or rejects."""
    is_excluded = pl.col("reason") == EXCLUDED
    other_rows = pl.col("rows").filter(~is_excluded).sum().over(_SOURCE)
    excluded_rows = (pl.col("rows_rejected").fill_null(0) - other_rows).clip(lower_bound=0)
    joined = rejected.join(accounts.select(*_SOURCE, "rows_rejected"), on=_SOURCE, how="left")
    rows = pl.when(is_excluded).then(excluded_rows).otherwise("rows")
    return joined.with_columns(rows=rows).select(rejected.columns)
