"""Which raw events a month of requests is folded of, and how they are brought together without reading them often.

A request belongs to the month of its end (of its submission, while unfinished), and is folded of all its events. A
month reads its own raw rows and those up to twice `max_request_hours` before and after it: a queue and a duration may
be that long each. Of an id that several events share it also reads the rest of the month before and of the month after.
Each month so sees the same events of a request whose events lie in two months that touch, and only one of them keeps
it. An id that is used again a whole month later or more is another request of the same name: the check
`request_id_unique` names it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from usage_assets.core.months import month_of, next_month
from usage_assets.kinds.service.raw.tables import BEGINNINGS, OUTCOMES, USAGE_EVENTS
from usage_assets.warehouse import Writer, bound

FOLDED = (*BEGINNINGS, *OUTCOMES)
"""Event types that speak of a request; the others are of models or of the service."""
COLUMNS = (
    *("event_id", "ts", "user_id", "team_id", "session_id", "model_id", "provider", "event_type", "requests"),
    *("input_tokens", "output_tokens", "cached_tokens", "meters", "cost", "currency", "cost_known", "duration_s"),
    *("queue_s", "success", "error", "prompt_hash", "time_of", "reader"),
)
_EVENTS_AT_ONCE = 500_000
_NAMED = re.compile(r"\$(\w+)")
_RAW = USAGE_EVENTS.table.qualified
_ID = "coalesce(request_id, event_id)"
_TYPES = ", ".join(f"'{name}'" for name in FOLDED)
_OF_SITE = (
    f"site = $site AND month BETWEEN $before AND $after AND NOT is_context AND event_type IN ({_TYPES}) "
    "AND ts >= $before AND ts < $end"
)
_NEAR = f"{_OF_SITE} AND ts >= $near_from AND ts < $near_to"
_FAR = f"{_OF_SITE} AND NOT (ts >= $near_from AND ts < $near_to)"
_SELECTED = f"{_ID} AS request_id, " + ", ".join(COLUMNS)


@dataclass(frozen=True)
class Reach:
    """The raw rows that a month of requests is folded of; `before` and `after` are the months beside it."""

    site: str
    month: date
    hours: float

    @property
    def params(self) -> dict[str, Any]:
        """Values of the queries over them."""
        start, end = _at(self.month), _at(next_month(self.month))
        before, after = month_of(self.month - timedelta(days=1)), next_month(self.month)
        far = timedelta(hours=2 * self.hours)
        return {
            "site": self.site,
            "before": before,
            "after": after,
            "end": _at(next_month(after)),
            "near_from": max(start - far, _at(before)),
            "near_to": min(end + far, _at(next_month(after))),
        }


@dataclass(frozen=True)
class Events:
    """Relations of the events of a month: of requests with one event, and parts of the others, of whole requests."""

    single: str
    shared: tuple[str, ...]
    params: Mapping[str, Any]


def events(writer: Writer, reach: Reach) -> Events:
    """The events of a month; puts those of ids that several events share into temporary tables (see `drop`)."""
    params = reach.params
    near = f"SELECT {_SELECTED} FROM {_RAW} WHERE {_NEAR}"
    if not _shares_ids(writer, params):
        return Events(f"({near})", (), params)
    _run(writer, f"CREATE OR REPLACE TEMP TABLE service_near AS SELECT hash({_ID}) AS h, count(*) AS n FROM {_RAW} "
         f"WHERE {_NEAR} GROUP BY h", params)  # fmt: skip
    _run(writer, f"CREATE OR REPLACE TEMP TABLE service_far AS SELECT {_SELECTED}, hash({_ID}) AS h FROM {_RAW} "
         f"WHERE {_FAR} AND hash({_ID}) IN (SELECT h FROM service_near)", params)  # fmt: skip
    _run(writer, "CREATE OR REPLACE TEMP TABLE service_several AS SELECT h FROM service_near WHERE n > 1 "
         "UNION SELECT h FROM service_far", {})  # fmt: skip
    count = "SELECT (SELECT coalesce(sum(n), 0) FROM service_near WHERE h IN (SELECT h FROM service_several))"
    ((rows,),) = writer.con.execute(f"{count} + (SELECT count(*) FROM service_far)").fetchall()
    parts = -(-int(rows) // _EVENTS_AT_ONCE)
    # sorted by part, so that the rows of one lie together and are read without the others
    _run(writer, f"CREATE OR REPLACE TEMP TABLE service_shared AS SELECT *, h % {max(parts, 1)} AS part FROM ("
         f"SELECT {_SELECTED}, hash({_ID}) AS h FROM {_RAW} WHERE {_NEAR} AND hash({_ID}) IN (SELECT h FROM "
         "service_several) UNION ALL FROM service_far) ORDER BY part", params)  # fmt: skip
    single = f"({near} AND hash({_ID}) NOT IN (SELECT h FROM service_several))"
    shared = tuple(f"(SELECT * EXCLUDE (h, part) FROM service_shared WHERE part = {part})" for part in range(parts))
    return Events(single, shared, params)


def drop(writer: Writer) -> None:
    """Remove the temporary tables of `events`."""
    for name in ("near", "far", "several", "shared"):
        writer.con.execute(f"DROP TABLE IF EXISTS service_{name}").fetchall()


def _shares_ids(writer: Writer, params: Mapping[str, Any]) -> bool:
    """Whether events name requests by other ids than their own: only these can have several events."""
    sql = f"SELECT 1 FROM {_RAW} WHERE {_OF_SITE} AND request_id <> event_id LIMIT 1"
    return bool(writer.con.execute(sql, bound(used(sql, params))).fetchall())


def _run(writer: Writer, sql: str, params: Mapping[str, Any]) -> None:
    writer.con.execute(sql, bound(used(sql, params))).fetchall()


def used(sql: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a query names: DuckDB refuses further ones."""
    named = set(_NAMED.findall(sql))
    return {name: value for name, value in params.items() if name in named}


def _at(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time())
