"""Facts read from the warehouse, reduced on the way, give the same tables as the frames themselves."""

from datetime import date, datetime, timedelta

import pytest

from usage_assets.core.errors import UsageError
from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE, GPU_POLLS, GPU_RUNS
from usage_assets.kinds.htcondor.tables import moment, reading
from usage_assets.kinds.htcondor.tables.analyse import all_tables, default_window
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.htcondor.tables.made import (
    HOSTED,
    OPEN,
    MadePool,
    States,
    claimed,
    drained,
    every,
    idle,
    lent,
)

START = datetime(2026, 3, 31, 12)


@pytest.fixture
def made() -> MadePool:
    polls = every(15, 24, START)
    gpus: States = {
        ("m", "0"): [claimed("ann"), lent(idle()), idle(), drained()] * 24,
        ("m", "1"): [claimed("Unknown", HOSTED, device=None, memory_mb=None)] * 90 + [None] * 6,
        ("n", "0"): [idle(masked="x")] * 96,
        ("n", "1"): [idle(is_refusing=True, reason="fan", device="NVIDIA A40"), lent(idle(device="NVIDIA H200"))] * 48,
    }
    usage = [(at, "m", None, OPEN, 1, 0.25) for at in polls]
    return MadePool(polls, gpus, performance=usage)


@pytest.fixture
def stored(made: MadePool, warehouse: Warehouse) -> Warehouse:
    frames = {GPU_RUNS: made.runs, GPU_POLLS: made.poll_rows, GPU_PERFORMANCE: made.performance_rows}
    with warehouse.write("test") as writer:
        for table, rows in frames.items():
            months = [date(2026, 3, 1), date(2026, 4, 1)]
            written = writer.replace(table, rows, site="p", months=months, asset=f"k/facts/{table.name}", run_id="r")
            assert not written.refused
    return warehouse


@pytest.mark.parametrize(
    "window",
    [
        Window(START, START + timedelta(hours=24)),
        Window(START + timedelta(hours=7), START + timedelta(hours=20, minutes=7)),
    ],
)
def test_tables_are_the_same(made: MadePool, stored: Warehouse, window: Window):
    with stored.read() as reader:
        facts = reading.read_facts(reader, "p", window)
        assert reading.newest_poll(reader, "p") == made.polls[-1]
    mine, theirs = made.facts, made.pool
    found = all_tables(facts, Cube.of(facts, theirs, window))
    for name, result in all_tables(mine, Cube.of(mine, theirs, window)).items():
        assert found[name].frame.equals(result.frame), name
        assert found[name].metadata == result.metadata


def test_facts_of_one_window_answer_for_no_other(made: MadePool, stored: Warehouse):
    window = Window(START, START + timedelta(hours=6))
    with stored.read() as reader:
        facts = reading.read_facts(reader, "p", window)
    with pytest.raises(UsageError, match="read for another window"):
        Cube.of(facts, made.pool, Window(START, START + timedelta(hours=7)))


def test_a_moment_is_that_of_the_frames(made: MadePool, stored: Warehouse):
    at = START + timedelta(hours=3, minutes=22)
    with stored.read() as reader:
        facts = reading.read_moment(reader, "p", at)
    found = moment.analyse_model(facts, made.pool, "L40S", at)
    wanted = moment.analyse_model(made.facts, made.pool, "L40S", at)
    assert found.poll_at == wanted.poll_at
    for name, frame in wanted.tables.items():
        assert found.tables[name].equals(frame), name


def test_a_pool_without_polls_says_what_to_do(warehouse: Warehouse, made: MadePool):
    with warehouse.read() as reader, pytest.raises(UsageError, match="has no polls yet"):
        reading.newest_poll(reader, "p")
    with warehouse.read() as reader:
        facts = reading.read_facts(reader, "p", made.window)
    assert Cube.of(facts, made.pool, made.window).observed.count == 0
    with pytest.raises(UsageError, match="has no poll"):
        default_window(facts, made.pool)


def test_the_default_window_ends_with_the_newest_poll_which_is_not_in_it(made: MadePool):
    window = default_window(made.facts, made.pool, 2)
    assert (window.end, window.hours) == (made.polls[-1], 2)
    assert isinstance(made.facts, Facts)
    assert made.cube(window).observed.count == 8
