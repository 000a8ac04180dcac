"""Sums of the requests of a month by user or team: additive columns of its days, the rest again of the facts.

Where most users ask a model on one day of a month, the row of that day is the month's: only the other rows are summed.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime

from usage_assets.kinds.service.tables.grouping import ADDED, DISTINCT, FACTS, LATENCY, Grouping, SummedSite, known
from usage_assets.schema import Table
from usage_assets.warehouse import Query, Writer

ROWS = 3_000_000
"""Rows of days that one query takes."""
_DAYS = "{daily} WHERE site = $site AND month = $month{events}{part}"
_SEVERAL = """
CREATE OR REPLACE TEMP TABLE several_days AS SELECT {names} FROM {days} GROUP BY {names} HAVING count(*) > 1
"""
_ONE_DAY = "SELECT * EXCLUDE (date) FROM (FROM {days}) ANTI JOIN several_days USING ({names})"
_SUMS = """
SELECT {names}, {added}, min(first_ts) AS first_ts, max(last_ts) AS last_ts
FROM (FROM {days}) JOIN several_days USING ({names}) GROUP BY {names}
"""
_SPREAD = """
SELECT {names}, quantile_cont(latency_us, [0.5, 0.95]) AS percentiles_us, {counted}
FROM (SELECT {keys}, {distinct}, {latency} AS latency_us FROM {facts} WHERE site = $site AND month = $month)
JOIN several_days USING ({names}) GROUP BY {names}
"""
_ROWS = """
WITH sums AS ({sums}), spread AS ({spread})
SELECT $site AS site, $month AS month, sums.*,
  percentiles_us[1] / 1e6 AS latency_p50_s, percentiles_us[2] / 1e6 AS latency_p95_s, {chosen}{more}
FROM sums LEFT JOIN spread USING ({names})
"""


def sums_sql(grouping: Grouping, days: str) -> str:
    """The rows of keys with several days, which the table `several_days` names; parameters site and month."""
    names = grouping.names
    spread = _SPREAD.format(
        names=names,
        keys=grouping.of_facts,
        distinct=", ".join(f"{known(DISTINCT[name])} AS {name}_of" for name in grouping.distinct),
        latency=LATENCY,
        facts=FACTS,
        counted=grouping.counted,
    )
    return _ROWS.format(
        sums=_SUMS.format(names=names, added=ADDED, days=days),
        spread=spread,
        names=names,
        chosen=", ".join(f"coalesce({name}, 0) AS {name}" for name in grouping.distinct),
        more=grouping.more,
    )


def select(
    grouping: Grouping,
    daily: Table,
    writer: Writer,
    site: SummedSite,
    month: date,
    _extracted: Mapping[date, datetime],
) -> Iterator[Query]:
    """The sums of a month, in as many parts of the keys as its days need."""
    values: dict[str, object] = {"site": site.key, "month": month}
    of = {"daily": daily.qualified, "events": " AND source = 'events'" if "source" in daily.names else ""}
    if not writer.has(daily):
        return
    count = writer.sql(f"SELECT count(*) FROM {_DAYS.format(**of, part='')}", values).item()
    parts = max(1, -(-count // ROWS))
    for part in range(parts):
        days = _DAYS.format(**of, part=f" AND hash({grouping.who}) % {parts} = {part}" if parts > 1 else "")
        writer.con.execute(_SEVERAL.format(names=grouping.names, days=days), values).fetchall()
        yield Query(_ONE_DAY.format(days=days, names=grouping.names), values)
        yield Query(sums_sql(grouping, days), values)
    writer.con.execute("DROP TABLE IF EXISTS several_days").fetchall()
