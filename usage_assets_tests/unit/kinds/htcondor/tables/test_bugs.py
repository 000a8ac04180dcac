"""Hand-worked cases, one per known fault of older reports of such pools: each number can be checked on paper."""

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.tables import allocation, draining, hosts, performance, series, users
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets_tests.unit.kinds.htcondor.tables.made import (
    DAY,
    HOSTED,
    OPEN,
    RESEARCHER,
    MadePool,
    States,
    claimed,
    drained,
    every,
    idle,
    lent,
    other,
    row,
)

HOUR = timedelta(hours=1)


def classes(made: MadePool, window: Window | None = None, **options):
    frame = allocation.allocation_by_class(made.cube(window, **options)).frame
    return {line["class"]: line for line in frame.iter_rows(named=True)}


def test_two_polls_in_a_bucket_count_as_their_mean():
    """B1: a GPU held in one of the three polls of every bucket is held for a third of the time."""
    polls = every(5, 1)
    made = MadePool(polls, {("m", "0"): [claimed(), idle(), idle()] * 4}, Pool(poll_minutes=5))
    found = classes(made)[OPEN]
    assert found["allocated_avg"] == pytest.approx(1 / 3, abs=1e-15)
    assert (found["available_avg"], found["allocated_percent"]) == (1, pytest.approx(100 / 3))
    assert found["gpu_hours_observed"] == pytest.approx(1 / 3, abs=1e-15)


def test_a_bucket_with_more_polls_weighs_no_more_than_one_with_fewer():
    polls = [DAY, DAY + timedelta(minutes=15), DAY + timedelta(minutes=20), DAY + timedelta(minutes=25)]
    made = MadePool(polls, {("m", "0"): [claimed(), idle(), idle(), idle()]})
    assert classes(made)[OPEN]["allocated_avg"] == 0.5


def test_user_hours_denominator_is_the_pools_own_buckets():
    """B2: a machine that was there half of the day gives half a day of hours, whatever the window."""
    polls = every(15, 24)
    half = [claimed("ann", device="NVIDIA H200")] * 48 + [None] * 48
    made = MadePool(polls, {("m", "0"): half, ("n", "0"): [idle()] * 96})
    total = row(users.model_users(made.cube()).frame, user="ann", **{"class": "total"})
    assert (total["gpu_hours_observed"], total["gpu_hours_estimated"]) == (12, 12)
    assert classes(made)[OPEN]["allocated_avg"] == 0.5


def test_gap_is_not_idle_and_not_busy():
    """B2: of a window of 24 hours 6 were seen, all of them busy; hours are told twice, seen and estimated."""
    polls = every(15, 6)
    made = MadePool(polls, {("m", "0"): [claimed("ann", device="NVIDIA H200")] * 24})
    window = Window(DAY, DAY + timedelta(days=1))
    result = users.model_users(made.cube(window))
    total = row(result.frame, user="ann", **{"class": "total"})
    assert (total["gpu_hours_observed"], total["gpu_hours_estimated"]) == (6, 24)
    assert (result.metadata.intervals, result.metadata.expected, result.metadata.coverage) == (24, 96, 0.25)
    assert classes(made, window)[OPEN]["allocated_percent"] == 100


def test_a_window_that_no_poll_saw_is_unknown():
    made = MadePool(every(15, 1), {("m", "0"): [claimed()] * 4})
    window = Window(DAY + 5 * HOUR, DAY + 6 * HOUR)
    found = classes(made, window)["total"]
    assert (found["allocated_avg"], found["available_avg"], found["allocated_percent"]) == (None, None, None)
    assert (found["gpu_hours_observed"], found["gpu_hours_estimated"]) == (0, None)


def test_ids_are_unique_per_machine_only():
    """B3: CUDA0 of two machines is two GPUs."""
    made = MadePool(every(15, 1), {("a", "CUDA0"): [claimed()] * 4, ("b", "CUDA0"): [idle()] * 4})
    assert row(allocation.cluster_totals(made.cube()).frame)["available_avg"] == 2
    assert hosts.host_table(made.cube()).frame["gpus"].to_list() == [1, 1]


