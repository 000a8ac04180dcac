"""Our usage beside that of the legacy usage counter, and the differences between them."""

from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from usage_assets.reports import frame
from usage_assets.reports.figures import steps
from usage_assets.reports.frame import Panel, axis
from usage_assets.reports.series import DAY, Series, dense, extremes, span
from usage_assets.specs.plot_context import Figure, Scene, Trace
from usage_assets.timelines.metrics import SHARED_METRICS

LEGACY_METRICS = (
    "total", "reservable", "committed", "occupied_reservation", "idle", "available_reservable", "maintenance"
)  # fmt: skip
"""What the legacy usage counter had, of nodes."""
_COLLECTORS = (("legacy", "Legacy counter", "#E69F00", 4.0), ("current", "usage_assets", "#00507D", 1.5))
_SUBJECT = {"legacy": "the legacy counter", "current": "usage_assets"}
# told apart as colours and, from light to dark, in grey print; what calls for a look is the darkest
_CAUSES = {
    "within tolerance": "#D9D9D9",
    "known gap": "#F0E442",
    "maintenance": "#56B4E9",
    "duplicate host": "#CC79A7",
    "one side only": "#009E73",
    "merged types": "#8A7F3D",
    "unexplained": "#A63A00",
}
NO_LEGACY = "The legacy usage counter has no row for this time"


def legacy_facet(usage: pl.DataFrame, scene: Scene, *, missing: Mapping[str, tuple[str, ...]]) -> Figure:
    """The legacy counter's nodes and ours, one panel per metric; of a month, or of the whole history.

    `usage` has timestamp (a day), collector_type, metric and value, node types added up, without those of `missing`
    (by collector_type).
    """
    title = frame.heading(scene.site.name, f"Nodes by the legacy usage counter and by usage_assets, {scene.label}")
    legacy = usage.filter((pl.col("collector_type") == "legacy") & pl.col("value").is_not_null())
    if legacy.is_empty():
        when = frame.span_text(scene.window) if scene.month else "nothing to compare"
        return frame.sentence(title, when, NO_LEGACY)
    first, last = span(usage["timestamp"])
    window = scene.window if scene.month else (first, last + DAY)
    metrics = [name for name in LEGACY_METRICS if name in set(legacy["metric"])]
    traces: list[Trace] = []
    panels = []
    for number, metric in enumerate(metrics):
        rows = usage.filter(pl.col("metric") == metric)
        own = {"showlegend": False} if number else {}
        for collector, name, colour, width in _COLLECTORS:
            own_rows = rows.filter(pl.col("collector_type") == collector)
            days = own_rows.select(pl.col("timestamp").cast(pl.Datetime("us")), "value")
            series = Series("nodes", dense(days, *window, DAY), DAY, window[1])
            fine = series.values.height > steps.FINE
            line = {"color": colour, "shape": "hv", "width": width / (2 if fine else 1)}
            style: Trace = {"name": name, "legendgroup": collector, "line": line} | own
            key, points = f"{collector}_{metric}", steps.points_of(series, long=fine)
            traces += steps.line(series.values["value"], points, key, style, panel=number)
        low, top = extremes(rows["value"])
        panels.append(Panel(_title(metric), (min(0.0, low), top * 1.08 or 1.0), legend=not number))
    unknown = [(f"node count of {name}", missing.get(key, ())) for key, name in _SUBJECT.items()]
    layout = frame.layout(
        title,
        f"{frame.span_text(window)}, means per day{frame.left_out(unknown)}",
        panels,
        window,
        labels=frame.site_labels(scene.site, window),
        height=frame.height_of(len(panels), 118, least=480),
        left_px=96,
        is_long=scene.month is None,
    )
    return {"data": traces, "layout": layout}


def collector_difference(differences: pl.DataFrame, scene: Scene) -> Figure:
    """Ours minus the legacy counter's, per metric and day, coloured by what explains it.

    `differences` has timestamp (a day), metric, cause, difference (node-hours) and one_sided (rows that only one of
    the two has), node types added up.
    """
    title = frame.heading(scene.site.name, f"Difference: usage_assets minus legacy counter, {scene.label}")
    when = frame.span_text(scene.window)
    known = differences.filter(pl.col("difference").is_not_null())
    if known.is_empty():
        text = NO_LEGACY if differences.is_empty() else "No day of this time is known to both"
        return frame.sentence(title, when, text)
    metrics = [name for name in LEGACY_METRICS if name in set(known["metric"])]
    traces: list[Trace] = []
    panels = []
    for number, metric in enumerate(metrics):
        rows = known.filter(pl.col("metric") == metric).sort("timestamp")
        for rank, (cause, colour) in enumerate(_CAUSES.items()):
            days = rows.filter(pl.col("cause") == cause)
            if days.is_empty():
                continue
            style = {"name": cause.capitalize(), "legendgroup": cause, "legendrank": 100 - rank}
            style["showlegend"] = all(trace["legendgroup"] != cause for trace in traces)
            traces.append(style | {
                "type": "bar", "x": (days["timestamp"] + timedelta(hours=12)).dt.strftime("%Y-%m-%d %H:%M").to_list(),
                "y": days["difference"].round(3).to_list(), "yaxis": axis(number), "meta": metric,
                "marker": {"color": colour, "line": {"width": 0.5, "color": "#444444"}},
                "hovertemplate": "%{y:,.1f} node-hours",
            })  # fmt: skip
        panels.append(Panel(_title(metric), _reach(rows), legend=not number))
    hours = known["difference"].abs()
    open_hours = float(hours.filter(known["cause"] == "unexplained").sum())
    subtitle = f"{when}, node-hours per day; {open_hours:,.0f} of {float(hours.sum()):,.0f} node-hours unexplained"
    layout = frame.layout(
        title,
        subtitle,
        panels,
        scene.window,
        labels=frame.site_labels(scene.site, scene.window),
        height=frame.height_of(len(panels), 118, least=480),
        left_px=96,
    )
    layout |= {"barmode": "relative", "bargap": 0.15}
    for number in range(len(panels)):
        layout[f"yaxis{axis(number)[1:]}"] |= {"zeroline": True, "zerolinecolor": frame.INK, "tickformat": ",~r"}
    return {"data": traces, "layout": layout}


def _reach(rows: pl.DataFrame) -> tuple[float, float]:
    """The range that holds the bars of each day; at least an hour, so that dust does not look like a mountain."""
    value = pl.col("difference")
    days = rows.group_by("timestamp").agg(low=value.filter(value < 0).sum(), high=value.filter(value > 0).sum())
    low, high = extremes(days["low"])[0], extremes(days["high"])[1]
    room = 0.08 * max(high - low, 2.0)
    return min(low, -1.0) - room, max(high, 1.0) + room


def _title(metric: str) -> str:
    """A metric's label cut where a bracket or a further word begins: a low panel has room for some fifteen letters."""
    label = SHARED_METRICS.by_name[metric].label
    head, bracket, tail = label.partition(" (")
    if bracket:
        return f"{head}<br>({tail}"
    return label.replace(" ", "<br>", 1) if len(label) > 12 else label
