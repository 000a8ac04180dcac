"""Spending limits: what a scope may spend in a window, their files, and which row is judged at which time.

A scope type names one column or several: the scope_id of several is the JSON text of their values, `["a","b"]`. The
scope_id `*` stands for each value on its own; while a row of the value itself is valid, that one is judged in its
place, and where it is not enabled the value is exempt.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from json import loads
from math import ceil
from pathlib import Path
from typing import Any, get_args

from usage_assets.core.errors import SiteError, UsageError
from usage_assets.pricing.files import read_records
from usage_assets.pricing.periods import Window, period_of, zone
from usage_assets.pricing.sql import UNIT
from usage_assets.pricing.validity import Valid, refuse_overlaps
from usage_assets.pricing.values import Field, decimals, flag, instant, json_text, money, read_texts, text, texts

EACH = "*"
CALENDAR: tuple[Window, ...] = get_args(Window)
"""Windows that begin and end with the calendar, in order."""
WINDOWS = ("request", "session", *CALENDAR)
THRESHOLDS = (Decimal("0.5"), Decimal("0.8"), Decimal("0.95"), Decimal(1))
"""Parts of an amount that are told where a row names none."""
_EARLIEST, _LATEST = datetime(1, 1, 1), datetime(9999, 1, 1)


@dataclass(frozen=True)
class Limit(Valid):
    """An amount that a scope may spend in a window, from one instant until another."""

    scope_type: str
    scope_id: str
    window: str
    amount: Decimal
    site: str | None = None
    currency: str | None = None
    thresholds: tuple[Decimal, ...] = THRESHOLDS
    reporting_tz: str | None = None
    enabled: bool = True

    @property
    def bars(self) -> Iterator[tuple[Decimal, Decimal]]:
        """Each threshold, and the least amount of 12 places that is not below threshold x amount."""
        for threshold in self.thresholds:
            units = ceil(Fraction(threshold) * Fraction(self.amount) * UNIT)
            yield threshold, Decimal((0, tuple(map(int, str(units))), -12))


@dataclass(frozen=True)
class Judged:
    """A row as it is judged for a scope_id (None: for every value without a row of its own) in [start, end)."""

    row: Limit
    scope_id: str | None
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Calendar:
    """Where periods begin: the time zone of rows that name none, and the first day of a week (monday 0)."""

    reporting_tz: str = "UTC"
    week_start: int = 0


def limit_fields() -> dict[str, Field]:
    """The columns of a limits file."""
    return {
        "site": text(), "scope_type": text(required=True), "scope_id": texts(required=True),
        "window": text(required=True), "amount": money(required=True), "currency": text(), "thresholds": decimals(),
        "reporting_tz": text(), "valid_from": instant(), "valid_to": instant(), "enabled": flag(),
    }  # fmt: skip


def read_limits(path: Path, error: type[UsageError] = SiteError) -> list[Limit]:
    """The limits of a file; what `Limits.of` finds wrong names their lines."""
    return [limit_of(place, row) for place, row in read_records(path, limit_fields(), error).rows()]


def limit_of(place: str, row: Mapping[str, Any]) -> Limit:
    """The limit of a row of values; null ones are the defaults (always valid, enabled, `THRESHOLDS`)."""
    given = {name: value for name, value in row.items() if value is not None}
    thresholds = tuple(sorted(given.pop("thresholds", THRESHOLDS)))
    return Limit(place=place, **{"valid_from": _EARLIEST, **given, "thresholds": thresholds})


@dataclass(frozen=True)
class Limits:
    """The limits of one site that were found to be consistent; made by `Limits.of`."""

    site: str
    rows: tuple[Limit, ...]
    scope_types: Mapping[str, Sequence[str]]
    calendar: Calendar

    @classmethod
    def of(
        cls,
        rows: Iterable[Limit],
        site: str,
        scope_types: Mapping[str, Sequence[str]],
        currency: str,
        *,
        calendar: Calendar | None = None,
        imported: Iterable[Limit] = (),
        error: type[UsageError] = SiteError,
    ) -> "Limits":
        """The rows that are for the site, or for all; `error` names file, line and key of what is wrong.

        `scope_types` gives the columns of charges that each scope type consists of. Rows `imported` from elsewhere
        count where no row has their scope and window.
        """
        calendar = calendar or Calendar()
        zone(calendar.reporting_tz)
        found = [row for row in rows if row.site in {None, site}]
        own = {_scope(row) for row in found}
        found += [row for row in imported if row.site in {None, site} and _scope(row) not in own]
        checked = tuple(_checked(row, scope_types, currency, error) for row in found)
        by_scope = defaultdict(list)
        for row in checked:
            by_scope[_scope(row)].append(row)
        for (scope_type, scope_id, window), some in by_scope.items():
            refuse_overlaps(some, lambda _: None, f"limits of {scope_type} {scope_id} per {window}", error)
        return cls(site, checked, dict(scope_types), calendar)

    def tz(self, row: Limit) -> str:
        """The time zone of a row's periods."""
        return row.reporting_tz or self.calendar.reporting_tz

    @property
    def zones(self) -> list[str]:
        """The time zones of all rows, and of what has none."""
        return sorted({self.calendar.reporting_tz, *map(self.tz, self.rows)})

    def pairs(self) -> list[tuple[str, str]]:
        """The scope types and windows that have a row, in order."""
        return sorted({(row.scope_type, row.window) for row in self.rows})

    def own_ids(self, scope_type: str, window: str) -> list[str]:
        """The scope_ids with a row of their own, enabled or not."""
        return sorted({row.scope_id for row in self._of(scope_type, window) if row.scope_id != EACH})

    def judged(self, scope_type: str, window: str) -> list[Judged]:
        """Which rows are judged when, for values with rows of their own and for all others (scope_id None)."""
        rows = self._of(scope_type, window)
        each = [row for row in rows if row.scope_id == EACH and row.enabled]
        out = [Judged(row, None, *_span(row)) for row in each]
        own = defaultdict(list)
        for row in rows:
            if row.scope_id != EACH:
                own[row.scope_id].append(row)
        for scope_id, some in own.items():
            out += [Judged(row, scope_id, *_span(row)) for row in some if row.enabled]
            out += [
                Judged(row, scope_id, start, end)
                for row in each
                for start, end in _without(_span(row), map(_span, some))
            ]
        return out

    def charges_since(self, at: datetime) -> datetime:
        """From when charges must be given to judge those from an instant on (sessions may have begun before)."""
        wanted = {(window, self.tz(row)) for row in self.rows for window in CALENDAR if row.window == window}
        starts = (period_of(window, tz, at, self.calendar.week_start).start for window, tz in wanted)
        return min([at, *starts])

    def open_starts(self, window: Window, at: datetime) -> set[datetime]:
        """The starts of the window's periods that hold an instant: an alert of another period is one of the past."""
        return {period_of(window, tz, at, self.calendar.week_start).start for tz in self.zones}

    def _of(self, scope_type: str, window: str) -> list[Limit]:
        return [row for row in self.rows if row.scope_type == scope_type and row.window == window]