def test_a_mask_is_a_name():
    """B4: gpulab2003 masks gpulab2003 only; polls stay, host and reason are shown."""
    gpus: States = {
        ("gpulab2003.x.edu", "0"): [claimed(masked="testing")] * 4,
        ("gpulab20031.x.edu", "0"): [claimed()] * 4,
    }
    made = MadePool(every(15, 1), gpus, Pool(masked={"gpulab2003": "testing", "gone": "sold"}))
    cube = made.cube()
    assert row(allocation.cluster_totals(cube).frame)["available_avg"] == 1
    assert cube.metadata().masked_hosts == {"gpulab2003.x.edu": "testing"}
    shown = hosts.excluded_hosts(cube).frame
    assert shown.select("machine", "reason", "is_seen").rows() == [
        ("gone", "sold", False),
        ("gpulab2003.x.edu", "testing", True),
    ]
    marked = hosts.host_table(cube).frame
    assert marked.select("machine", "is_masked").rows() == [("gpulab2003.x.edu", True), ("gpulab20031.x.edu", False)]


def test_a_poll_at_which_all_machines_were_masked_is_a_poll():
    made = MadePool(every(15, 1), {("m", "0"): [claimed(), claimed(), claimed(masked="x"), claimed(masked="x")]})
    assert classes(made)[OPEN]["allocated_avg"] == 0.5


def test_backfill_offers_what_no_primary_job_holds():
    """B5: four hosted GPUs, two held by primary jobs, one lent: backfill is 1 of 2."""
    gpus: States = {
        ("m", "0"): [claimed(class_=HOSTED)] * 4,
        ("m", "1"): [claimed(class_=HOSTED)] * 4,
        ("m", "2"): [lent(idle(HOSTED), "bob", "backfill_hosted")] * 4,
        ("m", "3"): [lent(idle(HOSTED), None, "backfill_hosted")] * 4,
    }
    found = classes(MadePool(every(15, 1), gpus))
    assert found["backfill_hosted"]["allocated_percent"] == 50
    assert found[HOSTED]["allocated_percent"] == 50
    assert (found["total"]["allocated_avg"], found["total"]["available_avg"]) == (3, 4)


def test_backfill_on_open_capacity_is_a_class():
    """B6: its hours are somebody's."""
    made = MadePool(every(15, 1), {("m", "0"): [lent(idle(), "bob", "backfill_open")] * 4})
    assert classes(made)["backfill_open"]["gpu_hours_observed"] == 1
    assert classes(made, classes="legacy")["Backfill"]["gpu_hours_observed"] == 1
    assert users.backfill_users(made.cube()).frame["gpu_hours_observed"].to_list() == [1, 1]


def test_drained_and_owner_gpus_are_available_in_every_table():
    """B7: one definition: class and device tables say 1 of 4."""
    gpus: States = {("m", str(n)): [state] * 4 for n, state in enumerate([claimed(), idle(), drained(), other()])}
    made = MadePool(every(15, 1), gpus)
    found = classes(made)[OPEN]
    assert (found["allocated_percent"], found["drained_avg"], found["drained_percent"]) == (25, 1, 25)
    device = row(allocation.allocation_by_device(made.cube()).frame, **{"class": OPEN, "device": "L40S"})
    assert (device["allocated_percent"], device["drained_percent"]) == (25, 25)


def test_an_idle_primary_gpu_that_backfill_uses_stays_in_its_class():
    """B8: available and not allocated in its primary class, allocated in backfill, in no other class."""
    made = MadePool(every(15, 1), {("m", "0"): [lent(idle(RESEARCHER), "bob", "backfill_researcher")] * 4})
    found = classes(made)
    assert (found[RESEARCHER]["allocated_avg"], found[RESEARCHER]["available_avg"]) == (0, 1)
    assert found["backfill_researcher"]["allocated_avg"] == 1
    assert (found[OPEN]["available_avg"], found["total"]["available_avg"]) == (0, 1)
    bucket = row(series.time_series(made.cube()).frame, bucket_at=DAY, **{"class": OPEN})
    assert (bucket["allocated_avg"], bucket["available_avg"]) == (0, 0)


