"""GPUs that each class of a pool offered over a month, and those that jobs held."""

import polars as pl

from usage_assets.kinds.htcondor.plots.reading import clocks
from usage_assets.kinds.htcondor.pool.classes import CLASSES, LABELS
from usage_assets.kinds.htcondor.pool.metrics import BY_NAME
from usage_assets.reports import frame
from usage_assets.reports.figures import steps
from usage_assets.reports.frame import Panel
from usage_assets.reports.series import Series, extremes, month_series
from usage_assets.specs.plot_context import Figure, Scene, Trace

_METRICS = tuple(f"{part}_{name}" for name in CLASSES for part in ("allocated", "available"))


def gpu_classes(usage: pl.DataFrame, scene: Scene) -> Figure:
    """A panel per class: what jobs held as an area, what was available as a line, and their means beside it.

    `usage` has timestamp, metric, resource, node_type and value. Classes that offered nothing have no panel.
    """
    title = frame.heading(scene.site.name, f"GPUs by class, {scene.label}")
    series = month_series(usage, scene, "gpus", _METRICS)
    width = frame.width_text(series.bucket)
    subtitle = (
        f"{frame.span_text(scene.window)}, means per {width} over the time seen{scene.read_text}; "
        "backfill runs on GPUs that no primary job holds"
    )
    traces: list[Trace] = []
    panels: list[Panel] = []
    for name in CLASSES:
        if not series.has(f"available_{name}") or extremes(series.values[f"available_{name}"])[1] <= 0:
            continue
        number = len(panels)
        traces += _panel(series, name, number)
        top = max(extremes(series.values[f"{part}_{name}"])[1] for part in ("available", "allocated"))
        panels.append(
            Panel("GPUs", (0, 1.1 * top), axis={"tickformat": ",~r", "nticks": 5}, remark=_remark(series, name))
        )
    if not panels:
        return frame.sentence(title, subtitle, "No class offered a GPU in this time")
    labels = frame.site_labels(scene.site, scene.window, read_at=scene.read_at)
    layout = frame.layout(
        title, subtitle, panels, scene.window, labels=labels, height=frame.height_of(len(panels), 118, least=480)
    )
    layout["xaxis"]["minor"] = {"dtick": 86_400_000, "ticks": "outside", "ticklen": 2}
    layout["xaxis"]["title"]["text"] = clocks(scene)
    layout["margin"]["r"] = 230
    return {"data": traces, "layout": layout}


def _panel(series: Series, name: str, number: int) -> list[Trace]:
    held, offered = BY_NAME[f"allocated_{name}"], BY_NAME[f"available_{name}"]
    points = steps.points_of(series)

    def style(_: str) -> Trace:
        line = {"width": 0, "shape": "hv"}
        return {"name": held.label, "fillcolor": held.colour, "line": line, "hovertemplate": "%{y:,.1f}"}

    line = {"width": 2, "color": held.colour, "dash": steps.DASHES["total"], "shape": "hv"}
    # pale below the line: what was offered and not held
    out = [
        trace | {"fill": "tozeroy", "fillcolor": offered.colour, "showlegend": False}
        for trace in steps.line(
            series.values[offered.name], points, offered.name, {"name": offered.label, "line": line}, panel=number
        )
    ]
    if series.has(held.name):
        areas = steps.areas([series.values[held.name]], points, style, stack=f"c{number}r", panel=number)
        out += [trace | {"showlegend": False} for trace in areas]
    return out


def _remark(series: Series, name: str) -> str:
    both = series.values.select(held=f"allocated_{name}", offered=f"available_{name}").drop_nulls()
    held, offered = (float(both[column].mean() or 0) for column in ("held", "offered"))  # type: ignore[arg-type]
    share = f"{held / offered:.0%}" if offered > 0 else "nothing"
    metric = BY_NAME[f"allocated_{name}"]
    return (
        f"<b>{LABELS[name].replace(', ', ',<br>')}</b><br><span style='color:{metric.colour}'>■</span> held {held:,.1f}"
        f"<br><span style='color:{metric.colour}'>┅</span> available {offered:,.1f}<br>    {share} allocated"
    )
