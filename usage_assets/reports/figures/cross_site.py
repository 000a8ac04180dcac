"""All sites over their whole history: machines used and available."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from html import escape

import polars as pl

from usage_assets.reports import frame
from usage_assets.reports.figures import steps
from usage_assets.reports.frame import Label, Panel, axis, stamp
from usage_assets.reports.series import DAY, NOTHING, Series, dense, extremes, runs, span
from usage_assets.specs.plot_context import Figure, Scene, Trace

# used and available of a site: a dark and a light tone of one hue. Told apart by colour-blind readers; in grey print
# used is always the darker. Yellow is kept for sites whose servers share machines
_HUES = (
    ("#00507D", "#A9D3EC"),
    ("#8C3A00", "#F2C3A0"),
    ("#00694D", "#A6DDC9"),
    ("#7D3C66", "#E5C3D8"),
    ("#3D3D3D", "#CFCFCF"),
)
_LABELLED = 60  # days that a time must have for its label to be read
_FOOT = "Grey: built, use not known. White: not built"
_YELLOWS = (("#C79A00", "#FAEBA8"), ("#8A6D00", "#E8DDA0"))


@dataclass(frozen=True)
class SitesHistory:
    """All sites by days: `rows` with site, timestamp, resource (nodes, devices, gpus ...), total, occupied, complete.

    `shared` are the sites whose servers share machines; `missing` are the node types of a site that are not in the
    sums of a resource, see `series.Sums`.
    """

    rows: pl.DataFrame
    shared: frozenset[str]
    missing: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)


def cross_site_usage(history: SitesHistory, scene: Scene) -> Figure:
    """Used and available machines of every site, stacked; below, of which time each site's use is known.

    Grey is what was built and is not known, white what was not built: neither is in the stack.
    Used is what servers and jobs hold; available is what else exists. Sites of edge devices count devices, pools of
    GPUs count GPUs.
    """
    title = "<b>All sites</b>  Machines used and available, whole history"
    sites = [key for key in scene.sites if key in set(history.rows["site"])]
    known_rows = history.rows.filter(pl.col("total").is_not_null() & pl.col("occupied").is_not_null())
    if known_rows.is_empty():
        return frame.sentence(title, "nothing built yet", NOTHING)
    first, last = span(history.rows["timestamp"])
    window = (first, last + DAY)
    columns: list[pl.Series] = []
    styles: dict[str, Trace] = {}
    spans: list[Trace] = []
    labels: list[Label] = []
    units: dict[str, str] = {}
    unknown: list[tuple[str, tuple[str, ...]]] = []
    colours = _colours(sites, history.shared)
    for number, key in enumerate(sites):
        site, rows = escape(scene.sites[key].name), history.rows.filter(pl.col("site") == key)
        resource, rows = _of_site(rows, scene.machines_of[key])
        units[resource] = unit = frame.unit_of(resource)
        unknown.append((f"{frame.count_of(resource)} of {site}", history.missing.get((key, resource), ())))
        is_known = pl.col("total").is_not_null() & pl.col("occupied").is_not_null()
        days = dense(rows, *window, DAY).with_columns(known=is_known)
        name = site + ("" if resource == "nodes" else f" ({unit})")
        values = (("used", pl.col("occupied")), ("available", pl.col("total") - pl.col("occupied")))
        for (part, value), colour in zip(values, colours[key], strict=True):
            column = days.select(pl.when("known").then(value).alias(f"{key} {part}")).to_series()
            columns.append(column)
            style = {"name": f"{name}, {part}", "fillcolor": colour, "line": {"width": 0, "shape": "hv"}}
            styles[column.name] = style | {"hovertemplate": "%{y:,.1f}", "legendrank": 200 - len(styles)}
        bar: Trace = {"type": "scatter", "mode": "lines", "yaxis": axis(1), "y": [number, number], "name": name}
        bar |= {"line": {"width": 9, "color": colours[key][0]}, "showlegend": False, "hoverinfo": "skip"}
        known = _spans(days, pl.col("known"))
        spans += [bar | {"meta": "known", "x": [stamp(start), stamp(end)]} for start, end in known]
        for start, end in _spans(days, pl.col("has_row") & ~pl.col("known")):
            text = f"{site}: use not known" if end - start >= _LABELLED * DAY else ""
            labels.append(Label(start, end, text, frame.FAINT))
    series = Series("nodes", days.select("timestamp"), DAY, window[1])
    traces = [*steps.areas(columns, steps.points_of(series, long=True), styles.__getitem__, stack="r"), *spans]
    _, top = extremes(pl.DataFrame(columns).sum_horizontal())
    names = [escape(scene.sites[key].name) for key in sites]
    rows_axis = {"tickmode": "array", "tickvals": list(range(len(sites))), "ticktext": names, "showgrid": False}
    panels = [
        Panel(_axis_title(units), (0, top * 1.03 or 1), 1.0, {"tickformat": ",~r"}, legend=True),
        Panel("Known", (len(sites) - 0.4, -0.6), 0.045 * len(sites) + 0.04, rows_axis),
    ]
    remarks = [label for key in sites for label in frame.remarks(scene.sites[key], window, with_name=True)]
    layout = frame.layout(
        title,
        f"{frame.span_text(window)}, means per day; used is held by servers or jobs, available is the rest",
        panels,
        window,
        labels=[*labels, *sorted(remarks, key=lambda label: (label.start, label.text))],
        height=frame.HEIGHT + 18 * len(sites),
        left_px=max(80, 46 + 8 * max(map(len, names))),
        foot="<br>".join([_FOOT, *(text[0].upper() + text[1:] for text in frame.exclusions(unknown))]),
        is_long=True,
    )
    return {"data": traces, "layout": layout}


def _colours(sites: list[str], shared: frozenset[str]) -> dict[str, tuple[str, str]]:
    """A hue per site, in the order of their names: the same in every drawing as long as the sites are the same."""
    own, yellow = [key for key in sites if key not in shared], [key for key in sites if key in shared]
    out = {key: _HUES[number % len(_HUES)] for number, key in enumerate(own)}
    return out | {key: _YELLOWS[number % len(_YELLOWS)] for number, key in enumerate(yellow)}


def _of_site(rows: pl.DataFrame, machines: tuple[str, ...]) -> tuple[str, pl.DataFrame]:
    """Resource that stands for the site's machines, and its rows: the first of which the site has any, else any."""
    sums = dict(rows.group_by("resource").agg(pl.col("total").sum()).iter_rows())
    some = [name for name in machines if (sums.get(name) or 0) > 0]
    best = [*some, *(name for name in reversed(machines) if name in sums)][0]
    values = rows.filter(pl.col("resource") == best)
    return best, values.select(pl.col("timestamp").cast(pl.Datetime("us")), "total", "occupied", has_row=True)


def _axis_title(units: Mapping[str, str]) -> str:
    """Title of the axis: machines, and the units of what other sites count."""
    others = [unit for name, unit in sorted(units.items()) if name != "nodes"]
    return " and ".join(filter(None, ["Machines" if "nodes" in units or not others else "", ", ".join(others)]))


def _spans(days: pl.DataFrame, condition: pl.Expr) -> Iterator[tuple[datetime, datetime]]:
    """Start and end of each run of days for which a condition holds."""
    at = days["timestamp"]
    for first, last, holds in runs(days.select(condition.fill_null(value=False)).to_series().to_list()):
        if holds:
            yield at[first], at[last - 1] + DAY