def test_tables_depend_on_their_options_and_not_on_what_was_asked_before():
    """B9: a host filter after an unfiltered call is a host filter."""
    made = MadePool(every(15, 1), {("a", "0"): [claimed()] * 4, ("b", "0"): [idle()] * 4})
    facts = made.facts
    everything = allocation.cluster_totals(made.cube()).frame
    one = allocation.cluster_totals(
        type(made.cube()).of(facts, made.pool, made.window, made.cube(hosts=("a",)).options)
    )
    assert row(everything)["available_avg"] == 2
    assert row(one.frame)["available_avg"] == 1


def test_a_window_across_a_months_edge_is_whole():
    """B10: runs are cut at the month's edge; hours are not."""
    polls = every(15, 48, datetime(2026, 3, 31))
    made = MadePool(polls, {("m", "0"): [claimed()] * len(polls)})
    assert made.runs.height == 2
    found = classes(made, Window(datetime(2026, 3, 31, 12), datetime(2026, 4, 1, 12)))[OPEN]
    assert (found["gpu_hours_observed"], found["allocated_avg"]) == (24, 1)


def test_instants_are_exact_to_the_microsecond():
    """B11: the newest poll is within a window that ends a microsecond later, and stands for its bucket up to there."""
    polls = [at + timedelta(microseconds=999_999) for at in every(15, 1)]
    made = MadePool(polls, {("m", "0"): [idle(), idle(), idle(), claimed()]})
    just = Window(polls[0], polls[-1] + timedelta(microseconds=1))
    assert classes(made, just)[OPEN]["gpu_hours_observed"] == pytest.approx(1 / 3600)
    assert made.cube(just).observed.hours == pytest.approx(0.75, abs=1e-9)
    assert classes(made, Window(polls[0], polls[-1]))[OPEN]["allocated_avg"] == 0


def test_memory_and_device_tables_have_one_filter():
    """B12: a filtered family is in neither, and listed; all devices lifts it in both."""
    gpus: States = {
        ("m", "0"): [claimed(device="NVIDIA A40", memory_mb=46_068)] * 4,
        ("m", "1"): [claimed(device="NVIDIA L40S", memory_mb=46_068)] * 4,
    }
    made = MadePool(every(15, 1), gpus)
    result = allocation.allocation_by_memory(made.cube())
    assert row(result.frame, band="48GB")["available_avg"] == 1
    assert result.metadata.filtered_families == Pool().filtered
    assert result.metadata.filtered_devices == ("A40",)
    devices = allocation.allocation_by_device(made.cube()).frame
    assert row(devices, **{"class": OPEN, "device": "total"})["available_avg"] == 1
    for table in (allocation.allocation_by_memory, allocation.allocation_by_device):
        lifted = table(made.cube(all_devices=True))
        assert lifted.frame["available_avg"].max() == 2
        assert lifted.metadata.filtered_families == ()


def test_bands_are_divided_by_the_buckets_of_the_pool():
    """B13: an unknown size that one of four buckets saw is a quarter of a GPU."""
    unknown = idle(memory_mb=None)
    made = MadePool(every(15, 1), {("m", "0"): [unknown, None, None, None], ("m", "1"): [idle()] * 4})
    assert row(allocation.allocation_by_memory(made.cube()).frame, band="Unknown")["available_avg"] == 0.25


