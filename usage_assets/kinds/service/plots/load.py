"""Requests of a service in progress and in its queue over a month, against its capacity."""

from datetime import timedelta

import polars as pl

from usage_assets.kinds.service.plots.reading import shown_minutes
from usage_assets.reports import frame
from usage_assets.reports.figures import steps
from usage_assets.reports.frame import Panel
from usage_assets.reports.series import NOTHING, Series, dense, extremes
from usage_assets.specs.plot_context import Figure, Scene, Trace

_RUNNING, _QUEUED, _LOADED = "#0072B2", "#E69F00", "#009E73"
_PANELS = (
    ("running", "In progress", _RUNNING, "Requests<br>in progress"),
    ("queued", "Queued", _QUEUED, "Requests<br>in the queue"),
    ("loaded_models", "Loaded models", _LOADED, "Models<br>loaded"),
)
_FORMAT = "%{y:,.2f}"


def service_load(rows: pl.DataFrame, scene: Scene) -> Figure:
    """Means of requests in progress and queued per bucket, their maxima, and the capacity where the site states one.

    `rows` has timestamp, metric and value: running, queued, loaded_models, running_max, queued_max, capacity and
    available.
    """
    title = frame.heading(scene.site.name, f"Requests in progress and queued, {scene.label}")
    series = _series(rows, scene)
    subtitle = f"{frame.span_text(scene.window)}, means per {frame.width_text(series.bucket)}{scene.read_text}"
    if not series.has("running") and not series.has("queued"):
        return frame.sentence(title, subtitle, NOTHING)
    subtitle += _capacity_text(series)
    traces: list[Trace] = []
    panels: list[Panel] = []
    for metric, label, colour, axis_title in _PANELS:
        if not series.has(metric) or (metric == "loaded_models" and not extremes(series.values[metric])[1]):
            continue
        traces += _panel(series, metric, label, colour, len(panels))
        shown = [metric, f"{metric}_max", *(["capacity"] if metric == "running" else [])]
        top = max(extremes(series.values[name])[1] for name in shown if series.has(name))
        axis = {"tickformat": ",~r", "nticks": 6, "rangemode": "tozero"}
        weight = 2 if metric == "running" else 1
        panels.append(Panel(axis_title, (0, 1.08 * top or 1), weight, axis=axis, legend=True))
    labels = frame.site_labels(scene.site, scene.window, read_at=scene.read_at)
    layout = frame.layout(title, subtitle, panels, scene.window, labels=labels)
    layout["xaxis"]["minor"] = {"dtick": 86_400_000, "ticks": "outside", "ticklen": 2}
    return {"data": traces, "layout": layout}


def _series(rows: pl.DataFrame, scene: Scene) -> Series:
    """The series of the month in its buckets, a column per metric; null where a bucket has no row."""
    start, end = scene.window
    if scene.extracted_at is not None and start < scene.extracted_at < end:
        end = scene.extracted_at
    bucket = timedelta(minutes=shown_minutes(scene))
    wide = rows.pivot(on="metric", index="timestamp", values="value") if rows.height else rows.select("timestamp")
    wide = wide.with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    return Series("requests", dense(wide, start, end, bucket), bucket, end)


def _panel(series: Series, metric: str, label: str, colour: str, number: int) -> list[Trace]:
    points = steps.points_of(series)
    area = {"width": 0, "shape": "hv"}
    of_legend = {"legend": f"legend{number + 1 if number else ''}"}

    def style(_: str) -> Trace:
        return {"name": f"{label} (mean)", "fillcolor": colour, "line": area, "hovertemplate": _FORMAT}

    traces = [
        trace | of_legend
        for trace in steps.areas([series.values[metric]], points, style, stack=f"s{number}r", panel=number)
    ]
    lines = [
        (f"{metric}_max", f"{label} (most at once<br>of one model)", {"width": 1, "color": frame.INK, "shape": "hv"})
    ]
    if metric == "running":
        capacity = {"width": 2, "color": "#D55E00", "dash": steps.DASHES["total"], "shape": "hv"}
        lines.append(("capacity", "Capacity", capacity))
    for name, called, line in lines:
        if series.has(name):
            look = {"name": called, "line": line, "hovertemplate": _FORMAT}
            drawn = steps.line(series.values[name], points, name, look, panel=number)
            traces += [trace | of_legend for trace in drawn]
    return traces


def _capacity_text(series: Series) -> str:
    if not (series.has("capacity") and series.has("available")):
        return ""
    # of models that have a capacity: others may run beside them
    both = series.values.select("available", "capacity").drop_nulls()
    capacity, free = (float(both[name].sum()) for name in ("capacity", "available"))
    return f"; {1 - free / capacity:.1%} of the capacity in use" if capacity > 0 else ""
