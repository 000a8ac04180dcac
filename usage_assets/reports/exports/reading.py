"""What the exported tables need of the warehouse, added up there: node types to sites, intervals to buckets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from usage_assets.facts.tables import INTERVALS, RESOURCE_NAMES
from usage_assets.sites import Site
from usage_assets.timelines.metrics import COVERAGE, METRICS
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Reader

BOOKED = ("occupied_ondemand", "occupied_reservation")
PARITY_METRICS = ("total", "reservable", "committed", "occupied_reservation")
_RATIOS = [metric.name for metric in METRICS if metric.is_ratio]
_MONTHS = "site = $site AND month BETWEEN $first AND $last AND month IN (SELECT unnest($months::DATE[]))"
_CURRENT = f"FROM {USAGE.qualified} WHERE {_MONTHS} AND collector_type = 'current'"

# the share of a bucket that was seen is that of all node types, and is no sum
_ADDED = f"""
SELECT month, timestamp, metric, resource, sum(value) AS value
{_CURRENT} AND metric NOT IN (SELECT unnest($ratios::VARCHAR[])) GROUP BY ALL
UNION ALL
SELECT month, timestamp, metric, resource, max(value) AS value {_CURRENT} AND metric = '{COVERAGE}' GROUP BY ALL
"""
# what a series of a month does not know at all, while the same series of another node type does
_LEFT_OUT = f"""
WITH series AS (
  SELECT month, metric, resource, node_type, count(value) > 0 AS is_known
  {_CURRENT} AND metric NOT IN (SELECT unnest($ratios::VARCHAR[])) GROUP BY ALL
), parts AS (SELECT *, bool_or(is_known) OVER (PARTITION BY month, metric, resource) AS is_sum FROM series)
SELECT month, resource, string_agg(DISTINCT node_type, ', ' ORDER BY node_type) AS node_types
FROM parts WHERE is_sum AND NOT is_known GROUP BY ALL ORDER BY month, resource
"""
_DAILY = f"""
SELECT month, date_trunc('day', timestamp)::TIMESTAMP AS date, node_type, metric,
       CASE WHEN bool_or(hours IS NULL) THEN NULL ELSE sum(hours) END AS hours
{_CURRENT} AND resource = 'nodes' AND metric IN (SELECT unnest($metrics::VARCHAR[])) GROUP BY ALL
"""
# an active stretch lies within one occupied stretch of its server, and is booked as that one is
_ACTIVE = f"""
WITH picked AS (SELECT * FROM {INTERVALS.qualified} WHERE {_MONTHS}), held AS (
  SELECT o.metric, a.* EXCLUDE (metric) FROM picked a JOIN picked o
    ON a.month = o.month AND a.source = o.source AND a.entity_id = o.entity_id
    AND a.start_at >= o.start_at AND a.end_at <= o.end_at
  WHERE a.metric = 'active' AND o.metric IN (SELECT unnest($booked::VARCHAR[]))
), cut AS (
  SELECT *, unnest(generate_series(
    time_bucket(to_minutes($minutes), start_at, TIMESTAMP '2000-01-01'),
    end_at - INTERVAL 1 MICROSECOND, to_minutes($minutes))) AS bucket_at
  FROM held
), spans AS (
  SELECT *, epoch(least(end_at, bucket_at + to_minutes($minutes)) - greatest(start_at, bucket_at)) / 3600 AS span
  FROM cut
), added AS (
  SELECT month, bucket_at AS timestamp, metric, {", ".join(f"sum({name} * span) AS {name}" for name in RESOURCE_NAMES)}
  FROM spans GROUP BY ALL
)
UNPIVOT added ON {", ".join(RESOURCE_NAMES)} INTO NAME resource VALUE hours
"""


@dataclass(frozen=True)
class SiteUsage:
    """A site's usage of some months.

    `added`: month, timestamp, metric, resource, value of the node types that are known, together; null where none is;
    `coverage` is a metric too, where a site was only seen now and then.
    `left_out`: month, resource, node_types that are in no sum of the month's, since nothing tells how much they have.
    `active`: month, timestamp, metric (a booking), resource, hours in which servers of that booking ran; a row only
    where some did. `daily`: month, date, node_type, metric, hours of nodes.
    """

    added: pl.DataFrame
    active: pl.DataFrame
    daily: pl.DataFrame
    left_out: pl.DataFrame


def read(reader: Reader, site: Site, months: Sequence[date]) -> SiteUsage:
    """The usage of some months, at least one, that were built."""
    where = {"site": site.key, "months": list(months), "first": min(months), "last": max(months)}
    return SiteUsage(
        added=reader.sql(_ADDED, where | {"ratios": _RATIOS}),
        active=reader.sql(_ACTIVE, where | {"booked": list(BOOKED), "minutes": site.bucket_minutes}),
        daily=reader.sql(_DAILY, where | {"metrics": list(PARITY_METRICS)}),
        left_out=reader.sql(_LEFT_OUT, where | {"ratios": _RATIOS}),
    )
