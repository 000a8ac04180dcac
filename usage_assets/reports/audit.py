"""The audit: what each asset of the facts read of each source, and where its rows and hours went.

A table, its check that nothing got lost, and a printable page per month: plots/<site>/<month>/audit.html.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

import polars as pl

from usage_assets.core.months import Window
from usage_assets.facts.tables import REASONS, REJECTS
from usage_assets.reports.tables import AUDIT, OUTCOMES
from usage_assets.reports.templating import render_template
from usage_assets.sites.base import Site
from usage_assets.specs.asset import Asset, Built
from usage_assets.specs.check import Check
from usage_assets.specs.finding import GOOD, Finding
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
_HOURS = 1e-6
_BALANCE = f"""
SELECT month, asset, source,
       coalesce(sum(rows) FILTER (outcome = 'read'), 0)::BIGINT AS rows_read,
       coalesce(sum(rows) FILTER (outcome IN ('kept', 'outside', 'rejected')), 0)::BIGINT AS rows_found,
       coalesce(sum(hours) FILTER (outcome = 'read'), 0) AS hours_read,
       coalesce(sum(hours) FILTER (outcome IN ('kept', 'clipped', 'rejected')), 0) AS hours_found
FROM {AUDIT.qualified} WHERE site = $site AND month IN (SELECT unnest($months::DATE[])) GROUP BY ALL
HAVING rows_read <> rows_found OR abs(hours_read - hours_found) > {_HOURS} * greatest(1, hours_read)
ORDER BY ALL
"""
_MOSTLY = 0.5
_DOUBLED = (
    "Most rows of this source are rejected as duplicates because a source of higher priority already counts the same "
    "machines. That is expected of a source that only fills gaps, such as an inventory."
)


def audit_of(kind: str, facts: Sequence[Asset], tables: Sequence[Asset]) -> Asset:
    """The audit of a kind's assets of the facts stage: `facts`, and those of `tables` that belong to it."""
    more = [table for table in tables if table.stage == "facts"]
    names = [*(fact.name for fact in facts), *(table.name for table in more)]
    owners = {metric: f"{kind}/facts/{fact.name}" for fact in facts for metric in fact.metrics}
    owners |= {metric: f"{kind}/facts/{table.name}" for table in more for metric in table.rejects_of}
    return Asset(
        stage="reports",
        name="audit",
        table=AUDIT,
        after=tuple(f"facts/{name}" for name in names),
        read=partial(read, owners),
        make=partial(make, tuple(f"{kind}/facts/{fact.name}" for fact in facts)),
        checks=(
            Check(
                "balanced",
                "Rows read = kept + outside + rejected; hours read = kept + clipped + rejected.",
                balanced,
                per_run="whose rows or hours do not add up",
            ),
        ),
    )


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
    files = {}
    for month in months:
        text = page(site, month, rows.filter(pl.col("month") == month), extracted.get(month), order)
        files[month] = {f"{site.key}/{month:%Y-%m}/audit.html": text.encode()}
    return Built(rows, files=files)


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


def balanced(reader: Reader, site: Site, window: Window) -> dict[date, Finding]:
    """Per asset and source: rows read = kept + outside + rejected, hours read = kept + clipped + rejected."""
    del site  # the window names it
    out = dict.fromkeys(window.months, GOOD)
    if not reader.has(AUDIT):
        return out
    faults: dict[date, list[str]] = {}
    found = reader.sql(_BALANCE, {"site": window.site, "months": list(window.months)})
    for month, asset, source, rows_read, rows, hours_read, hours in found.iter_rows():
        text = f"{asset}, {source}: {rows_read} rows read, {rows} found again; {hours_read:.6f} hours, {hours:.6f}"
        faults.setdefault(month, []).append(text)
    for month, texts in faults.items():
        out[month] = Finding(False, "; ".join(texts[:3]), {"sources": len(texts)})
    return out


def page(site: Site, month: date, rows: pl.DataFrame, extracted: datetime | None, order: Sequence[str]) -> str:
    """The page of a month from its rows of reports.audit; `order` has the assets as they build on each other."""
    places = {asset: place for place, asset in enumerate(order)}  # others last, in the order of their names
    return render_template(
        "audit.html.j2",
        name=site.name,
        site=site.key,
        month=f"{month:%Y-%m}",
        extracted=f"{extracted:%Y-%m-%d %H:%M}" if extracted else "",
        example=f"{month:%Y-%m}-15T12:00",
        assets=[
            {"title": asset, "sources": [_source(source, part) for source, part in _groups(own, "source")]}
            for asset, own in sorted(_groups(rows, "asset"), key=lambda group: places.get(group[0], len(order)))
        ],
        words=OUTCOMES | REASONS,
    )


def _groups(frame: pl.DataFrame, by: str) -> list[tuple[str, pl.DataFrame]]:
    return [(str(name), part) for (name,), part in frame.sort(by).partition_by(by, as_dict=True).items()]


def _source(name: str, rows: pl.DataFrame) -> dict[str, Any]:
    lines = sorted(rows.iter_rows(named=True), key=lambda row: (list(OUTCOMES).index(row["outcome"]), row["reason"]))
    doubled = sum(row["rows"] or 0 for row in lines if row["reason"] == "duplicate")
    read = sum(row["rows"] or 0 for row in lines if row["outcome"] == "read")
    note = _DOUBLED if read and doubled > read * _MOSTLY else ""
    return {"name": name, "balanced": _balanced(lines), "lines": [_line(row) for row in lines], "note": note}


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "outcome": row["outcome"],
        "reason": row["reason"],
        "rows": "" if row["rows"] is None else f"{row['rows']:,}",
        "hours": f"{row['hours']:,.1f}",
        **{name: "" if row[name] is None else f"{row[name]:.1%}" for name in ("rows_share", "hours_share")},
    }


def _balanced(lines: list[dict[str, Any]]) -> bool:
    def total(column: str, *outcomes: str) -> float:
        return sum(row[column] or 0 for row in lines if row["outcome"] in outcomes)

    hours = total("hours", "read") - total("hours", "kept", "clipped", "rejected")
    rows = total("rows", "read") - total("rows", "kept", "outside", "rejected")
    return rows == 0 and abs(hours) <= _HOURS * max(1.0, total("hours", "read"))
