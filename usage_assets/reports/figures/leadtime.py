"""Lead time over one month: how long leases took until they began, asked for, in fact, and at best."""

from html import escape

import polars as pl

from usage_assets.reports import frame
from usage_assets.reports.figures import hours
from usage_assets.sites.base import Gap
from usage_assets.specs.plot_context import Figure, Scene, Trace

# mostly the same, one over the other: a ring, and within it a point
REQUESTED = {"color": "#0072B2", "symbol": "circle-open", "size": 9, "line": {"width": 1.4}}
EFFECTIVE = {"color": "#D55E00", "symbol": "diamond", "size": 5}
_BASES: dict[str, tuple[str, Trace]] = {
    "event": ("start event", {"color": "#D55E00", "symbol": "diamond"}),
    "schedule": ("plan (no event)", {"color": "#7A4B00", "symbol": "x-thin-open"}),
}
_LEGEND_ROOM = {"itemsizing": "constant", "tracegroupgap": 2, "font": {"size": 12}}
NO_LEASES = "No lease was asked for in this time"


def leadtime(rows: pl.DataFrame, scene: Scene) -> Figure:
    """Requested and effective lead time over the instant of asking, coloured by node type.

    `rows` are of timelines.leadtime: timestamp, leadtime_type, node_type, value (hours).
    """
    title = frame.heading(scene.site.name, f"Lead time of leases, {scene.label}")
    subtitle = f"{frame.span_text(scene.window)}, at the time of asking{scene.read_text}"
    rows = rows.filter(pl.col("leadtime_type").is_in(["requested", "effective"])).rename({"timestamp": "at"})
    if rows.is_empty():
        return frame.sentence(title, subtitle, NO_LEASES)
    types = hours.ranked(rows["node_type"], scene.node_types)
    traces: list[Trace] = []
    panels = []
    for number, name in enumerate(("requested", "effective")):
        values = rows.filter(pl.col("leadtime_type") == name)
        traces += unlisted(hours.by_type(values, "value", types, number=number, label=name), traces)
        text = f"{name.capitalize()}<br>{hours.at_once(values['value'])}"
        panels.append(hours.panel(text, [values["value"]], legend=number == 0))
    return _figure(traces, title, subtitle, panels, scene)


def leadtime_compare(leases: pl.DataFrame, scene: Scene) -> Figure:
    """Requested against effective lead time of the leases that began, and their difference.

    `leases` are of facts.leases: lease_id, created_at, outcome, requested, effective, basis.
    """
    title = frame.heading(scene.site.name, f"Requested and effective lead time, {scene.label}")
    leases = leases.rename({"created_at": "at"})
    subtitle = f"{frame.span_text(scene.window)}; {outcomes(leases)}{scene.read_text}"
    began = leases.filter(pl.col("effective").is_not_null() & pl.col("requested").is_not_null())
    if began.is_empty():
        text = NO_LEASES if leases.is_empty() else "No lease that was asked for in this time has begun"
        return frame.sentence(title, subtitle, text)
    late = began.with_columns(late=pl.col("effective") - pl.col("requested"))
    traces = hours.points(late, "requested", "Requested", REQUESTED, number=0, label="requested")
    traces += hours.points(late, "effective", "Effective", EFFECTIVE, number=0, label="effective")
    for basis in sorted(late["basis"].drop_nulls().unique()):
        name, marker = _BASES.get(basis, (escape(basis), {"color": "#56B4E9", "symbol": "square"}))
        starts = late.filter(pl.col("basis") == basis)
        drawn = hours.points(starts, "late", f"Start by {name}", marker, number=1, label="later by")
        traces += [trace | {"legend": "legend2"} for trace in drawn]
    panels = [
        hours.panel("Lead time", [late["requested"], late["effective"]], legend=True),
        hours.panel(f"Effective minus requested<br>{hours.at_once(late['late'])}", [late["late"]], legend=True),
    ]
    return _figure(traces, title, subtitle, panels, scene)


def leadtime_projected(leases: pl.DataFrame, scene: Scene) -> Figure:
    """Projected lead time (the least wait that was possible), and how much longer users chose to wait.

    `leases` are of facts.leases: lease_id, created_at, node_type, requested, projected, is_censored,
    projected_inexact. A censored lease, whose least wait lies past the horizon, stands at the horizon.
    """
    title = frame.heading(scene.site.name, f"Projected lead time, {scene.label}")
    censored = leases.filter(pl.col("is_censored").fill_null(value=False)).with_columns(
        at="created_at", horizon=pl.lit(24.0 * scene.horizon_days)
    )
    found = leases.filter(pl.col("projected").is_not_null()).with_columns(
        at="created_at", chosen=pl.col("requested") - pl.col("projected")
    )
    span = f"{frame.span_text(scene.window)}{scene.read_text}"
    if found.is_empty() and censored.is_empty():
        text = "No lease of this time is of a kind whose least wait can be projected"
        return frame.sentence(title, span, NO_LEASES if leases.is_empty() else text)
    inexact = found.filter(pl.col("projected_inexact") > 0).height
    subtitle = (
        f"{span}; {found.height:,} leases, {censored.height:,} past the horizon of {scene.horizon_days} days, "
        f"{inexact:,} by bookings that were changed since"
    )
    types = hours.ranked(pl.concat([found["node_type"], censored["node_type"]]), scene.node_types)
    hollow = {"color": "#222222", "symbol": "triangle-up-open", "size": 8}
    past = f"past {scene.horizon_days} days"
    traces = hours.by_type(found, "projected", types, number=0, label="projected")
    traces += hours.points(censored, "horizon", past, hollow, number=0, label="no such start within")
    traces += unlisted(hours.by_type(found, "chosen", types, number=1, label="chosen delay"), traces)
    tops = [found["projected"], censored["horizon"]]
    panels = [
        hours.panel(f"Projected<br>{hours.at_once(found['projected'])}", tops, legend=True),
        hours.panel(f"Requested minus projected<br>{hours.at_once(found['chosen'])}", [found["chosen"]]),
    ]
    return _figure(traces, title, subtitle, panels, scene)


def outcomes(leases: pl.DataFrame) -> str:
    """Number of leases, in all and by outcome, in words."""
    counts = leases["outcome"].value_counts().sort("count", "outcome", descending=[True, False])
    parts = [f"{count:,} {escape(outcome.replace('_', ' '))}" for outcome, count in counts.iter_rows()]
    return f"{leases.height:,} leases" + (f": {', '.join(parts)}" if parts else "")


def unlisted(traces: list[Trace], before: list[Trace]) -> list[Trace]:
    """The traces; those whose names `before` has in the legend already are not listed there again."""
    names = {trace["name"] for trace in before if trace["showlegend"]}
    return [trace | {"showlegend": trace["showlegend"] and trace["name"] not in names} for trace in traces]


def of_leases(gap: Gap) -> bool:
    """Whether a known gap is one of leases."""
    return gap.source.startswith("blazar_")


def _figure(traces: list[Trace], title: str, subtitle: str, panels: list[frame.Panel], scene: Scene) -> Figure:
    labels = frame.site_labels(scene.site, scene.window, read_at=scene.read_at, of=of_leases)
    layout = frame.layout(
        title, subtitle, panels, scene.window, labels=labels, hover="closest", height=720, left_px=100
    )
    for name in ("legend", "legend2"):
        if name in layout:
            layout[name] |= _LEGEND_ROOM
    return {"data": traces, "layout": layout}
