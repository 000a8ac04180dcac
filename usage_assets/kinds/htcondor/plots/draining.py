"""When the machines of a pool drained or refused new jobs: a row per machine, a bar per stretch."""

from datetime import timedelta
from html import escape

import polars as pl

from usage_assets.kinds.htcondor.plots.reading import clipped, clocks
from usage_assets.kinds.htcondor.pool.metrics import BY_NAME
from usage_assets.reports import frame
from usage_assets.reports.frame import Panel
from usage_assets.specs.plot_context import Figure, Scene, Trace

_MOST = 60
_STATES = {"drained": ("drained", 0.18), "refusing": ("prevented", -0.18)}
"""State -> how a hint calls it, and how far its bars are above the middle of a row."""


def gpu_draining_times(runs: pl.DataFrame, scene: Scene) -> Figure:
    """Stretches of time in which GPUs of a machine were drained, or refused new jobs; at most 60 machines.

    `runs` has machine, gpu, start_at, end_at, state (drained or refusing) and reason. GPUs of a machine that
    overlap in time are one bar.
    """
    title = frame.heading(scene.site.name, f"Draining and prevented machines, {scene.label}")
    subtitle = f"{frame.span_text(scene.window)}; GPUs that no job held{scene.read_text}"
    if runs.is_empty():
        return frame.sentence(title, subtitle, "No machine drained or prevented jobs in this time")
    bars = _bars(runs)
    ranked = (
        runs.with_columns(hours=(pl.col("end_at") - pl.col("start_at")) / timedelta(hours=1))
        .group_by("machine")
        .agg(pl.col("hours").sum())
        .sort("hours", "machine", descending=[True, False])
    )
    sums = {state: _hours(runs.filter(pl.col("state") == state)) for state in _STATES}
    texts = [f"{BY_NAME[state].label.lower()} {hours:,.0f} GPU-hours" for state, hours in sums.items() if hours]
    subtitle += ": " + ", ".join(texts)
    if ranked.height > _MOST:
        subtitle += f"; the {_MOST} machines with most of {ranked.height}"
    machines = ranked["machine"].to_list()[:_MOST]
    labels = {name: escape(clipped(name, 48)) for name in sorted(machines)}
    place = {name: row for row, name in enumerate(labels)}
    traces = [trace for state in _STATES for trace in _traces(bars, state, place)]
    axis = {
        "tickmode": "array", "tickvals": list(place.values()), "ticktext": list(labels.values()), "ticklen": 0,
    }  # fmt: skip
    layout = frame.layout(
        title,
        subtitle,
        [Panel("", (len(place) - 0.4, -0.6), axis=axis, legend=True)],
        scene.window,
        labels=frame.site_labels(scene.site, scene.window, read_at=scene.read_at),
        hover="closest",
        height=frame.height_of(len(place), 28, least=360),
        left_px=min(340, 30 + 7 * max(map(len, labels.values()))),
    )
    layout["xaxis"]["minor"] = {"dtick": 86_400_000, "ticks": "outside", "ticklen": 2}
    layout["xaxis"]["showgrid"] = True
    layout["xaxis"]["title"]["text"] = clocks(scene)
    return {"data": traces, "layout": layout}


def _bars(runs: pl.DataFrame) -> pl.DataFrame:
    """machine, state, reason, start, end, gpus: the stretches that GPUs of a machine cover together."""
    key = ["machine", "state", "reason"]
    reach = pl.col("end_at").cum_max().shift(1).over(key)
    return (
        runs.with_columns(pl.col("reason").fill_null(""))
        .sort(*key, "start_at", "end_at")
        .with_columns(fresh=(pl.col("start_at") > reach).fill_null(value=True))
        .with_columns(stretch=pl.col("fresh").cast(pl.Int32).cum_sum().over(key))
        .group_by(*key, "stretch", maintain_order=True)
        .agg(start=pl.col("start_at").min(), end=pl.col("end_at").max(), gpus=pl.col("gpu").n_unique())
    )


def _traces(bars: pl.DataFrame, state: str, place: dict[str, int]) -> list[Trace]:
    """One trace of all bars of a state, with holes between them: shown by one entry of the legend."""
    called, lift = _STATES[state]
    x: list[str | None] = []
    y: list[float | None] = []
    text: list[str | None] = []
    of_state = bars.filter(pl.col("state") == state, pl.col("machine").is_in(list(place)))
    for machine, reason, start, end, gpus in of_state.select("machine", "reason", "start", "end", "gpus").iter_rows():
        hint = (
            f"<b>{escape(machine[:60])}</b> {escape(f'{called}: {reason[:120]}' if reason else called)}<br>"
            f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {(end - start) / timedelta(hours=1):,.1f} h<br>"
            f"{gpus} GPUs"
        )
        x += [frame.stamp(start), frame.stamp(start + (end - start) / 2), frame.stamp(end), None]
        y += [place[machine] + lift] * 3 + [None]
        text += [hint] * 3 + [None]
    if not x:
        return []
    return [{
        "type": "scatter", "mode": "lines", "x": x, "y": y, "text": text, "name": BY_NAME[state].label, "meta": state,
        "line": {"width": 9, "color": BY_NAME[state].colour}, "hovertemplate": "%{text}<extra></extra>",
    }]  # fmt: skip


def _hours(runs: pl.DataFrame) -> float:
    return float((runs["end_at"] - runs["start_at"]).dt.total_microseconds().sum()) / 3.6e9
