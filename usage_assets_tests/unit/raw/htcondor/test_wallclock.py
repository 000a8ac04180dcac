"""Wall clock -> UTC."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.raw.htcondor.wallclock import is_ambiguous, local_span, polls_of, second_pass

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


def test_the_second_pass_begins_where_the_clock_jumps_back():
    zone = ZoneInfo("America/Chicago")
    walls = [datetime(2025, 11, 2, 1, minute) for minute in (0, 20, 40, 5, 25, 45)]
    polls = polls_of(walls, zone).frame
    order = pl.DataFrame({"key": [wall for wall in walls for _ in range(2)], "row": list(range(12))})
    order = order.with_columns(pl.col("key").cast(pl.Datetime("us")))
    assert second_pass(order.sample(fraction=1, shuffle=True, seed=1), polls) == 6
    assert second_pass(order.head(6), polls) is None


def test_a_month_on_the_wall_clock():
    start, end = datetime(2025, 11, 1), datetime(2025, 12, 1)
    zone = ZoneInfo("America/Chicago")
    assert local_span(start, end, zone) == (datetime(2025, 10, 31, 19), datetime(2025, 11, 30, 18))
