"""What was judged of a period: limits and alerts, profiles of models, and recommendations."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from usage_assets.kinds.service.reports.advice_tables import MODEL_PROFILES, RECOMMENDATIONS
from usage_assets.kinds.service.reports.spending_tables import SPENDING_ALERTS, SPENDING_STATUS
from usage_assets.schema import Table
from usage_assets.warehouse import Reader

_MONTHS, _DAYS = ("site", "first", "last"), ("start", "end")
_OF_MONTHS = "site = $site AND month BETWEEN $first AND $last"
_LIMITS = f"""
SELECT * EXCLUDE (site, month, unlimited) FROM {SPENDING_STATUS.qualified} WHERE {_OF_MONTHS} AND NOT unlimited
QUALIFY row_number() OVER (PARTITION BY scope_type, scope_id, "window" ORDER BY as_of DESC) = 1
ORDER BY percent DESC NULLS FIRST, scope_type, scope_id, "window"
"""
_ALERTS = f"""
SELECT * EXCLUDE (site, month) FROM {SPENDING_ALERTS.qualified}
WHERE {_OF_MONTHS} AND crossed_at >= $start::TIMESTAMP AND crossed_at < $end::TIMESTAMP
ORDER BY crossed_at, scope_type, scope_id, "window", period, threshold
"""


def _last_month(table: Table, order: str) -> str:
    """Query of the rows of the last month that has any."""
    of_months = f"FROM {table.qualified} WHERE {_OF_MONTHS}"
    last = f"month = (SELECT max(month) {of_months})"
    return f"SELECT * EXCLUDE (site, month) {of_months} AND {last} ORDER BY {order}"


_JUDGED: dict[str, tuple[Table, str, tuple[str, ...]]] = {
    "limits": (SPENDING_STATUS, _LIMITS, _MONTHS),
    "alerts": (SPENDING_ALERTS, _ALERTS, (*_MONTHS, *_DAYS)),
    "model_profiles": (MODEL_PROFILES, _last_month(MODEL_PROFILES, "requests DESC, model_id, window_days"), _MONTHS),
    "recommendations": (
        RECOMMENDATIONS,
        _last_month(
            RECOMMENDATIONS,
            "array_position(['high', 'medium', 'low'], priority), combined_confidence DESC, kind, model_id, rule",
        ),
        _MONTHS,
    ),
}
"""Name -> table, query and its parameters."""


def judged(reader: Reader, params: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """limits, alerts, model_profiles and recommendations of a period, each without site and month.

    Limits have their last status in the months of the period, scopes without one are left out; alerts are those of its
    days; profiles and recommendations are of its last month that has any. `params` are site, first and last (months),
    start and end (days).
    """
    out = {}
    for name, (table, query, wanted) in _JUDGED.items():
        found = reader.sql(query, {key: params[key] for key in wanted}) if reader.has(table) else table.empty()
        out[name] = found.drop("site", "month", "unlimited", strict=False)
    return out
