"""Readiness: which months of an asset may be used, and why the others may not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING

from usage_assets.warehouse.bookkeeping import DUMPS, GATES

if TYPE_CHECKING:
    from usage_assets.sites.base import BaseSite
    from usage_assets.specs.raw_table import RawTable
    from usage_assets.warehouse import Reader

GATED = "waits: "
"""Prefix of the reason when a month was skipped because an upstream asset is not ready."""
_REASON_LENGTH = 600


def blocked_months(reader: Reader, site: BaseSite, months: Collection[date], inputs: Iterable[str]) -> dict[date, str]:
    """Months that can't be built because an input is not there or was refused, each with the reason."""
    wanted = tuple(inputs)
    readiness = reader.frame(GATES, site.key, sorted(months)) if reader.has(GATES) else GATES.empty()
    state = {(row["asset"], row["month"]): row for row in readiness.iter_rows(named=True)}
    out: dict[date, str] = {}
    for month in sorted(months):
        reasons = []
        for asset in wanted:
            gate = state.get((asset, month))
            if gate is None:
                reasons.append(f"{asset} was never built for {month:%Y-%m}")
            elif not gate["ok"]:
                reasons.append(f"{asset} was refused ({str(gate['reason']).removeprefix(GATED)})")
        if reasons:
            more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
            out[month] = (GATED + "; ".join(reasons[:3]))[:_REASON_LENGTH] + more
    return out


def extracted_at(
    reader: Reader, site: BaseSite, months: Collection[date], tables: Iterable[RawTable]
) -> dict[date, datetime]:
    """When each month was last read at its source: the earliest of the latest dumps of its raw tables."""
    if not reader.has(DUMPS):
        return {}
    found = reader.sql(
        "SELECT month, min(latest) AS extracted_at FROM (SELECT month, table_name, max(extracted_at) AS latest "
        f"FROM {DUMPS.qualified} WHERE site = $site AND month IN (SELECT unnest($months::DATE[])) "
        "AND table_name IN (SELECT unnest($tables::VARCHAR[])) GROUP BY month, table_name) GROUP BY month",
        {"site": site.key, "months": sorted(months), "tables": [table.name for table in tables]},
    )
    return dict(found.iter_rows())
