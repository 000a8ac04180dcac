"""The period of a usage report: a month, or a range of months or days, in UTC."""

import re
from dataclasses import dataclass
from datetime import date, timedelta

from usage_assets.core.errors import UsageError
from usage_assets.core.months import month_of, months_between, next_month

_MONTH, _DAY = re.compile(r"\d{4}-\d{2}"), re.compile(r"\d{4}-\d{2}-\d{2}")
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """UTC days from `start` to before `end`."""

    start: date
    end: date

    @classmethod
    def of_month(cls, month: date) -> "Period":
        """The month that begins on this day."""
        return cls(month, next_month(month))

    @classmethod
    def of_days(cls, first: date, last: date) -> "Period":
        """From one day to another, both included."""
        return cls(first, last + _ONE_DAY)

    @classmethod
    def between(cls, first: str, last: str) -> "Period":
        """From one month or day to another, both included; UsageError where a text is neither or they are reversed."""
        start, end = _span(first)[0], _span(last)[1]
        if end <= start:
            msg = f"a report from {first} to {last} has no day; give the earlier one first"
            raise UsageError(msg)
        return cls(start, end)

    @property
    def last(self) -> date:
        """The last day of it."""
        return self.end - _ONE_DAY

    @property
    def months(self) -> tuple[date, ...]:
        """The months that it touches."""
        return months_between(month_of(self.start), self.last)

    @property
    def is_month(self) -> bool:
        """Whether it is one whole month."""
        return self == Period.of_month(month_of(self.start))

    @property
    def name(self) -> str:
        """How its files are called: 2026-03, 2026-03_2026-05 of whole months, 2026-03-02_2026-03-08 of days."""
        if self.is_month:
            return f"{self.start:%Y-%m}"
        whole = self.start.day == self.end.day == 1
        form = "%Y-%m" if whole else "%Y-%m-%d"
        return f"{self.start:{form}}_{self.last:{form}}"

    @property
    def label(self) -> str:
        """The period in a title."""
        return f"{self.start:%B %Y}" if self.is_month else f"{self.start} to {self.last}"


def _span(text: str) -> tuple[date, date]:
    """First day and the day after of a month or a day."""
    try:
        if _MONTH.fullmatch(text):
            month = date.fromisoformat(f"{text}-01")
            return month, next_month(month)
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text)
            return day, day + _ONE_DAY
    except ValueError:
        pass
    msg = f"{text!r} is neither a month nor a day; write it as 2026-03 or 2026-03-31"
    raise UsageError(msg)
