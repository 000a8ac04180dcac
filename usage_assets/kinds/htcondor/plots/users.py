"""GPU-hours of a pool by user and class over a month."""

from html import escape

import polars as pl

from usage_assets.kinds.htcondor.plots.reading import clipped
from usage_assets.kinds.htcondor.pool.classes import CLASSES, LABELS
from usage_assets.kinds.htcondor.pool.metrics import BY_NAME
from usage_assets.reports import frame
from usage_assets.reports.frame import Panel
from usage_assets.reports.series import extremes
from usage_assets.specs.plot_context import Figure, Scene, Trace

_MOST, _NAME = 25, 40


def gpu_user_hours(rows: pl.DataFrame, scene: Scene) -> Figure:
    """Users with the most GPU-hours observed, a bar each; all further ones are one bar.

    `rows` has user, class (or total), gpu_hours_observed, gpu_hours_estimated and coverage.
    """
    title = frame.heading(scene.site.name, f"GPU-hours by user, {scene.label}")
    subtitle = f"{frame.span_text(scene.window)}, as observed{scene.read_text}"
    of_class = rows.filter(pl.col("class").is_in(list(CLASSES)), pl.col("user").is_not_null())
    totals = (
        of_class.group_by("user")
        .agg(pl.col("gpu_hours_observed").sum().alias("hours"))
        .filter(pl.col("hours") > 0)
        .sort("hours", "user", descending=[True, False])
    )
    if totals.is_empty():
        return frame.sentence(title, subtitle, "No job held a GPU in this time")
    further = totals.height - _MOST if totals.height > _MOST + 1 else 0
    shown = totals["user"].to_list()[: totals.height - further]
    every = float(totals["hours"].sum())
    seen = extremes(rows["coverage"])[1]
    subtitle += f": {every:,.0f} GPU-hours of {totals.height} users; {seen:.1%} of the time was seen"
    labels = [*(escape(clipped(user, _NAME)) for user in shown), *([f"{further} others"] if further else [])]
    labels = [label if labels.count(label) == 1 else f"{label} #{n}" for n, label in enumerate(labels)]
    in_shown = pl.col("user").is_in(shown)
    traces: list[Trace] = []
    for name in CLASSES:
        one = of_class.filter(pl.col("class") == name)
        hours = dict(one.filter(in_shown).select("user", "gpu_hours_observed").iter_rows())
        values = [hours.get(user, 0.0) for user in shown]
        values += [float(one.filter(~in_shown)["gpu_hours_observed"].sum())] if further else []
        if any(value > 0 for value in values):
            traces.append({
                "type": "bar", "orientation": "h", "y": labels, "x": [round(value, 2) for value in values],
                "name": LABELS[name], "meta": name, "marker": {"color": BY_NAME[f"allocated_{name}"].colour},
                "hovertemplate": "%{x:,.1f} GPU-hours",
            })  # fmt: skip
    sums = totals["hours"].to_list()[: len(shown)]
    sums += [every - sum(sums)] if further else []
    axis = {
        "type": "category", "categoryorder": "array", "categoryarray": labels, "tickmode": "array", "tickvals": labels,
        "showgrid": False, "ticklen": 0,
    }  # fmt: skip
    layout = frame.layout(
        title,
        subtitle,
        [Panel("", (len(labels) - 0.5, -0.5), axis=axis, legend=True)],
        scene.window,
        hover="y unified",
        height=frame.height_of(len(labels), 20, least=360),
        left_px=min(320, 30 + 7 * max(len(label) for label in labels)),
    )
    layout["xaxis"] |= {"type": "linear", "range": [0, max(sums) * 1.16], "tickformat": ",~r", "showgrid": True}
    layout["xaxis"]["title"] = {"text": "GPU-hours observed", "standoff": 10, "font": {"size": 13}}
    layout["xaxis"].pop("hoverformat")
    layout |= {"barmode": "stack", "bargap": 0.25}
    layout["legend"]["traceorder"] = "normal"
    layout["annotations"] = [
        {"text": f"{value:,.0f} ({value / every:.1%})", "x": value, "y": label, "xanchor": "left", "xshift": 4,
         "showarrow": False, "font": {"size": 11, "color": frame.FAINT}}
        for label, value in zip(labels, sums, strict=True)
    ]  # fmt: skip
    return {"data": traces, "layout": layout}
