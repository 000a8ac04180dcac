"""The facts of a GPU pool's months from their raw rows; each month uses its own rows only."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.kinds.htcondor.facts import gpu_intervals, gpu_states, performance, polls, runs, slot_states
from usage_assets.kinds.htcondor.facts.rows import Polled
from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE, GPU_POLLS, GPU_RUNS, TABLES
from usage_assets.kinds.htcondor.pool.rules import Pool, PoolSite
from usage_assets.schema import Table
from usage_assets.specs.facts import Facts
from usage_assets.warehouse.bookkeeping import ACCOUNTS

ROWS_AT_ONCE = 1_500_000
"""Raw rows that are worked on at a time."""
VERSION = 3
"""Raise it when the same rows give other facts: stored months are then built again, not appended to."""
METRICS_OF: dict[str, tuple[str, ...]] = {
    "total": ("total",),
    "available": tuple(gpu_intervals.AVAILABLE.values()),
    "allocated": tuple(gpu_intervals.ALLOCATED.values()),
    "flagged": ("drained", "refusing"),
}
"""Fact asset -> the metrics whose rows it owns."""
TABLE_OF: dict[str, Table] = {table.name: table for table in TABLES}
"""Fact asset -> the table that is all its own."""


@dataclass(frozen=True)
class MonthFacts:
    """The facts of one month: whole tables, how many raw rows gave GPUs, and how many were rejected by reason."""

    polls: pl.DataFrame
    runs: pl.DataFrame
    performance: pl.DataFrame
    intervals: pl.DataFrame
    rejects: pl.DataFrame
    rows_kept: int
    reasons: Mapping[str, int]

    @property
    def rows_rejected(self) -> int:
        """Raw rows that gave no GPU."""
        return sum(self.reasons.values())

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The compact tables by name."""
        return {GPU_POLLS.name: self.polls, GPU_RUNS.name: self.runs, GPU_PERFORMANCE.name: self.performance}


def month_facts(pool: Pool, site: str, month: date, polled: Polled) -> MonthFacts:
    """The facts of one month, a part of the machines at a time: no machine needs the rows of another."""
    when = polls.numbered(pool, month, polled.polls)
    parts = [_part(pool, distinct, polled, when) for distinct in _parts_of(polled)]
    every = pl.concat([part.runs for part in parts])
    per_poll = (_added([part.counted for part in parts]), _added([part.doubles for part in parts]))
    return MonthFacts(
        polls=_stored(GPU_POLLS, site, month, polls.observed(pool, when, *per_poll)),
        runs=_stored(GPU_RUNS, site, month, every.filter(pl.col("reject").is_null())),
        performance=_stored(GPU_PERFORMANCE, site, month, pl.concat([part.performance for part in parts])),
        intervals=_stored(INTERVALS, site, month, gpu_intervals.intervals(pool, every)),
        rejects=_stored(REJECTS, site, month, gpu_intervals.rejects(pool, every)),
        rows_kept=sum(part.rows_kept for part in parts),
        reasons=added_reasons(part.reasons for part in parts),
    )


@dataclass(frozen=True)
class _Part:
    """What a part of the machines gives: `counted` and `doubles` per poll."""

    runs: pl.DataFrame
    performance: pl.DataFrame
    counted: pl.DataFrame
    doubles: pl.DataFrame
    rows_kept: int
    reasons: Mapping[str, int]


