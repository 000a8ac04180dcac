"""The window of a table: half-open to the microsecond, UTC inside, chosen by local calendars."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from usage_assets.core.errors import UsageError
from usage_assets.core.months import next_month

Unit = Literal["day", "week", "month"]
UNITS: tuple[Unit, ...] = ("day", "week", "month")
_EPOCH = datetime(1970, 1, 1)
_TICK = timedelta(microseconds=1)


def to_utc(local: datetime, timezone: str) -> datetime:
    """The naive UTC instant of a local time; an aware one says its own zone.

    Of an hour that comes twice the first pass is meant; a time that the clocks skip is as long after the skip.
    """
    aware = local if local.tzinfo is not None else local.replace(tzinfo=ZoneInfo(timezone))
    return aware.astimezone(UTC).replace(tzinfo=None)


def to_local(instant: datetime, timezone: str) -> datetime:
    """What the clocks of the pool show at a naive UTC instant."""
    return instant.replace(tzinfo=UTC).astimezone(ZoneInfo(timezone)).replace(tzinfo=None)


def default_end(newest: datetime, before: datetime | None, minutes: int) -> datetime:
    """Where windows end by default: at the newest poll, exclusive; `before` is the poll before it.

    Where it is the first of its bucket, at the start of that: then 24 hours hold 96 quarters, and not parts of 97,
    however late in its quarter a poll comes.
    """
    start = newest - (newest - _EPOCH) % timedelta(minutes=minutes)
    return start if before is None or before < start else newest


@dataclass(frozen=True)
class Window:
    """`[start, end)` in naive UTC; `timezone` is the pool's, in which days, weeks and months begin."""

    start: datetime
    end: datetime
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if self.start.tzinfo is not None or self.end.tzinfo is not None:
            msg = "a window's instants are naive and mean UTC; use Window.between for others"
            raise UsageError(msg)
        if self.start >= self.end:
            msg = f"the window ends before it starts: {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"
            raise UsageError(msg)

    @classmethod
    def between(cls, start: datetime, end: datetime, timezone: str = "UTC") -> "Window":
        """From one local time (or aware instant) to another."""
        return cls(to_utc(start, timezone), to_utc(end, timezone), timezone)

    @classmethod
    def back(cls, hours: float, end: datetime, timezone: str = "UTC") -> "Window":
        """So many hours before a naive UTC instant, whatever the clocks do meanwhile."""
        if not (math.isfinite(hours) and hours > 0):
            msg = f"a window is some hours long, not {hours}"
            raise UsageError(msg)
        return cls(end - timedelta(hours=hours), end, timezone)

    @classmethod
    def of_days(cls, first: date, after: date, timezone: str = "UTC") -> "Window":
        """Whole local days, from the first one to the one after the last."""
        return cls.between(_midnight(first), _midnight(after), timezone)

    @classmethod
    def of(cls, unit: Unit, day: date, timezone: str = "UTC") -> "Window":
        """The local day, week (from Monday) or month in which a local day lies."""
        first = _first(unit, day)
        return cls.of_days(first, _next(unit, first), timezone)

    @classmethod
    def month_before(cls, end: datetime, timezone: str = "UTC") -> "Window":
        """The local month before the one in which a naive UTC instant lies."""
        return cls.of("month", _first("month", to_local(end, timezone).date()) - timedelta(days=1), timezone)

    @property
    def hours(self) -> float:
        """Its length: a local day is 23 or 25 hours long where clocks change."""
        return (self.end - self.start) / timedelta(hours=1)

    @property
    def local_start(self) -> datetime:
        """What the pool's clocks show at its start."""
        return to_local(self.start, self.timezone)

    @property
    def local_end(self) -> datetime:
        """What the pool's clocks show at its end."""
        return to_local(self.end, self.timezone)

    @property
    def utc_months(self) -> Iterator[date]:
        """The UTC months that it touches, by their first day: facts are stored by them."""
        first = self.start.date().replace(day=1)
        while _midnight(first) < self.end:
            yield first
            first = _next("month", first)

    def buckets(self, minutes: int) -> int:
        """Buckets of so many minutes, counted from midnight UTC, that overlap it."""
        width = timedelta(minutes=minutes)
        return (self.end - _TICK - _EPOCH) // width - (self.start - _EPOCH) // width + 1

    def parts(self, unit: Unit) -> Iterator["Window"]:
        """The local days, weeks or months that it touches, in order; the first and the last are cut at its edges."""
        first = _first(unit, self.local_start.date())
        while (whole := Window.of(unit, first, self.timezone)).start < self.end:
            if whole.end > self.start:
                yield Window(max(whole.start, self.start), min(whole.end, self.end), self.timezone)
            first = _next(unit, first)

    def is_whole(self, unit: Unit) -> bool:
        """Whether it is exactly one local day, week or month."""
        whole = Window.of(unit, self.local_start.date(), self.timezone)
        return (self.start, self.end) == (whole.start, whole.end)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _first(unit: Unit, day: date) -> date:
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def _next(unit: Unit, first: date) -> date:
    return next_month(first) if unit == "month" else first + timedelta(days=7 if unit == "week" else 1)
