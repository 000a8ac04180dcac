"""How long requests of a service took over a month: by model, and as a distribution."""

from typing import Any

import polars as pl

from usage_assets.kinds.service.plots import parts
from usage_assets.kinds.service.plots.reading import PER_DECADE, Latencies
from usage_assets.reports import frame
from usage_assets.reports.frame import Panel
from usage_assets.specs.plot_context import Figure, Scene, Trace

_MOST, _NAME = 25, 40
_ROW_PX, _HISTOGRAM_PX = 22, 190
_P50 = {"color": "#0072B2", "symbol": "circle", "size": 9}
_P95 = {"color": "#D55E00", "symbol": "diamond-open", "size": 9, "line": {"width": 2}}
_DECADES = {0.001: "1 ms", 0.01: "10 ms", 0.1: "100 ms", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h"}
_FINE = {
    0.002: "2 ms", 0.005: "5 ms", 0.02: "20 ms", 0.05: "50 ms", 0.2: "200 ms", 0.5: "500 ms", 2: "2 s", 5: "5 s",
    20: "20 s", 120: "2 min", 300: "5 min", 1800: "30 min", 7200: "2 h", 18000: "5 h",
}  # fmt: skip
"""Ticks of the axis; the fine ones where it is short."""


def service_latency(found: Latencies, scene: Scene) -> Figure:
    """Median and 95th percentile of the latency per model above, and a histogram of all requests below.

    Latency is from submission to end, of succeeded requests with a known duration; the axis is logarithmic.
    """
    title = frame.heading(scene.site.name, f"Latency of requests, {scene.label}")
    subtitle = f"{frame.span_text(scene.window)}, from submission to end of succeeded requests{scene.read_text}"
    if found.models.is_empty():
        return frame.sentence(title, subtitle, "No request of this time succeeded with a known duration")
    models = found.models.head(_MOST)
    count = int(found.models["requests"].sum())
    subtitle += f": {count:,} requests"
    every = found.models.height
    foot = "; ".join([
        *([f"the {_MOST} models of {every:,} with most requests"] if every > _MOST else []),
        *([f"waited before the start: median {_seconds(found.waits[0])}, 95th percentile {_seconds(found.waits[1])}"]
          if None not in found.waits else []),
    ])  # fmt: skip
    names = parts.labels(models["model_id"].to_list(), _NAME)
    rows = list(range(len(names)))
    ticks = [f"{name} ({requests:,})" for name, requests in zip(names, models["requests"], strict=True)]
    axis: dict[str, Any] = {"tickmode": "array", "tickvals": rows, "ticktext": ticks, "ticklen": 0, "showgrid": False}
    upper = max(160, _ROW_PX * len(rows) + 20)
    panels = [
        Panel("", (len(rows) - 0.4, -0.6), upper, axis=axis, legend=True),
        Panel("Share of requests", (0, _top(found.bins, count)), _HISTOGRAM_PX, axis={"tickformat": ".1~%"}),
    ]
    layout = frame.layout(
        title, subtitle, panels, scene.window, hover="closest",
        height=frame.height_of(1, upper + _HISTOGRAM_PX + frame.GAP_PX),
        foot=foot,
        left_px=min(360, 30 + 7 * max(map(len, ticks))),
    )  # fmt: skip
    layout["xaxis"] |= _log_axis(found)
    layout["xaxis"]["title"] = {"text": "Latency", "standoff": 10, "font": {"size": 13}}
    layout["yaxis2"]["title"]["standoff"] = 4
    traces = [_spans(models), _points(models, names, "p50", "Median", _P50)]
    traces += [_points(models, names, "p95", "95th percentile", _P95), _histogram(found.bins, count)]
    return {"data": traces, "layout": layout}


def _seconds(value: float | None) -> str:
    return f"{value or 0.0:,.3g} s"


def _spans(models: pl.DataFrame) -> Trace:
    """One thin line per model from its median to its 95th percentile."""
    x: list[float | None] = []
    y: list[int | None] = []
    for row, (low, high) in enumerate(models.select("p50", "p95").iter_rows()):
        x += [low, high, None]
        y += [row, row, None]
    return {
        "type": "scatter", "mode": "lines", "x": x, "y": y, "meta": "span", "line": {"width": 2, "color": "#BDBDBD"},
        "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip


def _points(models: pl.DataFrame, names: list[str], column: str, label: str, look: dict[str, Any]) -> Trace:
    values = models[column].round(6).to_list()
    return {
        "type": "scatter", "mode": "markers", "x": values, "y": list(range(len(values))), "text": names,
        "name": label, "meta": column, "marker": look, "showlegend": True,
        "hovertemplate": f"<b>%{{text}}</b><br>{label} %{{x:,.4~g}} s<extra></extra>",
    }  # fmt: skip


def _histogram(bins: pl.DataFrame, count: int) -> Trace:
    """Bars on a logarithmic axis: each from its bin's lower edge to its upper one."""
    edges = [(10 ** (number / PER_DECADE), 10 ** ((number + 1) / PER_DECADE)) for number in bins["bin"]]
    texts = [
        f"{low:.3g} to {high:.3g} s: {requests:,} requests"
        for (low, high), requests in zip(edges, bins["requests"], strict=True)
    ]
    return {
        "type": "bar", "x": [float(f"{low:.6g}") for low, _ in edges], "y": [one / count for one in bins["requests"]],
        "width": [float(f"{high - low:.6g}") for low, high in edges], "offset": 0, "text": texts,
        "textposition": "none", "name": "Requests", "meta": "histogram", "yaxis": "y2", "showlegend": False,
        "marker": {"color": "#56B4E9", "line": {"width": 1, "color": "white"}},
        "hovertemplate": "%{text} (%{y:.1%})<extra></extra>",
    }  # fmt: skip


def _top(bins: pl.DataFrame, count: int) -> float:
    return parts.top_of([requests / count for requests in bins["requests"]])


def _log_axis(found: Latencies) -> dict[str, Any]:
    """A logarithmic axis from the first bin to the last one or the greatest percentile."""
    places = found.bins["bin"].to_list()
    last = float(found.models["p95"].max())  # type: ignore[arg-type]
    low = min(places) / PER_DECADE
    high = max((max(places) + 1) / PER_DECADE, pl.Series([last]).log10()[0] + 0.05)
    labels = _DECADES | (_FINE if high - low < 2.5 else {})
    return {
        "type": "log", "range": [round(low - 0.05, 3), round(high + 0.05, 3)],
        "tickmode": "array", "tickvals": [*labels],
        "ticktext": [*labels.values()], "showgrid": True, "hoverformat": ",.4~g",
    }  # fmt: skip