def added_reasons(several: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Rows by reason, added up."""
    out: Counter[str] = Counter()
    for reasons in several:
        out.update(reasons)
    return dict(out)


def _part(pool: Pool, distinct: pl.DataFrame, polled: Polled, when: pl.DataFrame) -> _Part:
    states = slot_states.distinct_states(pool, distinct)
    found = gpu_states.states_by_poll(states, polled, when)
    entities = states.unique("entity", keep="first", maintain_order=True).sort("entity")
    masked = pl.when(pl.col("masked").is_not_null()).then(pl.lit("masked"))
    why = entities.select(why=pl.coalesce("reject", masked)).to_series()
    rows = found.rows.group_by(why=why.gather(found.rows["entity"])).agg(pl.col("rows").sum())
    reasons = {reason: int(number) for reason, number in rows.iter_rows()}
    kept = reasons.pop(None, 0)
    if doubles := int(found.doubles["doubles"].sum()):
        reasons["duplicate"] = doubles
    return _Part(
        runs=runs.runs(states, found.gpus, when),
        performance=performance.performance(states, found.gpus, when),
        counted=_counted(entities["machine_id"], found.gpus, why.is_null()),
        doubles=found.doubles,
        rows_kept=kept,
        reasons=reasons,
    )


def _parts_of(polled: Polled) -> list[pl.DataFrame]:
    """The distinct rows in as many parts as keep memory small, each machine in one of them."""
    number = max(1, -(-polled.rows.height // ROWS_AT_ONCE))
    if number == 1:
        return [polled.distinct]
    machine = pl.col("machine").fill_null("").str.strip_chars()
    return polled.distinct.with_columns(part=machine.rank("dense") % number).partition_by("part", include_key=False)


def _added(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Numbers per poll, added up over the parts."""
    every = pl.concat([part.with_columns(pl.col("poll").cast(pl.UInt32)) for part in parts])
    return every.group_by("poll").agg(pl.exclude("poll").sum())


def build_facts(
    site: PoolSite,
    months: Sequence[date],
    raw: Mapping[date, Polled],
    extracted: Mapping[date, datetime],  # noqa: ARG001 - what a poll saw ends by the polls, whenever they were read
    only: Collection[str] | None = None,
) -> Facts:
    """The facts of some months; `only` says which fact assets are wanted."""
    return together(site.key, {month: month_facts(site.pool(), site.key, month, raw[month]) for month in months}, only)


def together(site: str, found: Mapping[date, MonthFacts], only: Collection[str] | None = None) -> Facts:
    """The facts of several months as the stage stores them."""
    wanted = set(METRICS_OF) | set(TABLE_OF) if only is None else set(only)
    metrics = [metric for name, metrics in METRICS_OF.items() if name in wanted for metric in metrics]
    is_wanted = pl.col("metric").is_in(metrics)
    accounts = [row for month, facts in found.items() for row in _accounts(site, month, facts, wanted)]
    return Facts(
        intervals=pl.concat([INTERVALS.empty(), *(facts.intervals.filter(is_wanted) for facts in found.values())]),
        rejects=pl.concat([REJECTS.empty(), *(facts.rejects.filter(is_wanted) for facts in found.values())]),
        accounts=pl.DataFrame(accounts, schema=ACCOUNTS.polars_schema, orient="row"),
        tables={
            name: pl.concat([table.empty(), *(facts.tables[name] for facts in found.values())])
            for name, table in TABLE_OF.items()
            if name in wanted
        },
    )


def _counted(machines: pl.Series, gpus: pl.DataFrame, counts: pl.Series) -> pl.DataFrame:
    """poll, machines and gpus: of each poll how many that count; `machines` and `counts` are by entity."""
    there = gpus.select("entity", "poll").filter(counts.gather(gpus["entity"]))
    gpus = there.group_by("poll").agg(gpus=pl.len().cast(pl.Int64))
    on = there.select("poll", machine=machines.gather(there["entity"])).unique()
    return gpus.join(on.group_by("poll").agg(machines=pl.len().cast(pl.Int64)), on="poll")


def _stored(table: Table, site: str, month: date, frame: pl.DataFrame) -> pl.DataFrame:
    with_keys = frame.with_columns(site=pl.lit(site), month=pl.lit(month, dtype=pl.Date))
    return with_keys.select(pl.col(name).cast(dtype) for name, dtype in table.polars_schema.items())


def _accounts(site: str, month: date, facts: MonthFacts, wanted: Collection[str]) -> list[tuple[object, ...]]:
    """Rows of serving.accounts: raw rows for `total`, GPUs poll by poll for the others."""
    counted = facts.runs.filter(pl.col("masked").is_null())
    hours = dict(facts.intervals.group_by("metric").agg(hours=_hours()).iter_rows())
    states = (pl.col("primary_state"), pl.col("backfill_state"))
    polls_of = {
        "available": [state.is_not_null() for state in states],
        "allocated": [state == "claimed" for state in states],
        "flagged": [pl.col("is_drained"), pl.col("is_refusing")],
    }
    out: list[tuple[object, ...]] = []
    for name, metrics in METRICS_OF.items():
        if name not in wanted:
            continue
        kept, rejected, reasons = sum(hours.get(metric, 0.0) for metric in metrics), 0.0, None
        if name == "total":
            rejected = facts.rejects.select(_hours()).item()
            rows = (facts.rows_kept + facts.rows_rejected, facts.rows_kept, facts.rows_rejected, 0)
            reasons = json.dumps(dict(sorted(facts.reasons.items())))  # a span of facts.rejects stands for many rows
        else:
            number = sum(int(counted.filter(of)["polls"].sum()) for of in polls_of[name])
            rows = (number, number, 0, 0)
        spans = (kept + rejected, kept, 0.0, rejected)
        out.append((site, month, f"htcondor/facts/{name}", gpu_intervals.SOURCE, *rows, *spans, None, reasons))
    return out


def _hours() -> pl.Expr:
    return (pl.col("end_at") - pl.col("start_at")).dt.total_microseconds().sum() / 3_600_000_000
