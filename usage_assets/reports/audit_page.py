"""The audit as a printable page: plots/<site>/<month>/audit.html."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from usage_assets.facts.tables import REASONS
from usage_assets.reports.tables import OUTCOMES
from usage_assets.reports.templating import render_template
from usage_assets.sites.base import Site

_ORDER = list(OUTCOMES)
_HOURS = 1e-6
_MOSTLY = 0.5
_DOUBLED = (
    "Most rows of this source are rejected as duplicates because a source of higher priority already counts the same "
    "machines. That is expected of a source that only fills gaps, such as an inventory."
)


def page(site: Site, month: date, rows: pl.DataFrame, extracted: datetime | None, order: Sequence[str]) -> str:
    """The page of a month from its rows of reports.audit; `order` has the assets as they build on each other."""
    places = {asset: place for place, asset in enumerate(order)}  # others last, in the order of their names
    return render_template(
        "audit.html.j2",
        name=site.name,
        site=site.key,
        month=f"{month:%Y-%m}",
        extracted=f"{extracted:%Y-%m-%d %H:%M}" if extracted else "",
        example=f"{month:%Y-%m}-15T12:00",
        assets=[
            {"title": asset, "sources": [_source(source, part) for source, part in _groups(own, "source")]}
            for asset, own in sorted(_groups(rows, "asset"), key=lambda group: places.get(group[0], len(order)))
        ],
        words=OUTCOMES | REASONS,
    )


def _groups(frame: pl.DataFrame, by: str) -> list[tuple[str, pl.DataFrame]]:
    return [(str(name), part) for (name,), part in frame.sort(by).partition_by(by, as_dict=True).items()]


def _source(name: str, rows: pl.DataFrame) -> dict[str, Any]:
    lines = sorted(rows.iter_rows(named=True), key=lambda row: (_ORDER.index(row["outcome"]), row["reason"]))
    doubled = sum(row["rows"] or 0 for row in lines if row["reason"] == "duplicate")
    read = sum(row["rows"] or 0 for row in lines if row["outcome"] == "read")
    note = _DOUBLED if read and doubled > read * _MOSTLY else ""
    return {"name": name, "balanced": _balanced(lines), "lines": [_line(row) for row in lines], "note": note}


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "outcome": row["outcome"],
        "reason": row["reason"],
        "rows": "" if row["rows"] is None else f"{row['rows']:,}",
        "hours": f"{row['hours']:,.1f}",
        **{name: "" if row[name] is None else f"{row[name]:.1%}" for name in ("rows_share", "hours_share")},
    }


def _balanced(lines: list[dict[str, Any]]) -> bool:
    def total(column: str, *outcomes: str) -> float:
        return sum(row[column] or 0 for row in lines if row["outcome"] in outcomes)

    hours = total("hours", "read") - total("hours", "kept", "clipped", "rejected")
    rows = total("rows", "read") - total("rows", "kept", "outside", "rejected")
    return rows == 0 and abs(hours) <= _HOURS * max(1.0, total("hours", "read"))
