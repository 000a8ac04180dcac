"""The tables of a usage report as a page shows them: titles, texts of cells, and no more rows than people read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from usage_assets.core.text import printable
from usage_assets.kinds.service.reports.content import UsageReport

MOST = 50
"""Rows of a table on a page; CSV and Parquet have all."""
_CELL = 200
_USE = {
    "requests": "Requests", "succeeded": "Succeeded", "failed": "Failed", "cancelled": "Cancelled",
    "unfinished": "Unfinished", "input_tokens": "Input tokens", "cached_tokens": "of them cached",
    "output_tokens": "Output tokens", "cost": "Cost", "cost_unrated_requests": "Without known cost",
    "latency_p50_s": "Latency p50 (s)", "latency_p95_s": "p95 (s)",
}  # fmt: skip

_ADDED = {name: label for name, label in _USE.items() if not name.startswith("latency")}


@dataclass(frozen=True)
class Layout:
    """How a table is shown: its title, columns with their titles, and what stands where it has no row."""

    table: str
    title: str
    columns: Mapping[str, str]
    empty: str
    note: str = ""


@dataclass(frozen=True)
class Grid:
    """A table of a page: texts of cells, `is_number` per column, and a sentence on the rows that are not shown."""

    title: str
    columns: tuple[str, ...]
    is_number: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str
    note: str
    rest: str


_NOTHING = "No request ended in this period."
LAYOUTS: tuple[Layout, ...] = (
    Layout("models", "Models", {"model_id": "Model", **_USE, "users": "Users"}, _NOTHING),
    Layout("users", "Users", {"user_id": "User", **_USE, "sessions": "Sessions"}, _NOTHING),
    Layout("teams", "Teams", {"team_id": "Team", **_USE, "users": "Users"}, _NOTHING),
    Layout("providers", "Providers", {"provider": "Provider", **_USE, "users": "Users"}, _NOTHING),
    Layout("days", "Days (UTC)", {"date": "Day", **_ADDED, "users": "Users"}, _NOTHING),
    Layout("limits", "Limits", {
        "scope_type": "Limit of", "scope_id": "Name", "window": "Per", "period": "Period", "spent": "Spent",
        "amount": "Limit", "percent": "Percent", "burn_per_day": "Per day", "projected_crossing_date": "Reached by",
        "unrated_requests": "Without known cost",
    }, "No limit was judged.", "As of the last time the data was read, or the end of the period's last month."),
    Layout("alerts", "Thresholds crossed", {
        "crossed_at": "At (UTC)", "scope_type": "Limit of", "scope_id": "Name", "window": "Per", "period": "Period",
        "threshold": "Share", "spent": "Spent", "amount": "Limit", "projected_period_end_spend": "Projected",
    }, "No threshold of a limit was crossed."),
    Layout("recommendations", "Recommendations", {
        "priority": "Priority", "kind": "Kind", "model_id": "Model", "reason": "Why", "expected_effect": "Effect",
        "combined_confidence": "Confidence", "status": "Status",
    }, "There is no advice.", "Of the last month of the period; nothing acts on them."),
    Layout("model_profiles", "Profiles of models", {
        "model_id": "Model", "window_days": "Days", "requests": "Requests", "uses_per_day": "Uses per day",
        "success_rate": "Success rate", "mean_s": "Mean (s)", "p50_s": "p50 (s)", "p95_s": "p95 (s)",
        "trend": "Trend", "availability": "Availability", "last_used": "Last used (UTC)", "next_use": "Next use",
    }, "No model was profiled.", "Of the last month of the period, in so many days before its end."),
    Layout("data_quality", "Quality of the data", {
        "category": "What", "reason": "Reason", "number": "Number", "meaning": "Meaning",
    }, "Nothing is known to be missing.", "Rejected and cleared events are those of whole months."),
    Layout("months", "How final the months are", {
        "month": "Month", "extracted_at": "Read (UTC)", "state": "State",
    }, "No month."),
    Layout("inputs", "Versions of the inputs", {
        "asset": "Asset", "month": "Month", "version": "Version", "rows": "Rows",
    }, "No version is recorded."),
)  # fmt: skip


def grids(report: UsageReport, layouts: Sequence[Layout] = LAYOUTS) -> list[Grid]:
    """The tables of a report that a page shows, in their order."""
    return [grid(report.tables[layout.table], layout) for layout in layouts if layout.table in report.tables]


def grid(frame: pl.DataFrame, layout: Layout) -> Grid:
    """A table as a page shows it."""
    names = [name for name in layout.columns if name in frame.columns]
    shown = frame.select(names).head(MOST)
    further = frame.height - shown.height
    return Grid(
        title=layout.title,
        columns=tuple(layout.columns[name] for name in names),
        is_number=tuple(kind.is_numeric() for kind in shown.dtypes),
        rows=tuple(tuple(map(cell, row)) for row in shown.iter_rows()),
        empty=layout.empty,
        note=layout.note,
        rest=_rest(frame.tail(further)) if further > 0 else "",
    )


def cell(value: Any) -> str:
    """A value as people read it; nothing where it is not known."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return money(value)
    if isinstance(value, (bool, int, float)):
        return _number(value)
    if isinstance(value, (datetime, date)):
        return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else f"{value}"
    text = ", ".join(map(cell, value)) if isinstance(value, (list, pl.Series)) else printable(str(value))
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"


def _number(value: float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if abs(value) >= 1 or not value else f"{value:.3g}"


def money(value: Decimal) -> str:
    """An amount with two decimals; of less than 0.01 with as many, up to six, as it takes to see it."""
    if abs(value) >= Decimal("0.01") or value == 0:
        return f"{value:,.2f}"
    short = f"{value:.6f}".rstrip("0")
    return short if len(short.partition(".")[2]) >= 2 else f"{value:.2f}"


def _rest(frame: pl.DataFrame) -> str:
    """What the rows that are not shown add up to."""
    text = f"and {frame.height:,} more"
    if "requests" in frame.columns and "cost" in frame.columns:
        text += f", of {int(frame['requests'].sum()):,} requests and {money(sum(frame['cost'], Decimal()))} together"
    return text
