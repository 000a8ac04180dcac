"""Raw rows of a pool through the stages that all kinds share: facts, timelines, and what their checks find."""

from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from usage_assets.checks import facts as of_facts
from usage_assets.checks import usage as of_usage
from usage_assets.core.months import Window
from usage_assets.facts.assets import fact_assets
from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.kinds import HTCONDOR
from usage_assets.kinds.htcondor.facts import build as build_module
from usage_assets.kinds.htcondor.facts.gpu_intervals import METRICS
from usage_assets.kinds.htcondor.facts.rows import Polled
from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE, GPU_POLLS, GPU_RUNS
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.raw.tables import GPU_STATE
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.orchestration.build import build_assets
from usage_assets.specs.finding import GOOD
from usage_assets.timelines.assets import usage_assets
from usage_assets.timelines.tables import USAGE, USAGE_STEPS
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import ACCOUNTS, DUMPS, GATES, MADE_OF
from usage_assets.warehouse.readiness import extracted_at
from usage_assets_tests.golden.pools import frame, row

OCT, NOV = date(2025, 10, 1), date(2025, 11, 1)
WINDOW = Window("pool", (OCT, NOV))
RAW, KIND = GPU_STATE.table, HTCONDOR
SITE = HTCondorSite.model_validate(
    {"key": "pool", "name": "Pool", "kind": "htcondor", "snapshots": "x", "masked": {"h3": "moved"}, "hosted": ["h1"]}
)
LAST = datetime(2025, 11, 2, 11, 45)


def rows() -> list[dict]:
    """A month with an outage of a day and a half, and the beginning of the next one."""
    out = []
    poll = datetime(2025, 10, 30)
    while poll <= LAST:
        if not datetime(2025, 10, 30, 12) < poll < datetime(2025, 11, 1, 0, 10):
            claimed = "Claimed" if poll.hour % 2 else "Unclaimed"
            for number in range(2):
                out.append(row(0, f"slot1_{number}@h1", f"CUDA{number}", claimed, average_usage=0.5))
                out.append(row(0, "backfill2@h1", f"CUDA{number}"))
                out.append(row(0, "slot1@h3", f"CUDA{number}"))
            out.append(row(0, "slot1@h2", None))
            for each in out[-7:]:
                each |= {"poll_at": poll, "local_at": poll}
        poll += timedelta(minutes=15)
    return out


def held(found: list[dict], at: datetime = LAST) -> pl.DataFrame:
    """The rows as the raw stage has them, read at an instant."""
    columns = {name: pl.lit(None, dtype=dtype) for name, dtype in RAW.polars_schema.items()}
    known = {
        "site": pl.lit("pool"),
        "month": pl.col("poll_at").dt.date().dt.month_start(),
        "copies": pl.lit(1, dtype=pl.Int64),
        "is_context": pl.lit(value=False),
        **{name: pl.lit(at, dtype=pl.Datetime("us")) for name in ("extracted_at", "seen_from")},
    }
    rows = frame(found)
    return rows.with_columns(**{name: columns[name] for name in columns if name not in rows.columns} | known).select(
        RAW.names
    )


def store(found: Warehouse, rows: pl.DataFrame) -> None:
    with found.write("rows") as writer:
        writer.replace(RAW, rows, site="pool", months=WINDOW.months, asset="htcondor/raw/gpu_state", run_id="r")
        writer.ensure(DUMPS)
        writer.delete(DUMPS, site="pool", months=WINDOW.months)
        for month in WINDOW.months:
            dump = {name: 0 for name in DUMPS.names if DUMPS.polars_schema[name] == pl.Int64()} | {
                "site": "pool", "month": month, "table_name": "gpu_state", "extracted_at": LAST}  # fmt: skip
            writer.put(DUMPS, pl.DataFrame([dump], schema=DUMPS.polars_schema))


def build(found: Warehouse, window: Window = WINDOW, run_id: str = "r") -> None:
    build_assets(KIND, SITE, window, found, fact_assets(KIND), run_id=run_id)


def facts_in(found: Warehouse) -> dict[str, pl.DataFrame]:
    tables = (GPU_POLLS, GPU_RUNS, GPU_PERFORMANCE, INTERVALS, REJECTS, ACCOUNTS)
    with found.read() as reader:
        frames = {table.name: reader.frame(table, "pool") for table in tables}
    return {name: frame.sort(frame.columns) for name, frame in frames.items()}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    found = Warehouse(tmp_path / "warehouse.duckdb")
    store(found, held(rows()))
    build(found)
    build_assets(KIND, SITE, WINDOW, found, usage_assets(KIND), run_id="r")
    return found


def test_every_table_is_written_and_checks_pass(warehouse: Warehouse) -> None:
    with warehouse.read() as reader:
        for table in (GPU_POLLS, GPU_RUNS, GPU_PERFORMANCE, INTERVALS, REJECTS, ACCOUNTS, USAGE, USAGE_STEPS):
            assert set(reader.frame(table, "pool")["month"]) == {OCT, NOV}, table.name
        for fact in KIND.facts:
            if fact.metrics:
                found = of_facts.conservation(KIND.asset("facts", fact.name), fact, reader, SITE, WINDOW)
                assert found == dict.fromkeys(WINDOW.months, GOOD), fact.name
        conserved = of_usage.conservation(reader, SITE, WINDOW)
        assert all(finding.passed for finding in conserved.values()), conserved
        assert conserved[OCT].figures == {"series": len(METRICS), "series_unknown": 0}
        assert extracted_at(reader, SITE, WINDOW.months, KIND.tables_of(SITE)) == {OCT: LAST, NOV: LAST}
        buckets = of_usage.buckets(KIND, KIND.asset("timelines", "usage"), reader, SITE, WINDOW)
        assert all(finding.passed for finding in buckets.values()), buckets
        steps = of_usage.month_starts(KIND.asset("timelines", "usage_steps"), reader, SITE, WINDOW)
        assert all(found.passed for found in steps.values()), steps
        assert all(found.passed for found in of_usage.base_not_negative(reader, SITE, WINDOW).values())


