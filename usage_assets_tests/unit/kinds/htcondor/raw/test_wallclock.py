"""Wall clock -> UTC."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.kinds.htcondor.raw.wallclock import is_ambiguous, local_span, passes, polls_of, repeated_day

ZONES = st.sampled_from(
    ["America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "UTC"]
)


@given(st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1)), ZONES)
def test_there_and_back_is_the_same_instant_in_one_of_its_passes(at: datetime, name: str):
    zone = ZoneInfo(name)
    wall = at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None, fold=0)
    found = polls_of([wall], zone)
    assert at in found.frame["poll_at"].to_list()
    assert found.frame.height == (2 if is_ambiguous(wall, zone) else 1)
    assert found.shifted == 0
    assert polls_of([str(wall)], zone).frame["poll_at"].to_list() == found.frame["poll_at"].to_list()


@pytest.mark.parametrize(
    ("name", "night", "hours"),
    [
        ("America/Chicago", datetime(2025, 3, 9), 23),
        ("America/Chicago", datetime(2025, 11, 2), 25),
        ("Europe/Berlin", datetime(2025, 3, 30), 23),
        ("Europe/Berlin", datetime(2025, 10, 26), 25),
        ("Australia/Lord_Howe", datetime(2025, 4, 6), 24.5),
    ],
)
def test_a_local_day_has_the_hours_that_it_has(name: str, night: datetime, hours: float):
    zone = ZoneInfo(name)
    day = polls_of([night, night + timedelta(days=1)], zone).frame["poll_at"]
    assert (day[1] - day[0]) / timedelta(hours=1) == hours


def test_what_is_no_time_is_named():
    found = polls_of(["2025-01-01 00:00:00.5", "soon", None, "", "9999-12-31 23:59"], ZoneInfo("America/Chicago"))
    assert found.frame.height == 1
    assert found.bad == {"soon", None, "", "9999-12-31 23:59"}


CHICAGO = ZoneInfo("America/Chicago")
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)


def hour(*polls: tuple[str, str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of the repeated hour, in shuffled order, and the polls with one after it; a poll is a time and its GPUs."""
    walls = [datetime.fromisoformat(f"2025-11-02 {at}") for at, gpus in polls for _ in gpus]
    gpus = [gpu for _, gpus in polls for gpu in gpus]
    order = pl.DataFrame(
        {"key": walls, "row": range(len(walls)), "slot": [f"slot{gpu}@m" for gpu in gpus], "gpu": gpus},
        schema={"key": pl.Datetime("us"), "row": pl.Int64(), "slot": pl.String(), "gpu": pl.String()},
    )
    times = dict.fromkeys([*walls, datetime(2025, 11, 2, 3)])
    return order.sample(fraction=1, shuffle=True, seed=1), polls_of(times, CHICAGO).frame


def test_the_second_pass_begins_where_the_clock_jumps_back():
    twice = [(f"01:{minute:02}", "AB") for minute in (0, 20, 40, 5, 25, 45)]
    found = passes(*hour(*twice), QUARTER, CHICAGO)
    assert (found.jump, found.doubt) == (6, None)
    again = passes(*hour(*twice, ("01:05", "A")), QUARTER, CHICAGO)
    assert again.jump == 6
    assert "more than once" in str(again.doubt)
    once = passes(*hour(*twice[:3]), QUARTER, CHICAGO)
    assert once.jump is None
    assert "nothing tells" in str(once.doubt)
    order, polls = hour(*twice[:3])
    assert passes(order, polls.filter(pl.col("local_at").dt.hour() == 1), QUARTER, CHICAGO).doubt is None  # goes on


@pytest.mark.parametrize(
    ("polls", "jump", "doubt"),
    [
        ([("01:00:05", "AB"), ("01:00:07", "AB")], 2, None),
        ([("01:00:05", "AB"), ("01:00:03", "AB")], 2, None),
        ([("01:00:05", "AB"), ("01:29:59", "AB")], 2, None),
        ([("01:00:05", "AB"), ("01:30:05", "AB")], None, "nothing tells"),
        ([("01:00:05", "AB")], None, "nothing tells"),
        ([("01:00:05", "AB"), ("01:00:05", "AB")], 2, None),
        ([("01:00:05", "AB"), ("01:00:05", "CAB")], 3, "1 row(s) between"),
        ([("01:00:05", "AB"), ("01:00:05", "AB"), ("01:00:05", "AB")], 2, "more than twice"),
    ],
)
def test_hourly_polls_that_lie_close_are_the_two_passes(polls: list[tuple[str, str]], jump: int, doubt: str | None):
    found = passes(*hour(*polls), HOUR, CHICAGO)
    assert found.jump == jump
    assert doubt in str(found.doubt) if doubt else found.doubt is None


def test_polls_that_lie_close_are_of_one_pass_where_a_pass_has_several():
    found = passes(*hour(("01:00", "A"), ("01:02", "A"), ("01:45", "A"), ("01:05", "A")), QUARTER, CHICAGO)
    assert found.jump == 3


@pytest.mark.parametrize(
    ("month", "zone", "day"),
    [
        ("2025-11", "America/Chicago", 2),
        ("2025-10", "Europe/Berlin", 26),
        ("2025-04", "Australia/Lord_Howe", 6),
        ("2025-03", "America/Chicago", None),
        ("2025-11", "Asia/Kolkata", None),
    ],
)
def test_the_day_on_which_a_clock_shows_some_time_twice(month: str, zone: str, day: int | None):
    first = date.fromisoformat(f"{month}-01")
    assert repeated_day(first, ZoneInfo(zone)) == (None if day is None else first.replace(day=day))


def test_a_month_on_the_wall_clock():
    start, end = datetime(2025, 11, 1), datetime(2025, 12, 1)
    zone = ZoneInfo("America/Chicago")
    assert local_span(start, end, zone) == (datetime(2025, 10, 31, 19), datetime(2025, 11, 30, 18))
