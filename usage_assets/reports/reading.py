"""Rows that figures draw, added up in the warehouse: a whole history is millions of rows, its figure thousands.

Each function takes (reader, scene), as `Plot.read` calls it.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

from usage_assets.facts.tables import INTERVALS, LEASES
from usage_assets.reports.figures.cross_site import SitesHistory
from usage_assets.reports.figures.leadtime_history import LeadtimeHistory
from usage_assets.reports.figures.legacy import LEGACY_METRICS
from usage_assets.reports.series import Sums, candidates
from usage_assets.reports.tables import LEGACY_COMPARISON
from usage_assets.specs.plot_context import Scene
from usage_assets.timelines.metrics import metrics_with
from usage_assets.timelines.tables import LEADTIME, USAGE
from usage_assets.warehouse import Reader

_SHARED = f"""
SELECT count(*) > 0 AS shares_machines FROM (
  SELECT 1 FROM {INTERVALS.qualified} WHERE site = $site AND starts_with(metric, 'occupied') AND nodes < 1 LIMIT 1
)
"""
_OF_METRICS = "metric IN (SELECT unnest($metrics::VARCHAR[]))"
_OF_RESOURCES = "resource IN (SELECT unnest($resources::VARCHAR[]))"
_OF_HISTORY = f"site = $site AND {_OF_RESOURCES} AND {_OF_METRICS}"
_OF_MONTH = f"site = $site AND month = $month AND collector_type = 'current' AND {_OF_METRICS}"
_BOTH = f"site = $site AND month = $month AND resource = 'nodes' AND {_OF_METRICS}"
_MONTH = f"""
SELECT timestamp, metric, resource, node_type, value FROM {USAGE.qualified} WHERE {_OF_MONTH} AND {_OF_RESOURCES}
"""
_ADDED = f"""
SELECT timestamp, metric, resource, sum(value) AS value, count(value) = count(*) AS complete FROM {USAGE.qualified}
WHERE {_OF_MONTH} GROUP BY ALL
"""
_PER_TYPE = ("occupied", "occupied_ondemand", "reservable", "total")
_BY_TYPE = f"""
SELECT date_trunc('day', timestamp)::TIMESTAMP AS timestamp, node_type, resource,
       {", ".join(f"avg(value) FILTER (metric = '{name}') AS {name}" for name in _PER_TYPE)}
FROM {USAGE.qualified} WHERE site = $site AND month = $month AND collector_type = 'current' AND {_OF_RESOURCES}
GROUP BY ALL
"""


def _by_days(where: str) -> str:
    """Query of sums by days: null where a bucket of the day has no known node type, else means of what is known."""
    return f"""
WITH added AS (
  SELECT site, timestamp, collector_type, metric, resource, sum(value) AS value, count(value) = count(*) AS complete
  FROM {USAGE.qualified} WHERE {where} GROUP BY ALL
)
SELECT site, date_trunc('day', timestamp)::TIMESTAMP AS timestamp, collector_type, metric, resource,
       CASE WHEN bool_or(value IS NULL) THEN NULL ELSE avg(value) END AS value, bool_and(complete) AS complete
FROM added GROUP BY ALL
"""


_MISSING = dict.fromkeys(("site", "collector_type", "resource", "metric", "node_type"), pl.String())


def _missing(where: str) -> str:
    """Query of the node types that are not known where others are."""
    return f"""
WITH found AS (
  SELECT site, collector_type, timestamp, metric, resource, node_type, value FROM {USAGE.qualified} WHERE {where}
), partly AS (
  SELECT site, collector_type, timestamp, metric, resource FROM found
  GROUP BY ALL HAVING count(value) BETWEEN 1 AND count(*) - 1
)
SELECT DISTINCT {", ".join(_MISSING)}
FROM found SEMI JOIN partly USING (site, collector_type, timestamp, metric, resource)
WHERE value IS NULL ORDER BY ALL
"""


@dataclass(frozen=True)
class History(Sums):
    """A site's usage by days: timestamp, collector_type, metric, resource, value, complete."""

    @property
    def current(self) -> pl.DataFrame:
        """Rows of this warehouse, without those of the legacy usage counter."""
        return self.rows.filter(pl.col("collector_type") == "current")

    @property
    def both(self) -> pl.DataFrame:
        """Nodes in the metrics that the legacy usage counter has, of both collectors."""
        return self.rows.filter((pl.col("resource") == "nodes") & pl.col("metric").is_in(LEGACY_METRICS))

    @property
    def not_in_current(self) -> dict[str, tuple[str, ...]]:
        """The node types that `current` lacks, by resource."""
        return self.lacking("resource", collector_type=["current"])

    @property
    def not_in_both(self) -> dict[str, tuple[str, ...]]:
        """The node types that `both` lacks, by collector."""
        return self.lacking("collector_type", resource=["nodes"], metric=LEGACY_METRICS)


