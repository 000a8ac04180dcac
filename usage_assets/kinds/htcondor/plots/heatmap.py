"""The state of each GPU of a pool over a month: a row per GPU, rows of a device together."""

from datetime import datetime, timedelta
from html import escape
from typing import Any

import polars as pl

from usage_assets.kinds.htcondor.plots.reading import HeatMap, clipped, clocks
from usage_assets.kinds.htcondor.pool.classes import CLASSES, LABELS
from usage_assets.kinds.htcondor.pool.columns import applied
from usage_assets.kinds.htcondor.pool.metrics import BY_NAME
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.reports import frame
from usage_assets.reports.frame import Panel
from usage_assets.specs.plot_context import Figure, Scene, Trace

STATES: dict[str, tuple[str, str]] = {
    **{name: (LABELS[name], BY_NAME[f"allocated_{name}"].colour) for name in CLASSES},
    "free": ("Free", "#EDEDED"),
    "drained": (BY_NAME["drained"].label, BY_NAME["drained"].colour),
    "refusing": (BY_NAME["refusing"].label, BY_NAME["refusing"].colour),
    "other": ("Another state", "#F0E442"),
}
"""State -> label and colour: that of the class whose job holds the GPU."""
_NAME = 48
_ROW_PX, _LEAST_PX, _MOST_PX = 6, 420, 1600


def gpu_heatmap(found: HeatMap, scene: Scene) -> Figure:
    """The state in which each GPU was longest, in stretches of `hours`; white is what no poll saw."""
    title = frame.heading(scene.site.name, f"State of each GPU, {scene.label}")
    width = frame.width_text(timedelta(hours=found.hours))
    subtitle = f"{frame.span_text(scene.window)}, the state held longest per {width}{scene.read_text}; white: not seen"
    if found.left_out:
        subtitle += f"; without {found.left_out} GPUs of the last machines by name"
    if found.gpus.is_empty():
        return frame.sentence(title, subtitle, "No GPU was seen in this time")
    gpus = _ordered(found.gpus, scene)
    start, end = scene.window
    columns = int((end - start) / timedelta(hours=found.hours))
    grid, texts = _grid(gpus, found.cells, columns)
    rows = [
        escape(clipped(f"{machine.split('.')[0]} {gpu}", _NAME))
        for machine, gpu in gpus.select("machine", "gpu").rows()
    ]
    rows = [name if rows.count(name) == 1 else f"{name} #{number}" for number, name in enumerate(rows)]
    used = sorted({cell for row in grid for cell in row if cell is not None})
    names = list(STATES)
    colours = [STATES[name][1] for name in names]
    scale = [[edge / len(names), colour] for n, colour in enumerate(colours) for edge in (n, n + 1)]
    hint = f"%{{y}}<br>%{{x|%a %Y-%m-%d %H:%M}} UTC ± {found.hours / 2:g} h<br>%{{text}}<extra></extra>"
    cells: Trace = {
        "type": "heatmap", "meta": "state", "x0": frame.stamp(start + timedelta(hours=found.hours) / 2),
        "dx": found.hours * 3_600_000, "y": rows, "z": grid, "text": texts, "zmin": -0.5, "zmax": len(names) - 0.5,
        "colorscale": scale, "showscale": False, "ygap": 0.6 if len(rows) <= 200 else 0, "hovertemplate": hint,
    }  # fmt: skip
    traces = [cells, *(_legend(STATES[names[code]], start) for code in used)]
    groups = _groups(gpus)
    axis: dict[str, Any] = {
        "type": "category", "categoryorder": "array", "categoryarray": rows, "showgrid": False, "ticklen": 0,
        "tickmode": "array", "tickvals": [rows[(first + last - 1) // 2] for _, first, last in groups],
        "ticktext": [f"{escape(name)} ({last - first})" for name, first, last in groups], "tickfont": {"size": 12},
    }  # fmt: skip
    layout = frame.layout(
        title,
        subtitle,
        [Panel("", (-0.5, len(rows) - 0.5), axis=axis, legend=True)],
        scene.window,
        labels=frame.site_labels(scene.site, scene.window, read_at=scene.read_at),
        hover="closest",
        height=min(_MOST_PX, frame.height_of(len(rows), _ROW_PX, least=_LEAST_PX)),
        left_px=min(320, 30 + 7 * max(len(name) + 5 for name, _, _ in groups)),
    )
    layout["shapes"] += [
        {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": at, "y1": at, "yref": "y",
         "line": {"width": 1, "color": frame.INK}}
        for at in (first - 0.5 for _, first, _ in groups[1:])
    ]  # fmt: skip
    layout["legend"]["itemclick"] = layout["legend"]["itemdoubleclick"] = False
    layout["xaxis"]["title"]["text"] = clocks(scene)
    layout["margin"]["r"] = 230
    return {"data": traces, "layout": layout}


def _ordered(gpus: pl.DataFrame, scene: Scene) -> pl.DataFrame:
    """The GPUs from the bottom up: devices by name from the top, within them machines by name."""
    called = scene.site.pool().display_name if isinstance(scene.site, HTCondorSite) else str
    gpus = gpus.with_columns(shown=applied(called, pl.col("device"), pl.String()))
    return gpus.sort("shown", "machine", "gpu", descending=True)


def _groups(gpus: pl.DataFrame) -> list[tuple[str, int, int]]:
    """Device, its first row and the row after its last."""
    counted = gpus.group_by("shown", maintain_order=True).len()
    ends = counted["len"].cum_sum().to_list()
    return [(name, end - count, end) for (name, count), end in zip(counted.iter_rows(), ends, strict=True)]


def _grid(gpus: pl.DataFrame, cells: pl.DataFrame, columns: int) -> tuple[list[list[int | None]], list[list[str]]]:
    """Per GPU and stretch the number of its state, and what people read."""
    place = {key: row for row, key in enumerate(gpus.select("machine", "gpu").rows())}
    code = {name: number for number, name in enumerate(STATES)}
    grid: list[list[int | None]] = [[None] * columns for _ in place]
    texts = [[""] * columns for _ in place]
    for machine, gpu, at, state in cells.select("machine", "gpu", "bin", "state").iter_rows():
        if at < columns:
            row = place[machine, gpu]
            grid[row][at], texts[row][at] = code[state], state.replace("_", " ")
    return grid, texts


def _legend(state: tuple[str, str], at: datetime) -> Trace:
    """An entry of the legend; a heat map has none of its own."""
    label, colour = state
    marker = {"symbol": "square", "size": 11, "color": colour, "line": {"width": 1, "color": frame.FAINT}}
    return {
        "type": "scatter", "mode": "markers", "x": [frame.stamp(at)], "y": [None], "marker": marker, "name": label,
        "hoverinfo": "skip", "meta": "legend",
    }  # fmt: skip
