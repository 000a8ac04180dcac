"""What coverage tells the pages that lead to the plots: names of sites, their months by status, what fails now.

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


def write_front(rows: pl.DataFrame, named: Mapping[str, Site], warehouse: Warehouse) -> None:
    """Write the file, of rows of reports.coverage and of the checks that fail now."""
    with warehouse.read() as reader:
        failing = reader.sql(_FAILING) if reader.has(FAILED_CHECKS) else None
    text = json.dumps(front(rows, named, failing), ensure_ascii=False, indent=1)
    write_file(settings.plots_dir() / FRONT, text.encode())


def front(rows: pl.DataFrame, named: Mapping[str, Site], failing: pl.DataFrame | None) -> dict[str, Any]:
    """What the file holds."""
    counts = _counts(rows)
    found = [] if failing is None else failing.rows(named=True)
    return {
        "made_at": f"{clock.naive_utc_now():%Y-%m-%d %H:%M}",
        "sites": {
            key: {"name": site.name, "kind": site.kind, "counts": counts.get(key, {})} for key, site in named.items()
        },
        "failing": found[0]["failing"] if found else 0,
        "failures": [
            {
                "site": one["site"],
                "name": named[one["site"]].name if one["site"] in named else one["site"],
                "month": f"{one['month']:%Y-%m}",
                "asset": one["asset"],
                "check": one["check_name"],
                "text": printable(one["text"])[:_TEXT],
                "at": f"{one['evaluated_at']:%Y-%m-%d %H:%M}",
            }
            for one in found
        ],
    }


def _counts(rows: pl.DataFrame) -> dict[str, dict[str, int]]:
    """By site how many months are of each status, that of a month being the worst of its assets; the best first."""
    codes = {name: code for code, name in enumerate(STATUSES)}
    names = [LABELS[name] for name in STATUSES]
    found = (
        rows.lazy()
        .group_by("site", "month")
        .agg(pl.col("status").replace_strict(codes, return_dtype=pl.Int64).max().alias("code"))
        .group_by("site", "code")
        .len()
        .sort("site", "code")
        .collect()
    )
    out: dict[str, dict[str, int]] = {}
    for site, code, count in found.iter_rows():
        out.setdefault(site, {})[names[code]] = count
    return out