def shares_machines(reader: Reader, site: str) -> bool:
    """Whether servers of the site hold parts of machines."""
    return reader.has(INTERVALS) and bool(reader.sql(_SHARED, {"site": site}).item())


def usage_month(reader: Reader, scene: Scene) -> pl.DataFrame:
    """Rows of a month's stack: timestamp, metric, resource, node_type, value."""
    return reader.sql(_MONTH, _stacked(scene) | {"month": scene.month})


def usage_added(reader: Reader, scene: Scene) -> Sums:
    """A month's usage in every resource, node types added up: timestamp, metric, resource, value, complete."""
    params = _month(scene) | {"metrics": list(metrics_with(scene.kind_metrics).shown)}
    rows = reader.sql(_ADDED, params)
    return Sums(rows, _lacking(reader, rows, _OF_MONTH, params))


def _lacking(reader: Reader, rows: pl.DataFrame, where: str, params: dict[str, Any]) -> pl.DataFrame:
    """The node types that these sums lack: slow to find in ten years, and mostly there is none."""
    if rows.filter(~pl.col("complete") & pl.col("value").is_not_null()).is_empty():
        return pl.DataFrame(schema=_MISSING)
    return reader.sql(_missing(where), params)


def usage_by_type(reader: Reader, scene: Scene) -> pl.DataFrame:
    """A month's usage by day and node type, in what stands for machines: a column per metric."""
    return reader.sql(_BY_TYPE, _month(scene) | {"resources": list(scene.machines)})


def history(reader: Reader, scene: Scene) -> History | None:
    """The whole history of a site, buckets averaged to days; none where nothing was built."""
    if not reader.has(USAGE):
        return None
    found = _history(reader, _OF_HISTORY, _stacked(scene))
    return None if found.rows.is_empty() else found


def _history(reader: Reader, where: str, params: dict[str, Any]) -> History:
    rows = reader.sql(_by_days(where), params)
    return History(rows.drop("site"), _lacking(reader, rows, where, params))


def _month(scene: Scene) -> dict[str, Any]:
    return {"site": scene.site.key, "month": scene.month}


def _stacked(scene: Scene) -> dict[str, Any]:
    """Parameters of queries of the resources and metrics that a stack may show."""
    metrics = metrics_with(scene.kind_metrics).shown
    return {"site": scene.site.key, "resources": list(candidates(scene)), "metrics": list(metrics)}


_SAMPLE = 500
"""Leases of a group drawn as points: enough to show where they lie. A browser takes a second for each 5,000."""
_GROUPS = 5
_FEW = 60
"""Groups with fewer leases a month are drawn by quarters: medians of a handful jump."""
_LEASES = f"FROM {LEASES.qualified} WHERE site = $site AND requested IS NOT NULL"
_UNKNOWN = "unknown"  # mostly leases that were rolled back: they never got a machine that had a type
# the first word of a node type: compute, gpu, storage ...
_GROUP = "CASE WHEN contains(node_type, ',') THEN 'several' ELSE split_part(node_type, '_', 1) END"
_COUNTS = f"""
SELECT {_GROUP} AS node_group, count(*) AS leases, min(created_at) AS first, max(created_at) AS last
{_LEASES} GROUP BY ALL ORDER BY leases DESC, node_group
"""
_GROUPED = f"""
SELECT lease_id, created_at, requested, effective,
       effective - requested AS late,
       CASE WHEN {_GROUP} IN (SELECT unnest($groups::VARCHAR[])) THEN {_GROUP} ELSE 'other' END AS node_group
{_LEASES}
"""
_KINDS = ("requested", "effective", "late")
_QUARTILES = ", ".join(
    f"{{'leases': count({kind}), 'of': quantile_cont({kind}, [0.25, 0.5, 0.75])}} AS {kind}" for kind in _KINDS
)

_PERIODS = f"""
WITH grouped AS ({_GROUPED}),
     began AS (SELECT * REPLACE ('began' AS node_group) FROM grouped WHERE effective IS NOT NULL),
     every AS (SELECT * FROM grouped UNION ALL SELECT * FROM began),
     sizes AS (
       SELECT node_group, CASE WHEN count(*) < $few * count(DISTINCT date_trunc('month', created_at)) THEN 3 ELSE 1 END
              AS months
       FROM every GROUP BY ALL
     ),
     found AS (
       SELECT date_trunc(CASE months WHEN 3 THEN 'quarter' ELSE 'month' END, created_at)::TIMESTAMP AS start, months,
              node_group, {_QUARTILES}
       FROM every JOIN sizes USING (node_group) GROUP BY ALL
     ),
     long AS (UNPIVOT found ON {", ".join(_KINDS)} INTO NAME kind VALUE quartiles)
SELECT start, months, node_group, kind, quartiles.leases AS leases,
       quartiles.of[1] AS low, quartiles.of[2] AS middle, quartiles.of[3] AS high
FROM long WHERE quartiles.leases > 0 ORDER BY ALL
"""
# the most of each group at once: an order of all leases would cost three times as much
_SAMPLED = f"""
SELECT lease.* EXCLUDE (lease_id) FROM (
  SELECT unnest(arg_min(grouped, md5(grouped.lease_id), $most)) AS lease FROM ({_GROUPED}) AS grouped
  GROUP BY grouped.node_group
)
ORDER BY lease.created_at, lease.lease_id
"""


