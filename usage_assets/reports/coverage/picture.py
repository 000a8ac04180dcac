"""Coverage as a heat map: a row per site and stage, a column per month, the colour of the worst asset."""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import Any

import polars as pl

from usage_assets.core.months import months_between, next_month
from usage_assets.reports import frame
from usage_assets.reports.frame import Panel
from usage_assets.reports.tables import STATUSES
from usage_assets.specs.plot_context import Figure, Trace

NAME = "coverage"
"""Place of page, picture and CSV file below the plots folder."""
# by lightness too, so that it reads in grey print: what needs a hand is dark
COLOURS = {
    "ok": "#C5DFF0",
    "known_gap": "#E8E8E8",
    "stale": "#F0D43A",
    "waits": "#E69F00",
    "refused": "#C44E00",
    "missing": "#2B2B2B",
}
LABELS = {name: name.replace("_", " ") for name in STATUSES} | {"waits": "blocked"}
"""What people read of a status: a month that waits for its inputs is blocked."""
CODE = pl.col("status").cast(pl.Enum(list(STATUSES))).to_physical()
"""The place of a status among all, the best 0."""
STAGES = ("raw", "facts", "timelines", "reports")
_ROW_PX = 24
_NAMED_TABLES = 3  # tables that a cell names
_REASON = 90


def coverage_map(rows: pl.DataFrame, names: Mapping[str, str]) -> Figure:
    """The heat map of rows of reports.coverage; `names` are the sites' names by key, in the order shown.

    It says nothing of when it was drawn: as long as nothing changes the figure is the same.
    """
    title = "<b>All sites</b>  Data availability by month"
    if rows.is_empty():
        return frame.sentence(title, "nothing to cover", "No site has begun yet.")
    cells = _cells(rows)
    found = set(cells.select("site", "stage").unique().rows())
    lines = [(site, stage) for site in names for stage in STAGES if (site, stage) in found]
    months = months_between(cells["month"].min(), cells["month"].max())  # type: ignore[arg-type]  # dates, not empty
    window = (frame.midnight(months[0]), frame.midnight(next_month(months[-1])))
    labels = [f"{escape(names[site])}  {stage}" for site, stage in lines]
    axis: dict[str, Any] = {"tickmode": "array", "tickvals": list(range(len(lines))), "ticktext": labels[::-1]}
    axis |= {"showgrid": False, "ticks": ""}
    layout = frame.layout(
        title,
        f"{frame.span_text(window)}; each cell has the colour of the stage's worst table, hover for which and why",
        [Panel("", (-0.5, len(lines) - 0.5), 1.0, axis, legend=True)],
        window,
        hover="closest",
        height=frame.height_of(len(lines), _ROW_PX, least=300),
        left_px=max(110, 30 + 7 * max(len(label) for label in labels)),
    )
    rule = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "line": {"width": 1.5, "color": frame.INK}}
    # where another site begins
    starts = [len(lines) - row - 0.5 for row in range(1, len(lines)) if lines[row][0] != lines[row - 1][0]]
    layout["shapes"] = [rule | {"y0": y, "y1": y} for y in starts]
    return {"data": [_heat(cells, names, lines[::-1], months), *_legend()], "layout": layout}


def _cells(rows: pl.DataFrame) -> pl.DataFrame:
    """site, stage, month, code (of the worst status), counts, and reasons: a line per table, the worst first."""
    parts = pl.col("asset").str.split("/")
    each = rows.lazy().select(
        "site",
        "month",
        pl.col("status").replace_strict(LABELS).alias("label"),
        stage=parts.list.get(1),
        table=parts.list.get(2),
        code=CODE,
        why=pl.col("reason").str.slice(0, _REASON).fill_null(""),
    )
    cell = ["site", "stage", "month"]
    counts = (
        each.group_by(*cell, "code", "label")
        .agg(pl.len().alias("count"))
        .sort("code", descending=True)
        .group_by(cell, maintain_order=True)
        .agg(pl.col("code").first(), pl.format("{} {}", "count", "label").str.join(", ").alias("counts"))
    )
    reasons = (
        each.filter(pl.col("code") > list(STATUSES).index("known_gap"))
        .sort(["code", "table"], descending=[True, False])
        .group_by(cell, maintain_order=True)
        .agg(pl.format("{}: {}", "table", "why").head(_NAMED_TABLES).str.join("\n").alias("reasons"))
    )
    return counts.join(reasons, on=cell, how="left").sort(cell).collect()


def _heat(
    cells: pl.DataFrame, names: Mapping[str, str], lines: Sequence[tuple[str, str]], months: Sequence[date]
) -> Trace:
    """The cells; `lines` are the rows' (site, stage) from the lowest up."""
    by_key = {(row["site"], row["stage"], row["month"]): row for row in cells.iter_rows(named=True)}
    rows = [[(site, by_key.get((site, stage, month))) for month in months] for site, stage in lines]
    top = len(STATUSES) - 1
    return {
        "type": "heatmap",
        "x": [f"{month:%Y-%m}-15" for month in months],  # middles: the cells then reach to the months' ends
        "y": list(range(len(lines))),
        "z": [[cell and cell["code"] for _, cell in row] for row in rows],
        "text": [[_text(names[site], cell) if cell else "" for site, cell in row] for row in rows],
        "hovertemplate": "%{text}<extra></extra>",
        "zmin": 0,
        "zmax": top,
        "colorscale": [[code / top, COLOURS[name]] for code, name in enumerate(STATUSES)],
        "showscale": False,
        "xgap": 1,
        "ygap": 2,
        "meta": "coverage",
    }


def _text(name: str, cell: Mapping[str, Any]) -> str:
    head = f"<b>{escape(name)}</b> {cell['stage']} {cell['month']:%Y-%m}: {cell['counts']}"
    return "<br>".join([head, *(escape(line) for line in (cell["reasons"] or "").splitlines())])


def _legend() -> list[Trace]:
    """A square per status, the worst on top: a heat map has no legend of its own."""
    point = {"type": "scatter", "mode": "markers", "x": [None], "y": [None], "hoverinfo": "skip"}
    square = {"symbol": "square", "size": 12, "line": {"width": 1, "color": "#999"}}
    return [point | {"name": LABELS[name], "marker": square | {"color": COLOURS[name]}} for name in reversed(STATUSES)]
