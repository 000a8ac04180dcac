"""Spending of a service against its limits, with what the trailing week projects for the end of each period."""

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from usage_assets.kinds.service.plots import parts
from usage_assets.kinds.service.plots.reading import currency, zone
from usage_assets.reports import frame
from usage_assets.reports.frame import Panel
from usage_assets.reports.series import span
from usage_assets.specs.plot_context import Figure, Scene, Trace

_NAME = 44
_ROW_PX = 24
_LEVELS: tuple[tuple[str, float, dict[str, Any]], ...] = (
    ("Below 80 %", 80.0, {"color": "#56B4E9"}),
    ("80 % or more", 100.0, {"color": "#E69F00"}),
    ("Limit reached", float("inf"), {
        "color": "#D55E00", "pattern": parts.HATCH
    }),
)  # fmt: skip
"""Label, end in percent and look of bars; the last is hatched, so that it is told apart in print."""
_FURTHEST = 250.0
"""Percent at which bars and projections end; their texts say the value."""
_DAY = timedelta(days=1)


def service_spending(rows: pl.DataFrame, scene: Scene) -> Figure:
    """A bar per limit: the share of it that is spent in the period that holds the last status of the month.

    `rows` has scope_type, scope_id, window, as_of, period, spent, remaining, percent, burn_per_day,
    projected_crossing_date and unrated_requests, one per limit, the largest share first; judged and reached count all.
    The projection is spent + burn_per_day x the days left.
    """
    title = frame.heading(scene.site.name, f"Spending against limits, {scene.label}")
    if rows.is_empty():
        return frame.sentence(title, frame.span_text(scene.window), "No limit was judged in this time")
    shown = _projected(rows, zone(scene))
    money = currency(scene)
    as_of, judged = span(rows["as_of"])[1], int(rows["judged"][0])
    subtitle = f"as of {as_of:%Y-%m-%d %H:%M} UTC: {int(rows['reached'][0]):,} of {judged:,} limits reached"
    if judged > rows.height:
        subtitle += f"; the {rows.height} with the largest shares"
    names = parts.labels([_called(*row) for row in shown.select("scope_type", "scope_id", "window").iter_rows()], _NAME)
    traces = [trace for level in range(len(_LEVELS)) for trace in _bars(shown, names, level, money)]
    traces += _projections(shown, money)
    highest = min(max([100.0, *shown["shown"], *shown["projected"].drop_nulls()]), _FURTHEST)
    rows_of = list(range(len(names)))
    axis = {"tickmode": "array", "tickvals": rows_of, "ticktext": names, "ticklen": 0, "showgrid": False}
    layout = frame.layout(
        title, subtitle, [Panel("", (len(names) - 0.4, -0.6), axis=axis, legend=True)], scene.window,
        hover="closest", height=frame.height_of(len(names), _ROW_PX, least=380),
        left_px=min(380, 30 + 7 * max(map(len, names))),
    )  # fmt: skip
    layout["xaxis"] |= {"type": "linear", "range": [0, 1.45 * highest], "showgrid": True, "ticksuffix": " %"}
    layout["xaxis"]["title"] = {"text": "Share of the limit", "standoff": 10, "font": {"size": 13}}
    layout["xaxis"].pop("hoverformat")
    layout["shapes"].append({
        "type": "line", "x0": 100, "x1": 100, "y0": 0, "y1": 1, "yref": "paper",
        "line": {"width": 2, "color": frame.INK, "dash": "4px,3px"},
    })  # fmt: skip
    layout["annotations"] += _texts(shown, money)
    layout |= {"barmode": "overlay", "bargap": 0.3}
    return {"data": traces, "layout": layout}


def _projected(rows: pl.DataFrame, clock: str) -> pl.DataFrame:
    """The rows with floats, shown (percent of the bar), limit (spent + remaining) and projected (percent)."""
    amounts = ("spent", "remaining", "percent", "burn_per_day")
    left = [
        days_left(*row, clock=clock) for row in rows.select("window", "period", "as_of").iter_rows()
    ]  # a row per limit, not per request
    return (
        rows.with_columns(pl.col(name).cast(pl.Float64) for name in amounts)
        .with_columns(left=pl.Series(left, dtype=pl.Float64), limit=pl.col("spent") + pl.col("remaining"))
        .with_columns(
            # nothing is allowed: what is spent is above it
            shown=pl.coalesce("percent", pl.when(pl.col("spent") > 0).then(100.0).otherwise(0.0)),
            end=pl.col("spent") + pl.col("burn_per_day").fill_null(0.0) * pl.col("left"),
        )
        .with_columns(projected=pl.when(pl.col("limit") > 0).then(100 * pl.col("end") / pl.col("limit")))
    )


