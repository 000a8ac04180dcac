"""Charges as limits see them: the scope_id of each scope type, and the period of a window that each lies in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from usage_assets.pricing.limits import CALENDAR, Limits
from usage_assets.pricing.periods import periods
from usage_assets.pricing.sql import keep, name

NOBODY = "(none)"
"""Stands in charges for a value that is not known; never judged."""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Charges:
    """Charges to judge: `relation` is a table or a query in parentheses, the others name its columns.

    `at` TIMESTAMP is when spend accrues, `cost` DECIMAL(38,12) or null; ids are VARCHAR. `request_id` is unique and
    orders charges of one instant. `session_id` is needed by limits per session, `unrated` (BIGINT: how many requests of
    the row succeeded without a known cost) by the status. The columns of `Limits.scope_types` are VARCHAR.
    """

    relation: str
    at: str
    cost: str
    request_id: str
    event_id: str
    session_id: str | None = None
    unrated: str | None = None

    def column(self, role: str) -> str:
        """SQL of the column of a role: `at`, `cost`, ... of the relation under the name c."""
        return f"c.{name(getattr(self, role))}"


def scope_id(columns: Sequence[str]) -> str:
    """SQL of the scope_id of columns; null where one of them is not known."""
    values = [f"nullif(CAST(c.{name(column)} AS VARCHAR), '{NOBODY}')" for column in columns]
    if len(values) == 1:
        return values[0]
    known = " AND ".join(f"{value} IS NOT NULL" for value in values)
    return f"CASE WHEN {known} THEN CAST(to_json([{', '.join(values)}]) AS VARCHAR) END"


def keep_watched(
    con: duckdb.DuckDBPyConnection, charges: Charges, limits: Limits, scope_type: str, window: str
) -> None:
    """Tables of the rows judged for each scope_id, and when, and of their thresholds.

    `spending_watched`: those of values with a row of their own, and those for each value for all others in charges.
    """
    judged = limits.judged(scope_type, window)
    kinds = {"judged": "INTEGER", "scope_id": "VARCHAR", "tz": "VARCHAR", "amount": "DECIMAL(38,12)",
             "starts": "TIMESTAMP", "ends": "TIMESTAMP", "lowest": "DECIMAL(38,12)"}  # fmt: skip
    rows = []
    for number, one in enumerate(judged):
        tz = limits.tz(one.row) if window in CALENDAR else ""
        lowest = min(bar for _, bar in one.row.bars)
        rows.append((number, one.scope_id, tz, one.row.amount, one.start, one.end, lowest))
    keep(con, "spending_judged", kinds, rows)
    keep(con, "spending_own", {"scope_id": "VARCHAR"}, [(value,) for value in limits.own_ids(scope_type, window)])
    bars = [(number, *bar) for number, one in enumerate(judged) for bar in one.row.bars]
    keep(con, "spending_bars",
         {"judged": "INTEGER", "threshold": "DECIMAL(38,12)", "bar": "DECIMAL(38,12)"}, bars)  # fmt: skip
    value = scope_id(limits.scope_types[scope_type])
    seen = f"SELECT DISTINCT {value} AS scope_id FROM {charges.relation} AS c WHERE {value} IS NOT NULL"
    each = f"""UNION ALL
SELECT j.* REPLACE (seen.scope_id AS scope_id)
FROM ({seen}) AS seen ANTI JOIN spending_own USING (scope_id) CROSS JOIN spending_judged j WHERE j.scope_id IS NULL"""
    con.execute(f"""CREATE OR REPLACE TEMP TABLE spending_watched AS
SELECT * FROM spending_judged WHERE scope_id IS NOT NULL
{each if any(one.scope_id is None for one in judged) else ""}""").fetchall()


def keep_periods(con: duckdb.DuckDBPyConnection, limits: Limits, first: datetime, last: datetime) -> None:
    """The table of the periods from `first` to `last`, a row per UTC day that each touches: join by day and edges."""
    rows = []
    for window in CALENDAR:
        for tz in limits.zones:
            for period in periods(window, tz, first, last, limits.calendar.week_start):
                day = period.start.date()
                while datetime.combine(day, datetime.min.time()) < period.end:
                    rows.append((window, tz, day, period.label, period.start, period.end))
                    day += _DAY
    kinds = {"window": "VARCHAR", "tz": "VARCHAR", "day": "DATE", "label": "VARCHAR", "period_start": "TIMESTAMP",
             "period_end": "TIMESTAMP"}  # fmt: skip
    keep(con, "spending_periods", kinds, rows)
