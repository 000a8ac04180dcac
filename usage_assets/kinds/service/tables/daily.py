"""Sums of the requests of each day, by user, team or model.

A request belongs to the day in which it ended (was submitted, while unfinished). Its seconds in progress are split over
the days that it touches, so that requests which end within `max_request_hours` after a day are read for it, too. A
query takes as many days, or such a part of the users of one day, as fit into memory.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta

from usage_assets.core.months import next_month
from usage_assets.kinds.service.raw.tables import NONE
from usage_assets.kinds.service.tables.grouping import DISTINCT, FACTS, LATENCY, Grouping, SummedSite, instant, known
from usage_assets.kinds.service.tables.pieces import Piece, pieces
from usage_assets.warehouse import Query, Writer

_TIMED = "requests = 1 AND duration_s > 0"
"""Pre-summed requests and those of no length are never in progress."""
_MEASURED = "requests, final_state, input_tokens, output_tokens, cached_tokens, cost, submitted_at, error"
_OWN = """
SELECT {placed}::DATE AS date, {keys}, {distinct}, {measured}, {latency} AS latency_us, {placed} AS placed_at,
  {busy} AS busy_us
FROM {facts}
WHERE site = $site AND month = $month AND {placed} >= $start AND {placed} < $end AND ended_at {ended} NULL{part}
"""
_EARLIER = """
SELECT day::DATE AS date, {keys},
  epoch_us(day + INTERVAL 1 DAY) - epoch_us(greatest(started_at, day)) AS busy_us
FROM (
  SELECT *, unnest(generate_series(greatest(date_trunc('day', started_at), $start::TIMESTAMP),
    least(date_trunc('day', ended_at), $end::TIMESTAMP) - INTERVAL 1 DAY, INTERVAL 1 DAY)) AS day
  FROM {facts} WHERE site = $site AND month IN ($month, $next_month) AND ended_at >= $start AND ended_at < $reach
    AND started_at < $end AND started_at < date_trunc('day', ended_at) AND {timed}{part}
) WHERE ended_at < day + INTERVAL 1 DAY + to_microseconds($reach_us)
"""
_STATES = ",\n  ".join(
    f"coalesce(sum(requests) FILTER (final_state = '{state}'), 0)::BIGINT AS {state}"
    for state in ("succeeded", "failed", "cancelled", "unfinished")
)
_SUMS = """
SELECT date, {names},
  coalesce(sum(requests), 0)::BIGINT AS requests,
  {states},
  coalesce(sum(input_tokens), 0)::BIGINT AS input_tokens,
  coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens,
  coalesce(sum(cached_tokens), 0)::BIGINT AS cached_tokens,
  coalesce(sum(cost), 0)::DECIMAL(38,12) AS cost,
  coalesce(sum(requests) FILTER (final_state = 'succeeded' AND cost IS NULL), 0)::BIGINT AS cost_unrated_requests,
  coalesce(sum(busy_us), 0) / 1e6 AS busy_seconds,
  coalesce(sum(latency_us), 0) / 1e6 AS latency_sum_s,
  count(latency_us) AS latency_n,
  quantile_cont(latency_us, [0.5, 0.95]) AS percentiles_us,
  {counted},
  min(placed_at) AS first_ts,
  max(placed_at) AS last_ts
FROM day GROUP BY date, {names}
"""
_PEAK = """
SELECT date, {names}, arg_max(hour, requests * 24 - hour) AS peak_hour FROM (
  SELECT date, {names}, hour(submitted_at) AS hour, sum(requests) AS requests
  FROM day WHERE placed_at IS NOT NULL GROUP BY ALL
) GROUP BY ALL
"""
_FAILURES = """
SELECT date, {names}, map_from_entries(list({{'key': error, 'value': requests}} ORDER BY error)) AS failures FROM (
  SELECT date, {names}, coalesce(error, '{none}') AS error, sum(requests)::DECIMAL(38,9) AS requests
  FROM day WHERE final_state = 'failed' GROUP BY ALL
) GROUP BY ALL
"""
_ROWS = """
SELECT $site AS site, $month AS month, sums.* EXCLUDE ({left_out}),
  percentiles_us[1] / 1e6 AS latency_p50_s, percentiles_us[2] / 1e6 AS latency_p95_s{more}
