"""Spending status: how far the spend of each scope's present periods has come towards its limit."""

from collections.abc import Collection
from datetime import datetime, timedelta

import duckdb

from usage_assets.pricing.charges import Charges, keep_periods, keep_watched, scope_id
from usage_assets.pricing.limits import CALENDAR, Limits
from usage_assets.pricing.periods import Period, period_of
from usage_assets.pricing.sql import half_even, keep, scaled, unscaled

_COLUMNS = """site VARCHAR, scope_type VARCHAR, scope_id VARCHAR, "window" VARCHAR, as_of TIMESTAMP, period VARCHAR,
unlimited BOOLEAN, amount DECIMAL(38,12), spent DECIMAL(38,12), remaining DECIMAL(38,12), percent DECIMAL(38,6),
burn_per_day DECIMAL(38,12), projected_crossing_date DATE, unrated_requests BIGINT"""
BURN = timedelta(days=7)
"""Time before as_of over which spend per day is taken."""
_DAY_US = 86_400_000_000
_BURN_DAYS = BURN.days


def status_query(
    con: duckdb.DuckDBPyConnection,
    charges: Charges,
    limits: Limits,
    as_of: datetime,
    *,
    listed: Collection[str] | None = None,
) -> str:
    """SQL of the status of every scope as of an instant: a row per scope and window of day, week and month.

    Key (site, scope_type, scope_id, window, as_of); period (the one that holds as_of), unlimited, amount, spent (before
    as_of), remaining (below 0 when exceeded), percent (6 places, null for amount 0), burn_per_day (of the 7 x 24 h
    before), projected_crossing_date (local date; null if not before the period's end), unrated_requests (of the
    period). Scopes are those with a row valid at as_of and those in the charges; one without a row, or whose row is not
    enabled, is `unlimited`: its amount, remaining, percent and date are null. `listed` names the scope types whose
    unlimited scopes are listed (default: all). `charges` as for alerts, from `status_since` on.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE spending_now ({_COLUMNS})").fetchall()
    keep_periods(con, limits, as_of, as_of + timedelta(days=32))
    for scope_type in limits.scope_types:
        for window in CALENDAR:
            keep_watched(con, charges, limits, scope_type, window)
            unlimited = listed is None or scope_type in listed
            _keep_status(con, charges, limits, (scope_type, window), as_of, unlimited=unlimited)
    return "SELECT * FROM spending_now"


def status_since(limits: Limits, as_of: datetime) -> datetime:
    """From when charges must be given: the earliest start of a present period, and the time of the burn."""
    starts = (
        period_of(window, tz, as_of, limits.calendar.week_start).start for window in CALENDAR for tz in limits.zones
    )
    return min([as_of - BURN, *starts])


def _keep_status(
    con: duckdb.DuckDBPyConnection,
    charges: Charges,
    limits: Limits,
    pair: tuple[str, str],
    as_of: datetime,
    *,
    unlimited: bool,
) -> None:
    """Add the status of one scope type and window to the table."""
    scope_type, window = pair
    keep(con, "spending_zones", {"tz": "VARCHAR", "period": "VARCHAR", "starts": "TIMESTAMP", "ends": "TIMESTAMP"},
         [(tz, now.label, now.start, now.end) for tz, now in _present(limits, window, as_of).items()])  # fmt: skip
    value, moment = scope_id(limits.scope_types[scope_type]), charges.column("at")
    cost = f"CAST({charges.column('cost')} AS DECIMAL(38,12))"
    unrated = charges.column("unrated") if charges.unrated else "0"
    others = f"""UNION ALL
    SELECT scope_id, $tz, NULL FROM (
        SELECT DISTINCT {value} AS scope_id FROM {charges.relation} AS c WHERE {value} IS NOT NULL AND {moment} < $as_of
    ) ANTI JOIN limited USING (scope_id)"""
    query = f"""INSERT INTO spending_now
WITH limited AS (SELECT scope_id, tz, amount FROM spending_watched WHERE starts <= $as_of AND $as_of < ends),
scopes AS (SELECT * FROM limited {others if unlimited else ""}),
dated AS (SELECT scope_id, tz, amount, period, starts, ends FROM scopes JOIN spending_zones USING (tz)),
sums AS (
    SELECT s.scope_id,
        sum({cost}) FILTER ({moment} >= s.starts) AS spent,
        sum({cost}) FILTER ({moment} >= $burn_since) AS burnt,
        CAST(sum({unrated}) FILTER ({moment} >= s.starts) AS BIGINT) AS unrated
    FROM {charges.relation} AS c JOIN dated s ON {value} = s.scope_id
    WHERE {moment} < $as_of AND {moment} >= least(s.starts, $burn_since) GROUP BY s.scope_id
),
known AS (
    SELECT dated.*, CAST(coalesce(spent, 0) AS DECIMAL(38,12)) AS spent,
        CAST(coalesce(burnt, 0) AS DECIMAL(38,12)) AS burnt, coalesce(unrated, 0) AS unrated
    FROM dated LEFT JOIN sums USING (scope_id)
),
whole AS (
    SELECT *, amount IS NOT NULL AND spent >= amount AND spent > 0 AS crossed, {scaled("spent", 12)} AS units,
        {scaled("amount", 12)} AS amount_units, {scaled("burnt", 12)} AS burnt_units
    FROM known
),
ahead AS (
    SELECT *, CASE WHEN crossed THEN 0
        WHEN burnt_units > 0 THEN (amount_units - units) * {_BURN_DAYS * _DAY_US} // burnt_units END AS wait
    FROM whole
),
crossing AS (
    SELECT *, CASE WHEN crossed OR wait < epoch_us(ends) - epoch_us($as_of)
        THEN $as_of + to_microseconds(CAST(wait AS BIGINT)) END AS crosses
    FROM ahead
)
SELECT $site, $scope_type, scope_id, $window, $as_of, period, amount IS NULL, amount, spent, amount - spent,
    CASE WHEN amount > 0 THEN {unscaled(half_even("(units * 100000000)", "amount_units"), 6)} END,
    {unscaled(half_even("burnt_units", f"{_BURN_DAYS}::HUGEINT"), 12)}, CAST(d.label AS DATE), unrated
FROM crossing LEFT JOIN spending_periods d ON d."window" = 'day' AND d.tz = crossing.tz
    AND CAST(crosses AS DATE) = d.day AND crosses >= d.period_start AND crosses < d.period_end"""
    values = {"site": limits.site, "scope_type": scope_type, "window": window, "as_of": as_of,
              "burn_since": as_of - BURN, "tz": limits.calendar.reporting_tz}  # fmt: skip
    con.execute(query, values if unlimited else {k: v for k, v in values.items() if k != "tz"}).fetchall()


def _present(limits: Limits, window: str, as_of: datetime) -> dict[str, Period]:
    """The period of each time zone that holds an instant."""
    found = next(known for known in CALENDAR if known == window)
    return {tz: period_of(found, tz, as_of, limits.calendar.week_start) for tz in limits.zones}
