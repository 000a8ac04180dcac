"""Rows for the figures of a service, added up in the warehouse: a month may have 200,000 users."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.reports.spending_tables import SPENDING_STATUS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.kinds.service.tables.declarations import SERVICE_USER_DAILY, SERVICE_USER_MONTHLY
from usage_assets.specs.plot_context import Scene
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Reader

MOST = 10
"""Models or users that a figure shows apart; all further ones are one series."""
_SUMS = ("requests", "cost", "cost_unrated_requests")


def _shares(who: str) -> str:
    """Query of sums by day of those with the largest shares of cost and of requests; name is null of all others."""
    sums = ", ".join(f"sum({name}) AS {name}" for name in _SUMS)
    return f"""
WITH days AS (
  SELECT date, {who} AS name, {sums} FROM {SERVICE_USER_DAILY.qualified}
  WHERE site = $site AND month = $month GROUP BY ALL
), names AS (
  SELECT name, sum(requests)::DOUBLE AS requests, sum(cost)::DOUBLE AS cost FROM days GROUP BY ALL
), shares AS (
  SELECT name, coalesce(requests / nullif(sum(requests) OVER (), 0), 0)
               + coalesce(cost / nullif(sum(cost) OVER (), 0), 0) AS share FROM names
), ranked AS (
  SELECT name, row_number() OVER (ORDER BY share DESC, name) AS rank FROM shares
)
SELECT d.date, CASE WHEN r.rank <= $most THEN d.name END AS name,
       CASE WHEN r.rank <= $most THEN r.rank END AS rank, {sums}, (SELECT count(*) FROM ranked) AS every
FROM days d JOIN ranked r USING (name) GROUP BY ALL ORDER BY ALL
"""


_TOKENS = f"""
SELECT date, sum(input_tokens - least(cached_tokens, input_tokens)) AS input,
       sum(least(cached_tokens, input_tokens)) AS cached, sum(output_tokens) AS output
FROM {SERVICE_USER_DAILY.qualified} WHERE site = $site AND month = $month GROUP BY ALL ORDER BY date
"""
_STOCKS = ("running", "queued", "loaded_models", "capacity", "available")
_MOST_AT_ONCE = ("running_max", "queued_max")
# stocks of models add up; the most at once of several models is not known of them together, only of each
_LOAD = f"""
WITH added AS (
  SELECT timestamp, metric, CASE WHEN metric IN {_MOST_AT_ONCE} THEN max(value) ELSE sum(value) END AS value
  FROM {USAGE.qualified}
  WHERE site = $site AND month = $month AND collector_type = 'current' AND resource IN ('requests', 'models')
    AND metric IN {_STOCKS + _MOST_AT_ONCE} GROUP BY timestamp, metric
)
SELECT time_bucket(to_minutes($minutes::BIGINT), timestamp)::TIMESTAMP AS timestamp, metric,
       CASE WHEN metric IN {_MOST_AT_ONCE} THEN max(value) ELSE avg(value) END AS value
FROM added GROUP BY 1, 2 ORDER BY ALL
"""
_WAITS = f"""
SELECT quantile_cont(lead_s, 0.5) AS p50, quantile_cont(lead_s, 0.95) AS p95 FROM {SERVICE_REQUESTS.qualified}
WHERE site = $site AND month = $month AND requests = 1 AND lead_s IS NOT NULL
"""
_TIMED = f"""
SELECT model_id, greatest(coalesce(lead_s, 0) + duration_s, $least) AS seconds FROM {SERVICE_REQUESTS.qualified}
WHERE site = $site AND month = $month AND final_state = 'succeeded' AND requests = 1 AND duration_s IS NOT NULL
"""
_PER_MODEL = f"""
WITH timed AS ({_TIMED})
SELECT model_id, count(*) AS requests, quantile_cont(seconds, 0.5) AS p50, quantile_cont(seconds, 0.95) AS p95
FROM timed GROUP BY ALL ORDER BY requests DESC, model_id
"""
_BINS = f"""
WITH timed AS ({_TIMED})
SELECT floor(log10(seconds) * $per_decade)::BIGINT AS bin, count(*) AS requests FROM timed GROUP BY ALL ORDER BY bin
"""
_HOURS = f"""
WITH local AS (
  SELECT timezone($zone, timezone('UTC', submitted_at)) AS local_at, requests FROM {SERVICE_REQUESTS.qualified}
  WHERE site = $site AND month = $month AND submitted_at >= $start
)
SELECT isodow(local_at) AS weekday, hour(local_at) AS hour, count(*) FILTER (requests = 1) AS requests,
       coalesce(sum(requests) FILTER (requests > 1), 0)::BIGINT AS summed
