"""Status file for the pages that lead to the plots: names of sites, their months by status, what fails now.

A small file in the plots folder: who serves the plots opens no warehouse and reads no site file.
"""

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from usage_assets.core import clock, settings
from usage_assets.core.text import printable
from usage_assets.reports.coverage.picture import LABELS
from usage_assets.reports.landing import FRONT
from usage_assets.reports.render import write_file
from usage_assets.reports.tables import STATUSES
from usage_assets.sites.base import Site
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import FAILED_CHECKS

_MOST, _TEXT = 30, 300
_FAILING = f"""
SELECT site, month, asset, check_name, text, evaluated_at, count(*) OVER () AS failing
FROM {FAILED_CHECKS.qualified} WHERE severity = 'ERROR'
ORDER BY evaluated_at DESC, month DESC, site, asset, check_name LIMIT {_MOST}
"""


def write_front(rows: pl.DataFrame, sites: Mapping[str, Site], warehouse: Warehouse) -> None:
    """Write the file from rows of reports.coverage and the checks that fail now."""
    with warehouse.read() as reader:
        failing = reader.sql(_FAILING) if reader.has(FAILED_CHECKS) else None
    text = json.dumps(front(rows, sites, failing), ensure_ascii=False, indent=1)
    write_file(settings.plots_dir() / FRONT, text.encode())


def front(rows: pl.DataFrame, sites: Mapping[str, Site], failing: pl.DataFrame | None) -> dict[str, Any]:
    """Content of the file."""
    counts = _counts(rows)
    failures = [] if failing is None else failing.rows(named=True)
    return {
        "made_at": f"{clock.naive_utc_now():%Y-%m-%d %H:%M}",
        "sites": {
            key: {"name": site.name, "kind": site.kind, "counts": counts.get(key, {})} for key, site in sites.items()
        },
        "failing": failures[0]["failing"] if failures else 0,
        "failures": [
            {
                "site": row["site"],
                "name": sites[row["site"]].name if row["site"] in sites else row["site"],
                "month": f"{row['month']:%Y-%m}",
                "asset": row["asset"],
                "check": row["check_name"],
                "text": printable(row["text"])[:_TEXT],
                "at": f"{row['evaluated_at']:%Y-%m-%d %H:%M}",
            }
            for row in failures
        ],
    }


def _counts(rows: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Months by site and status, the best first; the status of a month is the worst of its assets."""
    status = pl.col("status").cast(pl.Enum(list(STATUSES)))
    found = rows.group_by("site", "month").agg(status.max()).group_by("site", "status").len().sort("site", "status")
    out: dict[str, dict[str, int]] = {}
    for site, name, count in found.iter_rows():
        out.setdefault(site, {})[LABELS[name]] = count
    return out
