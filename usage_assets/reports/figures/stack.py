"""Use and capacity as a stack, and the shares of use below: of one month, and of a site's whole history."""

from collections.abc import Iterable, Mapping

import polars as pl

from usage_assets.reports import frame
from usage_assets.reports.figures import steps
from usage_assets.reports.frame import Panel
from usage_assets.reports.series import (
    NO_MACHINES,
    NOTHING,
    Series,
    extremes,
    highest,
    history_series,
    month_series,
    share,
    shown_resources,
    stack_height,
    utilization_over,
    without_machines,
)
from usage_assets.specs.plot_context import Figure, Scene, Trace
from usage_assets.timelines.metrics import CAPACITIES, SHARED_METRICS, Metrics, metrics_with

_VISIBLE = 0.01  # of total: what rises less above it needs no explanation
_OVERCOMMITTED = "on overcommitted machines, servers add up to more than the machine"
_UNBOOKED = "machines in use whose booking is unknown also count as idle or available"
# shape and colour of what hatches an area
_HATCHED = {"occupied_unknown": ("/", "#333333"), "maintenance": ("x", "#FFFFFF")}


def usage_stack(usage: pl.DataFrame, scene: Scene) -> Figure:
    """Use and capacity of a site over one month, and shares below.

    `usage` are rows of timelines.usage. Where servers share machines, vCPUs as the scheduler counts them come first
    (machines may be overcommitted, and in nodes such a site would look fuller than full), nodes below.
    """
    shown = shown_resources(usage, scene)
    all_series = [month_series(usage, scene, resource) for resource in shown]
    width = frame.width_text(all_series[0].bucket)
    subtitle = f"{frame.span_text(scene.window)}, means per {width}{scene.read_text}"
    if all(map(without_machines, all_series)):
        return frame.sentence(_title(all_series[0], scene), subtitle, NO_MACHINES)
    figure = _figure(all_series, scene, subtitle, scene.window)
    if figure["data"]:
        figure["layout"]["xaxis"]["minor"] = {"dtick": 86_400_000, "ticks": "outside", "ticklen": 2}
    return figure


def site_stack(usage_daily: pl.DataFrame, scene: Scene, *, missing: Mapping[str, tuple[str, ...]]) -> Figure:
    """Use and capacity of a site over its whole history, day by day, and shares below.

    `usage_daily` has columns timestamp, metric, resource and value, `missing` the node types that are not in it, by
    resource: see `reading.history`.
    """
    shown = shown_resources(usage_daily, scene)
    metrics = metrics_with(scene.kind_metrics)
    all_series = [history_series(usage_daily, name, metrics, missing=missing.get(name, ())) for name in shown]
    edges = all_series[0].edges
    window = (edges[0], edges[-1])
    if len(edges) < 2:
        return frame.sentence(_title(all_series[0], scene), "nothing built yet", NOTHING)
    return _figure(all_series, scene, f"{frame.span_text(window)}, means per day", window)


def _title(series: Series, scene: Scene) -> str:
    unit, how = frame.resource_label(series.resource)
    return frame.heading(scene.site.name, f"{unit} in use{how}, {scene.label}")


def _figure(all_series: list[Series], scene: Scene, subtitle: str, window: frame.Window) -> Figure:
    main, below = all_series[0], len(all_series)
    is_long = scene.month is None
    subtitle += frame.left_out((frame.count_of(series.resource), series.missing) for series in all_series)
    traces: list[Trace] = []
    panels: list[Panel] = []
    for number, (series, weight) in enumerate(zip(all_series, (0.68, 0.42), strict=False)):
        traces += _stacked(series, number, metrics_with(scene.kind_metrics), is_long=is_long)
        title = "".join(frame.resource_label(series.resource))
        panels.append(Panel(title, (0, 1.02 * highest(series) or 1.0), weight, {"tickformat": ",~r"}, legend=True))
    top, points = 1.0, steps.points_of(main, long=is_long)
    for key, label, colour, dash, values in _shares(main, scene.utilization_of):
        style = {"name": label, "line": _line(main, colour, dash), "legend": f"legend{below + 1}"}
        traces += steps.line(values, points, key, style | {"hovertemplate": "%{y:.1%}"}, panel=below)
        top = max(top, extremes(values)[1])
    if not traces:
        return frame.sentence(_title(main, scene), subtitle, NOTHING)
    axis = {"tickformat": ".0%", "dtick": 0.25 if top <= 1.25 else None}
    panels.append(Panel("Share", (0, top * 1.04), 0.24, axis, legend=True))
    layout = frame.layout(
        _title(main, scene),
        subtitle,
        panels,
        window,
        labels=frame.site_labels(scene.site, window, read_at=scene.read_at),
        height=frame.HEIGHT if below == 1 else frame.HEIGHT + 200,
        foot=_above_total(all_series),
        is_long=is_long,
    )
    return {"data": traces, "layout": layout}


