"""The facts of random pools against the oracle's loops."""

from datetime import datetime

import polars as pl
import pytest
from hypothesis import given

from usage_assets.kinds.htcondor.facts.build import MonthFacts
from usage_assets_tests.golden import oracle_gpu as oracle
from usage_assets_tests.golden.pools import facts_of
from usage_assets_tests.golden.random_pool import POOL, pool_rows
from usage_assets_tests.properties import examples

END = datetime(2025, 11, 1)
STATE = (
    *(f"{kind}_{name}" for kind in ("primary", "backfill") for name in ("state", "class", "user", "job")),
    "is_drained",
    "is_refusing",
    "reason",
    "device",
    "memory_mb",
    "masked",
)


def runs_of(facts: MonthFacts) -> set:
    return {
        (one["machine"], one["gpu"], one["start_at"], one["end_at"], one["polls"],
         tuple(sorted((name, one[name]) for name in STATE)))
        for one in facts.runs.iter_rows(named=True)
    }  # fmt: skip


@examples(300)
@given(pool_rows())
def test_facts_are_those_of_the_oracle(rows: list[dict]) -> None:
    facts = facts_of(rows, POOL)
    assert runs_of(facts) == oracle.runs(POOL, rows, END)
    spans = facts.intervals.select("metric", "entity_id", "start_at", "end_at", "node_type", "user_id")
    assert set(spans.rows()) == oracle.intervals(POOL, rows, END, POOL.display_name)
    assert spans.height == spans.unique().height
    polls = facts.polls.select("poll_at", "rows", "duplicates", "machines", "gpus", "missed", "is_repeated")
    assert {at: tuple(rest) for at, *rest in polls.rows()} == oracle.polls(POOL, rows)
    used = facts.performance.select("poll_at", "machine", "device", "class", "gpus", "usage").rows()
    wanted = oracle.performance(POOL, rows)
    assert {tuple(key): gpus for *key, gpus, _ in used} == {key: gpus for key, (gpus, _) in wanted.items()}
    for *key, _, usage in used:
        assert usage == pytest.approx(wanted[tuple(key)][1], abs=1e-8)


@examples(100)
@given(pool_rows())
def test_rows_and_hours_are_conserved(rows: list[dict]) -> None:
    facts = facts_of(rows, POOL)
    assert facts.rows_kept + facts.rows_rejected == len(rows)
    wanted = oracle.rejects(POOL, rows, END)
    doubles = {"duplicate": len(rows) - len(oracle.once(rows))}
    wanted_rows = doubles | {reason: count for reason, (count, _) in wanted.items()}
    assert facts.reasons == {reason: count for reason, count in wanted_rows.items() if count}
    spans = facts.rejects.with_columns(hours=(pl.col("end_at") - pl.col("start_at")).dt.total_seconds(fractional=True))
    found = dict(spans.group_by("reason").agg(pl.col("hours").sum() / 3600).iter_rows())
    assert found == pytest.approx({reason: hours for reason, (_, hours) in wanted.items() if hours})