def _scope(row: Limit) -> tuple[str, str, str]:
    return row.scope_type, row.scope_id, row.window


def _span(row: Limit) -> tuple[datetime, datetime]:
    return row.valid_from, row.valid_to or _LATEST


def _without(
    span: tuple[datetime, datetime], taken: Iterable[tuple[datetime, datetime]]
) -> Iterator[tuple[datetime, datetime]]:
    """The parts of a span that lie in none of the spans taken, which do not overlap."""
    start, end = span
    for first, last in sorted(taken):
        if start < min(first, end):
            yield start, min(first, end)
        start = max(start, last)
    if start < end:
        yield start, end


def _checked(row: Limit, scope_types: Mapping[str, Sequence[str]], currency: str, error: type[UsageError]) -> Limit:
    """The row with its scope_id as charges have it."""
    faults = {
        "scope_type": None if row.scope_type in scope_types else f"is none of {', '.join(sorted(scope_types))}",
        "window": None if row.window in WINDOWS else f"is none of {', '.join(WINDOWS)}",
        "amount": "is below 0" if row.amount < 0 else None,
        "currency": None if row.currency in {None, currency} else f"is not the site's, {currency}",
    }
    try:
        for key, fault in faults.items():
            if fault is not None:
                _refuse(f"{key}: {getattr(row, key)} {fault}")
        if not row.thresholds or row.thresholds[0] <= 0 or len(set(row.thresholds)) < len(row.thresholds):
            _refuse("thresholds: name at least one, each above 0, none twice")
        if row.reporting_tz is not None:
            _zone(row.reporting_tz)
        scope_id = _scope_id(row.scope_id, len(scope_types[row.scope_type]))
    except ValueError as fault:
        msg = f"{row.place}: {fault}"
        raise error(msg) from None
    row.refuse_empty(error)
    return replace(row, scope_id=scope_id)


def _zone(named: str) -> None:
    try:
        zone(named)
    except ValueError as fault:
        msg = f"reporting_tz: {fault}"
        raise ValueError(msg) from None


def _refuse(fault: str) -> None:
    raise ValueError(fault)


def _scope_id(given: str, columns: int) -> str:
    """The scope_id of so many columns, written as JSON without blanks if there are several."""
    if given == EACH or columns == 1:
        return given
    try:
        parts = loads(given)
    except ValueError:
        parts = None
    if not isinstance(parts, list) or len(parts) != columns or not all(isinstance(part, str) for part in parts):
        fault = f"scope_id: {given} is no JSON list of {columns} texts, such as {read_texts(['a', 'b'])}"
        raise ValueError(fault)
    return json_text(parts)
