"""Later polls of a stored month, read from the warehouse: what they add, and when a month has to be built whole."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.kinds.htcondor.facts.append import addition
from usage_assets.kinds.htcondor.facts.build import VERSION, MonthFacts, added_reasons, together
from usage_assets.kinds.htcondor.facts.observed import read_raw
from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE, GPU_POLLS, GPU_RUNS
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.raw.tables import GPU_STATE
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.specs.facts import AppendedFacts
from usage_assets.specs.raw_table import SEEN_FROM
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import ACCOUNTS

_SUMS = [name for name, dtype in ACCOUNTS.polars_schema.items() if dtype.is_numeric()]
# a poll that is read anew has another seen_from
_SIGN = f"sum((hash(poll_at, {SEEN_FROM.name}) % 1000000007)::BIGINT)"
_KEY = ["site", "month", "asset", "source"]


def fingerprint(reader: Reader, site: HTCondorSite, month: date) -> str:
    """The rules, and the raw rows of the month: equal marks, equal facts."""
    return _marks(reader, site, month, datetime(9999, 1, 1))[1]


def _marks(reader: Reader, site: HTCondorSite, month: date, until: datetime) -> tuple[str, str]:
    """The mark of the month's polls up to an instant, and that of all, of one look at its rows."""
    found: tuple[Any, ...] = (0, 0, None) * 2
    if reader.has(GPU_STATE.table):
        signs = ("count(*)", _SIGN, "max(poll_at)")
        early = ", ".join(f"{sign} FILTER (WHERE poll_at <= $until)" for sign in signs)
        sql = (
            f"SELECT {early}, {', '.join(signs)} FROM {GPU_STATE.table.qualified} WHERE site = $site AND month = $month"
        )
        found = reader.sql(sql, {"site": site.key, "month": month, "until": until}).row(0)
    rules = _rules(site.pool())
    return _said(rules, *found[:3]), _said(rules, *found[3:])


def _said(rules: str, rows: int, sign: Decimal | None, last: datetime | None) -> str:
    said = {"version": VERSION, "rules": rules, "rows": rows, "sign": int(sign or 0), "last": last and last.isoformat()}
    return json.dumps(said, sort_keys=True)


def append_facts(reader: Reader, site: HTCondorSite, month: date, before: str) -> AppendedFacts | None:
    """What the polls since the mark add to the month's facts; null where it has to be built whole."""
    told = json.loads(before).get("last")
    if told is None:
        return None
    since = datetime.fromisoformat(told)
    found, after = _marks(reader, site, month, since)
    if found != before:
        return None
    polled = read_raw(reader, site, [month], since)[month]
    if polled.polls.is_empty():
        return None
    pool = site.pool()
    tail = _tail(reader, site, month, since)
    added = addition(pool, site.key, month, tail, polled)
    facts = together(site.key, {month: added})
    was = together(site.key, {month: tail}).accounts
    stored = reader.frame(ACCOUNTS, site.key, [month], where="asset LIKE 'htcondor/facts/%'")
    accounts = _summed([stored, facts.accounts, was.with_columns(-pl.col(name) for name in _SUMS)])
    return AppendedFacts(since, replace(facts, accounts=accounts), after)


def _tail(reader: Reader, site: HTCondorSite, month: date, since: datetime) -> MonthFacts:
    """What is stored of the last poll, and of runs, intervals and rejects that reach beyond it."""
    beyond = f"end_at > TIMESTAMP '{since.isoformat(sep=' ')}'"
    polls = reader.frame(GPU_POLLS, site.key, [month], where=f"poll_at = TIMESTAMP '{since.isoformat(sep=' ')}'")
    runs, spans, rejects = (
        reader.frame(table, site.key, [month], where=beyond) for table in (GPU_RUNS, INTERVALS, REJECTS)
    )
    return MonthFacts(polls, runs, GPU_PERFORMANCE.empty(), spans, rejects, 0, {})


def _summed(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    every = pl.concat([part.select(ACCOUNTS.names) for part in parts])
    sums = (
        every.group_by(_KEY, maintain_order=True)
        .agg(
            pl.col(_SUMS).sum(),
            pl.col("joins").first(),
            pl.col("reasons"),
        )
        .with_columns(pl.col("reasons").map_elements(_reasons, return_dtype=pl.String()))
    )
    return sums.select(ACCOUNTS.names)


def _reasons(parts: pl.Series) -> str | None:
    """Rows by reason of the parts of one account; null where none of them tells."""
    told = [json.loads(part) for part in parts if part is not None]
    return json.dumps(dict(sorted(added_reasons(told).items()))) if told else None


def _rules(pool: Pool) -> str:
    said = [
        pool.poll_minutes,
        pool.timezone,
        sorted(pool.hosted),
        sorted(pool.masked.items()),
        sorted(pool.display_names.items()),
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
