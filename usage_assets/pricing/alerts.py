"""Spending alerts: the first charge by which a scope's spend of a period reached a threshold of its limit."""

from collections.abc import Sequence
from datetime import datetime

import duckdb

from usage_assets.core.errors import UsageError
from usage_assets.pricing.charges import NOBODY, Charges, keep_periods, keep_watched, scope_id
from usage_assets.pricing.limits import CALENDAR, Limits
from usage_assets.pricing.sql import half_even, scaled, unscaled

_COLUMNS = """site VARCHAR, scope_type VARCHAR, scope_id VARCHAR, "window" VARCHAR, period VARCHAR,
threshold DECIMAL(38,12), period_start TIMESTAMP, crossed_at TIMESTAMP, event_id VARCHAR, request_id VARCHAR,
spent DECIMAL(38,12), amount DECIMAL(38,12), percent DECIMAL(38,6), projected_period_end_spend DECIMAL(38,12),
id VARCHAR"""

_SINGLE = "SELECT *, cost AS spent, NULL::TIMESTAMP AS before FROM charged WHERE cost >= lowest"
# only days in which a threshold is reached have their charges sorted, or all of a period in which a limit begins
_RUNNING = """
    WITH days AS (
        SELECT scope_id, tz, label, CAST(instant AS DATE) AS day, sum(cost) AS total, min(instant) AS first
        FROM charged GROUP BY ALL
    ),
    sums AS (
        SELECT *, min(first) OVER (PARTITION BY scope_id, tz, label) AS opened, sum(total) OVER (
            PARTITION BY scope_id, tz, label ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) - total AS earlier
        FROM days
    ),
    reached AS (
        SELECT DISTINCT s.scope_id, s.tz, s.label, s.day, s.earlier
        FROM sums s JOIN spending_watched w ON s.scope_id = w.scope_id AND s.tz = w.tz
        JOIN spending_bars b ON w.judged = b.judged
        WHERE (s.earlier < b.bar OR (b.bar = 0 AND s.earlier = 0) OR w.starts > s.opened)
            AND b.bar <= s.earlier + s.total
    )
    SELECT c.*, lag(instant) OVER in_order AS before, CAST(r.earlier + sum(cost) OVER (
        in_order ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS DECIMAL(38,12)) AS spent
    FROM charged c JOIN reached r ON c.scope_id = r.scope_id AND c.tz = r.tz AND c.label = r.label
        AND CAST(c.instant AS DATE) = r.day
    WINDOW in_order AS (PARTITION BY c.scope_id, c.tz, c.label, r.day ORDER BY instant, request_id)
"""


def alerts_query(con: duckdb.DuckDBPyConnection, charges: Charges, limits: Limits, as_of: datetime) -> str:
    """SQL of the alerts of the charges before `as_of`: a row per scope, window, period and threshold that was crossed.

    Key (site, scope_type, scope_id, window, period, threshold); period_start, crossed_at, event_id, request_id, spent,
    amount, percent (6 places, null for amount 0), projected_period_end_spend (12 places), id (hash of the key).
    Charges are given from `limits.charges_since` on. Spend adds up in order of (at, request_id) from the period's
    start; the limit judged is the one valid at the charge. Alerts stand in a temporary table until the next call.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE spending_crossed ({_COLUMNS})").fetchall()
    moment = charges.column("at")
    first, last = con.execute(f"SELECT min({moment}), max({moment}) FROM {charges.relation} AS c").fetchall()[0]
    if first is not None and first < as_of:
        keep_periods(con, limits, first, min(last, as_of))
        for scope_type, window in limits.pairs():
            if window == "session" and charges.session_id is None:
                msg = f"site {limits.site}: a limit of {scope_type} is per session, but charges have no sessions"
                raise UsageError(msg)
            keep_watched(con, charges, limits, scope_type, window)
            _keep_crossed(con, charges, limits, (scope_type, window), as_of)
    return "SELECT * FROM spending_crossed"


def _keep_crossed(
    con: duckdb.DuckDBPyConnection, charges: Charges, limits: Limits, pair: tuple[str, str], as_of: datetime
) -> None:
    """Add the alerts of one scope type and window to the table."""
    scope_type, window = pair
    query = f"""INSERT INTO spending_crossed
WITH charged AS ({_charged(charges, limits.scope_types[scope_type], window)}),
running AS ({_RUNNING if window != "request" else _SINGLE}),
crossed AS (
    SELECT r.*, w.amount, b.threshold
    FROM running r JOIN spending_watched w ON r.scope_id = w.scope_id AND r.tz = w.tz
        AND r.instant >= w.starts AND r.instant < w.ends
    JOIN spending_bars b ON w.judged = b.judged
    WHERE r.spent >= b.bar AND (r.spent - r.cost < b.bar OR r.before IS NULL OR r.before < w.starts)
    QUALIFY row_number() OVER (PARTITION BY r.scope_id, r.label, b.threshold ORDER BY r.instant, r.request_id) = 1
),
whole AS (
    SELECT *, {scaled("spent", 12)} AS units, {scaled("amount", 12)} AS amount_units,
        CAST(epoch_us(period_end) - epoch_us(period_start) AS HUGEINT) AS length,
        CAST(epoch_us(instant) - epoch_us(period_start) AS HUGEINT) AS elapsed
    FROM crossed
)
SELECT $site, $scope_type, scope_id, $window, label, threshold, period_start, instant, event_id, request_id, spent,
    amount, CASE WHEN amount > 0 THEN {unscaled(half_even("(units * 100000000)", "amount_units"), 6)} END,
    CASE WHEN elapsed > 0 THEN {unscaled(half_even("(units * length)", "elapsed"), 12)} END,
    sha256(CAST(to_json([$site, $scope_type, scope_id, $window, label,
        rtrim(rtrim(CAST(threshold AS VARCHAR), '0'), '.')]) AS VARCHAR))
FROM whole"""
    values = {"site": limits.site, "scope_type": scope_type, "window": window, "as_of": as_of}
    con.execute(query, values).fetchall()


def _charged(charges: Charges, scope: Sequence[str], window: str) -> str:
    """SQL of the charges of scopes watched that have a positive cost, with the period that each lies in."""
    value, moment, cost = scope_id(scope), charges.column("at"), charges.column("cost")
    if window in CALENDAR:
        label, period = "p.label", "p.period_start, p.period_end"
        join = f"""JOIN spending_periods p ON p."window" = $window AND w.tz = p.tz AND CAST({moment} AS DATE) = p.day
    AND {moment} >= p.period_start AND {moment} < p.period_end"""
    else:
        label = f"nullif({charges.column(f'{window}_id')}, '{NOBODY}')"
        period, join = "NULL::TIMESTAMP AS period_start, NULL::TIMESTAMP AS period_end", ""
    return f"""SELECT w.scope_id, w.tz, w.lowest, {label} AS label, {period}, {moment} AS instant,
    {charges.column("request_id")} AS request_id, {charges.column("event_id")} AS event_id,
    CAST({cost} AS DECIMAL(38,12)) AS cost
FROM {charges.relation} AS c
JOIN (SELECT scope_id, tz, min(lowest) AS lowest FROM spending_watched GROUP BY ALL) w ON {value} = w.scope_id
{join}
WHERE {moment} < $as_of AND {cost} > 0 AND {label} IS NOT NULL"""
