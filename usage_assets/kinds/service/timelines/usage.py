"""timelines.usage of services: flows and stocks per bucket, dense, added up where the facts are.

An interval is split over its buckets by arithmetic: of those that begin and end in the same two buckets the parts in
the first and in the last one are sums of their instants, and what lies between are whole buckets, counted by
differences. Seconds are whole microseconds until the end, so that parts add up to the whole.
"""

from collections.abc import Iterator, Sequence
from datetime import date

from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.kinds.service.timelines.grid import BUCKETS, OF_MONTH, SUBMITTED, TYPES, Grid, drop
from usage_assets.kinds.service.timelines.metrics import FLOWS, MAXIMA, STOCKS
from usage_assets.specs.asset import Extracted
from usage_assets.timelines.tables import USAGE_STEPS
from usage_assets.warehouse import Query, Writer

ALL = "*"
"""Node type of what the site has for all its models together."""
_ROW = "$site AS site, $month::DATE AS month, b.opens_at AS timestamp, 'current' AS collector_type"


def _listed(rows: Sequence[tuple[str, ...]], columns: str) -> str:
    values = ", ".join("(" + ", ".join(f"'{value}'" for value in row) + ")" for row in rows)
    return f"(VALUES {values}) AS m({columns})"


_BUCKET_OF = "(epoch_us({at}) - $begin_us) // $width"
_ENDED_IN = _BUCKET_OF.format(at="ended_at")
_PLAIN_FLOWS = [(name, resource) for name, resource in FLOWS.items() if name != "busy"]
_FLOWS = f"""
WITH ended AS (
    SELECT model_id AS node_type, {_ENDED_IN} AS i,
        sum(requests) FILTER (WHERE final_state = 'succeeded') AS succeeded,
        sum(requests) FILTER (WHERE final_state = 'failed') AS failed,
        sum(requests) FILTER (WHERE final_state = 'cancelled') AS cancelled,
        sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
    FROM {SERVICE_REQUESTS.qualified} WHERE {OF_MONTH} AND ended_at < $until GROUP BY ALL
), found AS (
    SELECT model_id AS node_type, {_BUCKET_OF.format(at="submitted_at")} AS i, 'submitted' AS metric,
        sum(requests) AS amount
    FROM {SERVICE_REQUESTS.qualified} WHERE {SUBMITTED} GROUP BY ALL
    UNION ALL FROM (UNPIVOT ended ON succeeded, failed, cancelled, input_tokens, output_tokens
                    INTO NAME metric VALUE amount)
)
SELECT {_ROW}, t.node_type, m.metric, m.resource,
    CASE WHEN b.known THEN coalesce(f.amount, 0)::DOUBLE END AS value, NULL::DOUBLE AS hours
FROM {BUCKETS} b CROSS JOIN {TYPES} t CROSS JOIN {_listed(_PLAIN_FLOWS, "metric, resource")}
LEFT JOIN found f ON f.node_type = t.node_type AND f.i = b.i AND f.metric = m.metric
"""
_SPENT = f"""
WITH spans AS (
    SELECT metric AS state, node_type, epoch_us(start_at) - $begin_us AS s,
        least(epoch_us(end_at), $until_us) - $begin_us AS e
    FROM {INTERVALS.qualified}
    WHERE {OF_MONTH} AND metric IN ('running', 'queued', 'loaded') AND start_at < $until
), alike AS (
    SELECT state, node_type, s // $width AS first, (e - 1) // $width AS last, count(*) AS n, sum(s) AS s, sum(e) AS e
    FROM spans GROUP BY ALL
), pieces AS (
    SELECT state, node_type, first AS i, CASE WHEN first = last THEN e ELSE n * (first + 1) * $width END - s AS spent,
        0 AS change
    FROM alike
    UNION ALL SELECT state, node_type, last, e - n * last * $width, 0 FROM alike WHERE first < last
    UNION ALL SELECT state, node_type, first + 1, 0, n FROM alike WHERE first + 1 < last
    UNION ALL SELECT state, node_type, last, 0, -n FROM alike WHERE first + 1 < last
), summed AS (
    SELECT state, node_type, i, sum(spent) AS spent, sum(change) AS change FROM pieces GROUP BY ALL
), spent AS (
    SELECT b.*, t.node_type, m.state, m.metric, m.resource, coalesce(p.spent, 0)
        + sum(coalesce(p.change, 0)) OVER (PARTITION BY t.node_type, m.state ORDER BY b.i) * $width AS us
    FROM {BUCKETS} b CROSS JOIN {TYPES} t
    CROSS JOIN {_listed([(state, *names) for state, names in STOCKS.items()], "state, metric, resource")}
    LEFT JOIN summed p ON p.node_type = t.node_type AND p.i = b.i AND p.state = m.state
)
"""
_STOCKS = f"""{_SPENT}
SELECT {_ROW}, node_type, metric, resource, CASE WHEN known THEN us / width END AS value,
    CASE WHEN known THEN us / 3600000000 END AS hours
FROM spent b
UNION ALL
SELECT {_ROW}, node_type, 'busy', '{FLOWS["busy"]}', CASE WHEN known THEN us / 1000000 END, NULL FROM spent b
WHERE state = 'running'
"""
_FREE = f"""{_SPENT}, allowed AS (
    SELECT unnest($types::VARCHAR[]) AS node_type, unnest($capacities::BIGINT[]) AS capacity
), used AS (
    SELECT i, CASE WHEN $whole THEN '{ALL}' ELSE node_type END AS node_type, sum(us) AS us FROM spent
    WHERE state = 'running' GROUP BY ALL
), free AS (
    SELECT b.*, a.node_type, a.capacity * b.width AS capacity, coalesce(u.us, 0) AS us
    FROM {BUCKETS} b CROSS JOIN allowed a LEFT JOIN used u ON u.i = b.i AND u.node_type = a.node_type
)
SELECT {_ROW}, node_type, 'capacity' AS metric, 'requests' AS resource, capacity / width AS value,
    capacity / 3600000000 AS hours
FROM free b
UNION ALL
SELECT {_ROW}, node_type, 'available', 'requests', CASE WHEN known THEN (capacity - us) / width END,
    CASE WHEN known THEN (capacity - us) / 3600000000 END
FROM free b
"""
_MOST = f"""
WITH steps AS (
    SELECT metric, node_type, {_BUCKET_OF.format(at="timestamp")} AS i, max(value) AS most,
        min(timestamp) AS first_at, arg_max(value, timestamp) AS newest
    FROM {USAGE_STEPS.qualified}
    WHERE {OF_MONTH} AND collector_type = 'current' AND metric IN ('running', 'queued') GROUP BY ALL
), filled AS (
    SELECT b.*, t.node_type, m.metric, s.most, s.first_at, last_value(s.newest IGNORE NULLS) OVER series AS newest
    FROM {BUCKETS} b CROSS JOIN {TYPES} t CROSS JOIN {_listed(list(MAXIMA.items()), "metric, stock")}
    LEFT JOIN steps s ON s.node_type = t.node_type AND s.i = b.i AND s.metric = m.stock
    WINDOW series AS (PARTITION BY t.node_type, m.metric ORDER BY b.i)
), held AS (
    SELECT *, lag(newest) OVER (PARTITION BY node_type, metric ORDER BY i) AS held FROM filled
)
SELECT {_ROW}, node_type, metric, 'requests' AS resource,
    CASE WHEN NOT known THEN NULL WHEN first_at = b.opens_at THEN most ELSE coalesce(greatest(most, held), 0) END
        AS value, NULL::DOUBLE AS hours
FROM held b
"""


def select(writer: Writer, site: ServiceSite, month: date, extracted: Extracted) -> Iterator[Query]:
    """Every bucket, model and metric of a month, up to its extraction."""
    grid = Grid.of(site, month, extracted)
    if grid.until <= grid.begin:
        return
    grid.keep(writer, with_submitted=True)
    for sql in (_FLOWS, _STOCKS, _MOST):
        yield Query(sql, grid.values(sql))
    capacity = _capacity(site)
    if capacity:
        values = {"types": list(capacity), "capacities": list(capacity.values()), "whole": ALL in capacity}
        yield Query(_FREE, grid.values(_FREE, **values))
    drop(writer)


def _capacity(site: ServiceSite) -> dict[str, int]:
    """Requests that may run at once, by model or of all models together."""
    if site.max_parallel is None:
        return {}
    return site.max_parallel if isinstance(site.max_parallel, dict) else {ALL: site.max_parallel}
