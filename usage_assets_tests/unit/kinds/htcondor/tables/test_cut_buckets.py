"""A bucket that the window cuts counts with its part inside: 24 hours that polls saw are 24 hours, not 24.25."""

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.tables import allocation, hosts, series, users
from usage_assets.kinds.htcondor.tables.monthly import month_tables
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets_tests.unit.kinds.htcondor.tables.made import OPEN, MadePool, claimed, every, idle, row

FIRST = datetime(2025, 10, 1, 0, 2)
KOLKATA, CHICAGO = "Asia/Kolkata", "America/Chicago"


def held(pool: Pool, hours: float = 48, start: datetime = FIRST) -> MadePool:
    """One GPU, claimed at every poll."""
    polls = every(pool.poll_minutes, hours, start)
    return MadePool(polls, {("m", "0"): [claimed()] * len(polls)}, pool)


@pytest.mark.parametrize("bucket_minutes", [5, 15, 60, 720, 1440])
@pytest.mark.parametrize("start", ["2025-10-01T00:07", "2025-10-01T06:30", "2025-10-01T12:51:59.123456"])
def test_a_day_that_was_seen_has_24_hours_wherever_it_is_cut(bucket_minutes: int, start: str) -> None:
    made = held(Pool(poll_minutes=5, bucket_minutes=bucket_minutes))
    first = datetime.fromisoformat(start)
    cube = made.cube(Window(first, first + timedelta(hours=24)))
    total = row(allocation.cluster_totals(cube).frame)
    if bucket_minutes > 5:  # a poll lies in every part
        assert (cube.observed.hours, cube.observed.coverage) == (24, 1)
        assert (total["gpu_hours_observed"], total["gpu_hours_estimated"]) == (24, 24)
    assert total["gpu_hours_observed"] == pytest.approx(cube.observed.hours, rel=1e-12)
    assert total["gpu_hours_estimated"] == pytest.approx(24, rel=1e-12)
    assert total["allocated_avg"] == 1
    assert cube.metadata().hours_observed <= 24


def test_the_two_buckets_at_the_edges_weigh_their_parts_in_means() -> None:
    """Held in the first 8 minutes alone, which are the part of the first bucket: 8 minutes of 24 hours."""
    polls = every(5, 24, datetime(2025, 10, 1, 0, 7))
    made = MadePool(polls, {("m", "0"): [claimed()] * 2 + [idle()] * (len(polls) - 2)}, Pool(poll_minutes=5))
    cube = made.cube(Window(polls[0], polls[0] + timedelta(hours=24)))
    assert (cube.observed.intervals, cube.observed.expected, cube.observed.hours) == (97, 97, 24)
    found = row(allocation.allocation_by_class(cube).frame, **{"class": OPEN})
    assert found["gpu_hours_observed"] == pytest.approx(8 / 60)
    assert found["allocated_percent"] == pytest.approx(100 * 8 / 1440)
    assert row(users.user_hours(cube).frame, **{"class": OPEN})["gpu_hours_observed"] == pytest.approx(8 / 60)
    assert row(hosts.host_table(cube).frame)["allocated_avg"] == pytest.approx(8 / 1440)


def test_a_part_that_no_poll_saw_is_unknown() -> None:
    """Hourly polls at :05, a day from 12:30: the half hour before 13:00 is not seen, and the last has its half hour."""
    made = held(Pool(poll_minutes=60, bucket_minutes=60), 48, datetime(2025, 10, 1, 0, 5))
    start = datetime(2025, 10, 1, 12, 30)
    cube = made.cube(Window(start, start + timedelta(hours=24)))
    assert (cube.observed.intervals, cube.observed.expected, cube.observed.hours) == (24, 25, 23.5)
    total = row(allocation.cluster_totals(cube).frame)
    assert (total["gpu_hours_observed"], total["gpu_hours_estimated"]) == (23.5, 24)


def test_a_local_month_of_a_zone_with_half_hours() -> None:
    made = held(Pool(poll_minutes=5, bucket_minutes=60, timezone=KOLKATA), 24 * 33, datetime(2025, 9, 30, 0, 2))
    cube = made.cube(Window.of("month", date(2025, 10, 1), KOLKATA))
    assert (cube.observed.expected, cube.observed.hours) == (745, 744)
    assert row(allocation.cluster_totals(cube).frame)["gpu_hours_observed"] == 744
    days = series.calendar_series(cube, "day").frame.filter(pl.col("class") == "total")
    assert (days["gpu_hours_observed"] == 24).all()
    assert (days["coverage"] == 1).all()


def test_days_as_buckets_over_a_change_of_clocks() -> None:
    """Three local days with a change to summer time, 71 hours, counted by days of UTC."""
    made = held(Pool(poll_minutes=5, bucket_minutes=1440, timezone=CHICAGO), 24 * 5, datetime(2025, 3, 7, 0, 2))
    window = Window.of_days(date(2025, 3, 8), date(2025, 3, 11), CHICAGO)
    cube = made.cube(window)
    assert (window.hours, cube.observed.hours, cube.observed.expected) == (71, 71, 4)
    assert row(allocation.cluster_totals(cube).frame)["gpu_hours_observed"] == 71
    days = series.calendar_series(cube, "day").frame.filter(pl.col("class") == OPEN)
    assert days["gpu_hours_observed"].to_list() == [24, 23, 24]


def test_the_running_month_counts_up_to_its_extraction() -> None:
    made = held(Pool(poll_minutes=5, bucket_minutes=60), 30)
    extracted = datetime(2025, 10, 2, 5, 40)
    facts = made.facts
    known = type(facts).of(made.runs, made.poll_rows.filter(pl.col("poll_at") < extracted), made.performance_rows)
    tables = month_tables(made.pool, "p", date(2025, 10, 1), known, extracted)
    of_user = tables["gpu_users"].filter(pl.col("class") == "total")
    assert of_user["gpu_hours_observed"].to_list() == [pytest.approx(29 + 40 / 60)]
    assert of_user["gpu_hours_estimated"].to_list() == [pytest.approx(29 + 40 / 60)]
