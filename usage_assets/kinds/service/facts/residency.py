"""facts.model_residency: when each model was loaded, from events of loads and unloads.

A model is loaded from its first load to the next unload: further loads in between change nothing (a restart that was
not told), nor does an unload of a model that is not loaded (it was loaded before the first event). A month looks at all
events before its end: those of earlier months, and what the month before still holds as loaded where these are gone.
"""

from collections.abc import Iterator
from datetime import date, datetime

from usage_assets.core.months import month_of, next_month
from usage_assets.kinds.service.facts.tables import MODEL_INVENTORY, MODEL_RESIDENCY
from usage_assets.kinds.service.raw.tables import NONE, USAGE_EVENTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.specs.asset import Extracted
from usage_assets.warehouse import Query, Writer

_BYTES = "coalesce(meters['bytes'], meters['size_bytes'])"
_CHANGES = f"""
SELECT coalesce(model_id, '{NONE}') AS model_id, ts, event_id, event_type = 'model_load' AS loads, provider, reader,
    CAST(round({_BYTES}) AS BIGINT) AS bytes
FROM {USAGE_EVENTS.table.qualified}
WHERE site = $site AND month <= $month AND ts < $end AND NOT is_context AND event_type IN ('model_load', 'model_unload')
UNION ALL
SELECT model_id, loaded_at, '', true, provider, reader, bytes
FROM {MODEL_RESIDENCY.qualified} WHERE site = $site AND month = $before AND unloaded_at IS NULL
"""
_ROWS = f"""
WITH told AS (
    SELECT *, lag(loads, 1, false) OVER (PARTITION BY model_id ORDER BY ts, event_id) AS was_loaded FROM ({_CHANGES})
), changes AS (
    SELECT *, lead(ts) OVER (PARTITION BY model_id ORDER BY ts, event_id) AS next_at FROM told WHERE loads <> was_loaded
), resident AS (
    SELECT *, greatest(ts, $month) AS sized_at FROM changes
    WHERE loads AND (ts >= $month OR next_at IS NULL OR next_at > $month)
)
SELECT $site AS site, $month::DATE AS month, r.model_id, r.ts AS loaded_at, r.next_at AS unloaded_at,
    coalesce(r.bytes, i.size_bytes) AS bytes, coalesce(r.provider, i.provider) AS provider, r.reader
FROM resident r LEFT JOIN {MODEL_INVENTORY.qualified} i ON i.site = $site AND i.month = $month
AND i.model_id = r.model_id AND i.valid_from <= sized_at AND (i.valid_to IS NULL OR i.valid_to > sized_at)
"""


def select(writer: Writer, site: ServiceSite, month: date, extracted: Extracted) -> Iterator[Query]:
    """The stretches in which models were loaded that touch a month."""
    del extracted
    end = datetime.combine(next_month(month), datetime.min.time())
    params = {"site": site.key, "month": month, "before": month_of(date.fromordinal(month.toordinal() - 1)), "end": end}
    writer.ensure(MODEL_INVENTORY)
    yield Query(_ROWS, params)
