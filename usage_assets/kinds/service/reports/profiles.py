"""How each model was used in the days before the end of a month: reports.model_profiles."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Protocol

from usage_assets.core.months import month_of, next_month
from usage_assets.kinds.service.facts.tables import MODEL_INVENTORY, SERVICE_REQUESTS
from usage_assets.kinds.service.raw.tables import NONE
from usage_assets.kinds.service.site.model import Recommend
from usage_assets.kinds.service.tables.declarations import SERVICE_USES
from usage_assets.warehouse import Query, Writer

FALLING = 0.8
TREND_REQUESTS = 20
"""Requests that two weeks need to have a trend."""
PEAK_SHARE = 0.8
PEAK_REQUESTS = 50
"""Requests that a window needs to have peak hours."""
GAPS = 5
"""Gaps between submissions that a window needs to tell the next one."""


class ProfiledSite(Protocol):
    """What profiles need of a site's file."""

    @property
    def key(self) -> str:
        """Stem of its file."""

    @property
    def recommend(self) -> Recommend:
        """Thresholds and the window of recommendations."""

    @property
    def performance_window_days(self) -> int:
        """Window of what is said of performance."""

    @property
    def reporting_tz(self) -> str:
        """Zone of the hours of a day."""


_PLACED = "coalesce(ended_at, submitted_at)"
_TIMED = "final_state = 'succeeded' AND duration_s IS NOT NULL"
_REQUESTS = f"""
SELECT model_id, requests, final_state, duration_s, submitted_at, {_PLACED} AS placed_at
FROM {SERVICE_REQUESTS.qualified}
WHERE site = $site AND month BETWEEN $first_month AND $month AND model_id <> '{NONE}'
  AND {_PLACED} >= $start AND {_PLACED} < $as_of
"""
# of months before the one of as_of what is kept for ever, of that one the requests before as_of
_EVER = f"""
SELECT model_id, min(first_used) AS first_used, max(last_used) AS last_used FROM (
  SELECT id AS model_id, first_submitted_at AS first_used, last_ended_at AS last_used
  FROM {SERVICE_USES.qualified} WHERE site = $site AND month < $month AND kind = 'model'
  UNION ALL
  SELECT model_id, min(submitted_at), max(ended_at) FROM {SERVICE_REQUESTS.qualified}
  WHERE site = $site AND month = $month AND model_id <> '{NONE}' AND {_PLACED} < $as_of GROUP BY model_id
) GROUP BY model_id
"""
_IN_WINDOW = f"""
SELECT model_id, sum(requests)::BIGINT AS requests,
  coalesce(sum(requests) FILTER (final_state = 'succeeded'), 0)::BIGINT AS succeeded,
  coalesce(sum(requests) FILTER (final_state = 'failed'), 0)::BIGINT AS failed,
  avg(duration_s) FILTER ({_TIMED}) AS mean_s,
  quantile_cont(duration_s, [0.5, 0.95]) FILTER ({_TIMED}) AS percentiles_s,
  stddev_samp(duration_s) FILTER ({_TIMED}) AS deviation_s,
  max(submitted_at) AS last_submitted
FROM requests WHERE placed_at >= $window_start GROUP BY model_id
"""
_WEEKS = """
SELECT model_id,
  coalesce(sum(requests) FILTER (placed_at >= $last_week), 0)::BIGINT AS last_week,
  coalesce(sum(requests) FILTER (placed_at < $last_week), 0)::BIGINT AS week_before
FROM requests WHERE placed_at >= $week_before GROUP BY model_id
"""
_GAPS = f"""
SELECT model_id, floor(median(gap))::BIGINT AS gap_us FROM (
  SELECT model_id, epoch_us(submitted_at) - lag(epoch_us(submitted_at)) OVER (
    PARTITION BY model_id ORDER BY submitted_at) AS gap
  FROM requests WHERE placed_at >= $window_start
) GROUP BY model_id HAVING count(gap) >= {GAPS}
"""
_HOURS = """
SELECT model_id, hour(submitted_at AT TIME ZONE 'UTC' AT TIME ZONE $zone) AS hour, sum(requests) AS requests
FROM requests WHERE placed_at >= $window_start GROUP BY ALL
"""
_PEAKS = f"""
SELECT model_id, '[' || string_agg(hour, ', ' ORDER BY hour) || ']' AS peak_hours FROM (
  SELECT *, max(requests) OVER (PARTITION BY model_id) AS most, sum(requests) OVER (PARTITION BY model_id) AS total
  FROM hours
) WHERE total >= {PEAK_REQUESTS} AND requests >= {PEAK_SHARE} * most GROUP BY model_id
"""
_HELD = f"""
SELECT DISTINCT ON (model_id, valid_from) model_id, valid_from, valid_to, size_bytes
FROM {MODEL_INVENTORY.qualified} WHERE site = $site AND month <= $month AND valid_from <= $as_of
ORDER BY model_id, valid_from, month DESC
"""
# rows that follow each other without a gap are one time in the inventory
_SPANS = """
SELECT model_id, min(valid_from) AS inventory_since, arg_max(size_bytes, valid_from) AS bytes FROM (
  SELECT *, sum(begins) OVER (PARTITION BY model_id ORDER BY valid_from) AS span FROM (
    SELECT *, (valid_from > max(coalesce(valid_to, 'infinity')) OVER (
      PARTITION BY model_id ORDER BY valid_from ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ))::INT AS begins FROM held
  )
) GROUP BY model_id, coalesce(span, 0) HAVING max(coalesce(valid_to, 'infinity')) > $as_of
"""
_ROWS = f"""
SELECT $site AS site, $month AS month, model_id, $as_of AS as_of, $window_days::BIGINT AS window_days,
  coalesce(requests, 0) AS requests, coalesce(succeeded, 0) AS succeeded, coalesce(failed, 0) AS failed,
  coalesce(requests, 0) / greatest(1, (epoch_us($as_of::TIMESTAMP)
    - epoch_us(greatest(coalesce(first_used, $window_start), $window_start))) / 86400e6) AS uses_per_day,
  succeeded / nullif(succeeded + failed, 0) AS success_rate,
  mean_s, percentiles_s[1] AS p50_s, percentiles_s[2] AS p95_s, deviation_s / nullif(mean_s, 0) AS cv,
  first_used, last_used, (epoch_us($as_of::TIMESTAMP) - epoch_us(last_used)) / 86400e6 AS days_since_use,
  CASE WHEN coalesce(last_week + week_before, 0) < {TREND_REQUESTS} THEN 'unknown'
    WHEN last_week >= $rising * week_before THEN 'rising'
    WHEN last_week <= {FALLING} * week_before THEN 'falling' ELSE 'flat' END AS trend,
  coalesce(last_week, 0) AS last_week, coalesce(week_before, 0) AS week_before,
  coalesce(peak_hours, '[]') AS peak_hours, last_submitted + to_microseconds(gap_us) AS next_use,
  CASE WHEN uses_per_day > 1 THEN 'high' WHEN uses_per_day > 0.1 THEN 'medium' ELSE 'low' END AS availability,
  inventory_since IS NOT NULL AS in_inventory, inventory_since, bytes
FROM (SELECT model_id FROM ever UNION SELECT model_id FROM spans)
LEFT JOIN ever USING (model_id) LEFT JOIN in_window USING (model_id) LEFT JOIN weeks USING (model_id)
LEFT JOIN gaps USING (model_id) LEFT JOIN peaks USING (model_id) LEFT JOIN spans USING (model_id)
WHERE model_id <> '{NONE}'
"""
_PARTS = {
    "requests": _REQUESTS,
    "ever": _EVER,
    "in_window": _IN_WINDOW,
    "weeks": _WEEKS,
    "gaps": _GAPS,
    "hours": _HOURS,
    "peaks": _PEAKS,
    "held": _HELD,
    "spans": _SPANS,
}
_SQL = f"WITH {', '.join(f'{name} AS ({sql})' for name, sql in _PARTS.items())} {_ROWS}"


def as_of(month: date, extracted: Mapping[date, datetime]) -> datetime:
    """The end of a month; of the running one when it was read at its sources."""
    start, end = (datetime.combine(day, time()) for day in (month, next_month(month)))
    read = extracted.get(month)
    return read if read is not None and start < read < end else end


def select(writer: Writer, site: ProfiledSite, month: date, extracted: Mapping[date, datetime]) -> Iterator[Query]:
    """The profiles of a month, of both windows."""
    writer.ensure(SERVICE_REQUESTS, MODEL_INVENTORY, SERVICE_USES)  # of a site without an inventory none is there
    at = as_of(month, extracted)
    for days in sorted({site.recommend.window_days, site.performance_window_days}):
        begins = at - timedelta(days=days)
        start = min(begins, at - timedelta(days=14))
        yield Query(
            _SQL,
            {
                "site": site.key,
                "month": month,
                "as_of": at,
                "window_days": days,
                "window_start": begins,
                "start": start,
                "first_month": month_of(start.date()),
                "last_week": at - timedelta(days=7),
                "week_before": at - timedelta(days=14),
                "rising": site.recommend.rising,
                "zone": site.reporting_tz,
            },
        )