def test_days_without_polls_are_unknown_and_the_others_observed(warehouse: Warehouse) -> None:
    with warehouse.read() as reader:
        usage = reader.frame(USAGE, "pool", where="resource = 'gpus'").sort("timestamp")
    assert set(usage["node_type"]) == {"A100 80GB"}

    def of(metric: str) -> dict[date, tuple]:
        one = usage.filter(pl.col("metric") == metric)
        return {at.date(): (value, hours) for at, value, hours in one.select("timestamp", "value", "hours").rows()}

    assert of("total")[date(2025, 10, 30)] == (pytest.approx(2.0), 2 * 12.25)
    assert of("occupied")[date(2025, 10, 30)][1] == 2 * 6.0
    assert of("available_backfill_hosted")[date(2025, 10, 30)][1] == 2 * 6.25
    assert of("total")[date(2025, 10, 31)] == (None, None)
    assert of("total")[date(2025, 11, 2)] == (pytest.approx(2.0), 2 * 12.0)
    coverage = {day: value for day, (value, _) in of("coverage").items()}
    assert coverage[date(2025, 10, 30)] == pytest.approx(12.25 / 24)
    assert coverage[date(2025, 10, 31)] == 0.0
    assert coverage[date(2025, 11, 1)] == pytest.approx(23.75 / 24)
    assert coverage[date(2025, 11, 2)] == 1.0  # as far as the month is known yet


def test_months_apart_are_the_months_together(warehouse: Warehouse) -> None:
    before = facts_in(warehouse)
    for month in (NOV, OCT):
        build(warehouse, Window("pool", (month,)), "r2")
    for name, found in facts_in(warehouse).items():
        assert_frame_equal(found, before[name])


def whole_builds(monkeypatch: pytest.MonkeyPatch) -> list[date]:
    """The months that are built whole from now on."""
    seen: list[date] = []
    make = build_module.month_facts

    def noted(pool: Pool, site: str, month: date, polled: Polled) -> build_module.MonthFacts:
        seen.append(month)
        return make(pool, site, month, polled)

    monkeypatch.setattr(build_module, "month_facts", noted)
    return seen


@pytest.mark.parametrize("polls", [1, 5, 60])
def test_later_polls_are_added_to_the_stored_month(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, polls: int
) -> None:
    every = sorted({one["poll_at"] for one in rows()})
    cut = every[-polls]
    first = held([one for one in rows() if one["poll_at"] < cut])
    later = held([one for one in rows() if one["poll_at"] >= cut], LAST + timedelta(minutes=1))
    other = Warehouse(tmp_path / "other.duckdb")
    store(other, first)
    build(other)
    store(other, pl.concat([first, later]))
    seen = whole_builds(monkeypatch)
    build(other, Window("pool", (NOV,)))
    assert not seen
    wanted = facts_in(warehouse)
    for name, made in facts_in(other).items():
        assert_frame_equal(made, wanted[name])
    with other.read() as reader:
        gates = reader.frame(GATES, "pool", [NOV])
        assert gates["ok"].all()
        for fact in KIND.facts:
            if fact.metrics:
                assert of_facts.conservation(
                    KIND.asset("facts", fact.name), fact, reader, SITE, Window("pool", (NOV,))
                )[NOV].passed


def test_a_month_is_built_whole_where_its_old_rows_or_the_rules_changed(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = whole_builds(monkeypatch)
    build(warehouse)
    assert seen == [OCT, NOV]  # nothing came: there is nothing to add
    later = LAST + timedelta(minutes=15)
    more = held([row(0, "slot1_0@h1", "CUDA0", "Claimed") | {"poll_at": later, "local_at": later}], later)
    store(warehouse, pl.concat([held(rows()), more]))
    build(warehouse, Window("pool", (NOV,)))
    assert seen == [OCT, NOV]
    changed = held(rows()).with_columns(
        seen_from=pl.when(pl.col("poll_at") == datetime(2025, 11, 2)).then(later).otherwise("seen_from")
    )
    again = held([row(0, "slot1_0@h1", "CUDA0") | {"poll_at": later + timedelta(minutes=15)}], later)
    store(warehouse, pl.concat([changed, more, again]).with_columns(pl.col("local_at").fill_null(later)))
    build(warehouse, Window("pool", (NOV,)))
    assert seen == [OCT, NOV, NOV]


def test_other_rules_ask_for_the_whole_month(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    later = LAST + timedelta(minutes=15)
    more = held([row(0, "slot1_0@h1", "CUDA0") | {"poll_at": later, "local_at": later}], later)
    store(warehouse, pl.concat([held(rows()), more]))
    seen = whole_builds(monkeypatch)
    other = SITE.model_copy(update={"hosted": ()})
    build_assets(KIND, other, Window("pool", (NOV,)), warehouse, fact_assets(KIND), run_id="r")
    assert seen == [NOV]
    assert "available_open" in set(facts_in(warehouse)["intervals"].filter(month=NOV)["metric"])


def test_some_of_the_facts_alone_leave_no_mark(warehouse: Warehouse) -> None:
    with warehouse.read() as reader:
        assert reader.frame(MADE_OF, "pool")["asset"].to_list() == ["htcondor/facts"] * 2
    build_assets(KIND, SITE, WINDOW, warehouse, fact_assets(KIND)[:1], run_id="r")
    with warehouse.read() as reader:
        assert reader.frame(MADE_OF, "pool").is_empty()
