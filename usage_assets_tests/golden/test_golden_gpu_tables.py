"""Tables of random pools from raw rows on: plain loops over the rows of each poll give the same numbers."""

from datetime import timedelta
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from usage_assets.kinds.htcondor.pool import classes
from usage_assets.kinds.htcondor.tables import allocation, draining, performance, users
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.options import Options
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets_tests.golden import oracle_gpu
from usage_assets_tests.golden.pools import START, facts_of
from usage_assets_tests.golden.random_pool import POOL, pool_rows
from usage_assets_tests.properties import examples


@examples(80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(pool_rows(), st.integers(-20, 90), st.integers(1, 200))
def test_tables_of_raw_rows(rows: list[dict], begins: int, lasts: int) -> None:
    first = min((row["poll_at"] for row in rows), default=START) + timedelta(minutes=begins)
    window = Window(first, first + timedelta(minutes=lasts), POOL.timezone)
    made = facts_of(rows, POOL)
    facts = Facts.of(made.runs, made.polls, made.performance)
    cube = Cube.of(facts, POOL, window, Options(all_devices=True))
    weight = oracle_gpu.shares({row["poll_at"] for row in rows}, window.start, window.end, POOL.bucket_minutes)
    observed = sum(weight.values())
    intervals = len({(at - START) // timedelta(minutes=15) for at in weight})
    assert (cube.observed.count, cube.observed.intervals) == (len(weight), intervals)
    assert cube.observed.hours == pytest.approx(float(observed))

    available: dict[str, Fraction] = {}
    hours: dict[tuple[str, str], Fraction] = {}
    drained: dict[tuple[str, str], Fraction] = {}
    total = held = Fraction(0)
    for (at, machine, gpu), state in oracle_gpu.states(POOL, rows).items():
        if at not in weight or state["masked"] is not None:
            continue
        part = weight[at]
        total += part
        for side in ("primary", "backfill"):
            name = state[f"{side}_class"]
            if name is not None:
                available[name] = available.get(name, Fraction(0)) + part
            if state[f"{side}_state"] == "claimed":
                key = (state[f"{side}_user"], name)
                hours[key] = hours.get(key, Fraction(0)) + part
                held += part
        if state["is_drained"]:
            drained[machine, gpu] = drained.get((machine, gpu), Fraction(0)) + part

    table = {line["class"]: line for line in allocation.allocation_by_class(cube).frame.iter_rows(named=True)}
    for name in classes.CLASSES:
        found = table[name]
        mine = sum((part for (_, class_), part in hours.items() if class_ == name), Fraction(0))
        assert found["available_hours_observed"] == pytest.approx(float(available.get(name, 0)))
        assert found["gpu_hours_observed"] == pytest.approx(float(mine))
        if intervals:
            assert found["allocated_avg"] == pytest.approx(float(mine / observed))
    assert table["total"]["available_hours_observed"] == pytest.approx(float(total))
    assert table["total"]["gpu_hours_observed"] == pytest.approx(float(held))
    of_users = users.user_hours(cube).frame.filter(pl.col("class") != "total")
    assert {(line[0], line[1]): line[3] for line in of_users.iter_rows()} == pytest.approx(
        {key: float(part) for key, part in hours.items()}
    )
    episodes = draining.draining_episodes(cube).frame.group_by("machine", "gpu").agg(pl.col("hours_observed").sum())
    assert {(machine, gpu): value for machine, gpu, value in episodes.iter_rows()} == pytest.approx(
        {key: float(part) for key, part in drained.items()}
    )
    used: dict[str, tuple[int, float]] = {}
    for (at, _, _, name), (gpus, usage) in oracle_gpu.performance(POOL, rows).items():
        if at in weight:
            before = used.get(name, (0, 0.0))
            used[name] = (before[0] + gpus, before[1] + usage)
    means = performance.performance_usage(cube, facts.usage_in(window)).frame
    for line in means.filter(pl.col("class") != "total").iter_rows(named=True):
        records, usage = used.get(line["class"], (0, 0.0))
        assert line["records"] == records
        assert line["usage_percent"] == (pytest.approx(100 * usage / records) if records else None)
