"""`contract` and `coverage`, which every asset has: both read what the write recorded in serving.gates."""

from collections.abc import Callable
from datetime import date
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from usage_assets.core.months import Window, next_month
from usage_assets.sites.base import Site
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import GATES
from usage_assets.warehouse.readiness import GATED

Readiness = dict[str, dict[date, tuple[bool, str | None]]]
_T = TypeVar("_T")


def per_reader(ask: Callable[[Reader, Window], _T]) -> Callable[[Reader, Window], _T]:
    """A question of which many checks need the same answer: asked once per reader, which sees one state."""
    known: WeakKeyDictionary[Reader, dict[Window, _T]] = WeakKeyDictionary()

    @wraps(ask)
    def answered(reader: Reader, window: Window) -> _T:
        found = known.setdefault(reader, {})
        if window not in found:
            found[window] = ask(reader, window)
        return found[window]

    return answered


@per_reader
def readiness_of(reader: Reader, window: Window) -> Readiness:
    """By asset and month: whether it is good, and why not."""
    out: Readiness = {}
    for row in reader.frame(GATES, window.site, window.months).iter_rows(named=True):
        out.setdefault(row["asset"], {})[row["month"]] = (row["ok"], row["reason"])
    return out


def contract(asset: str, reader: Reader, _site: Site, window: Window) -> dict[date, Finding]:
    """A month fails when rows that were to be written broke the table's declaration; its old rows were kept."""
    readiness, out = readiness_of(reader, window), {}
    for month in window.months:
        ok, reason = readiness.get(asset, {}).get(month, (True, None))
        broken = not ok and not (reason or "").startswith(GATED)
        out[month] = Finding(False, f"refused, the old rows were kept: {reason}") if broken else GOOD
    return out


def coverage(
    asset: str, reader: Reader, site: Site, window: Window, *, sources: tuple[str, ...] = ()
) -> dict[date, Finding]:
    """A month fails when the site should have it and it was not built, or was built only before.

    `sources` are the raw tables whose known gaps excuse a month that lies in them as a whole.
    """
    readiness, out = readiness_of(reader, window), {}
    for month in window.months:
        ok, reason = readiness.get(asset, {}).get(month, (False, "it was never built"))
        if ok or not expected(site, month, sources):
            out[month] = GOOD
        else:
            out[month] = Finding(False, f"not covered: {(reason or 'refused').removeprefix(GATED)}")
    return out


def expected(site: Site, month: date, sources: tuple[str, ...] = ()) -> bool:
    """Whether the site should have this month: not before its first, not wholly in a known gap of all `sources`."""
    missing = {gap.source for gap in site.known_gaps if gap.start <= month and gap.end >= next_month(month)}
    return month >= site.first_month and not (sources and missing.issuperset(sources))


def touches_gap(site: Site, month: date) -> bool:
    """Whether a known gap of any source reaches into the month."""
    return any(gap.start < next_month(month) and gap.end > month for gap in site.known_gaps)
