"""What the checks of raw tables ask of the bookkeeping of dumps."""

from datetime import date

from usage_assets.checks.readiness import per_reader
from usage_assets.core.months import Window
from usage_assets.sites.base import Site
from usage_assets.sources.record import dumps
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.warehouse import Reader

_UNDATED = (
    "row(s) held as deleted without a date: they end when they were terminated, else with their last change, and are "
    "rejected where neither is known"
)
_TEXTS = {
    "rows_gone": "row(s) gone at the source, kept here",
    "zero_dates": "instant(s) that are no date, stored as null",
    "undated": _UNDATED,
    "shrank": "row(s) fewer at the source than at the dump before",
}


def evidence(table: str, reader: Reader, _site: Site, window: Window) -> dict[date, Finding]:
    """A month is pointed out when the latest dump of a raw table found rows gone, fewer rows, or no dates."""
    found = _by_table(reader, window).get(table, {})
    return {month: found.get(month, GOOD) for month in window.months}


@per_reader
def _by_table(reader: Reader, window: Window) -> dict[str, dict[date, Finding]]:
    out: dict[str, dict[date, Finding]] = {}
    for row in dumps(reader, window.site, months=window.months).filter("is_latest").iter_rows(named=True):
        figures = {name: row[name] or 0 for name in _TEXTS}
        parts = [f"{number} {_TEXTS[name]}" for name, number in figures.items() if number]
        if parts:
            out.setdefault(row["table_name"], {})[row["month"]] = Finding(False, "; ".join(parts), figures)
    return out
