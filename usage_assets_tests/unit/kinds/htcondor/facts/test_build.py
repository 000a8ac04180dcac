from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given
from polars.testing import assert_frame_equal

from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.kinds.htcondor.facts import build as build_module
from usage_assets.kinds.htcondor.facts.build import METRICS_OF, TABLE_OF, Facts, build_facts
from usage_assets.kinds.htcondor.facts.gpu_intervals import METRICS
from usage_assets.kinds.htcondor.facts.observed import stretches
from usage_assets.kinds.htcondor.facts.rows import COPIES, read_polled
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.schema.contract import violations
from usage_assets.warehouse import Reader
from usage_assets_tests.golden.pools import MONTH, at, facts_of, frame, polled_of, row
from usage_assets_tests.golden.random_pool import POOL, pool_rows
from usage_assets_tests.properties import examples

NOVEMBER = date(2025, 11, 1)


class Site:
    key = "pool"

    def pool(self) -> Pool:
        return POOL


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def stored(con: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> str:
    con.register("gpu_state", rows.with_columns(site=pl.lit("pool"), month=pl.lit(MONTH)).to_arrow())
    return "gpu_state"


def assert_same(left: Facts, right: Facts) -> None:
    for name in ("intervals", "rejects", "accounts"):
        assert_frame_equal(getattr(left, name), getattr(right, name), check_row_order=False, check_exact=True)
    for name in TABLE_OF:
        assert_frame_equal(left.tables[name], right.tables[name], check_row_order=False, check_exact=True)


@examples(60)
@given(pool_rows())
def test_what_is_read_from_a_table_is_what_a_frame_says(rows: list[dict]) -> None:
    with duckdb.connect() as opened:
        table = stored(opened, frame(rows))
        read = read_polled(Reader(opened), table, "pool", [MONTH])
    raw = {MONTH: polled_of(frame(rows))}
    assert_same(build_facts(Site(), [MONTH], read, {}), build_facts(Site(), [MONTH], raw, {}))


@examples(60)
@given(pool_rows())
def test_random_facts_keep_every_rule_of_their_tables(rows: list[dict]) -> None:
    found = build_facts(Site(), [MONTH], {MONTH: polled_of(frame(rows))}, {})
    tables = [*((TABLE_OF[name], made) for name, made in found.tables.items())]
    with duckdb.connect() as opened:
        for table, made in [*tables, (INTERVALS, found.intervals), (REJECTS, found.rejects)]:
            assert made.schema == table.polars_schema
            opened.register("made", made.to_arrow())
            assert not violations(opened, "made", table)


@examples(60)
@given(pool_rows())
def test_rows_and_hours_of_each_account_add_up(rows: list[dict]) -> None:
    found = build_facts(Site(), [MONTH], {MONTH: polled_of(frame(rows))}, {})
    hours = (pl.col("end_at") - pl.col("start_at")).dt.total_microseconds().sum() / 3_600_000_000
    for account in found.accounts.iter_rows(named=True):
        metrics = METRICS_OF[account["asset"].removeprefix("htcondor/facts/")]
        mine = pl.col("metric").is_in(metrics)
        assert account["rows_in"] == account["rows_kept"] + account["rows_rejected"]
        assert account["hours_in"] == account["hours_kept"] + account["hours_rejected"]
        assert account["hours_kept"] == pytest.approx(found.intervals.filter(mine).select(hours).item())
        assert account["hours_rejected"] == pytest.approx(found.rejects.filter(mine).select(hours).item())


@examples(60)
@given(pool_rows())
def test_machines_apart_give_the_facts_of_all_together(rows: list[dict]) -> None:
    raw = {MONTH: polled_of(frame(rows))}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(build_module, "ROWS_AT_ONCE", 3)
        apart = build_facts(Site(), [MONTH], raw, {})
    assert_same(apart, build_facts(Site(), [MONTH], raw, {}))


def test_months_in_any_order_and_at_once_give_equal_facts() -> None:
    october = [row(minutes, "slot1@h1", "CUDA0") for minutes in (0, 15, 31 * 24 * 60 - 5)]
    november = [row(0, "slot1@h1", "CUDA0") | {"poll_at": datetime(2025, 11, 1, 0, 10)}]
    raw = {MONTH: polled_of(frame(october)), NOVEMBER: polled_of(frame(november))}
    both = build_facts(Site(), [MONTH, NOVEMBER], raw, {})
    assert_same(both, build_facts(Site(), [NOVEMBER, MONTH], raw, {}))
    one, other = (build_facts(Site(), [month], raw, {}) for month in (MONTH, NOVEMBER))
    assert_frame_equal(both.intervals, pl.concat([one.intervals, other.intervals]))
    ends = both.intervals.filter(metric="total")["end_at"].to_list()
    assert ends == [at(30), datetime(2025, 11, 1), datetime(2025, 11, 1, 0, 25)]


def test_only_what_is_wanted_is_given() -> None:
    raw = {MONTH: polled_of(frame([row(0, "slot1_1@h1", "CUDA0", "Claimed")]))}
    found = build_facts(Site(), [MONTH], raw, {}, ["allocated", "gpu_runs"])
    assert set(found.tables) == {"gpu_runs"}
    assert set(found.intervals["metric"]) == {"allocated_prioritized_hosted"}
    assert found.accounts["asset"].to_list() == ["htcondor/facts/allocated"]


def test_every_metric_has_one_owner() -> None:
    assert sorted(metric for metrics in METRICS_OF.values() for metric in metrics) == sorted(METRICS)


def test_copies_at_the_source_are_counted(con: duckdb.DuckDBPyConnection) -> None:
    rows = frame([row(0, "slot1@h1", "CUDA0"), row(0, "slot1@h1", "CUDA1")])
    rows = rows.with_columns(pl.Series(COPIES, [3, 1]))
    read = read_polled(Reader(con), stored(con, rows), "pool", [MONTH], copies=True)[MONTH]
    found = build_facts(Site(), [MONTH], {MONTH: read}, {}).tables["gpu_polls"]
    assert found.select("rows", "duplicates", "gpus").rows() == [(4, 2, 2)]
    assert_frame_equal(found, build_facts(Site(), [MONTH], {MONTH: polled_of(rows)}, {}).tables["gpu_polls"])


def test_polls_after_an_instant_are_read_alone(con: duckdb.DuckDBPyConnection) -> None:
    rows = frame([row(minutes, "slot1@h1", "CUDA0") for minutes in (0, 15, 30)])
    read = read_polled(Reader(con), stored(con, rows), "pool", [MONTH], after=at(15))[MONTH]
    assert read.polls["poll_at"].to_list() == [at(30)]
    assert read.rows.height == 1


@examples(60)
@given(pool_rows())
def test_gpus_are_there_only_while_the_pool_was_seen(rows: list[dict]) -> None:
    facts = facts_of(rows, POOL)
    seen = stretches(POOL, facts.polls)
    reach = sum(((end - start) for _, start, end in seen.rows()), timedelta())
    polls = facts.polls.height
    assert seen.height == 1 + facts.polls.filter(pl.col("missed") > 0).height
    assert reach <= polls * timedelta(minutes=1.5 * POOL.poll_minutes)
    for start, end in facts.intervals.select("start_at", "end_at").iter_rows():
        assert seen.filter(pl.col("start_at") <= start, pl.col("end_at") >= end).height == 1


def test_a_machine_may_be_called_interactive() -> None:
    rows = [row(0, "slot1@interactive", "CUDA0"), row(0, "interactive1@h9", "CUDA0")]
    assert facts_of(rows).runs.select("machine", "primary_class").rows() == [
        ("h9", "interactive"),
        ("interactive", "open"),
    ]