def lease_types(reader: Reader, site: str) -> tuple[str, ...]:
    """Every node type that leases of the site ever had."""
    if not reader.has(LEASES):
        return ()
    query = f"SELECT DISTINCT node_type FROM {LEASES.qualified} WHERE site = $site AND node_type IS NOT NULL"
    return tuple(sorted(reader.sql(query, {"site": site})["node_type"]))


def leadtime_month(reader: Reader, scene: Scene) -> pl.DataFrame:
    """A month of timelines.leadtime."""
    return reader.frame(LEADTIME, scene.site.key, [scene.window[0].date()])


def leases_month(reader: Reader, scene: Scene) -> pl.DataFrame:
    """The leases that were asked for in a month, in their order."""
    return reader.frame(LEASES, scene.site.key, [scene.window[0].date()]).sort("created_at", "lease_id")


def leadtime_history(reader: Reader, scene: Scene) -> LeadtimeHistory | None:
    """A site's leases by months and groups of node types, and a sample of them; none where none was built."""
    if not reader.has(LEASES):
        return None
    site = scene.site.key
    counts = reader.sql(_COUNTS, {"site": site})
    if counts.is_empty():
        return None
    names = [name for name in counts["node_group"].to_list() if name != _UNKNOWN]
    kept = names if len(names) <= _GROUPS + 1 else names[:_GROUPS]
    params = {"site": site, "groups": [*kept, _UNKNOWN]}
    periods = reader.sql(_PERIODS, params | {"few": _FEW})
    sample = reader.sql(_SAMPLED, params | {"most": _SAMPLE})
    groups = [*kept, *["other"] * (len(kept) < len(names)), *[_UNKNOWN] * (_UNKNOWN in set(counts["node_group"]))]
    first, last = counts.select(pl.col("first").min(), pl.col("last").max()).row(0)
    return LeadtimeHistory(periods, sample, tuple(groups), int(counts["leases"].sum()), first, last)


_DIFFERENCES = f"""
SELECT date::TIMESTAMP AS timestamp, metric, coalesce(cause, 'within tolerance') AS cause,
       sum(difference) AS difference, count(*) FILTER (difference IS NULL) AS one_sided
FROM {LEGACY_COMPARISON.qualified} WHERE site = $site AND month = $month GROUP BY ALL
"""
_SITES = """
collector_type = 'current' AND metric IN ('total', 'occupied')
AND (site, resource) IN (SELECT unnest($sites::VARCHAR[]), unnest($resources::VARCHAR[]))
"""


def both_collectors(reader: Reader, scene: Scene) -> History:
    """Ours and the legacy counter's nodes by days of a month, as a whole history has them."""
    return _history(reader, _BOTH, _month(scene) | {"metrics": list(LEGACY_METRICS)})


def differences(reader: Reader, scene: Scene) -> pl.DataFrame:
    """Ours minus theirs in a month, by timestamp, metric and cause: difference (node-hours), one_sided."""
    return reader.sql(_DIFFERENCES, _month(scene))


def all_sites(reader: Reader, scene: Scene) -> SitesHistory | None:
    """Total and occupied of every site by days, and which of them share machines; none where nothing was built."""
    if not reader.has(USAGE):
        return None
    pairs = [(key, resource) for key, machines in sorted(scene.machines_of.items()) for resource in machines]
    params = {"sites": [key for key, _ in pairs], "resources": [resource for _, resource in pairs]}
    days = reader.sql(_by_days(_SITES), params)
    if days.is_empty():
        return None
    one = pl.col("value").filter
    rows = days.group_by("site", "timestamp", "resource").agg(
        *(one(pl.col("metric") == name).first().alias(name) for name in ("total", "occupied")),
        pl.col("complete").all(),
    )
    sums = Sums(days, _lacking(reader, days, _SITES, params))
    sites = scene.machines_of
    missing = {(key, name): types for key in sites for name, types in sums.lacking("resource", site=[key]).items()}
    return SitesHistory(rows, frozenset(key for key in sites if shares_machines(reader, key)), missing)