def test_usage_is_that_of_one_gpu():
    """B14: a slot of two GPUs at 1.0 in all and one GPU at 0.8: 60 percent."""
    polls = every(15, 1)
    sums = [(at, "m", "NVIDIA L40S", OPEN, 2, 1.0) for at in polls]
    sums += [(at, "n", "NVIDIA L40S", OPEN, 1, 0.8) for at in polls]
    gpus: States = {("m", "0"): [claimed()] * 4, ("m", "1"): [claimed()] * 4, ("n", "0"): [claimed()] * 4}
    made = MadePool(polls, gpus, performance=sums)
    cube = made.cube()
    table = performance.performance_usage(cube, made.facts.usage_in(made.window)).frame
    found = row(table, **{"class": OPEN})
    assert found["usage_percent"] == pytest.approx(60)
    assert (found["records"], found["gpus"]) == (12, 3)
    assert row(table, **{"class": HOSTED})["usage_percent"] is None


@pytest.mark.parametrize("user", [None, "", "Unknown"])
def test_hours_of_nobody_are_of_unknown(user):
    """B15: a claimed GPU whose owner nothing tells keeps its hours."""
    gpus: States = {("m", "0"): [claimed(device="NVIDIA H200").with_(primary_user=user)] * 4}
    table = users.model_users(MadePool(every(15, 1), gpus).cube()).frame
    assert set(table["user"]) == {"Unknown"}
    assert table["gpu_hours_observed"].to_list() == [1, 1]


def test_a_machine_that_changes_its_owner_changes_its_class_then():
    """B20: hours go to the class of the poll."""
    made = MadePool(
        every(15, 4),
        {("m", "0"): [lent(idle(), "bob", c) for c in ("backfill_researcher", "backfill_open") for _ in range(8)]},
    )
    found = classes(made)
    assert (found["backfill_researcher"]["gpu_hours_observed"], found["backfill_open"]["gpu_hours_observed"]) == (2, 2)


def test_window_half_open():
    """B21: a poll exactly at the end is in the next window; a day holds 96 intervals, never 97."""
    polls = every(15, 25)
    made = MadePool(polls, {("m", "0"): [idle()] * 96 + [claimed()] * 4})
    cube = made.cube(Window(DAY, DAY + timedelta(days=1)))
    assert (cube.observed.intervals, cube.observed.expected) == (96, 96)
    assert row(allocation.cluster_totals(cube).frame)["allocated_avg"] == 0
    after = made.cube(Window(DAY + timedelta(days=1), DAY + timedelta(days=1, hours=1)))
    assert row(allocation.cluster_totals(after).frame)["allocated_avg"] == 1


def test_unknown_device_is_kept():
    """B22: tables by device and by memory add up to the same."""
    made = MadePool(every(15, 1), {("m", "0"): [claimed(device=None, memory_mb=None)] * 4, ("m", "1"): [idle()] * 4})
    devices = allocation.allocation_by_device(made.cube()).frame
    assert row(devices, **{"class": OPEN, "device": "Unknown"})["allocated_avg"] == 1
    memory = allocation.allocation_by_memory(made.cube()).frame
    total = row(devices, **{"class": OPEN, "device": "total"})
    assert total["available_avg"] == row(memory, band="total")["available_avg"] == 2


def test_draining_is_its_polls_times_their_interval():
    """B23: drained at polls 2-3, then seen otherwise, then 6-8 with a gap of two hours within: 5 polls, 1.25 hours."""
    polls = [*every(15, 2), *every(15, 1, DAY + 4 * HOUR)]
    states = [
        idle(),
        idle(),
        drained(),
        drained(),
        idle(),
        idle(),
        drained(),
        drained(),
        drained(),
        idle(),
        idle(),
        idle(),
    ]
    cube = MadePool(polls, {("m", "0"): states}).cube()
    episodes = draining.draining_episodes(cube).frame
    assert episodes["hours_observed"].to_list() == [0.5, 0.75]
    assert episodes["polls"].to_list() == [2, 3]
    assert episodes["start_at"].to_list() == [DAY + timedelta(minutes=30), DAY + timedelta(minutes=90)]
    assert episodes["end_at"].to_list() == [DAY + HOUR, DAY + timedelta(hours=4, minutes=15)]
    host = row(draining.draining_by_host(cube).frame)
    assert (host["gpu_hours_observed"], host["gpus"], host["episodes"], host["is_open"]) == (1.25, 1, 2, False)
    # and so says the table of classes
    found = {line["class"]: line for line in allocation.allocation_by_class(cube).frame.iter_rows(named=True)}
    assert found[OPEN]["drained_avg"] * cube.observed.hours == pytest.approx(1.25)


