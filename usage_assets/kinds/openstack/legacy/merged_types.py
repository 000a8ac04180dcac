"""Node types that the legacy counter has as one: found from the hours of both counters, month by month."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import chain, combinations
from os.path import commonprefix

import polars as pl

from usage_assets.reports.tolerance import TOLERANCE_HOURS, TOLERANCE_SHARE

METRICS = ("total", "reservable")
"""Metrics of the machines there are: their use does not depend on the names of types."""
_MOST_TYPES, _MOST_MERGED = 16, 4
_SCHEMA = pl.Schema({"month": pl.Date, "node_type": pl.String, "merged": pl.String})


def merged_types(hours: pl.DataFrame) -> pl.DataFrame:
    """month, node_type, merged: our node types that the legacy counter has within the type `merged`, and that type.

    `hours` has month, date, node_type, metric, collector_type and hours. A type of theirs is merged where, on most days
    of the month that it was counted on, its hours are those of ours of that name together with those of others of ours
    that they lack.
    """
    known = hours.filter(pl.col("metric").is_in(METRICS) & pl.col("hours").is_not_null())
    out: list[tuple[object, str, str]] = []
    for (month,), rows in known.group_by("month", maintain_order=True):
        out += [(month, name, into) for name, into in _of_month(rows)]
    return pl.DataFrame(out, schema=_SCHEMA, orient="row")


def _of_month(rows: pl.DataFrame) -> Iterator[tuple[str, str]]:
    ours, theirs = (_days(rows.filter(collector_type=name)) for name in ("current", "legacy"))
    lacking = sorted(name for name, days in ours.items() if name not in theirs and max(days.values()) > TOLERANCE_HOURS)
    if not lacking or len(lacking) > _MOST_TYPES:
        return
    for name in sorted(theirs):
        own = ours.get(name, {})
        if _agree(theirs[name], [own]):
            continue
        subsets = chain.from_iterable(combinations(lacking, size) for size in range(1, _MOST_MERGED + 1))
        found = [parts for parts in subsets if _agree(theirs[name], [own, *(ours[each] for each in parts)])]
        if not found:
            continue
        # of several sums that fit, the one whose names are most alike
        best = min(found, key=lambda parts: (-_likeness(name, parts), len(parts), parts))
        lacking = [each for each in lacking if each not in best]
        yield from ((each, name) for each in sorted({*best, name}))


def _days(rows: pl.DataFrame) -> dict[str, dict[tuple[str, date], float]]:
    """Hours by node type, metric and day."""
    out: dict[str, dict[tuple[str, date], float]] = {}
    for metric, day, name, hours in rows.select("metric", "date", "node_type", "hours").iter_rows():
        out.setdefault(name, {})[metric, day] = hours
    return out


def _agree(theirs: Mapping[tuple[str, date], float], parts: Sequence[Mapping[tuple[str, date], float]]) -> bool:
    """Whether the parts add up to theirs on most days, by one of the metrics."""
    good: Counter[str] = Counter()
    days: Counter[str] = Counter()
    for (metric, day), hours in theirs.items():
        days[metric] += 1
        added = sum(part.get((metric, day), 0.0) for part in parts)
        good[metric] += abs(added - hours) <= max(TOLERANCE_HOURS, TOLERANCE_SHARE * abs(hours))
    return any(2 * good[metric] > days[metric] for metric in days)


def _likeness(name: str, parts: Iterable[str]) -> float:
    shared = [len(commonprefix([name, part])) for part in parts]  # noqa: RUF071 - of names, letter by letter
    return sum(shared) / len(shared)
