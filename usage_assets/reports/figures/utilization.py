"""How full a site is: shares of capacity per resource, and per node type and day."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from html import escape
from types import MappingProxyType
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
SHARED = ("occupied", "committed", "reservable", "total")
"""What the shares are made of."""
_UNKNOWN, _ABSENT = "#A8A8A8", "#FFFFFF"
# from pale yellow to dark blue: told apart by colour-blind readers, ever darker in grey print, and never grey itself
_SCALE = ["#F3F9C4", "#C7E9B4", "#7FCDBB", "#41B6C4", "#1D91C0", "#225EA8", "#253494", "#081D58"]


def utilization(
    usage: pl.DataFrame, scene: Scene, *, missing: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> Figure:
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
        remark = []
        top = 1.0
        for key, of, base, dash in (
            ("utilization", "occupied", over, "solid"),
            ("committed", "committed", "reservable", steps.DASHES["committed"]),
        ):
            values = share(series, of, base)
            top = max(top, extremes(values)[1])
            colour = SHARED_METRICS.by_name[key].colour
            label = f"{SHARED_METRICS.by_name[of].label} / {SHARED_METRICS.by_name[base].label.lower()}"
            drawn = list(steps.line(values, steps.points_of(series), f"{key}_{series.resource}", {
                "name": label, "legendgroup": label, "hovertemplate": "%{y:.1%}",
                "line": {"width": 1.2 if fine else 2, "color": colour, "dash": dash, "shape": "hv"},
            }, panel=number))  # fmt: skip
            drawn = [trace | {"showlegend": False} for trace in drawn]
            traces += drawn
            if drawn:
                line = "━━" if dash == "solid" else "┅┅"
                remark.append(
                    f"<span style='color:{colour}'>{line}</span> {label}<br>      mean {_mean(series, of, base):.1%}"
                )
        unit, _ = frame.resource_label(series.resource)
        name = {"vcpus_overcommit": "vCPUs, over-<br>committed", "memory_mb": "Memory", "disk_gb": "Disk"}
        panels.append(
            Panel(
                name.get(series.resource, unit),
                (0, top * 1.04),
                axis={"tickformat": ".0%", "dtick": 0.5 if top <= 1.5 else None},
                remark="<br>".join(remark),
            )
        )
    if not traces:
        known = [series for series in found if series.has("total")]
        empty = bool(known) and all(map(without_machines, known))
        return frame.sentence(title, subtitle, NO_MACHINES if empty else "No use or capacity is known for this time")
    subtitle += frame.left_out((frame.count_of(one.resource), missing.get(one.resource, ())) for one in all_series)
    labels = frame.site_labels(scene.site, scene.window, read_at=scene.read_at)
    height = frame.height_of(len(panels), 132, least=480)
    return {
        "data": traces,
        "layout": frame.layout(title, subtitle, panels, scene.window, labels=labels, height=height),
    }


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
    labels = [f"{escape(name)} ({_count(count)})" for name, count in counts.iter_rows()]
    start, end = scene.window
    days = [start + timedelta(days=n) for n in range((end - start).days)]
    until = scene.extracted_at or end
    days = [day for day in days if day < until] or days[:1]
    share_of, absent, unknown = _grid(rows, names, days, over)
    common: Trace = {
        "type": "heatmap",
        "x": [f"{day:%Y-%m-%d} 12:00" for day in days],  # cells are drawn around their x: the middle of the day
        "y": labels,
        "xgap": 1,
        "ygap": 1,
    }
    traces = [
        common
        | {
            "z": absent,
            "meta": "absent",
            "colorscale": [[0, _ABSENT], [1, _ABSENT]],
            "showscale": False,
            "hovertemplate": "%{y}<br>%{x|%a %Y-%m-%d}<br>no machines<extra></extra>",
        },
        common
        | {
            "z": unknown,
            "meta": "unknown",
            "colorscale": [[0, _UNKNOWN], [1, _UNKNOWN]],
            "showscale": False,
            "text": [["" if cell is None else "?" for cell in row] for row in unknown],
            "texttemplate": "%{text}",
            "hovertemplate": "%{y}<br>%{x|%a %Y-%m-%d}<br>unknown<extra></extra>",
        },
        common
        | {
            "z": share_of,
            "meta": "utilization",
            "colorscale": [[n / (len(_SCALE) - 1), colour] for n, colour in enumerate(_SCALE)],
            "zmin": 0,
            "zmax": 1,
            "hovertemplate": "%{y}<br>%{x|%a %Y-%m-%d}<br>%{z:.1%}<extra></extra>",
            "colorbar": {
                "tickformat": ".0%",
                "thickness": 14,
                "x": 1.02,
                "title": {"text": f"Occupied /<br>{SHARED_METRICS.by_name[over].label.lower()}", "font": {"size": 12}},
                "len": 1,
                "lenmode": "fraction",
            },
        },
    ]
    axis: dict[str, Any] = {"type": "category", "categoryarray": labels, "showgrid": False, "ticklen": 0}
    axis |= {"categoryorder": "array", "tickmode": "array", "tickvals": labels, "tickfont": {"size": 12}}
    longest = max(len(label) for label in labels)
    layout = frame.layout(
        title,
        f"{subtitle}; in brackets the number of {unit}; ? unknown, white no machines",
        [Panel("", (-0.5, len(labels) - 0.5), axis=axis)],
        scene.window,
        labels=frame.site_labels(scene.site, scene.window, read_at=scene.read_at),
        hover="closest",
        height=frame.height_of(len(labels), 21, least=360),
        left_px=min(320, 30 + 7 * longest),
    )
    layout["margin"]["r"] = 130
    return {"data": traces, "layout": layout}


def _without_twins(all_series: list[Series]) -> list[Series]:
    """VCPUs with overcommit only where they differ from vCPUs: without overcommit they are the same numbers."""
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


def _count(count: float | None) -> str:
    return "unknown" if count is None else f"{count:,.0f}"


def _grid(
    rows: pl.DataFrame, names: list[str], days: list[datetime], over: str
) -> tuple[list[list[float | None]], list[list[int | None]], list[list[int | None]]]:
    """Per type and day: the share, 0 where the type has no machines, 0 where the share is unknown; else null."""
    every = pl.DataFrame({"node_type": names}, schema={"node_type": pl.String}).join(
        pl.DataFrame({"timestamp": days}, schema={"timestamp": pl.Datetime("us")}), how="cross"
    )
    cells = every.join(
        rows.with_columns(pl.col("timestamp").cast(pl.Datetime("us"))),
        on=["node_type", "timestamp"],
        how="left",
        maintain_order="left",
    ).select(
        pl.when(pl.col(over) > 0).then(pl.col("occupied") / pl.col(over)).round(4).alias("share"),
        pl.when((pl.col(over) == 0) & pl.col("total").fill_null(0).eq(0)).then(0).alias("absent"),
    )
    cells = cells.with_columns(pl.when(pl.all_horizontal(pl.col("share", "absent").is_null())).then(0).alias("unknown"))
    width = len(days)
    columns = (cells[name].to_list() for name in ("share", "absent", "unknown"))
    share_of, absent, unknown = ([values[at : at + width] for at in range(0, len(values), width)] for values in columns)
    return share_of, absent, unknown
