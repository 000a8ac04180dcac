"""Partitions: month x site, one shared object per kind, and the window of a run.

Dagster is imported when a partition is first asked for: a dump and most commands do without its 40 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

FIRST_MONTH = date(2016, 1, 1)
# the tags by which Dagster knows the range of a run, or its one partition
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"


def partitions(sites: Sequence[str]) -> dg.MultiPartitionsDefinition:
    """Month x site. The running month is a partition too."""
    import dagster as dg  # noqa: PLC0415

    return dg.MultiPartitionsDefinition(
        {
            "month": dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH.isoformat(), end_offset=1),
            "site": dg.StaticPartitionsDefinition(sorted(sites)),
        }
    )


def partition_key(site: str, month: date) -> dg.MultiPartitionKey:
    """The key of a site-month, `2016-01-01|chi_tacc`."""
    import dagster as dg  # noqa: PLC0415

    return dg.MultiPartitionKey({"month": month.isoformat(), "site": site})


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

    @property
    def keys(self) -> list[dg.MultiPartitionKey]:
        """The partition key of each month, in order."""
        return [partition_key(self.site, month) for month in self.months]

    def __str__(self) -> str:
        if not self.months:
            return f"site {self.site}"
        first, last = self.months[0], self.months[-1]
        span = f"{first:%Y-%m}" if first == last else f"{first:%Y-%m}..{last:%Y-%m}"
        return f"site {self.site} {span}"


def run_window(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Window:
    """The window of the run that a step belongs to."""
    tags = context.run.tags
    if RANGE_START in tags and isinstance(tags, dict):
        # A backfill launched from a job's page leaves the dimensions of its first month beside the range, and Dagster
        # (1.13) believes those: the run would build one month and call all of them done. No step may see them.
        for name in [name for name in tags if name.startswith(f"{PARTITION}/")]:
            del tags[name]
    return window_of(context.partition_keys)


def window_of(keys: Iterable[str]) -> Window:
    """The window of a run's partition keys: one site, contiguous months."""
    multi = [_multi(key) for key in keys]
    sites = {key.keys_by_dimension["site"] for key in multi}
    if len(sites) != 1:
        msg = f"a run covers one site, not {sorted(sites)}; backfill each site by itself"
        raise ValueError(msg)
    months = sorted(date.fromisoformat(key.keys_by_dimension["month"]) for key in multi)
    return Window(sites.pop(), tuple(months))


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


def _multi(key: str) -> dg.MultiPartitionKey:
    import dagster as dg  # noqa: PLC0415

    if isinstance(key, dg.MultiPartitionKey):
        return key
    msg = f"partition key {key!r} has no dimensions"
    raise TypeError(msg)
