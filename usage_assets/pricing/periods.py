"""Days, weeks and months of a time zone as half-open intervals of UTC, whatever its clocks did.

A local day starts at its first instant: where midnight is skipped at the first one after it, where midnight comes twice
at the first of the two. So a day may have 23 or 25 hours, every instant lies in one day, and a day that a zone left out
is in no list.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from usage_assets.core.months import next_month

Window = Literal["day", "week", "month"]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = timedelta(days=1)
_AROUND = timedelta(hours=18)  # further than any zone is from UTC
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Period:
    """A period's name (local date, of a week its first day's; `2026-03` of a month) and its [start, end) in UTC."""

    label: str
    start: datetime
    end: datetime


def zone(name: str) -> ZoneInfo:
    """The time zone of that name; ValueError if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"{name!r} is no time zone; write a name such as Europe/Zurich or UTC"
        raise ValueError(msg) from None


def weekday(name: str) -> int:
    """The number of a day of the week, monday 0; ValueError if it is none."""
    if name.lower() not in WEEKDAYS:
        msg = f"{name!r} is no day of the week; write one of {', '.join(WEEKDAYS)}"
        raise ValueError(msg)
    return WEEKDAYS.index(name.lower())


@lru_cache(maxsize=100_000)
def day_start(day: date, tz: str) -> datetime:
    """The first instant (naive UTC) whose local date in the zone is that day or, of a day left out, the next one."""
    midnight = datetime.combine(day, datetime.min.time())
    low, high = midnight - _AROUND, midnight + _AROUND
    before, after = _offset(low, tz), _offset(high, tz)
    if before == after:
        return midnight - before
    changed = _change(low, high, tz)
    if midnight - before < changed:
        return midnight - before
    return max(changed, midnight - after)


def local_date(at: datetime, tz: str) -> date:
    """The day whose [start, end) holds an instant of naive UTC."""
    day = (at + _offset(at, tz)).date() + _DAY
    while day_start(day, tz) > at:
        day -= _DAY
    return day


def period_days(window: Window, day: date, week_start: int = 0) -> tuple[date, date]:
    """First day of the period that holds a local day, and of the one after it."""
    if window == "day":
        return day, day + _DAY
    if window == "week":
        first = day - timedelta(days=(day.weekday() - week_start) % 7)
        return first, first + timedelta(days=7)
    first = day.replace(day=1)
    return first, next_month(first)


def period_of(window: Window, tz: str, at: datetime, week_start: int = 0) -> Period:
    """The period that holds an instant of naive UTC."""
    return _period(window, tz, *period_days(window, local_date(at, tz), week_start))


def periods(window: Window, tz: str, first: datetime, last: datetime, week_start: int = 0) -> Iterator[Period]:
    """The periods from the one that holds `first` to the one that holds `last`, in order."""
    day, after = period_days(window, local_date(first, tz), week_start)
    while day_start(day, tz) <= last:
        found = _period(window, tz, day, after)
        if found.start < found.end:
            yield found
        day, after = period_days(window, after, week_start)


def _period(window: Window, tz: str, day: date, after: date) -> Period:
    label = f"{day:%Y-%m}" if window == "month" else day.isoformat()
    return Period(label, day_start(day, tz), day_start(after, tz))


def _offset(at: datetime, tz: str) -> timedelta:
    """How far the zone's clocks are ahead of UTC at an instant of naive UTC."""
    return at.replace(tzinfo=UTC).astimezone(zone(tz)).utcoffset() or timedelta(0)


def _change(low: datetime, high: datetime, tz: str) -> datetime:
    """The instant between two at which the zone's offset changes."""
    before = _offset(low, tz)
    while high - low > _TICK:
        middle = low + (high - low) // 2
        low, high = (middle, high) if _offset(middle, tz) == before else (low, middle)
    return high