def _above_total(all_series: list[Series]) -> str:
    """Explanation for the reader where the stacked areas rise above total."""
    reasons: dict[str, list[str]] = {}
    for series in all_series:
        if not series.has("total"):
            continue
        if not series.values.select((stack_height(series) > pl.col("total") * (1 + _VISIBLE)).any()).item():
            continue
        lent = any(extremes(series.values[name])[0] < 0 for name in series.stacked if series.has(name))
        reason = _OVERCOMMITTED if lent else _UNBOOKED
        reasons.setdefault(reason, []).append(frame.resource_label(series.resource)[0])
    return "<br>".join(f"{' and '.join(names)} stack above total: {reason}" for reason, names in reasons.items())


def _stacked(series: Series, panel: int, metrics: Metrics, *, is_long: bool) -> Iterable[Trace]:
    """The stack, whose areas add up to total (see `Metrics.stacked`), and the lines of the capacities."""
    points = steps.points_of(series, long=is_long)
    # further panels repeat the first one's colours: their entries would only fill the legend
    own = {"showlegend": False, "legend": f"legend{panel + 1}"} if panel else {}

    def style(name: str) -> Trace:
        metric = metrics.by_name[name]
        line = {"width": 0 if _is_fine(series) else 0.8, "color": "white", "shape": "hv"}
        out: Trace = {"name": metric.label, "fillcolor": metric.colour, "line": line, "hovertemplate": "%{y:,.1f}"}
        if name in _HATCHED:
            shape, ink = _HATCHED[name]
            pattern = {"shape": shape, "size": 6, "solidity": 0.3, "fgcolor": ink, "bgcolor": metric.colour}
            out["fillpattern"] = pattern
        return out | {"legendrank": 200 - series.stacked.index(name)} | own

    # an area that is zero throughout would only fill the legend
    zero = {
        name for name in series.stacked if series.has(name) and (series.values[name] == 0).fill_null(value=False).all()
    }
    drawn = [series.values[name] for name in series.stacked if series.has(name) and name not in zero]
    yield from steps.areas(drawn, points, style, stack=f"p{panel}r", panel=panel)
    for rank, name in enumerate(CAPACITIES):
        if series.has(name):
            line = _line(series, metrics.by_name[name].colour, steps.DASHES[name])
            entry = {"name": metrics.by_name[name].label, "line": line, "legendrank": rank} | own
            yield from steps.line(series.values[name], points, name, entry, panel=panel)


def _is_fine(series: Series) -> bool:
    return series.values.height > steps.FINE


def _line(series: Series, colour: str, dash: str) -> Trace:
    return {"width": 1.2 if _is_fine(series) else 2, "color": colour, "dash": dash, "shape": "hv"}


def _shares(series: Series, fixed: str | None) -> list[tuple[str, str, str, str, pl.Series]]:
    """The shares of the lower panel: key, label, colour, dash, values."""
    over, shared = utilization_over(fixed, series), SHARED_METRICS.by_name
    wanted = (
        ("utilization", "occupied", over, "solid"),
        ("active", "active", over, steps.DASHES["active"]),
        ("committed", "committed", "reservable", steps.DASHES["committed"]),
    )
    labels = [f"{shared[of].label} / {shared[base].label.lower()}" for _, of, base, _ in wanted]
    return [
        (f"share_{name}", label, shared[name].colour, dash, share(series, of, base))
        for label, (name, of, base, dash) in zip(labels, wanted, strict=True)
    ]