def test_families_are_filtered_by_word_and_64_gb_has_a_band():
    """B24: RTX A4000 is not of family A40; a device of 64 GB is not below 48."""
    gpus: States = {
        ("m", "0"): [idle(device="NVIDIA RTX A4000", memory_mb=16_376)] * 4,
        ("m", "1"): [idle(device="NVIDIA A40", memory_mb=46_068)] * 4,
        ("m", "2"): [idle(device="AMD 64", memory_mb=65_536)] * 4,
    }
    cube = MadePool(every(15, 1), gpus).cube()
    devices = allocation.allocation_by_device(cube).frame
    assert set(devices["device"]) == {"RTX A4000", "AMD 64", "total"}
    assert allocation.allocation_by_memory(cube).frame.select("band", "available_avg").rows() == [
        ("<48GB", 1),
        ("50-75GB", 1),
        ("total", 2),
    ]


def test_rows_and_total_are_ratios_of_means():
    """B25: 1 of 1 in one bucket and 0 of 9 in the next is 10 percent, in the row as in the total."""
    gpus: States = {("m", str(n)): [None, idle()] for n in range(1, 10)}
    gpus["m", "0"] = [claimed(), None]
    made = MadePool(every(15, 0.5), gpus)
    found = classes(made)
    assert found[OPEN]["allocated_percent"] == found["total"]["allocated_percent"] == 10
    assert (
        row(allocation.allocation_by_device(made.cube()).frame, **{"class": OPEN, "device": "L40S"})[
            "allocated_percent"
        ]
        == 10
    )


def test_weekly_hours_do_not_fill_a_gap():
    """B26: a day with an outage of six hours has 18 hours observed, a coverage, and an estimate that says so."""
    polls = [at for at in every(15, 7 * 24) if not (DAY + 30 * HOUR <= at < DAY + 36 * HOUR)]
    made = MadePool(polls, {("m", "0"): [claimed()] * len(polls)})
    result = series.weekly_trend(made.cube(Window.of("week", date(2026, 3, 2))))
    week = row(result.frame, **{"class": OPEN})
    assert (week["gpu_hours_observed"], week["gpu_hours_estimated"]) == (162, 168)
    assert week["coverage"] == pytest.approx(162 / 168)
    assert week["is_whole"]
    buckets = series.time_series(made.cube(Window.of("day", date(2026, 3, 3))), 60).frame.filter(
        pl.col("class") == OPEN
    )
    assert buckets["allocated_avg"].to_list() == [1] * 6 + [None] * 6 + [1] * 12


def test_months_have_every_section_of_the_month_itself():
    """B16: draining and refusing of October are in October's report alone, with October's coverage."""
    from usage_assets.kinds.htcondor.tables.analyse import monthly_summary

    october = every(15, 31 * 24, datetime(2025, 10, 1))
    november = every(15, 24, datetime(2025, 11, 1))
    states = [idle()] * len(october) + [drained()] * len(november)
    made = MadePool([*october, *november], {("m", "0"): states})
    report = monthly_summary(made.facts, made.pool, datetime(2025, 11, 2))
    assert report["draining"].is_empty()
    assert report.metadata.local_start == datetime(2025, 10, 1)
    assert (report.metadata.intervals, report.metadata.expected) == (31 * 96, 31 * 96)
    assert {"draining", "refusing", "excluded_hosts", "backfill_users", "devices", "memory"} <= set(report.results)
    later = monthly_summary(made.facts, made.pool, datetime(2025, 12, 2))
    assert row(later["draining"])["gpu_hours_observed"] == 24
    assert later.metadata.coverage == pytest.approx(1 / 30)
