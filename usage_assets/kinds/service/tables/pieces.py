"""Parts of a month whose requests fit into memory: some days, or some of the users of a day."""

from dataclasses import dataclass
from datetime import date, timedelta

from usage_assets.core.months import next_month
from usage_assets.kinds.service.tables.grouping import FACTS
from usage_assets.warehouse import Reader

ROWS = 500_000
"""Requests that one query takes, where days and users allow it."""
_OF_DAYS = f"""
SELECT coalesce(ended_at, submitted_at)::DATE AS date, count(*) AS rows
FROM {FACTS} WHERE site = $site AND month = $month GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class Piece:
    """Days from `first` until `end`; of several `parts` of the keys one, from 0."""

    first: date
    end: date
    part: int = 0
    parts: int = 1


def pieces(reader: Reader, site: str, month: date, most: int = ROWS) -> list[Piece]:
    """The month in pieces of at most `most` requests; a day with more is split by its keys."""
    rows = dict(reader.sql(_OF_DAYS, {"site": site, "month": month}).iter_rows())
    out: list[Piece] = []
    first, held, day = month, 0, month
    while day < next_month(month):
        number = rows.get(day, 0)
        if held > most or (held and number and held + number > most):
            out += _split(first, day, held, most)
            first, held = day, 0
        held += number
        day += timedelta(days=1)
    return out + _split(first, day, held, most)


def _split(first: date, end: date, rows: int, most: int) -> list[Piece]:
    """Days as one piece; a single day with more requests than one piece may have as several."""
    parts = max(1, -(-rows // most))
    return [Piece(first, end, part, parts) for part in range(parts)]
