"""Lead time over a site's whole history: medians with quartiles, and a sample of the leases behind them.

All leases of ten years as points would be a page of twenty megabytes that shows a black field.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

import polars as pl

from usage_assets.reports import frame
from usage_assets.reports.figures import hours
from usage_assets.reports.figures.leadtime import NO_LEASES, of_leases, unlisted
from usage_assets.reports.frame import Panel, axis
from usage_assets.reports.series import runs, span
from usage_assets.specs.plot_context import Figure, Scene, Trace

_FEWEST = 5  # leases that a kind of machine must have for a panel of its own
_MAX_NAMES = 5  # kinds that the foot names of those without a panel
_KINDS = {
    "requested": ("Requested", "#0072B2", "circle"),
    "effective": ("Effective", "#D55E00", "diamond"),
    "late": ("Difference", "#7A4B00", "circle"),
}
"""Name, colour and symbol of each kind of lead time."""
_BAND = {"requested": "rgba(0,114,178,0.20)", "late": "rgba(122,75,0,0.18)"}


@dataclass(frozen=True)
class LeadtimeHistory:
    """A site's leases by months (small groups: by quarters), and a sample of them.

    `periods`: start, months (1 or 3), node_group (`began` for all that began), kind (requested, effective, late),
    leases, low, middle, high (quartiles in hours). `sample`: created_at, node_group, requested, effective, late
    (hours). `groups` are those that have a panel, the largest first. `leases` were asked for from `first` to `last`.
    """

    periods: pl.DataFrame
    sample: pl.DataFrame
    groups: tuple[str, ...]
    leases: int
    first: datetime
    last: datetime


def site_leadtime(history: LeadtimeHistory, scene: Scene) -> Figure:
    """Requested and effective lead time, one panel per group of node types."""
    title = frame.heading(scene.site.name, f"Lead time of leases by kind of machine, {scene.label}")

    def draw(number: int, group: str) -> tuple[list[Trace], Panel]:
        periods, sample = (rows.filter(pl.col("node_group") == group) for rows in (history.periods, history.sample))
        traces = _points(sample, "requested", number) + _both_bands(periods, number)
        leases = int(periods.filter(pl.col("kind") == "requested")["leases"].sum())
        by = " by quarter" if periods["months"].max() == 3 else ""
        text = f"<b>{escape(group)}</b><br>{leases:,} leases{by}"
        return traces, hours.panel(text, [periods["high"], sample["requested"]], legend=number == 0)

    requested = history.periods.filter(pl.col("kind") == "requested")
    counts = dict(requested.group_by("node_group").agg(pl.col("leases").sum()).iter_rows())
    shown = tuple(group for group in history.groups if counts.get(group, 0) >= _FEWEST)
    few = [f"{escape(group)} ({counts.get(group, 0)})" for group in history.groups if group not in shown]
    foot = f"Left out, under {_FEWEST} leases: {', '.join(few[:_MAX_NAMES])}" if few else ""
    foot += f" and {len(few) - _MAX_NAMES} more" if len(few) > _MAX_NAMES else ""
    return _figure(history, scene, title, shown, draw, each_px=170, foot=foot)


def site_leadtime_compare(history: LeadtimeHistory, scene: Scene) -> Figure:
    """Requested against effective lead time of all leases that began, and their difference."""
    title = frame.heading(scene.site.name, f"Requested and effective lead time, {scene.label}")

    periods = history.periods.filter(pl.col("node_group") == "began")
    sample = history.sample.filter(pl.col("effective").is_not_null())

    def draw(number: int, part: str) -> tuple[list[Trace], Panel]:
        if part == "late":
            late = periods.filter(pl.col("kind") == "late")
            traces = _points(sample, "late", number) + _band(late, "late", number)
            panel = hours.panel("Effective minus requested", [sample["late"], late["high"]], legend=True)
            return [trace | {"legend": "legend2"} for trace in traces], panel
        traces = _points(sample, "requested", number) + _points(sample, "effective", number)
        values = [sample["requested"], sample["effective"], periods["high"]]
        return traces + _both_bands(periods, number), hours.panel("Lead time", values, legend=True)

    return _figure(history, scene, title, ("both", "late"), draw, each_px=280)


def _figure(
    history: LeadtimeHistory,
    scene: Scene,
    title: str,
    parts: tuple[str, ...],
    draw: Callable[[int, str], tuple[list[Trace], Panel]],
    *,
    each_px: int,
    foot: str = "",
) -> Figure:
    if history.periods.is_empty():
        return frame.sentence(title, "nothing built yet", NO_LEASES)
    if not parts:
        return frame.sentence(title, foot, f"No kind of machine has {_FEWEST} leases yet")
    start, end = (at.replace(hour=0, minute=0, second=0, microsecond=0) for at in (history.first, history.last))
    window = (start, end + timedelta(days=1))
    traces: list[Trace] = []
    panels: list[Panel] = []
    for number, part in enumerate(parts):
        drawn, panel = draw(number, part)
        traces += unlisted(drawn, traces)
        panels.append(panel)
    thinned = "" if history.sample.height == history.leases else f", {history.sample.height:,} of them as points"
    subtitle = f"{frame.span_text(window)}; {history.leases:,} leases: monthly median, quartiles as a band{thinned}"
    layout = frame.layout(
        title,
        subtitle,
        panels,
        window,
        labels=frame.site_labels(scene.site, window, of=of_leases),
        hover="closest",
        height=frame.height_of(len(panels), each_px, least=480),
        left_px=88,
        foot=foot,
        is_long=True,
    )
    return {"data": traces, "layout": layout}


def _points(rows: pl.DataFrame, kind: str, number: int) -> list[Trace]:
    name, colour, symbol = _KINDS[kind]
    marker = {"color": colour, "symbol": symbol, "size": 3, "opacity": 0.3}
    known = rows.filter(pl.col(kind).is_not_null()).rename({"created_at": "at"})
    return hours.points(known, kind, f"{name}, one lease", marker, number=number, label=kind)


def _both_bands(periods: pl.DataFrame, number: int) -> list[Trace]:
    """Medians requested and effective, the former with its quartiles."""
    requested, effective = (periods.filter(pl.col("kind") == kind) for kind in ("requested", "effective"))
    return _band(requested, "requested", number) + _band(effective, "effective", number)


def _band(periods: pl.DataFrame, kind: str, number: int) -> list[Trace]:
    """Median as a line and, where `_BAND` has the kind, quartiles as a band; months without a lease are holes."""
    if periods.is_empty():
        return []
    months, starts = periods["months"][0], periods["start"]
    every = pl.select(start=pl.datetime_range(*span(starts), f"{months}mo", time_unit="us"))
    found = periods.with_columns(pl.col("start").cast(pl.Datetime("us")))
    dense = every.join(found, on="start", how="left").sort("start")
    # the middle of the time for which the median stands
    at = (dense["start"] + timedelta(days=15 * months)).dt.strftime("%Y-%m-%d").to_list()
    places = dense.select(hours.place(pl.col(name)).alias(name) for name in ("low", "middle", "high"))
    low, middle, high = (column.to_list() for column in places)
    name, colour, _ = _KINDS[kind]
    common: Trace = {"type": "scatter", "yaxis": axis(number), "meta": kind}
    out: list[Trace] = []
    if kind in _BAND:
        for first, last, known in runs(dense["middle"].is_not_null().to_list()):
            if known:
                outline = {"x": at[first:last] + at[first:last][::-1], "y": high[first:last] + low[first:last][::-1]}
                shape = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "fillcolor": _BAND[kind]}
                label = f"{name}, quartiles"
                entry = {"name": label, "legendgroup": label, "showlegend": not out, "hoverinfo": "skip"}
                out.append(common | outline | shape | entry)
    label = f"{name}, median"
    line: Trace = {
        "mode": "lines",
        "x": at,
        "y": middle,
        "customdata": dense["middle"].round(3).to_list(),
        "text": dense["leases"].to_list(),
        "line": {"color": colour, "width": 1.6} | ({"dash": "3px,2px"} if kind == "effective" else {}),
        "name": label,
        "legendgroup": label,
        "showlegend": True,
        "hovertemplate": "about %{x}<br>median %{customdata:,.2f} h of %{text:,} leases",
    }
    return [*out, common | line]
