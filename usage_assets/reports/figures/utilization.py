"""How full a site is: shares of capacity per resource, and per node type and day."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from html import escape
from typing import Any

import polars as pl

from usage_assets.reports import frame
from usage_assets.reports.figures import steps
from usage_assets.reports.frame import Panel
from usage_assets.reports.series import (
    NO_MACHINES,
    Series,
    extremes,
    month_series,
    share,
    utilization_over,
    without_machines,
)
from usage_assets.specs.plot_context import Figure, Scene, Trace
from usage_assets.timelines.metrics import SHARED_METRICS

_RESOURCES = ("nodes", "vcpus", "vcpus_overcommit", "memory_mb", "disk_gb", "gpus", "devices")
_METRICS = SHARED_METRICS.by_name
_TITLES = {"vcpus_overcommit": "vCPUs, over-<br>committed", "memory_mb": "Memory", "disk_gb": "Disk"}
SHARED = ("occupied", "committed", "reservable", "total")
"""Metrics that the shares are made of."""
_UNKNOWN, _ABSENT = "#A8A8A8", "#FFFFFF"
# from pale yellow to dark blue: told apart by colour-blind readers, ever darker in grey print, and never grey itself
_SCALE = ["#F3F9C4", "#C7E9B4", "#7FCDBB", "#41B6C4", "#1D91C0", "#225EA8", "#253494", "#081D58"]


def utilization(usage: pl.DataFrame, scene: Scene, *, missing: Mapping[str, tuple[str, ...]]) -> Figure:
    """Occupied and committed as shares of capacity over one month, one panel per resource that the site has.

    `usage` has timestamp, metric, resource and value, node types added up, without those of `missing` (by resource).
    """
    title = frame.heading(scene.site.name, f"Utilization by resource, {scene.label}")
    found = [month_series(usage, scene, name) for name in _RESOURCES]
    all_series = _without_twins(
        [series for series in found if series.has("total") and extremes(series.values["total"])[1] > 0]
    )
    width = frame.width_text(all_series[0].bucket if all_series else timedelta(minutes=scene.site.bucket_minutes))
    subtitle = f"{frame.span_text(scene.window)}, means per {width}{scene.read_text}"
    traces: list[Trace] = []
    panels: list[Panel] = []
    for series in all_series:
        number = len(panels)
        over = utilization_over(scene.utilization_of, series)
        fine = series.values.height > steps.FINE
        remarks = []
        top = 1.0
        for key, of, base, dash in (
            ("utilization", "occupied", over, "solid"),
            ("committed", "committed", "reservable", steps.DASHES["committed"]),
        ):
            values, colour = share(series, of, base), _METRICS[key].colour
            top = max(top, extremes(values)[1])
            label = f"{_METRICS[of].label} / {_METRICS[base].label.lower()}"
            line = {"width": 1.2 if fine else 2, "color": colour, "dash": dash, "shape": "hv"}
            style: Trace = {"name": label, "legendgroup": label, "hovertemplate": "%{y:.1%}", "line": line}
            name, points = f"{key}_{series.resource}", steps.points_of(series)
            drawn = list(steps.line(values, points, name, style | {"showlegend": False}, panel=number))
            traces += drawn
            if drawn:
                dashes = "━━" if dash == "solid" else "┅┅"
                mean = f"<br>      mean {_mean(series, of, base):.1%}"
                remarks.append(f"<span style='color:{colour}'>{dashes}</span> {label}{mean}")
        unit, _ = frame.resource_label(series.resource)
        axis = {"tickformat": ".0%", "dtick": 0.5 if top <= 1.5 else None}
        panels.append(
            Panel(_TITLES.get(series.resource, unit), (0, top * 1.04), axis=axis, remark="<br>".join(remarks))
        )
    if not traces:
        known = [series for series in found if series.has("total")]
        empty = bool(known) and all(map(without_machines, known))
        return frame.sentence(title, subtitle, NO_MACHINES if empty else "No use or capacity is known for this time")
    subtitle += frame.left_out((frame.count_of(one.resource), missing.get(one.resource, ())) for one in all_series)
    labels = frame.site_labels(scene.site, scene.window, read_at=scene.read_at)
    height = frame.height_of(len(panels), 132, least=480)
    layout = frame.layout(title, subtitle, panels, scene.window, labels=labels, height=height)
    return {"data": traces, "layout": layout}


def node_types(daily: pl.DataFrame, scene: Scene) -> Figure:
    """Utilization of each node type on each day of a month, with the number of machines beside its name.

    `daily` has timestamp (a day), node_type, resource, and the day's means of occupied, occupied_ondemand, reservable
    and total. Grey is unknown, white a type without machines.
    """
    title = frame.heading(scene.site.name, f"Utilization by node type, {scene.label}")
    subtitle = f"{frame.span_text(scene.window)}, means per day{scene.read_text}"
    resource = next((name for name in scene.machines if name in set(daily["resource"])), scene.machines[0])
    rows = daily.filter(pl.col("resource") == resource)
    over = "total" if _on_demand(rows, scene) else "reservable"
    if over not in rows.columns or rows[over].null_count() == rows.height:
        over = "total"
    known = rows.filter(pl.col("total").is_not_null() | pl.col("reservable").is_not_null())
    if known.is_empty() or rows["occupied"].null_count() == rows.height:
        return frame.sentence(title, subtitle, "No use by node type is known for this time")
    unit = frame.unit_of(resource)
    counts = (
        rows.group_by("node_type")
        .agg(pl.max_horizontal("total", over).max().alias("count"))
        .filter(pl.col("count").is_null() | (pl.col("count") > 0))
        .sort("count", "node_type", descending=[False, True], nulls_last=False)
    )
    if counts.is_empty():
        return frame.sentence(title, subtitle, NO_MACHINES)
    names = counts["node_type"].to_list()
    labels = [
        f"{escape(name)} ({'unknown' if count is None else f'{count:,.0f}'})" for name, count in counts.iter_rows()
    ]
    start, end = scene.window
    days = [start + timedelta(days=n) for n in range((end - start).days)]
    until = scene.extracted_at or end
    days = [day for day in days if day < until] or days[:1]
    shares, absent, unknown = _grid(rows, names, days, over)
    # cells are drawn around their x: the middle of the day
    common: Trace = {"type": "heatmap", "x": [f"{day:%Y-%m-%d} 12:00" for day in days], "y": labels}
    common |= {"xgap": 1, "ygap": 1}
    bar = {"tickformat": ".0%", "thickness": 14, "x": 1.02, "len": 1, "lenmode": "fraction"}
    bar["title"] = {"text": f"Occupied /<br>{_METRICS[over].label.lower()}", "font": {"size": 12}}
    scale = {"colorscale": [[n / (len(_SCALE) - 1), colour] for n, colour in enumerate(_SCALE)], "zmin": 0, "zmax": 1}
    marks = [["" if cell is None else "?" for cell in row] for row in unknown]
    traces = [
        common | _uniform("absent", absent, _ABSENT, "no machines"),
        common | _uniform("unknown", unknown, _UNKNOWN, "unknown") | {"text": marks, "texttemplate": "%{text}"},
        common | scale | {"z": shares, "meta": "utilization", "hovertemplate": _hover("%{z:.1%}"), "colorbar": bar},
    ]
    axis: dict[str, Any] = {"type": "category", "categoryarray": labels, "showgrid": False, "ticklen": 0}
    axis |= {"categoryorder": "array", "tickmode": "array", "tickvals": labels, "tickfont": {"size": 12}}
    layout = frame.layout(
        title,
        f"{subtitle}; in brackets the number of {unit}; ? unknown, white no machines",
        [Panel("", (-0.5, len(labels) - 0.5), axis=axis)],
        scene.window,
        labels=frame.site_labels(scene.site, scene.window, read_at=scene.read_at),
        hover="closest",
        height=frame.height_of(len(labels), 21, least=360),
        left_px=min(320, 30 + 7 * max(map(len, labels))),
    )
    layout["margin"]["r"] = 130
    return {"data": traces, "layout": layout}


def _uniform(meta: str, cells: list[list[int | None]], colour: str, text: str) -> Trace:
    """Cells of one colour."""
    scale = [[0, colour], [1, colour]]
    return {"z": cells, "meta": meta, "colorscale": scale, "showscale": False, "hovertemplate": _hover(text)}


def _hover(text: str) -> str:
    return f"%{{y}}<br>%{{x|%a %Y-%m-%d}}<br>{text}<extra></extra>"


def _without_twins(all_series: list[Series]) -> list[Series]:
    """The series without vCPUs with overcommit where these are the same numbers as vCPUs."""
    by_name = {series.resource: series for series in all_series}
    plain, offered = by_name.get("vcpus"), by_name.get("vcpus_overcommit")
    if plain and offered and plain.values["total"].equals(offered.values["total"]):
        return [series for series in all_series if series is not offered]
    return all_series


def _mean(series: Series, of: str, over: str) -> float:
    both = series.values.filter(pl.col(of).is_not_null() & (pl.col(over) > 0))
    return float(both[of].sum()) / float(both[over].sum())


def _on_demand(rows: pl.DataFrame, scene: Scene) -> bool:
    if scene.utilization_of is not None:
        return scene.utilization_of == "total"
    return float(rows["occupied_ondemand"].sum() or 0) > 0


def _grid(rows: pl.DataFrame, names: list[str], days: list[datetime], over: str) -> Iterator[list[list[Any]]]:
    """Per type and day: the share, 0 where the type has no machines, 0 where the share is unknown; else null."""
    every = pl.DataFrame({"node_type": names}).join(pl.DataFrame({"timestamp": days}), how="cross")
    values = rows.with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    cells = every.join(values, on=["node_type", "timestamp"], how="left", maintain_order="left").select(
        pl.when(pl.col(over) > 0).then(pl.col("occupied") / pl.col(over)).round(4).alias("share"),
        pl.when((pl.col(over) == 0) & pl.col("total").fill_null(0).eq(0)).then(0).alias("absent"),
    )
    cells = cells.with_columns(pl.when(pl.all_horizontal(pl.col("share", "absent").is_null())).then(0).alias("unknown"))
    for column in cells.select("share", "absent", "unknown"):
        yield column.reshape((len(names), len(days))).to_list()
