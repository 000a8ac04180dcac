"""Cost, requests and tokens of a service over its whole history, month by month."""

from datetime import timedelta

import polars as pl

from usage_assets.core.months import next_month
from usage_assets.kinds.service.plots import parts
from usage_assets.kinds.service.plots.reading import currency
from usage_assets.reports import frame
from usage_assets.reports.frame import Panel
from usage_assets.specs.plot_context import Figure, Scene, Trace

_COST = "#009E73"


def service_history(rows: pl.DataFrame, scene: Scene) -> Figure:
    """Cost, requests by outcome, and tokens of each month; a month without rows has no bar.

    `rows` has month, requests, succeeded, failed, cancelled, unfinished, cost, unrated, input, cached and output.
    """
    money = currency(scene)
    title = frame.heading(scene.site.name, f"Cost, requests and tokens by month, {scene.label}")
    if not rows["requests"].sum():
        return frame.sentence(title, "by month (UTC)", "No request is known")
    months = rows["month"].to_list()
    window = frame.midnight(months[0]), frame.midnight(next_month(months[-1]))
    cost, requests = float(rows["cost"].sum()), int(rows["requests"].sum())
    subtitle = f"{frame.span_text(window)}: {cost:,.2f} {money}, {requests:,} requests"
    if unrated := int(rows["unrated"].sum()):
        subtitle += f", {unrated:,} of them without a known cost"
    price = f"%{{y:,.2f}} {money}"
    spent = rows["cost"].to_list()
    traces = [parts.monthly_bars(months, spent, "Cost", {"color": _COST}, template=price, group="cost")]
    traces += _stack(rows, parts.STATES, 1) + _stack(rows, parts.TOKENS, 2)
    tops = [parts.top_of(parts.added(rows, names)) for names in (("cost",), parts.STATES, parts.TOKENS)]
    panels = [
        Panel(f"Cost ({money})", (0, tops[0]), axis={"tickformat": ",~r"}),
        Panel("Requests", (0, tops[1]), axis=parts.counts_axis(tops[1]), legend=True),
        Panel("Tokens", (0, tops[2]), axis=parts.counts_axis(tops[2]), legend=True),
    ]
    layout = frame.layout(
        title, subtitle, panels, window, labels=frame.site_labels(scene.site, window), height=760, is_long=True
    )
    layout |= {"barmode": "stack", "showlegend": True}
    layout["xaxis"] |= {
        "hoverformat": "%B %Y",
        "title": {"text": "Months (UTC)", "standoff": 10, "font": {"size": 13}},
    }
    if window[1] - window[0] < timedelta(days=400):
        layout["xaxis"] |= {"dtick": "M1", "ticklabelmode": "period", "tickformat": "%b<br>%Y"}
    for name in ("legend2", "legend3"):
        layout[name]["traceorder"] = "normal"
    return {"data": traces, "layout": layout}


def _stack(rows: pl.DataFrame, looks: parts.Looks, panel: int) -> list[Trace]:
    months = rows["month"].to_list()
    return [
        parts.monthly_bars(
            months, rows[name].to_list(), label, {"color": colour}, panel=panel, group=name, round_to=0
        ) | {"legend": f"legend{panel + 1}"}
        for name, (label, colour) in looks.items()
        if rows[name].sum()
    ]  # fmt: skip
