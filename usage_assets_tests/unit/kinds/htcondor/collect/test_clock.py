"""When a pool is asked."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.kinds.htcondor.collect.run import next_tick
from usage_assets_tests.properties import examples

CHICAGO = ZoneInfo("America/Chicago")
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)


def ticks(first: str, step: int, count: int, zone: ZoneInfo = CHICAGO) -> list[str]:
    at, out = datetime.fromisoformat(first).replace(tzinfo=UTC), []
    for _ in range(count):
        at = next_tick(at, step, zone)
        out.append(f"{at:%H:%M:%S}={at.astimezone(zone):%H:%M}")
    return out


def test_polls_are_at_full_steps_of_the_clock():
    assert ticks("2025-10-05T12:07:31.5", 900, 3) == ["12:15:00=07:15", "12:30:00=07:30", "12:45:00=07:45"]
    assert ticks("2025-10-05T12:15:00", 300, 1) == ["12:20:00=07:20"]


def test_the_hour_that_comes_twice_has_its_polls_twice():
    assert ticks("2025-11-02T06:30:00", 900, 7) == [
        "06:45:00=01:45", "07:00:00=01:00", "07:15:00=01:15", "07:30:00=01:30",
        "07:45:00=01:45", "08:00:00=02:00", "08:15:00=02:15",
    ]  # fmt: skip


def test_the_hour_that_is_left_out_has_none():
    assert ticks("2025-03-09T07:30:00", 900, 3) == ["07:45:00=01:45", "08:00:00=03:00", "08:15:00=03:15"]


def test_long_steps_follow_the_clock_on_the_wall():
    assert ticks("2025-03-09T06:00:00", 21600, 3) == ["11:00:00=06:00", "17:00:00=12:00", "23:00:00=18:00"]
    assert ticks("2025-11-02T05:00:00", 21600, 3) == ["12:00:00=06:00", "18:00:00=12:00", "00:00:00=18:00"]
    assert ticks("2025-03-09T07:30:00", 7200, 2) == ["09:00:00=04:00", "11:00:00=06:00"]  # 02:00 is left out
    assert ticks("2025-10-05T00:00:00", 3600, 2, ZoneInfo("Asia/Kolkata")) == ["00:30:00=06:00", "01:30:00=07:00"]


def test_a_step_that_does_not_divide_a_day_begins_anew_at_midnight():
    assert ticks("2025-10-05T23:50:00", 420, 3, ZoneInfo("UTC")) == [
        "23:55:00=23:55",
        "00:00:00=00:00",
        "00:07:00=00:07",
    ]


PUT = [  # when clocks of 2025 were put forward or back, in UTC
    ("America/Chicago", "2025-03-09T08:00"),
    ("America/Chicago", "2025-11-02T07:00"),
    ("America/Havana", "2025-03-09T05:00"),
    ("America/Havana", "2025-11-02T05:00"),
    ("Australia/Lord_Howe", "2025-04-05T15:00"),
    ("Australia/Lord_Howe", "2025-10-04T15:30"),
    ("Africa/Cairo", "2025-10-30T21:00"),
    ("Asia/Kathmandu", "2025-07-01T00:00"),  # never
]


@examples(300)
@given(
    st.sampled_from(PUT), st.integers(-26 * 3600, 8 * 3600), st.sampled_from([60, 300, 900, 3600, 7200, 21600, 86400])
)
def test_every_tick_is_the_next_one_on_the_wall(put, seconds, step):
    zone = ZoneInfo(put[0])
    now = datetime.fromisoformat(put[1]).replace(tzinfo=UTC) + timedelta(seconds=seconds)
    found = next_tick(now, step, zone)

    def is_on(at: datetime) -> bool:
        wall = at.astimezone(zone)
        return (wall.hour * 3600 + wall.minute * 60 + wall.second) % step == 0

    assert found > now
    assert is_on(found)
    minute = now - timedelta(seconds=now.second) + timedelta(minutes=1)
    while minute < found:
        assert not is_on(minute)
        minute += timedelta(minutes=1)


@pytest.mark.parametrize("step", [1, 86400])
def test_the_shortest_and_the_longest_step(step):
    assert next_tick(BEGIN, step, ZoneInfo("UTC")) == BEGIN + timedelta(seconds=step)


def test_a_midnight_that_comes_twice_is_asked_at_twice():
    assert ticks("2025-11-02T03:00:00", 7200, 3, ZoneInfo("America/Havana")) == [
        "04:00:00=00:00", "05:00:00=00:00", "07:00:00=02:00"
    ]  # fmt: skip
