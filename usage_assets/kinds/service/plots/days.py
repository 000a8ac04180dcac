"""Cost, requests and tokens of a service over a month, day by day."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from usage_assets.kinds.service.plots import parts
from usage_assets.kinds.service.plots.reading import MOST, currency
from usage_assets.kinds.service.raw.tables import NONE
from usage_assets.reports import frame
from usage_assets.reports.frame import Panel
from usage_assets.specs.plot_context import Figure, Scene, Trace

_RIGHT_PX = 250
_OLDER = "All models (older tracker)"


def service_models(rows: pl.DataFrame, scene: Scene) -> Figure:
    """Cost and requests of a month per day, stacked by model; see `reading.models` for `rows`."""
    return _stacked(rows, scene, "model")


def service_users(rows: pl.DataFrame, scene: Scene) -> Figure:
    """Cost and requests of a month per day, stacked by user; see `reading.users` for `rows`."""
    return _stacked(rows, scene, "user")


def service_tokens(rows: pl.DataFrame, scene: Scene) -> Figure:
    """Tokens of a month per day: input of no cache, input from a cache, and output.

    `rows` has date, input, cached and output.
    """
    title = frame.heading(scene.site.name, f"Tokens per day, {scene.label}")
    subtitle = f"{frame.span_text(scene.window)}, at the end of each request{scene.read_text}"
    sums = {name: float(rows[name].sum() or 0) for name in parts.TOKENS}
    if not any(sums.values()):
        return frame.sentence(title, subtitle, "No token was counted in this time")
    if read := sums["input"] + sums["cached"]:
        subtitle += f"; {sums['cached'] / read:.1%} of the input came from a cache"
    days = rows["date"].to_list()
    traces = [
        parts.daily_bars(
            days, rows[name].to_list(), f"{label}: {sums[name]:,.0f}", {"color": colour}, group=name, round_to=0
        )
        for name, (label, colour) in parts.TOKENS.items()
        if sums[name]
    ]
    top = parts.top_of(parts.added(rows, parts.TOKENS))
    panel = Panel("Tokens", (0, top), axis=parts.counts_axis(top), legend=True)
    return {"data": traces, "layout": layout(title, subtitle, [panel], scene, height=520)}


def _stacked(rows: pl.DataFrame, scene: Scene, who: str) -> Figure:
    title = frame.heading(scene.site.name, f"Cost and requests per day by {who}, {scene.label}")
    subtitle = f"{frame.span_text(scene.window)}{scene.read_text}"
    if not rows["requests"].sum():
        return frame.sentence(title, subtitle, "No request ended in this time")
    money = currency(scene)
    cost, requests = float(rows["cost"].sum()), int(rows["requests"].sum())
    subtitle += f": {cost:,.2f} {money}, {requests:,} requests"
    if unrated := int(rows["cost_unrated_requests"].sum()):
        subtitle += f", {unrated:,} of them without a known cost"
    every = int(rows["every"][0])
    foot = f"The {MOST} {who}s of {every:,} with the largest shares of cost and requests" if every > MOST else ""
    top = parts.top_of(_per_day(rows, "requests"))
    panels = [Panel("Requests", (0, top), axis=parts.counts_axis(top), legend=not cost)]
    if cost:
        most = parts.top_of(_per_day(rows, "cost"))
        panels.insert(0, Panel(f"Cost ({money})", (0, most), axis={"tickformat": ",~r"}, legend=True))
    return {
        "data": _traces(rows, who, money if cost else None),
        "layout": layout(title, subtitle, panels, scene, foot=foot),
    }


def _traces(rows: pl.DataFrame, who: str, money: str | None) -> list[Trace]:
    """Two series, cost (in `money`, if any) and requests, per name, the first lowest; both share one legend entry."""
    groups = rows.partition_by("name", maintain_order=True)
    groups.sort(key=lambda group: (group["rank"][0] is None, group["rank"][0] or 0))
    names = parts.labels([_called(group["name"][0], who) for group in groups if group["name"][0] is not None])
    traces: list[Trace] = []
    for place, group in enumerate(groups):
        further = group["name"][0] is None
        name = f"{int(group['every'][0]) - MOST:,} others" if further else names[place]
        days: Sequence[date] = group["date"].to_list()
        common: dict[str, Any] = {"name": name, "look": parts.marker(None if further else place), "group": f"g{place}"}
        if money:
            price = f"%{{y:,.2f}} {money}"
            traces.append(parts.daily_bars(days, group["cost"].to_list(), template=price, **common))
        requests, panel = group["requests"].to_list(), 1 if money else 0
        traces.append(parts.daily_bars(days, requests, panel=panel, legend=not panel, round_to=0, **common))
    return traces


def _called(name: str, who: str) -> str:
    if name == "*":
        return _OLDER
    return f"No {who} known" if name == NONE else name


def _per_day(rows: pl.DataFrame, column: str) -> list[float]:
    return rows.group_by("date").agg(pl.col(column).sum().cast(pl.Float64))[column].to_list()


def layout(
    title: str, subtitle: str, panels: Sequence[Panel], scene: Scene, *, height: int = frame.HEIGHT, foot: str = ""
) -> dict[str, Any]:
    """The layout of panels of stacked bars over the days of a month."""
    labels = frame.site_labels(scene.site, scene.window, read_at=scene.read_at)
    out = frame.layout(title, subtitle, panels, scene.window, labels=labels, height=height, foot=foot)
    out |= {"barmode": "stack", "showlegend": True}
    out["xaxis"]["minor"] = {"dtick": 86_400_000, "ticks": "outside", "ticklen": 2}
    out["xaxis"]["hoverformat"] = "%a %Y-%m-%d (UTC)"
    if "legend" in out:
        out["legend"]["traceorder"] = "normal"
    out["margin"]["r"] = _RIGHT_PX
    return out
