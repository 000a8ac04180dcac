"""facts.intervals of services: requests that run or wait, and models that are loaded, cut to the month.

A request lies in the facts of the month in which it ended, so a month reads those of the next one too: of requests that
began before its end. One that ran for longer than a month is not seen in the months before the one before its end.
Zero-length, pre-summed and unfinished requests neither run nor wait.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from usage_assets.core.months import next_month
from usage_assets.kinds.service.facts.tables import MODEL_RESIDENCY, SERVICE_REQUESTS
from usage_assets.kinds.service.raw.tables import TABLES
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.specs.asset import Extracted
from usage_assets.warehouse import Query, Writer
from usage_assets.warehouse.readiness import extracted_at

# the rows whose spans are looked at: reader, entity, its type, begin and end; without an end it is open
_REQUESTS = f"""
SELECT reader, request_id AS entity_id, model_id AS node_type, {{begin}} AS original_start_at,
    {{end}} AS original_end_at, ended_at IS NOT NULL AND requests = 1 AS counts
FROM {SERVICE_REQUESTS.qualified}
WHERE site = $site AND (month = $month OR month = $after AND {{begin}} < $end)
"""
_RESIDENCY = f"""
SELECT reader, model_id AS entity_id, model_id AS node_type, loaded_at AS original_start_at,
    unloaded_at AS original_end_at, true AS counts
FROM {MODEL_RESIDENCY.qualified} WHERE site = $site AND month = $month
"""


@dataclass(frozen=True)
class Spans:
    """The intervals of one metric, and the account of the rows that they are made of."""

    metric: str
    rows: str
    is_open: bool = False
    """Rows without an end last until the month was read."""

    def select(self, writer: Writer, site: ServiceSite, month: date, extracted: Extracted) -> Iterator[Query]:
        """Rows of facts.intervals."""
        del writer
        sql = f"""SELECT $site AS site, $month::DATE AS month, $metric AS metric, reader AS source, entity_id,
    start_at, end_at, original_start_at, original_end_at, 'kept' AS action, node_type, 1.0::DOUBLE AS requests
FROM ({self._cut()}) WHERE start_at < end_at"""
        yield Query(sql, self._params(site, month, extracted) | {"metric": self.metric})

    def account(self, writer: Writer, site: ServiceSite, month: date) -> Query:
        """Per reader the rows looked at, those with an interval, and their hours."""
        extracted = extracted_at(writer, site, [month], TABLES)
        hours = "coalesce(sum(epoch(end_at - start_at)) FILTER (WHERE start_at < end_at), 0)::DOUBLE / 3600"
        sql = f"""SELECT reader AS source, count(*) AS rows_in, count(*) FILTER (WHERE start_at < end_at) AS rows_kept,
    0::BIGINT AS rows_rejected, count(*) - count(*) FILTER (WHERE start_at < end_at) AS rows_outside,
    {hours} AS hours_in, {hours} AS hours_kept, 0::DOUBLE AS hours_clipped, 0::DOUBLE AS hours_rejected
FROM ({self._cut()}) GROUP BY reader"""
        return Query(sql, self._params(site, month, extracted))

    def _cut(self) -> str:
        until = "coalesce(original_end_at, $read_at)" if self.is_open else "original_end_at"
        return f"""SELECT *, CASE WHEN counts THEN greatest(original_start_at, $begin) END AS start_at,
    CASE WHEN original_end_at IS NOT NULL OR {self.is_open} THEN least({until}, $end) END AS end_at
FROM ({self.rows})"""

    def _params(self, site: ServiceSite, month: date, extracted: Extracted) -> dict[str, Any]:
        begin, after = datetime.combine(month, datetime.min.time()), next_month(month)
        end = datetime.combine(after, datetime.min.time())
        params = {"site": site.key, "month": month, "begin": begin, "end": end}
        return params | ({"read_at": extracted.get(month, end)} if self.is_open else {"after": after})


RUNNING = Spans("running", _REQUESTS.format(begin="started_at", end="ended_at"))
QUEUED = Spans("queued", _REQUESTS.format(begin="submitted_at", end="started_at"))
LOADED = Spans("loaded", _RESIDENCY, is_open=True)
