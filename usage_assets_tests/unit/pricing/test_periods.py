"""Days, weeks and months of a time zone, with what its clocks did."""

from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.pricing.periods import Period, day_start, local_date, period_of, periods, weekday, zone

CHICAGO = "America/Chicago"


@pytest.mark.parametrize(
    ("tz", "day", "start", "hours"),
    [
        ("UTC", date(2026, 3, 8), datetime(2026, 3, 8), 24),
        (CHICAGO, date(2026, 3, 8), datetime(2026, 3, 8, 6), 23),
        (CHICAGO, date(2026, 11, 1), datetime(2026, 11, 1, 5), 25),
        # midnight is skipped: the day starts at 01:00
        ("America/Santiago", date(2025, 9, 7), datetime(2025, 9, 7, 4), 23),
        ("Asia/Beirut", date(2024, 3, 31), datetime(2024, 3, 30, 22), 23),
        # at 24:00 the clocks go back to 23:00 of the same day
        ("America/Santiago", date(2025, 4, 5), datetime(2025, 4, 5, 3), 25),
        # at 00:01 they went back to 23:01: the second hour before midnight is of the new day
        ("America/St_Johns", date(2010, 11, 7), datetime(2010, 11, 7, 2, 30), 25),
        # from 00:01 on they go forward to 01:01: the day begins at 00:00
        ("America/St_Johns", date(2010, 3, 14), datetime(2010, 3, 14, 3, 30), 23),
        # 23:30 became 00:30 of the next day
        ("America/Toronto", date(1919, 3, 31), datetime(1919, 3, 31, 4, 30), 23.5),
    ],
)
def test_a_day_starts_at_its_first_instant(tz: str, day: date, start: datetime, hours: float):
    assert day_start(day, tz) == start
    assert day_start(day + timedelta(days=1), tz) - start == timedelta(hours=hours)


def test_a_day_that_a_zone_left_out_is_in_no_list():
    found = periods("day", "Pacific/Apia", datetime(2011, 12, 29, 12), datetime(2011, 12, 31))
    assert list(found) == [
        Period("2011-12-29", datetime(2011, 12, 29, 10), datetime(2011, 12, 30, 10)),
        Period("2011-12-31", datetime(2011, 12, 30, 10), datetime(2011, 12, 31, 10)),
    ]


def test_an_hour_that_comes_twice_around_midnight_is_of_one_day():
    # 23:30 for the second time, after 00:00 was there
    assert local_date(datetime(2010, 11, 7, 3, 0), "America/St_Johns") == date(2010, 11, 7)
    assert local_date(datetime(2010, 11, 7, 2, 29), "America/St_Johns") == date(2010, 11, 6)


def test_weeks_begin_on_the_day_that_is_configured_and_months_on_their_first():
    at = datetime(2026, 3, 10, 12)  # a tuesday
    assert period_of("week", CHICAGO, at) == Period("2026-03-09", datetime(2026, 3, 9, 5), datetime(2026, 3, 16, 5))
    sunday = period_of("week", CHICAGO, at, weekday("Sunday"))
    assert sunday == Period("2026-03-08", datetime(2026, 3, 8, 6), datetime(2026, 3, 15, 5))
    assert period_of("month", CHICAGO, at) == Period("2026-03", datetime(2026, 3, 1, 6), datetime(2026, 4, 1, 5))
    assert period_of("week", "UTC", datetime(2026, 3, 9)).label == "2026-03-09"
    assert period_of("week", "UTC", datetime(2026, 3, 8, 23, 59, 59, 999999)).label == "2026-03-02"


def test_an_unknown_zone_or_day_is_refused():
    with pytest.raises(ValueError, match="'Mars/Base' is no time zone"):
        zone("Mars/Base")
    with pytest.raises(ValueError, match=r"'\.\./etc/passwd' is no time zone"):
        zone("../etc/passwd")
    with pytest.raises(ValueError, match="'lundi' is no day of the week; write one of monday"):
        weekday("lundi")


@given(
    st.sampled_from(["UTC", CHICAGO, "America/Santiago", "Asia/Beirut", "America/St_Johns", "Pacific/Apia"]),
    st.datetimes(datetime(2009, 1, 1), datetime(2027, 1, 1)),
    st.sampled_from(["day", "week", "month"]),
    st.integers(0, 6),
)
def test_periods_follow_each_other_and_hold_every_instant_once(tz, at, window, week_start):
    found = list(periods(window, tz, at, at + timedelta(days=40), week_start))
    assert found[0] == period_of(window, tz, at, week_start)
    assert found[0].start <= at < found[0].end
    assert all(before.end == after.start for before, after in pairwise(found))
    assert found[-1].start <= at + timedelta(days=40) < found[-1].end
    assert len({period.label for period in found}) == len(found)
