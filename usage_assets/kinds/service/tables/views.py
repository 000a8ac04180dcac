"""The view of what a site did per day, over the sums by user."""

from usage_assets.kinds.service.tables.declarations import ADDITIVE, SERVICE_TOTALS, SERVICE_USER_DAILY
from usage_assets.kinds.service.tables.grouping import ADDED

TOTALS = f"""
CREATE OR REPLACE VIEW {SERVICE_TOTALS} AS
SELECT site, month, date, {ADDED}, min(first_ts) AS first_ts, max(last_ts) AS last_ts
FROM {SERVICE_USER_DAILY.qualified} GROUP BY site, month, date
"""
"""Columns site, month, date, the additive ones, first_ts, last_ts; also of days that only an older tracker knows."""
TOTALS_COLUMNS = ("site", "month", "date", *(column.name for column in ADDITIVE), "first_ts", "last_ts")
