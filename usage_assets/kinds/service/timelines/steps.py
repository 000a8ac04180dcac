"""timelines.usage_steps of services: requests that run and wait and models that are loaded, change by change."""

from collections.abc import Iterator
from datetime import date, datetime

from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.kinds.service.timelines.grid import GAPS, OF_MONTH, TYPES, Grid, drop
from usage_assets.kinds.service.timelines.metrics import STOCKS
from usage_assets.specs.asset import Extracted
from usage_assets.warehouse import Query, Writer, bound

_INTERVALS_AT_ONCE = 1_000_000
# a slice of the month: the value before its first change is that of the intervals that cover its start
_STEPS = f"""
WITH own AS (
    SELECT node_type, start_at, end_at FROM {INTERVALS.qualified} WHERE {OF_MONTH} AND metric = $state
), changes AS (
    SELECT node_type, start_at AS changed_at, 1 AS change FROM own WHERE start_at >= $from AND start_at < $to
    UNION ALL SELECT node_type, end_at, -1 FROM own WHERE end_at >= $from AND end_at < $to
    UNION ALL SELECT node_type, $begin::TIMESTAMP, 0 FROM {TYPES} WHERE $from = $begin
    UNION ALL SELECT node_type, edge, 0 FROM {TYPES} CROSS JOIN {GAPS} CROSS JOIN unnest([gap_from, gap_to]) AS e(edge)
    WHERE edge >= $from AND edge < $to
), summed AS (
    SELECT node_type, changed_at, sum(change) AS change FROM changes GROUP BY ALL
), held AS (
    SELECT node_type, count(*) AS before FROM own WHERE start_at < $from AND end_at >= $from GROUP BY node_type
)
SELECT $site AS site, $month::DATE AS month, changed_at AS timestamp, 'current' AS collector_type, node_type,
    $metric AS metric, $resource AS resource, CASE WHEN known THEN amount END AS value
FROM (
    SELECT *, (coalesce(before, 0) + sum(change) OVER (PARTITION BY node_type ORDER BY changed_at))::DOUBLE AS amount,
        NOT EXISTS (FROM {GAPS} WHERE gap_from <= changed_at AND changed_at < gap_to) AS known,
        changed_at = $begin OR EXISTS (FROM {GAPS} WHERE changed_at IN (gap_from, gap_to)) AS is_edge
    FROM summed LEFT JOIN held USING (node_type)
) WHERE is_edge OR known AND change <> 0
"""


def select(writer: Writer, site: ServiceSite, month: date, extracted: Extracted) -> Iterator[Query]:
    """Each stock at the month's start and at each of its changes, slice by slice of the month."""
    grid = Grid.of(site, month, extracted)
    if grid.until <= grid.begin:
        return
    grid.keep(writer, with_submitted=False)
    for state, (metric, resource) in STOCKS.items():
        for start, end in _slices(writer, grid, state):
            values = {"state": state, "metric": metric, "resource": resource, "from": start, "to": end}
            yield Query(_STEPS, grid.values(_STEPS, **values))
    drop(writer)


def _slices(writer: Writer, grid: Grid, state: str) -> Iterator[tuple[datetime, datetime]]:
    """Equal parts of the month, so many that the changes of each fit into memory."""
    sql = f"SELECT count(*) FROM {INTERVALS.qualified} WHERE {OF_MONTH} AND metric = $state"
    ((count,),) = writer.con.execute(sql, bound(grid.values(sql, state=state))).fetchall()
    parts = count // _INTERVALS_AT_ONCE + 1
    edges = [grid.begin + (grid.until - grid.begin) * part / parts for part in range(parts)]
    return zip(edges, [*edges[1:], grid.until], strict=True)