FROM sums{joined}
"""
_OF_MODELS = ", peak_hour, coalesce(failures, MAP {}::MAP(VARCHAR, DECIMAL(38,9))) AS failures"


def sql_of(grouping: Grouping, *, in_parts: bool = False) -> str:
    """The rows of some days as a query, with the parameters of `values_of`.

    `in_parts` takes a part of the keys only.
    """
    names, by_user = grouping.names, grouping.who == "user_id"
    parts = {"day": _day(grouping, in_parts=in_parts)}
    # most users have one request per day and model: a list of one costs less than a set of one
    counted = "list(sessions_of) AS sessions_list" if by_user else grouping.counted
    parts["sums"] = _SUMS.format(names=names, states=_STATES, counted=counted)
    more, joined, left_out = grouping.more, "", "percentiles_us"
    if by_user:
        left_out += ", sessions_list"
        more += ", len(list_distinct(sessions_list)) AS sessions"
    if grouping.who is None:
        parts |= {"peak": _PEAK.format(names=names), "errors": _FAILURES.format(names=names, none=NONE)}
        more += _OF_MODELS
        joined = "".join(f" LEFT JOIN {other} USING (date, {names})" for other in ("peak", "errors"))
    rows = _ROWS.format(names=names, more=more, joined=joined, left_out=left_out)
    return f"WITH {', '.join(f'{name} AS ({sql})' for name, sql in parts.items())} {rows}"


def _day(grouping: Grouping, *, in_parts: bool) -> str:
    """The requests of the days, each with its seconds in its own day, and the seconds of requests in earlier days."""
    shared = {
        "keys": grouping.of_facts,
        "distinct": ", ".join(f"{known(DISTINCT[name])} AS {name}_of" for name in grouping.distinct),
        "measured": _MEASURED,
        "facts": FACTS,
        "timed": _TIMED,
        "part": f" AND hash({grouping.who or 'model_id'}) % $parts = $part" if in_parts else "",
    }
    busy = (
        f"CASE WHEN {_TIMED} THEN epoch_us(ended_at) - epoch_us(greatest(started_at, date_trunc('day', ended_at))) END"
    )
    finished = _OWN.format(placed="ended_at", ended="IS NOT", latency=LATENCY, busy=busy, **shared)
    unfinished = _OWN.format(placed="submitted_at", ended="IS", latency="NULL", busy="NULL", **shared)
    return f"{finished} UNION ALL BY NAME {unfinished} UNION ALL BY NAME {_EARLIER.format(**shared)}"


def values_of(site: SummedSite, month: date, piece: Piece) -> dict[str, object]:
    """The parameters of a query over one piece of a month."""
    reach = timedelta(hours=site.max_request_hours)
    values: dict[str, object] = {
        "site": site.key,
        "month": month,
        "next_month": next_month(month),
        "start": instant(piece.first),
        "end": instant(piece.end),
        "reach": instant(piece.end) + reach,
        "reach_us": reach // timedelta(microseconds=1),
    }
    return values | ({"parts": piece.parts, "part": piece.part} if piece.parts > 1 else {})


def select(
    grouping: Grouping,
    writer: Writer,
    site: SummedSite,
    month: date,
    _extracted: Mapping[date, datetime],
) -> Iterator[Query]:
    """The sums of the days of a month."""
    for piece in pieces(writer, site.key, month):
        sql = sql_of(grouping, in_parts=piece.parts > 1)
        yield Query(sql, values_of(site, month, piece))
