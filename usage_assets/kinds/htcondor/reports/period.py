"""The period of a report, by the clocks of the pool."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Literal

from usage_assets.core.months import next_month
from usage_assets.kinds.htcondor.site.reports import WEEKDAYS, Reports
from usage_assets.kinds.htcondor.tables.window import Window, to_local, to_utc

Name = Literal["daily", "weekly", "monthly"]
NAMES: tuple[Name, ...] = ("daily", "weekly", "monthly")
_DAYS = {"daily": 1, "weekly": 7}
_DAY = timedelta(days=1)
_HOURS_OF_DAY, _DAYS_OF_WEEK = 24, 7


@dataclass(frozen=True)
class Period:
    """The period of a report; `report` is null where it is a window that somebody asked for."""

    window: Window
    report: Name | None = None

    @property
    def name(self) -> str:
        """How its files are called: the local day on which it ends, or the month."""
        if self.report == "monthly":
            return f"{self.window.local_start:%Y-%m}"
        return f"{self.window.local_end:%Y-%m-%d}"

    @property
    def span(self) -> str:
        """Its length as a subject has it: 24h, 2d, 1w, or the month's name."""
        if self.report == "monthly" or self.window.is_whole("month"):
            return f"{self.window.local_start:%B %Y}"
        # by the clocks: a day stays a day where they change
        length = self.window.local_end - self.window.local_start
        days = length // _DAY if length and not length % _DAY else 0
        if days and not days % _DAYS_OF_WEEK:
            return f"{days // _DAYS_OF_WEEK}w"
        if days > 1:
            return f"{days}d"
        return f"{_HOURS_OF_DAY if days else round(self.window.hours, 2):g}h"


def ending_on(report: Name, day: date, reports: Reports, timezone: str) -> Period | None:
    """The report that ends on a local day; a month ends with its last day, a week on its weekday only."""
    if report == "monthly":
        return Period(Window.of("month", day, timezone), report) if (day + _DAY).day == 1 else None
    if report == "weekly" and WEEKDAYS[day.weekday()] != reports.weekly.day:
        return None
    at = reports.weekly.at if report == "weekly" else reports.daily.at
    start = _at(day - _DAY * _DAYS[report], at, timezone)
    return Period(Window(start, _at(day, at, timezone), timezone), report)


def ending_in(report: Name, month: date, reports: Reports, timezone: str) -> list[Period]:
    """The reports that belong to a UTC month, in order: of the local month, or of days and weeks that end in it."""
    if report == "monthly":
        return [Period(Window.of("month", month, timezone), report)]
    start, end = datetime.combine(month, time()), datetime.combine(next_month(month), time())
    days = (month + _DAY * number for number in range(-1, (end - start).days + 1))
    found = (ending_on(report, day, reports, timezone) for day in days)
    return [period for period in found if period is not None and start < period.window.end <= end]


def newest(report: Name, now: datetime, reports: Reports, timezone: str) -> Period:
    """The last report whose period is over at a naive UTC instant."""
    if report == "monthly":
        return Period(Window.month_before(now, timezone), report)
    today = to_local(now, timezone).date()
    periods = (ending_on(report, today - _DAY * number, reports, timezone) for number in count())
    return next(period for period in periods if period is not None and period.window.end <= now)


def mailed_from(period: Period, reports: Reports) -> datetime:
    """From when on a report may be mailed, naive UTC."""
    window = period.window
    if period.report != "monthly":
        return window.end
    return _at(window.local_end.date(), reports.monthly.at, window.timezone)


def _at(day: date, at: time, timezone: str) -> datetime:
    return to_utc(datetime.combine(day, at), timezone)
