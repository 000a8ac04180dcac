"""A window is half-open to the microsecond; whole local days, weeks and months are as long as clocks make them."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from usage_assets.core.errors import UsageError
from usage_assets.kinds.htcondor.tables.window import Window, default_end, to_utc

CHICAGO = "America/Chicago"


def test_days_on_which_clocks_change_have_23_and_25_hours():
    assert Window.of("day", date(2026, 3, 8), CHICAGO).hours == 23
    assert Window.of("day", date(2026, 11, 1), CHICAGO).hours == 25
    assert Window.of("day", date(2026, 11, 2), CHICAGO).hours == 24


def test_weeks_begin_on_monday_and_months_on_their_first():
    week = Window.of("week", date(2026, 3, 8), CHICAGO)
    assert (week.local_start, week.local_end) == (datetime(2026, 3, 2), datetime(2026, 3, 9))
    assert week.hours == 7 * 24 - 1
    month = Window.of("month", date(2026, 12, 31), CHICAGO)
    assert (month.local_start, month.local_end) == (datetime(2026, 12, 1), datetime(2027, 1, 1))


def test_parts_cover_a_window_without_gap_or_overlap():
    window = Window.of_days(date(2026, 2, 27), date(2026, 11, 10), CHICAGO)
    for unit in ("day", "week", "month"):
        parts = list(window.parts(unit))
        assert (parts[0].start, parts[-1].end) == (window.start, window.end)
        assert all(one.end == two.start for one, two in pairwise(parts))
    assert [part.is_whole("month") for part in window.parts("month")] == [False, *[True] * 8, False]


def test_the_month_before_is_that_of_local_time():
    # half past four UTC on the first of March is still February in Chicago
    assert Window.month_before(datetime(2026, 3, 1, 4, 30), CHICAGO).local_start == datetime(2026, 1, 1)
    assert Window.month_before(datetime(2026, 3, 1, 6), CHICAGO).local_start == datetime(2026, 2, 1)


def test_of_an_hour_that_comes_twice_the_first_is_meant_and_a_skipped_time_is_after_the_skip():
    assert to_utc(datetime(2026, 11, 1, 1, 30), CHICAGO) == datetime(2026, 11, 1, 6, 30)
    assert to_utc(datetime(2026, 3, 8, 2, 30), CHICAGO) == datetime(2026, 3, 8, 8, 30)
    assert to_utc(datetime(2026, 11, 1, 7, 30, tzinfo=UTC), CHICAGO) == datetime(2026, 11, 1, 7, 30)


def test_hours_back_are_hours_whatever_the_clocks_do():
    window = Window.back(24, datetime(2026, 3, 9, 5), CHICAGO)
    assert (window.hours, window.local_start) == (24, datetime(2026, 3, 7, 23))


def test_buckets_that_overlap_a_window():
    start = datetime(2026, 3, 2)
    assert Window(start, start + timedelta(hours=24)).buckets(15) == 96
    assert Window(start, start + timedelta(hours=24, microseconds=1)).buckets(15) == 97
    assert Window(start + timedelta(minutes=14), start + timedelta(minutes=16)).buckets(15) == 2


def test_a_window_that_ends_before_it_starts_is_an_error():
    with pytest.raises(UsageError, match="ends before it starts"):
        Window(datetime(2026, 3, 2), datetime(2026, 3, 2))
    with pytest.raises(UsageError, match="naive"):
        Window(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
    with pytest.raises(UsageError, match="hours long"):
        Window.back(0, datetime(2026, 3, 2))


@pytest.mark.parametrize(
    ("newest", "before", "end"),
    [
        ("12:00:03.9", "11:45:02", "12:00"),  # polls come some seconds late: the quarters are whole all the same
        ("12:00", "11:45", "12:00"),
        ("12:10", "12:05", "12:10"),  # earlier polls of the bucket stay in the window
        ("12:10", "11:40", "12:00"),
        ("12:10", None, "12:00"),
    ],
)
def test_a_window_ends_by_default_where_the_newest_poll_begins_its_bucket_or_at_it(
    newest: str, before: str | None, end: str
):
    at, wanted = (datetime.fromisoformat(f"2026-03-02T{each}") for each in (newest, end))
    earlier = None if before is None else datetime.fromisoformat(f"2026-03-02T{before}")
    found = default_end(at, earlier, 15)
    assert found == wanted
    if earlier is not None:
        window = Window.back(24, found)
        assert window.buckets(15) == (96 if found.minute % 15 == 0 else 97)
        assert window.start <= earlier < window.end