def days_left(window: str, period: str, as_of: datetime, *, clock: str) -> float:
    """Days from an instant (naive UTC) to the end of the day, week or month that `period` names, not below 0."""
    first = date.fromisoformat(period if len(period) > 7 else f"{period}-01")
    end = {"day": first + _DAY, "week": first + 7 * _DAY}.get(window) or (first.replace(day=1) + 32 * _DAY).replace(
        day=1
    )
    at = datetime.combine(end, time(), ZoneInfo(clock)).astimezone(UTC).replace(tzinfo=None)
    return max((at - as_of) / _DAY, 0.0)


def _called(scope_type: str, scope_id: str, window: str) -> str:
    return f"{window}, {scope_text(scope_type, scope_id)}"


def scope_text(scope_type: str, scope_id: str) -> str:
    """What a limit is of, in words: the id of a pair is the JSON text of both."""
    if scope_type == "site":
        return "the whole service"
    if "_" not in scope_type:
        return f"{scope_type} {scope_id}"
    return ", ".join(f"{kind} {name}" for kind, name in zip(scope_type.split("_"), json.loads(scope_id), strict=False))


def _bars(shown: pl.DataFrame, names: list[str], level: int, money: str) -> list[Trace]:
    """The bars of one level, each in its own row."""
    label, end, look = _LEVELS[level]
    start = _LEVELS[level - 1][1] if level else -1.0
    places = [row for row, value in enumerate(shown["shown"]) if start <= value < end]
    if not places:
        return []
    hints = _hints(shown, names, money)
    values = [round(min(shown["shown"][row], _FURTHEST), 3) for row in places]
    return [{
        "type": "bar", "orientation": "h", "x": values, "y": places, "text": [hints[row] for row in places],
        "textposition": "none", "name": label, "meta": label, "marker": look,
        "hovertemplate": "%{text}<extra></extra>",
    }]  # fmt: skip


def _hints(shown: pl.DataFrame, names: list[str], money: str) -> list[str]:
    columns = ("period", "spent", "limit", "burn_per_day", "projected_crossing_date", "unrated_requests")
    out = []
    for name, (period, spent, limit, burn, crossing, unrated) in zip(
        names, shown.select(columns).iter_rows(), strict=True
    ):
        text = f"<b>{name}</b> {period}<br>{spent:,.2f} of {limit:,.2f} {money} spent, {burn or 0:,.2f} {money} a day"
        text += f"<br>limit reached by {crossing}" if crossing and spent < limit else ""
        out.append(text + (f"<br>the cost of {unrated:,} requests is not known" if unrated else ""))
    return out


def _projections(shown: pl.DataFrame, money: str) -> list[Trace]:
    """A mark per limit at what its period will have cost, where that is more than is spent."""
    further = shown.with_row_index("row").filter(pl.col("projected") > pl.col("shown") + 0.05)
    if further.is_empty():
        return []
    texts = [
        f"{end:,.2f} {money} ({share:,.0f} %) at the end of {period}"
        for end, share, period in further.select("end", "projected", "period").iter_rows()
    ]
    return [{
        "type": "scatter", "mode": "markers", "meta": "projected", "name": "Projected for the<br>end of the period",
        "x": [round(min(value, _FURTHEST), 3) for value in further["projected"]], "y": further["row"].to_list(),
        "text": texts, "hovertemplate": "%{text}<extra></extra>",
        "marker": {"symbol": "diamond-open", "size": 10, "color": frame.INK, "line": {"width": 2}},
    }]  # fmt: skip


def _texts(shown: pl.DataFrame, money: str) -> list[dict[str, Any]]:
    """Right of each bar and of its projection: what is spent of what, and when the limit is crossed."""
    out = []
    columns = ("shown", "projected", "spent", "limit", "projected_crossing_date")
    for row, (share, projected, spent, limit, crossing) in enumerate(shown.select(columns).iter_rows()):
        text = f"{spent:,.2f} of {limit:,.2f} {money}"
        text += f", {share:,.0f} %" if share > _FURTHEST else ""
        text += f", reached by {crossing}" if crossing and share < 100 else ""
        place = min(max(share, projected or 0.0), _FURTHEST)
        out.append({
            "text": text, "x": place, "y": row, "xanchor": "left", "xshift": 9, "showarrow": False,
            "font": {"size": 11, "color": frame.FAINT}, "bgcolor": "rgba(255,255,255,0.8)",
        })  # fmt: skip
    return out
