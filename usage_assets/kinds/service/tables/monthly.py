"""Sums of the requests of a month by user or team: additive columns of its days, the rest again of the facts."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime

from usage_assets.kinds.service.tables.grouping import ADDED, DISTINCT, FACTS, LATENCY, Grouping, SummedSite, known
from usage_assets.schema import Table
from usage_assets.warehouse import Query, Writer

_SUMS = """
SELECT {names}, {added}, {one_day},
  max(latency_p50_s) AS latency_p50_s, max(latency_p95_s) AS latency_p95_s,
  min(first_ts) AS first_ts, max(last_ts) AS last_ts, count(first_ts) AS days
FROM {daily} WHERE site = $site AND month = $month{events} GROUP BY {names}
"""
# a group with requests in one day only has the percentiles and distinct counts of that day
_SPREAD = """
SELECT {names}, quantile_cont(latency_us, [0.5, 0.95]) AS percentiles_us, {counted}
FROM (SELECT {keys}, {distinct}, {latency} AS latency_us FROM {facts} WHERE site = $site AND month = $month)
JOIN (SELECT {names} FROM sums WHERE days > 1) USING ({names}) GROUP BY {names}
"""
_ROWS = """
SELECT $site AS site, $month AS month,
  sums.* EXCLUDE (days, latency_p50_s, latency_p95_s, {distinct_names}),
  CASE WHEN days > 1 THEN percentiles_us[1] / 1e6 ELSE sums.latency_p50_s END AS latency_p50_s,
  CASE WHEN days > 1 THEN percentiles_us[2] / 1e6 ELSE sums.latency_p95_s END AS latency_p95_s,
  {chosen}{more}
FROM sums LEFT JOIN spread USING ({names})
"""


def sql_of(grouping: Grouping, daily: Table, *, constant: str = "") -> str:
    """The rows of a month as a query; parameters site and month. `constant` is a further column of every row."""
    names = grouping.names
    distinct = ", ".join(f"{known(DISTINCT[name])} AS {name}_of" for name in grouping.distinct)
    sums = _SUMS.format(
        names=names,
        added=ADDED,
        one_day=", ".join(f"max({name}) AS {name}" for name in grouping.distinct),
        daily=daily.qualified,
        events=" AND source = 'events'" if "source" in daily.names else "",
    )
    spread = _SPREAD.format(
        names=names,
        keys=grouping.of_facts,
        distinct=distinct,
        latency=LATENCY,
        facts=FACTS,
        counted=grouping.counted,
    )
    rows = _ROWS.format(
        names=names,
        distinct_names=", ".join(grouping.distinct),
        chosen=", ".join(f"coalesce(spread.{name}, sums.{name}) AS {name}" for name in grouping.distinct),
        more=f", {constant}" if constant else "",
    )
    return f"WITH sums AS MATERIALIZED ({sums}), spread AS MATERIALIZED ({spread}) {rows}"


def select(
    grouping: Grouping,
    daily: Table,
    constant: str,
    _writer: Writer,
    site: SummedSite,
    month: date,
    _extracted: Mapping[date, datetime],
) -> Iterator[Query]:
    """The sums of a month."""
    yield Query(sql_of(grouping, daily, constant=constant), {"site": site.key, "month": month})
