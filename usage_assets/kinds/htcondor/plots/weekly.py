"""GPU-hours of a pool by week: those observed by class, and their trend."""

from datetime import timedelta
from statistics import linear_regression

import polars as pl

from usage_assets.kinds.htcondor.plots.reading import Days, zone
from usage_assets.kinds.htcondor.pool.classes import CLASSES, LABELS
from usage_assets.kinds.htcondor.pool.metrics import BY_NAME
from usage_assets.reports import frame
from usage_assets.reports.frame import Panel
from usage_assets.reports.series import span
from usage_assets.specs.plot_context import Figure, Scene, Trace

_WEEK = timedelta(days=7)


def gpu_weekly(found: Days, scene: Scene) -> Figure:
    """Bars of the GPU-hours observed in each week of the pool's clock, by class; a line of those estimated.

    The estimate is for whole weeks: hours observed over the share of the week that was seen. The trend is a straight
    line through it; weeks seen less than half, and the unfinished one, are left out of both.
    """
    weeks, classed = _weeks(found)
    title = frame.heading(scene.site.name, f"GPU-hours by week, {scene.label}")
    if weeks.is_empty():
        return frame.sentence(title, "nothing built yet", "No week was seen")
    first, last = span(weeks["week"])
    window = (first, last + _WEEK)
    subtitle = (
        f"{first:%Y-%m-%d} to {last + timedelta(days=6):%Y-%m-%d}, observed; paler: less than 95% of the week was seen"
    )
    starts = weeks["week"].to_list()
    pale = [0.45 if seen < 0.95 else 1.0 for seen in weeks["seen"]]
    traces: list[Trace] = []
    for name in CLASSES:
        hours = dict(classed.filter(pl.col("class") == name).select("week", "hours").iter_rows())
        values = [round(hours.get(week) or 0.0, 2) for week in starts]
        if any(values):
            traces.append({
                "type": "bar", "x": [frame.stamp(week + _WEEK / 2) for week in starts], "y": values,
                "width": 0.86 * _WEEK / timedelta(milliseconds=1), "name": LABELS[name], "meta": name,
                "marker": {"color": BY_NAME[f"allocated_{name}"].colour, "opacity": pale},
                "hovertemplate": "%{y:,.0f}", "legendrank": 100 - len(traces),
            })  # fmt: skip
    known = weeks.filter("is_whole").drop_nulls("estimated")
    middles = [frame.stamp(week + _WEEK / 2) for week in known["week"]]
    traces.append({
        "type": "scatter", "mode": "lines+markers", "x": middles, "y": known["estimated"].round(1).to_list(),
        "name": "Estimated of whole weeks", "meta": "estimated", "line": {"width": 1.5, "color": frame.INK},
        "marker": {"size": 4}, "hovertemplate": "%{y:,.0f}", "legendrank": 1,
    })  # fmt: skip
    slope, values = _trend(known)
    if slope is not None:
        name = f"Trend: {slope:+,.0f} GPU-hours a week"
        traces.append({
            "type": "scatter", "mode": "lines", "x": middles, "y": values, "name": name, "meta": "trend",
            "line": {"width": 2, "color": "#D55E00", "dash": "10px,4px"}, "hoverinfo": "skip", "legendrank": 2,
        })  # fmt: skip
    highest = max([*weeks["observed"], *known["estimated"]])
    layout = frame.layout(
        title,
        subtitle,
        [Panel("GPU-hours", (0, highest * 1.06 or 1), axis={"tickformat": ",~r"}, legend=True)],
        window,
        labels=frame.site_labels(scene.site, window),
        is_long=True,
    )
    layout["xaxis"] |= {"hoverformat": "week around %Y-%m-%d"}
    layout["xaxis"]["title"] = {"text": f"Weeks from Monday ({zone(scene)})", "standoff": 10, "font": {"size": 13}}
    layout |= {"barmode": "stack"}
    layout["margin"]["r"] = 250
    return {"data": traces, "layout": layout}


def _weeks(found: Days) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Per week: observed, estimated, seen (share) and is_whole; per week and class: hours."""
    rows = found.rows.with_columns(week=pl.col("local_at").dt.truncate("1w").cast(pl.Datetime("us")))
    classed = rows.group_by("week", "class").agg(hours=pl.col("gpu_hours_observed").sum())
    length = pl.col("hours").sum().clip(167, 169)
    weeks = (
        rows.filter(pl.col("class") == "total")
        .group_by("week")
        .agg(
            observed=pl.col("gpu_hours_observed").sum(),
            seen=((pl.col("hours") * pl.col("day_coverage")).sum() / length).clip(upper_bound=1),
            hours=pl.col("hours").sum(),
        )
        .with_columns(is_whole=(pl.col("seen") >= 0.5) & (pl.col("hours") >= 167))
        .with_columns(estimated=pl.when("is_whole").then(pl.col("observed") / pl.col("seen")))
        .sort("week")
    )
    return weeks, classed


def _trend(known: pl.DataFrame) -> tuple[float | None, list[float]]:
    """Slope per week, and the straight line at each week; none of fewer than four weeks."""
    if known.height < 4:
        return None, []
    at = [(week - known["week"][0]) / _WEEK for week in known["week"]]
    slope, start = linear_regression(at, known["estimated"].to_list())
    return slope, [round(start + slope * x, 1) for x in at]
