"""What the check of the audit asks: nothing that was read got lost."""

from datetime import date

from usage_assets.core.months import Window
from usage_assets.reports.tables import AUDIT
from usage_assets.sites.base import Site
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.warehouse import Reader

_HOURS = 1e-6
_BALANCE = f"""
SELECT month, asset, source,
       coalesce(sum(rows) FILTER (outcome = 'read'), 0)::BIGINT AS rows_read,
       coalesce(sum(rows) FILTER (outcome IN ('kept', 'outside', 'rejected')), 0)::BIGINT AS rows_found,
       coalesce(sum(hours) FILTER (outcome = 'read'), 0) AS hours_read,
       coalesce(sum(hours) FILTER (outcome IN ('kept', 'clipped', 'rejected')), 0) AS hours_found
FROM {AUDIT.qualified} WHERE site = $site AND month IN (SELECT unnest($months::DATE[])) GROUP BY ALL
HAVING rows_read <> rows_found OR abs(hours_read - hours_found) > {_HOURS} * greatest(1, hours_read)
ORDER BY ALL
"""


def balanced(reader: Reader, site: Site, window: Window) -> dict[date, Finding]:
    """Per asset and source: rows read = kept + outside + rejected, hours read = kept + clipped + rejected."""
    del site  # the window names it
    out = dict.fromkeys(window.months, GOOD)
    if not reader.has(AUDIT):
        return out
    faults: dict[date, list[str]] = {}
    found = reader.sql(_BALANCE, {"site": window.site, "months": list(window.months)})
    for month, asset, source, rows_read, rows, hours_read, hours in found.iter_rows():
        text = f"{asset}, {source}: {rows_read} rows read, {rows} found again; {hours_read:.6f} hours, {hours:.6f}"
        faults.setdefault(month, []).append(text)
    for month, texts in faults.items():
        out[month] = Finding(False, "; ".join(texts[:3]), {"sources": len(texts)})
    return out
