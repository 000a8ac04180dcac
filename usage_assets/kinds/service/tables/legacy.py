"""Days and months that only an older tracker knows, as rows of the sums by user: model and provider are `*`.

Rows of events win: a day of the tracker counts where its user has no request of that day. A month is the sum of the
days that count; where the tracker has no day of it, its own total, unless the user has requests in the month.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING

import polars as pl

from usage_assets.kinds.service.raw.legacy_tables import LEGACY_USAGE
from usage_assets.kinds.service.tables.declarations import SERVICE_USER_DAILY, SERVICE_USER_MONTHLY
from usage_assets.kinds.service.tables.views import TOTALS
from usage_assets.specs.asset import Asset
from usage_assets.warehouse import Query, Reader, Writer

if TYPE_CHECKING:
    from usage_assets.kinds.service.site.model import ServiceSite

CURRENCY = "USD"
"""Of all amounts of the tracker: sites in another one do not show its sums."""
LEGACY: Mapping[str, tuple[str, ...]] = {"source": ("legacy",)}
_SUMMED = ("requests", "succeeded", "failed", "input_tokens", "output_tokens", "cost", "latency_sum_s", "latency_n",
           "sessions")  # fmt: skip
_NOTHING = (
    "0 AS cached_tokens, 0 AS cost_unrated_requests, 0.0 AS busy_seconds, NULL AS latency_p50_s, NULL AS "
    "latency_p95_s, NULL AS first_ts, NULL AS last_ts, '*' AS model_id, '*' AS provider, 'legacy' AS source"
)
_OF_MONTH = "site = $site AND month = $month"
_DAYS = f"""
SELECT l.* FROM {LEGACY_USAGE.qualified} l WHERE l.site = $site AND l.month = $month AND l.period = 'day'
AND NOT EXISTS (
  SELECT 1 FROM {SERVICE_USER_DAILY.qualified} e WHERE e.site = $site AND e.month = $month AND e.source = 'events'
  AND e.requests > 0 AND e.date = l.date AND e.user_id = l.user_id
)
"""
_DAILY = f"""
SELECT site, month, date, user_id, {", ".join(_SUMMED)}, requests - succeeded - failed AS unfinished, {_NOTHING}
FROM ({_DAYS})
"""
_MONTHLY = f"""
WITH legacy AS (SELECT * FROM {LEGACY_USAGE.qualified} WHERE {_OF_MONTH}),
of_days AS (
  SELECT user_id, {", ".join(f"sum({name}) AS {name}" for name in _SUMMED)} FROM ({_DAYS}) GROUP BY user_id
), of_months AS (
  SELECT user_id, {", ".join(_SUMMED)} FROM legacy m WHERE period = 'month'
  AND user_id NOT IN (SELECT user_id FROM legacy WHERE period = 'day')
  AND NOT EXISTS (
    SELECT 1 FROM {SERVICE_USER_DAILY.qualified} e WHERE e.site = $site AND e.month = $month AND e.source = 'events'
    AND e.requests > 0 AND e.user_id = m.user_id
  )
)
SELECT $site AS site, $month::DATE AS month, user_id, {", ".join(_SUMMED)},
  requests - succeeded - failed AS unfinished, {_NOTHING}
FROM (FROM of_days UNION ALL BY NAME FROM of_months)
"""
_DIFFERENCES = f"""
SELECT m.month, m.user_id, d.requests AS requests_of_days, m.requests, d.cost AS cost_of_days, m.cost
FROM {LEGACY_USAGE.qualified} m JOIN (
  SELECT month, user_id, sum(requests)::BIGINT AS requests, sum(cost)::DECIMAL(38, 12) AS cost
  FROM {LEGACY_USAGE.qualified} WHERE site = $site AND period = 'day' GROUP BY ALL
) d USING (month, user_id)
WHERE m.site = $site AND m.period = 'month' AND (m.requests <> d.requests OR m.cost <> d.cost)
ORDER BY m.month, m.user_id
"""


def _typed(sql: str, table_columns: Mapping[str, str]) -> str:
    """The query with the types of its table, which sums have not."""
    return (
        f"SELECT {', '.join(f'CAST({name} AS {kind}) AS {name}' for name, kind in table_columns.items())} FROM ({sql})"
    )


def _cancelled(sql: str) -> str:
    return f"SELECT *, 0 AS cancelled FROM ({sql})"


_DAILY_TYPES = {column.name: str(column.type) for column in SERVICE_USER_DAILY.columns}
_MONTHLY_TYPES = {column.name: str(column.type) for column in SERVICE_USER_MONTHLY.columns}


def daily(writer: Writer, site: "ServiceSite", month: date, _: Mapping[date, datetime]) -> Iterator[Query]:
    """The days of a month that only the tracker knows."""
    writer.ensure(LEGACY_USAGE, SERVICE_USER_DAILY)
    yield Query(_typed(_cancelled(_DAILY), _DAILY_TYPES), {"site": site.key, "month": month})


def monthly(writer: Writer, site: "ServiceSite", month: date, _: Mapping[date, datetime]) -> Iterator[Query]:
    """The months that only the tracker knows."""
    writer.ensure(LEGACY_USAGE, SERVICE_USER_DAILY)
    yield Query(_typed(_cancelled(_MONTHLY), _MONTHLY_TYPES), {"site": site.key, "month": month})


def differences(reader: Reader, site: str) -> pl.DataFrame:
    """Months of users whose total is not the sum of their days: requests and cost of both, in order."""
    if not reader.has(LEGACY_USAGE):
        return pl.DataFrame()
    return reader.sql(_DIFFERENCES, {"site": site})


def counts_in_sums(site: "ServiceSite") -> bool:
    """Whether the tracker's amounts are in the site's currency, so that its sums may show them."""
    return site.currency == CURRENCY


LEGACY_DAILY = Asset(
    stage=SERVICE_USER_DAILY.stage,
    name="legacy_user_daily",
    table=SERVICE_USER_DAILY,
    after=(f"timelines/{SERVICE_USER_DAILY.name}",),
    select=daily,
    description="Days of users that only an older tracker knows: rows of service_user_daily with source legacy.",
    owned=LEGACY,
    applies=counts_in_sums,
    views=(TOTALS,),
)
LEGACY_MONTHLY = Asset(
    stage=SERVICE_USER_MONTHLY.stage,
    name="legacy_user_monthly",
    table=SERVICE_USER_MONTHLY,
    after=(f"timelines/{SERVICE_USER_MONTHLY.name}", LEGACY_DAILY.path),
    select=monthly,
    description="Months of users that only an older tracker knows: rows of service_user_monthly with source legacy.",
    owned=LEGACY,
    applies=counts_in_sums,
)
LEGACY_ASSETS = (LEGACY_DAILY, LEGACY_MONTHLY)
"""What the kind lists among its tables."""
