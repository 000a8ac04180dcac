"""What commands show of limits: the status of each scope, and the thresholds that were crossed."""

import polars as pl

from usage_assets.core.months import month_of
from usage_assets.kinds.service.reports.overview import Days
from usage_assets.kinds.service.reports.spending_tables import SPENDING_ALERTS, SPENDING_STATUS
from usage_assets.warehouse import Reader

_STATUS = ("as_of", "scope_type", "scope_id", "window", "period", "amount", "spent", "remaining", "percent",
           "burn_per_day", "projected_crossing_date", "unrated_requests")  # fmt: skip
_CROSSED = ("crossed_at", "scope_type", "scope_id", "window", "period", "threshold", "spent", "amount", "percent",
            "projected_period_end_spend", "request_id")  # fmt: skip


def status_at(reader: Reader, site: str, days: Days) -> pl.DataFrame:
    """The newest status of the days' months: one row per scope and window, those nearest to their limit first.

    Scopes without a limit stand last: their amount and percent are null.
    """
    names = ", ".join(f'"{name}"' for name in _STATUS)
    if not reader.has(SPENDING_STATUS):
        return SPENDING_STATUS.empty().select(_STATUS)
    of_site = f"FROM {SPENDING_STATUS.qualified} WHERE site = $site AND month BETWEEN $first AND $last"
    return reader.sql(
        f"SELECT {names} {of_site} AND as_of = (SELECT max(as_of) {of_site}) "
        'ORDER BY percent DESC NULLS LAST, spent DESC, scope_type, scope_id, "window"',
        {"site": site, "first": month_of(days.first), "last": month_of(days.last)},
    )


def crossed_in(reader: Reader, site: str, days: Days) -> pl.DataFrame:
    """The thresholds crossed in some days, in the order of their crossing."""
    names = ", ".join(f'"{name}"' for name in _CROSSED)
    if not reader.has(SPENDING_ALERTS):
        return SPENDING_ALERTS.empty().select(_CROSSED)
    return reader.sql(
        f"SELECT {names} FROM {SPENDING_ALERTS.qualified} WHERE site = $site "
        "AND month BETWEEN $first_month AND $last_month AND crossed_at >= $first::DATE "
        "AND crossed_at < $last::DATE + INTERVAL 1 DAY ORDER BY crossed_at, scope_type, scope_id, threshold",
        {"site": site, "first": days.first, "last": days.last, "first_month": month_of(days.first),
         "last_month": month_of(days.last)},
    )  # fmt: skip