FROM local GROUP BY ALL ORDER BY ALL
"""
_MONTHS = f"""
SELECT month, sum(requests) AS requests, sum(succeeded) AS succeeded, sum(failed) AS failed,
       sum(cancelled) AS cancelled, sum(unfinished) AS unfinished, sum(cost) AS cost,
       sum(cost_unrated_requests) AS unrated, sum(input_tokens - least(cached_tokens, input_tokens)) AS input,
       sum(least(cached_tokens, input_tokens)) AS cached, sum(output_tokens) AS output
FROM {SERVICE_USER_MONTHLY.qualified} WHERE site = $site GROUP BY ALL ORDER BY month
"""
# of each limit the last status of the month; what has no limit has nothing left of it
_SPENDING = f"""
WITH latest AS (
  SELECT scope_type, scope_id, "window", as_of, period, spent, remaining, percent, burn_per_day,
         projected_crossing_date, unrated_requests
  FROM {SPENDING_STATUS.qualified} WHERE site = $site AND month = $month AND remaining IS NOT NULL
  QUALIFY row_number() OVER (PARTITION BY scope_type, scope_id, "window" ORDER BY as_of DESC) = 1
)
SELECT *, count(*) OVER () AS judged, count(*) FILTER (spent > 0 AND remaining <= 0) OVER () AS reached FROM latest
ORDER BY coalesce(percent, CASE WHEN spent > 0 THEN 100 ELSE 0 END) DESC, scope_type, scope_id, "window" LIMIT $most
"""
MOST_LIMITS = 30
_FINEST_MINUTES = 15
LEAST_S = 0.001
"""Latencies below this are shown as this: the axis is logarithmic."""
PER_DECADE = 10
"""Bins of the histogram between a latency and ten times of it."""


@dataclass(frozen=True)
class Latencies:
    """`models`: model_id, requests, p50, p95 (seconds); `bins`: bin (floor of PER_DECADE x log10 of s), requests.

    `waits` are the median and the 95th percentile of the time before the start in seconds, of all requests.
    """

    models: pl.DataFrame
    bins: pl.DataFrame
    waits: tuple[float | None, float | None] = (None, None)


def currency(scene: Scene) -> str:
    """The site's currency."""
    return scene.site.currency if isinstance(scene.site, ServiceSite) else "USD"


def zone(scene: Scene) -> str:
    """The zone by whose clocks the site's hours, days and limits are told."""
    return scene.site.reporting_tz if isinstance(scene.site, ServiceSite) else "UTC"


def latencies(reader: Reader, scene: Scene) -> Latencies:
    """How long succeeded requests of a month took, from submission to end; pre-summed rows take no part."""
    month: dict[str, object] = {"site": scene.site.key, "month": scene.month}
    least: dict[str, object] = {"least": LEAST_S}
    median, most = reader.sql(_WAITS, month).row(0)
    models, places = (
        reader.sql(_PER_MODEL, month | least),
        reader.sql(_BINS, month | least | {"per_decade": PER_DECADE}),
    )
    return Latencies(models, places, (median, most))


def shown_minutes(scene: Scene) -> int:
    """Width of a bucket of stocks in figures: an hour where the timeline's are finer than 15 minutes."""
    minutes = scene.site.bucket_minutes
    return minutes if minutes >= _FINEST_MINUTES else 60


def load(reader: Reader, scene: Scene) -> pl.DataFrame:
    """Stocks of a month: timestamp, metric, value; running_max and queued_max are the most of any one model."""
    params = {"site": scene.site.key, "month": scene.month, "minutes": shown_minutes(scene)}
    return reader.sql(_LOAD, params)


def hours(reader: Reader, scene: Scene) -> pl.DataFrame:
    """Requests by weekday (1 = Monday) and hour of submission, by the site's clocks: requests, summed (pre-summed)."""
    start: datetime = scene.window[0]
    params = {"site": scene.site.key, "month": scene.month, "zone": zone(scene), "start": start}
    return reader.sql(_HOURS, params)


def months(reader: Reader, scene: Scene) -> pl.DataFrame | None:
    """Sums of a site by month, over its whole history; none where nothing was built."""
    if not reader.has(SERVICE_USER_MONTHLY):
        return None
    rows = reader.sql(_MONTHS, {"site": scene.site.key})
    return None if rows.is_empty() else rows


def _of_month(sql: str, **more: object) -> Callable[[Reader, Scene], pl.DataFrame]:
    return lambda reader, scene: reader.sql(sql, {"site": scene.site.key, "month": scene.month} | more)


models = _of_month(_shares("model_id"), most=MOST)
"""Sums of a month by day and model: date, name, rank, requests, cost, cost_unrated_requests, every (models)."""
users = _of_month(_shares("user_id"), most=MOST)
"""The same by day and user."""
tokens = _of_month(_TOKENS)
"""Tokens of a month by day: date, input (those of no cache), cached, output."""
spending = _of_month(_SPENDING, most=MOST_LIMITS)
"""The last status in a month of the limits with the largest shares; judged and reached count all limits."""
