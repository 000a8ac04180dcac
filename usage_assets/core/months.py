"""Months and windows of them, and the tags by which runs name theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

FIRST_MONTH = date(2016, 1, 1)
# the tags by which Dagster knows the range of a run, or its one partition
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"


def next_month(month: date) -> date:
    """First day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def month_of(day: date) -> date:
    """First day of the month of a day."""
    return date(day.year, day.month, 1)


def months_between(first: date, last: date) -> tuple[date, ...]:
    """First days of all months from `first` to `last`, both included."""
    out = []
    month = month_of(first)
    while month <= last:
        out.append(month)
        month = next_month(month)
    return tuple(out)


def ranges(months: Iterable[date], most: int = 4) -> str:
    """Months in order as ranges, `2016-01..2018-12, 2020-05`; at most so many of them, the rest is counted."""
    out: list[list[date]] = []
    for month in months:
        if out and next_month(out[-1][1]) == month:
            out[-1][1] = month
        else:
            out.append([month, month])
    texts = [f"{first:%Y-%m}" if first == last else f"{first:%Y-%m}..{last:%Y-%m}" for first, last in out]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


@dataclass(frozen=True)
class Window:
    """Contiguous months of one site: what one run builds; none where all lie before the site's first month."""

    site: str
    months: tuple[date, ...]

    def __post_init__(self) -> None:
        if self.months and self.months != months_between(self.months[0], self.months[-1]):
            msg = f"site {self.site}: a run covers contiguous months, not {[str(month) for month in self.months]}"
            raise ValueError(msg)

    @cached_property
    def start_at(self) -> datetime:
        """Start of the first month."""
        return datetime.combine(self.months[0], datetime.min.time())

    @cached_property
    def end_at(self) -> datetime:
        """End of the last month."""
        return datetime.combine(next_month(self.months[-1]), datetime.min.time())

    def since(self, first: date) -> Window:
        """The months from `first` on."""
        return Window(self.site, tuple(month for month in self.months if month >= first))

    def parts(self, months: int | None) -> list[Window]:
        """The window in pieces of at most so many months; as it is where there is no bound."""
        size = months or len(self.months) or 1
        return [Window(self.site, self.months[at : at + size]) for at in range(0, len(self.months), size)]

    def __str__(self) -> str:
        if not self.months:
            return f"site {self.site}"
        first, last = self.months[0], self.months[-1]
        span = f"{first:%Y-%m}" if first == last else f"{first:%Y-%m}..{last:%Y-%m}"
        return f"site {self.site} {span}"


def window_of_tags(tags: Mapping[str, str]) -> Window | None:
    """The window that a run's tags name; None of a run without partitions."""
    first = tags.get(RANGE_START) or tags.get(PARTITION)
    last = tags.get(RANGE_END) or first
    if not first or not last:
        return None
    try:
        (start, site), (end, other) = site_month(first), site_month(last)
    except ValueError:
        return None
    months = months_between(start, end)
    return Window(site, months) if months and site == other else None


def site_month(key: str) -> tuple[date, str]:
    """Month and site of a partition key's text, `2016-01-01|chi_tacc`; ValueError of any other."""
    month, _, site = key.partition("|")
    return date.fromisoformat(month), site
