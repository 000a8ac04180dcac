"""Rows for the exported tables, added up in the warehouse: node types to sites, intervals to buckets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from usage_assets.facts.tables import INTERVALS, RESOURCE_NAMES
from usage_assets.sites.base import Site
from usage_assets.timelines.metrics import COVERAGE, RATIOS, SHARED_METRICS, Metrics
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Reader

BOOKED = ("occupied_ondemand", "occupied_reservation")
PARITY_METRICS = ("total", "reservable", "committed", "occupied_reservation")
_MONTHS = "site = $site AND month BETWEEN $first AND $last AND month IN (SELECT unnest($months::DATE[]))"
_CURRENT = f"FROM {USAGE.qualified} WHERE {_MONTHS} AND collector_type = 'current'"
# the start of each bucket that a span meets
_BUCKETS = """unnest(generate_series(
    time_bucket(to_minutes($minutes), start_at, TIMESTAMP '2000-01-01'),
    end_at - INTERVAL 1 MICROSECOND, to_minutes($minutes)))"""

# the share of a bucket that was seen is that of all node types, and is no sum
_ADDED = f"""
SELECT month, timestamp, metric, resource, sum(value) AS value, bool_and(value IS NOT NULL) AS complete
{_CURRENT} AND metric NOT IN (SELECT unnest($ratios::VARCHAR[])) GROUP BY ALL
UNION ALL
SELECT month, timestamp, metric, resource, max(value) AS value, true AS complete
{_CURRENT} AND metric = '{COVERAGE}' GROUP BY ALL
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
# of some machines of a node type the amount is known, of others it is not: the series adds up the known ones. Devices
# have no amount of a machine's resources, which is known
_MACHINES = f"FROM {INTERVALS.qualified} WHERE {_MONTHS} AND devices IS NULL"
_OF_MACHINES = [name for name in RESOURCE_NAMES if name != "devices"]
_PARTLY = f"""
WITH series AS (
  SELECT month, metric, node_type,
         {", ".join(f"count({name}) BETWEEN 1 AND count(*) - 1 AS {name}" for name in _OF_MACHINES)}
  {_MACHINES} GROUP BY ALL
), partly AS (
  SELECT month, metric, node_type, resource
  FROM (UNPIVOT series ON {", ".join(_OF_MACHINES)} INTO NAME resource VALUE is_partly) WHERE is_partly
), unknown AS (
  SELECT p.month, p.metric, p.node_type, p.resource, i.start_at, i.end_at
  FROM (SELECT * {_MACHINES}) i JOIN partly p USING (month, metric, node_type)
  WHERE CASE p.resource {" ".join(f"WHEN '{name}' THEN i.{name} IS NULL" for name in _OF_MACHINES)} END
)
SELECT DISTINCT month, metric, node_type, resource, {_BUCKETS} AS timestamp FROM unknown
"""
_DAILY = f"""
SELECT month, date_trunc('day', timestamp)::TIMESTAMP AS date, node_type, metric,
       CASE WHEN bool_or(hours IS NULL) THEN NULL ELSE sum(hours) END AS hours, bool_and(hours IS NOT NULL) AS complete
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
  SELECT *, {_BUCKETS} AS bucket_at FROM held
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
    complete: whether all of all node types is known. `coverage` is a metric too, where a site was only seen now and
    then.
    `left_out`: month, resource, node_types of which some sum of the month lacks all or a part: their amount is unknown.
    `active`: month, timestamp, metric (a booking), resource, hours in which servers of that booking ran; a row only
    where some did. `daily`: month, date, node_type, metric, hours of nodes; complete: whether all of them are known.
    """

    added: pl.DataFrame
    active: pl.DataFrame
    daily: pl.DataFrame
    left_out: pl.DataFrame


def read(reader: Reader, site: Site, months: Sequence[date], metrics: Metrics = SHARED_METRICS) -> SiteUsage:
    """The usage of some months, at least one, that were built."""
    where = {"site": site.key, "months": list(months), "first": min(months), "last": max(months)}
    partly = _with_derived(reader.sql(_PARTLY, where | {"minutes": site.bucket_minutes}), metrics)
    added = reader.sql(_ADDED, where | {"ratios": list(RATIOS)})
    daily = reader.sql(_DAILY, where | {"metrics": list(PARITY_METRICS)})
    left_out = reader.sql(_LEFT_OUT, where | {"ratios": list(RATIOS)})
    of_nodes = partly.filter(pl.col("resource") == "nodes").with_columns(date=pl.col("timestamp").dt.truncate("1d"))
    return SiteUsage(
        added=_less_complete(added, partly, ["month", "timestamp", "metric", "resource"]),
        active=reader.sql(_ACTIVE, where | {"booked": list(BOOKED), "minutes": site.bucket_minutes}),
        daily=_less_complete(daily, of_nodes, ["month", "date", "node_type", "metric"]),
        left_out=_merged(left_out, partly),
    )


def _with_derived(partly: pl.DataFrame, metrics: Metrics) -> pl.DataFrame:
    """Rows of counted metrics, and the same rows of the metrics that are derived from them."""
    terms: dict[str, set[str]] = {}
    for metric in metrics.by_name.values():  # in which every term stands before its sum
        own = {metric.name} if metric.is_counted else set()
        terms[metric.name] = own.union(*(terms[name] for name in (*metric.plus, *metric.minus)))
    pairs = [(name, term) for name, counted in terms.items() for term in counted]
    made_of = pl.DataFrame(pairs, schema={"derived": pl.String, "metric": pl.String}, orient="row")
    return partly.join(made_of, on="metric").drop("metric").rename({"derived": "metric"}).unique()


def _less_complete(sums: pl.DataFrame, partly: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """The sums; those that lack a part of what is known only in part are not complete."""
    if partly.is_empty():
        return sums
    lacking = partly.select(*keys, lacks=pl.lit(value=True)).unique()
    found = sums.join(lacking, on=keys, how="left", maintain_order="left")
    return found.with_columns(complete=pl.col("complete") & pl.col("lacks").is_null()).drop("lacks")


def _merged(left_out: pl.DataFrame, partly: pl.DataFrame) -> pl.DataFrame:
    """month, resource, node_types (a text) of both: node types that no sum has, and those that sums have in part."""
    if partly.is_empty():
        return left_out
    whole = left_out.with_columns(pl.col("node_types").str.split(", ")).explode("node_types")
    parts = partly.select("month", "resource", node_types="node_type")
    both = pl.concat([whole, parts.cast(whole.schema)]).unique().sort("month", "resource", "node_types")
    return both.group_by("month", "resource", maintain_order=True).agg(pl.col("node_types").str.join(", "))
