"""Figures of usage: pure functions from frames to plotly figures.

Steps: a value holds from its timestamp to the next bucket, so each drawn run of values repeats its last one at the end
of its bucket. What is unknown is drawn as nothing, never as zero: plotly would fill a hole in a stack with zeros, so
every run of buckets that know the same metrics is a stack of its own.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

import plotly.graph_objects as go
import polars as pl

from usage_assets.reports import frame
from usage_assets.reports.series import (
    Series,
    highest,
    history_series,
    month_series,
    runs,
    share,
    utilization_over,
)
from usage_assets.sites import Site
from usage_assets.timelines.metrics import BY_NAME, CAPACITIES, STACKED

_DASHES = {"total": "10px,3px", "reservable": "5px,2px", "committed": "2px,2px"}
_HATCHED = ("occupied_unknown",)
_HATCHES = {"shape": "/", "size": 6, "solidity": 0.3, "fgcolor": "#333333"}
FINE = 62  # with more buckets than this, borders and thick lines would hide the values

Trace = dict[str, Any]


def usage_stack(
    usage: pl.DataFrame,
    *,
    site: Site,
    start: datetime,
    end: datetime,
    extracted_at: datetime | None = None,
    shares_machines: bool = False,
) -> go.Figure:
    """Use and capacity of a site over one month, and shares below.

    `usage` are rows of timelines.usage; those from `start` to `end` are drawn. Values after `extracted_at` do not exist
    yet. Where servers share machines (`reading.shares_machines`), vCPUs are drawn, not nodes.
    """
    series = month_series(usage, site, start, end, extracted_at, shares_machines=shares_machines)
    labels = [frame.stamp(edge) for edge in series.edges]

    def points(first: int, last: int) -> Trace:
        return {"x": labels[first : last + 1]}

    subtitle = f"{start:%Y-%m-%d} to {end:%Y-%m-%d} UTC, means per {frame.width_text(series.bucket)}"
    if extracted_at is not None and extracted_at < end:
        subtitle += f", read {extracted_at:%Y-%m-%d %H:%M} UTC"
    layout = _layout(series, site, f"{start:%B %Y}", subtitle, window=(start, end), read_at=extracted_at)
    layout["xaxis"]["minor"] = {"dtick": 86_400_000, "ticks": "outside", "ticklen": 2}
    return _figure(series, site, points, layout, fine=series.values.height > FINE)


def usage_history(
    usage_daily: pl.DataFrame, *, site: Site, shares_machines: bool = False, missing: tuple[str, ...] = ()
) -> go.Figure:
    """Use and capacity of a site over its whole history, day by day, and shares below.

    `usage_daily` has columns timestamp, metric, resource and value, `missing` the node types that are not in it: see
    `reading.history`.
    """
    series = history_series(usage_daily, shares_machines=shares_machines, missing=missing)
    edges = series.edges
    day = int(series.bucket / timedelta(milliseconds=1))

    def points(first: int, _last: int) -> Trace:
        return {"x0": frame.stamp(edges[first]), "dx": day}

    window = (edges[0], edges[-1]) if len(edges) > 1 else None
    subtitle = f"{window[0]:%Y-%m-%d} to {window[1]:%Y-%m-%d} UTC, means per day" if window else "nothing built yet"
    layout = _layout(series, site, "whole history", subtitle, window=window)
    layout["xaxis"]["rangeselector"] = frame.buttons()
    return _figure(series, site, points, layout, fine=True)


def _layout(
    series: Series,
    site: Site,
    title: str,
    subtitle: str,
    *,
    window: tuple[datetime, datetime] | None,
    read_at: datetime | None = None,
) -> dict[str, Any]:
    if series.missing:
        names = ", ".join(map(escape, series.missing))
        subtitle += f"; without node type {names}, of which {frame.resource_label(series.resource)[0]} are not known"
    shares = [share(series, of, over) for _, of, over, _ in _shares_of(series, site)]
    return frame.layout(
        site,
        series.resource,
        title=title,
        subtitle=subtitle,
        window=window,
        highest=highest(series),
        highest_share=max((float(values.max() or 0) for values in shares), default=0.0),  # type: ignore[arg-type]
        read_at=read_at,
    )


def _figure(series: Series, site: Site, points: Any, layout: dict[str, Any], *, fine: bool) -> go.Figure:
    traces = [*_areas(series, points, fine), *_lines(series, points, fine), *_shares(series, site, points, fine)]
    if not traces:
        layout["annotations"] = [*layout.get("annotations", ()), frame.nothing_known()]
        traces = [{"type": "scatter", "x": [], "y": [], "yaxis": axis, "showlegend": False} for axis in ("y", "y2")]
    return go.Figure({"data": traces, "layout": layout})


def _areas(series: Series, points: Any, fine: bool) -> Iterable[Trace]:
    """The stack: one per run of buckets that know the same metrics."""
    drawn = [name for name in STACKED if series.has(name)]
    if not drawn:
        return
    known = series.values.select(pl.col(name).is_not_null() for name in drawn).rows()
    seen: set[str] = set()
    for number, (first, last, pattern) in enumerate(runs(known)):
        for name, is_known in zip(drawn, pattern, strict=True):  # type: ignore[call-overload]
            if not is_known:
                continue
            metric = BY_NAME[name]
            trace = {
                **_trace(series.values[name], points, first, last),
                "name": metric.label,
                "meta": name,
                "legendgroup": name,
                "stackgroup": f"run{number}",
                "fillcolor": metric.colour,
                "line": {"width": 0 if fine else 0.8, "color": "white", "shape": "hv"},
                "hovertemplate": "%{y:,.1f}",
                "legendrank": 200 - STACKED.index(name),
                "showlegend": name not in seen,
            }
            if name in _HATCHED:
                trace["fillpattern"] = {
                    "shape": "/",
                    "size": 6,
                    "solidity": 0.3,
                    "fgcolor": "#333333",
                    "bgcolor": metric.colour,
                }
            seen.add(name)
            yield trace


def _lines(series: Series, points: Any, fine: bool) -> Iterable[Trace]:
    for name in CAPACITIES:
        if series.has(name):
            metric = BY_NAME[name]
            line = {"width": 1.2 if fine else 2, "color": metric.colour, "dash": _DASHES[name], "shape": "hv"}
            yield from _line(series.values[name], points, name, metric.label, line, legendrank=CAPACITIES.index(name))


def _shares_of(series: Series, site: Site) -> tuple[tuple[str, str, str, str], ...]:
    """The shares of the lower panel: metric that lends its colour, of, over, dash."""
    return (
        ("utilization", "occupied", utilization_over(site, series), "solid"),
        ("committed", "committed", "reservable", _DASHES["committed"]),
    )


def _shares(series: Series, site: Site, points: Any, fine: bool) -> Iterable[Trace]:
    for name, of, over, dash in _shares_of(series, site):
        label = f"{BY_NAME[of].label} / {BY_NAME[over].label.lower()}"
        line = {"width": 1.2 if fine else 2, "color": BY_NAME[name].colour, "dash": dash, "shape": "hv"}
        extra = {"yaxis": "y2", "legend": "legend2", "hovertemplate": "%{y:.1%}"}
        yield from _line(share(series, of, over), points, f"share_{name}", label, line, **extra)


def _line(values: pl.Series, points: Any, key: str, label: str, line: dict[str, Any], **extra: Any) -> Iterable[Trace]:
    shown = False
    for first, last, is_known in runs(values.is_not_null().to_list()):
        if is_known:
            trace = {**_trace(values, points, first, last), "name": label, "meta": key, "legendgroup": key}
            yield {**trace, "line": line, "hovertemplate": "%{y:,.1f}", "showlegend": not shown, **extra}
            shown = True


def _trace(values: pl.Series, points: Any, first: int, last: int) -> Trace:
    drawn: Sequence[float] = values[first:last].to_list()
    return {"type": "scatter", "mode": "lines", **points(first, last), "y": [*drawn, drawn[-1]], "yaxis": "y"}
