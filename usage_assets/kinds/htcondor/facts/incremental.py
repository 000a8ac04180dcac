"""Later polls added to the stored facts of a month: the same tables as when the whole month is built again.

Later polls can only change what was open at the last stored poll.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl

from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.kinds.htcondor.facts.build import VERSION, MonthFacts, added_reasons, month_facts, together
from usage_assets.kinds.htcondor.facts.observed import read_raw
from usage_assets.kinds.htcondor.facts.polls import month_end
from usage_assets.kinds.htcondor.facts.rows import Polled
from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE, GPU_POLLS, GPU_RUNS
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.raw.tables import GPU_STATE
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.specs.facts import AppendedFacts
from usage_assets.specs.raw_table import SEEN_FROM
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import ACCOUNTS

_SUMS = [name for name, dtype in ACCOUNTS.polars_schema.items() if dtype.is_numeric()]
_ACCOUNT = ["site", "month", "asset", "source"]
# a poll that is read anew has another seen_from
_SIGNS = ("count(*)", f"sum((hash(poll_at, {SEEN_FROM.name}) % 1000000007)::BIGINT)", "max(poll_at)")
_TIMES = ("start_at", "end_at", "original_start_at", "original_end_at", "polls")


def fingerprint(reader: Reader, site: HTCondorSite, month: date) -> str:
    """The rules, and the raw rows of the month: equal fingerprints, equal facts."""
    return _fingerprints(reader, site, month, datetime(9999, 1, 1))[1]


def _fingerprints(reader: Reader, site: HTCondorSite, month: date, until: datetime) -> tuple[str, str]:
    """The fingerprint of the month's polls up to an instant, and that of all of them, from one read of its rows."""
    pool = site.pool()
    rules = [pool.poll_minutes, pool.timezone, sorted(pool.hosted)]
    rules += [sorted(pool.masked.items()), sorted(pool.display_names.items())]
    rules_hash = hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:16]

    def text(rows: int, sign: Decimal | None, last: datetime | None) -> str:
        values = {"version": VERSION, "rules": rules_hash, "rows": rows, "sign": int(sign or 0)}
        return json.dumps(values | {"last": last and last.isoformat()}, sort_keys=True)

    if not reader.has(GPU_STATE.table):
        return text(0, None, None), text(0, None, None)
    early = ", ".join(f"{sign} FILTER (WHERE poll_at <= $until)" for sign in _SIGNS)
    sql = f"SELECT {early}, {', '.join(_SIGNS)} FROM {GPU_STATE.table.qualified} WHERE site = $site AND month = $month"
    found = reader.sql(sql, {"site": site.key, "month": month, "until": until}).row(0)
    return text(*found[:3]), text(*found[3:])


def append_facts(reader: Reader, site: HTCondorSite, month: date, before: str) -> AppendedFacts | None:
    """What the polls since the fingerprint `before` add to the month's facts; null where it has to be built whole."""
    last = json.loads(before).get("last")
    if last is None:
        return None
    since = datetime.fromisoformat(last)
    found, after = _fingerprints(reader, site, month, since)
    if found != before:
        return None
    polled = read_raw(reader, site, [month], since)[month]
    if polled.polls.is_empty():
        return None
    tail = _tail(reader, site, month, since)
    facts = together(site.key, {month: addition(site.pool(), site.key, month, tail, polled)})
    replaced = together(site.key, {month: tail}).accounts.with_columns(-pl.col(name) for name in _SUMS)
    stored = reader.frame(ACCOUNTS, site.key, [month], where="asset LIKE 'htcondor/facts/%'")
    return AppendedFacts(since, replace(facts, accounts=_summed([stored, facts.accounts, replaced])), after)


def _tail(reader: Reader, site: HTCondorSite, month: date, since: datetime) -> MonthFacts:
    """What is stored of the last poll, and of runs, intervals and rejects that reach beyond it."""
    last = f"TIMESTAMP '{since.isoformat(sep=' ')}'"
    polls = reader.frame(GPU_POLLS, site.key, [month], where=f"poll_at = {last}")
    runs, spans, rejects = (
        reader.frame(table, site.key, [month], where=f"end_at > {last}") for table in (GPU_RUNS, INTERVALS, REJECTS)
    )
    return MonthFacts(polls, runs, GPU_PERFORMANCE.empty(), spans, rejects, 0, {})


def _summed(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Accounts added up."""
    every = pl.concat([part.select(ACCOUNTS.names) for part in parts]).group_by(_ACCOUNT, maintain_order=True)
    sums = every.agg(pl.col(_SUMS).sum(), pl.col("joins").first(), pl.col("reasons"))
    reasons = pl.col("reasons").map_elements(_reasons, return_dtype=pl.String())
    return sums.with_columns(reasons).select(ACCOUNTS.names)


def _reasons(parts: pl.Series) -> str | None:
    """Rows by reason of the parts of one account; null where none of them has any."""
    several = [json.loads(part) for part in parts if part is not None]
    return json.dumps(dict(sorted(added_reasons(several).items()))) if several else None


def addition(pool: Pool, site: str, month: date, tail: MonthFacts, polled: Polled) -> MonthFacts:
    """What replaces the open rows of a month with later polls: these rows corrected, and the new ones.

    `tail` is the last stored poll, and what of runs, intervals and rejects reaches beyond it. Polls, performance and
    numbers of rows are those of the new polls alone. ValueError where one is not later than the last stored poll.
    """
    new = month_facts(pool, site, month, polled)
    last, first = tail.polls["poll_at"][0], new.polls.select(pl.col("poll_at").min()).item()
    if first <= last:
        msg = f"a poll at {first} is not later than the last one stored, at {last}: build the month anew"
        raise ValueError(msg)
    step, until, missed = timedelta(minutes=pool.poll_minutes), first, 0
    if 2 * (first - last) > 3 * step:
        missed = (2 * (first - last) + step) // (2 * step) - 1
        until = min(last + step, month_end(month))
    of_poll = pl.when(pl.col("poll_at") == first).then(missed).otherwise("missed")
    return replace(
        new,
        polls=new.polls.with_columns(missed=of_poll.cast(pl.Int64)),
        runs=_joined(tail.runs, new.runs, first, until),
        intervals=_joined(tail.intervals, new.intervals, first, until),
        rejects=_joined(tail.rejects, new.rejects, first, until),
    )


def _joined(before: pl.DataFrame, after: pl.DataFrame, first: datetime, until: datetime) -> pl.DataFrame:
    """Open rows end at `until`; one that goes on in the first new poll is one row with it, unless polls are missing."""
    starts, ends, sums = (
        [name for name in names if name in before.columns]
        for names in (("start_at", "original_start_at"), ("end_at", "original_end_at"), ("polls",))
    )
    before = before.with_columns(pl.lit(until, dtype=pl.Datetime("us")).alias(name) for name in ends)
    if until != first:
        return pl.concat([before, after])
    begins = pl.col("start_at") == first
    alike = [name for name in before.columns if name not in _TIMES]
    went_on = after.filter(begins).join(before, on=alike, how="inner", nulls_equal=True, suffix="_before")
    merged = went_on.with_columns(
        *(pl.col(f"{name}_before").alias(name) for name in starts),
        *(pl.col(name) + pl.col(f"{name}_before") for name in sums),
    ).select(before.columns)
    ended = before.join(went_on, on=alike, how="anti", nulls_equal=True)
    fresh = after.filter(begins).join(went_on, on=alike, how="anti", nulls_equal=True)
    return pl.concat([ended, merged, fresh, after.filter(~begins)])
