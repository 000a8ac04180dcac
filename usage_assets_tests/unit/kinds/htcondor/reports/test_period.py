"""Periods of reports: local days, weeks and months, across both changes of the clocks."""

import itertools
from datetime import date, datetime, time

import pytest
from pydantic import ValidationError

from usage_assets.kinds.htcondor.reports.period import Period, ending_in, mailed_from, newest
from usage_assets.kinds.htcondor.site.reports import Reports
from usage_assets.kinds.htcondor.tables.window import Window

ZONE = "America/Chicago"
REPORTS = Reports()


def test_days_that_end_in_a_month_are_all_its_days_once():
    days = [period for month in (9, 10, 11) for period in ending_in("daily", date(2025, month, 1), REPORTS, ZONE)]
    assert [period.name for period in days] == [
        f"2025-{month:02}-{day:02}" for month, last in ((9, 30), (10, 31), (11, 30)) for day in range(1, last + 1)
    ]
    assert all(first.window.end == then.window.start for first, then in itertools.pairwise(days))


def test_a_day_on_which_clocks_change_has_23_or_25_hours():
    hours = {period.name: period.window.hours for period in ending_in("daily", date(2026, 3, 1), REPORTS, ZONE)}
    assert (hours["2026-03-08"], hours["2026-03-09"]) == (23, 24)
    hours = {period.name: period.window.hours for period in ending_in("daily", date(2025, 11, 1), REPORTS, ZONE)}
    assert (hours["2025-11-02"], hours["2025-11-03"]) == (25, 24)
    assert {period.span for period in ending_in("daily", date(2025, 11, 1), REPORTS, ZONE)} == {"24h"}


def test_weeks_end_on_their_day():
    said = Reports.model_validate({"weekly": {"day": "friday", "at": "00:30"}})
    weeks = ending_in("weekly", date(2026, 3, 1), said, "UTC")
    assert [week.name for week in weeks] == ["2026-03-06", "2026-03-13", "2026-03-20", "2026-03-27"]
    assert weeks[0].window == Window(datetime(2026, 2, 27, 0, 30), datetime(2026, 3, 6, 0, 30), "UTC")
    assert weeks[0].span == "1w"


def test_a_month_is_the_local_one():
    (month,) = ending_in("monthly", date(2026, 3, 1), REPORTS, ZONE)
    assert (month.window.start, month.window.end) == (datetime(2026, 3, 1, 6), datetime(2026, 4, 1, 5))
    assert (month.name, month.span) == ("2026-03", "March 2026")


def test_the_newest_is_the_last_that_is_over():
    at = datetime(2026, 3, 10, 11)  # 06:00 in Chicago
    assert newest("daily", at, REPORTS, ZONE).name == "2026-03-10"
    assert newest("daily", datetime(2026, 3, 10, 10, 59), REPORTS, ZONE).name == "2026-03-09"
    assert newest("weekly", at, REPORTS, ZONE).name == "2026-03-09"
    assert newest("monthly", at, REPORTS, ZONE).name == "2026-02"


def test_a_monthly_report_is_mailed_in_the_morning_after():
    month = newest("monthly", datetime(2026, 3, 1, 6), REPORTS, ZONE)
    assert month.name == "2026-02"
    assert mailed_from(month, REPORTS) == datetime(2026, 3, 1, 12)


@pytest.mark.parametrize(("hours", "span"), [(1, "1h"), (24, "24h"), (48, "2d"), (168, "1w"), (336, "2w"), (30, "30h")])
def test_spans_of_windows(hours: float, span: str):
    assert Period(Window.back(hours, datetime(2026, 2, 20))).span == span


def test_a_time_without_quotes_is_told():
    with pytest.raises(ValidationError, match="write it in quotes, as '06:00'"):
        Reports.model_validate({"daily": {"at": 360}})
    assert Reports.model_validate({"daily": {"at": "6:05"}}).daily.at == time(6, 5)


def test_receivers_are_addresses():
    with pytest.raises(ValidationError, match="is no mail address"):
        Reports.model_validate({"daily": {"to": ["a@b, c@d"]}})
