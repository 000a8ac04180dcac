"""When requests of a service came: by weekday and hour of the site's clocks."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl

from usage_assets.kinds.service.plots.reading import zone
from usage_assets.reports import frame
from usage_assets.reports.frame import Panel
from usage_assets.specs.plot_context import Figure, Scene

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SCALE = [
    [0.0, "#FFFFFF"], [0.02, "#EAF2FA"], [0.25, "#B4D2EA"], [0.5, "#6CAAD6"], [0.75, "#2A74B2"], [1.0, "#08306B"],
]  # fmt: skip


def service_hours(rows: pl.DataFrame, scene: Scene) -> Figure:
    """Mean requests submitted in each hour of each weekday, by the site's clocks.

    `rows` has weekday (1 = Monday), hour, requests and summed: requests of pre-summed rows, which carry no times.
    """
    clock = zone(scene)
    title = frame.heading(scene.site.name, f"Requests by weekday and hour, {scene.label}")
    subtitle = f"{frame.span_text(scene.window)}, by submission, clocks of {clock}{scene.read_text}"
    if summed := int(rows["summed"].sum()):
        subtitle += f"; without {summed:,} requests of pre-summed rows"
    if not rows["requests"].sum():
        return frame.sentence(title, subtitle, "No request with a time was submitted in this time")
    means = _means(rows, scene, clock)
    grid = [[means.get((day, hour)) for hour in range(24)] for day in range(7)]
    trace: dict[str, Any] = {
        "type": "heatmap", "meta": "requests", "x": list(range(24)), "y": list(range(7)), "z": grid, "zmin": 0,
        "colorscale": _SCALE, "xgap": 1, "ygap": 1,
        "customdata": [[name] * 24 for name in _DAYS],
        "colorbar": {"title": {"text": "Requests<br>per hour", "side": "top"}, "thickness": 14, "len": 1, "x": 1.02},
        "hovertemplate": "%{customdata} %{x}:00 to %{x}:59<br>%{z:,.2f} requests per hour<extra></extra>",
    }  # fmt: skip
    axis = {"tickmode": "array", "tickvals": list(range(7)), "ticktext": list(_DAYS), "ticklen": 0, "showgrid": False}
    layout = frame.layout(
        title, subtitle, [Panel("", (6.5, -0.5), axis=axis)], scene.window, hover="closest", height=420, left_px=100
    )
    layout["xaxis"] |= {"type": "linear", "range": [-0.5, 23.5], "dtick": 2, "tick0": 0, "hoverformat": "d"}
    layout["xaxis"]["title"]["text"] = f"Hour of the day ({clock})"
    layout["margin"]["r"] = 130
    return {"data": [trace], "layout": layout}


def _means(rows: pl.DataFrame, scene: Scene, clock: str) -> dict[tuple[int, int], float]:
    """(weekday from 0, hour) -> mean; of hours that the window has not: no entry."""
    local = pl.col("at").dt.replace_time_zone("UTC").dt.convert_time_zone(clock)
    count = (
        pl.select(at=pl.datetime_range(*_seen(scene), timedelta(hours=1), closed="left", time_unit="us"))
        .select(weekday=local.dt.weekday().cast(pl.Int64), hour=local.dt.hour().cast(pl.Int64))
        .group_by("weekday", "hour")
        .len("times")
    )
    found = count.join(rows, on=["weekday", "hour"], how="left").with_columns(
        mean=(pl.col("requests").fill_null(0) / pl.col("times")).round(4)
    )
    return {(day - 1, hour): mean for day, hour, mean in found.select("weekday", "hour", "mean").iter_rows()}


def _seen(scene: Scene) -> tuple[datetime, datetime]:
    start, end = scene.window
    read = scene.extracted_at
    return start, read if read is not None and start + timedelta(hours=1) < read < end else end
