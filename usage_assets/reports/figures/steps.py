"""Traces of steps: stacked areas and lines, each run of known values by itself.

Plotly would fill a hole in a stack with zeros, so each run of buckets that know the same metrics is a stack of its own.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from itertools import compress
from typing import Any

import polars as pl

from usage_assets.reports.frame import axis, stamp
from usage_assets.reports.series import Series, runs
from usage_assets.specs.plot_context import Trace

DASHES = {"total": "10px,3px", "reservable": "5px,2px", "committed": "2px,2px", "active": "1px,2px"}
FINE = 62  # with more buckets than this, borders and thick lines would hide the values

Points = Callable[[int, int], Trace]
"""(first, last) -> times of a run of buckets, and the end of the last one, as a part of a trace."""


def points_of(series: Series, *, long: bool = False) -> Points:
    """Times in full for a month, by their step for a long history: an eighth of the size."""
    edges = series.edges
    if not long:
        labels = [stamp(edge) for edge in edges]
        return lambda first, last: {"x": labels[first : last + 1]}
    step = int(series.bucket / timedelta(milliseconds=1))
    return lambda first, _last: {"x0": stamp(edges[first]), "dx": step}


def areas(
    columns: Sequence[pl.Series], points: Points, style: Callable[[str], Trace], *, stack: str, panel: int = 0
) -> Iterable[Trace]:
    """The columns stacked from the first up: one stack per run of buckets that know the same of them.

    A negative value takes no room (as an area it would cover what is below it, and read as its contrary); what is below
    then rises above the total. Hovering shows the value itself.
    """
    known = pl.DataFrame([column.is_not_null() for column in columns]).rows()
    listed: set[str] = set()
    for number, (first, last, pattern) in enumerate(runs(known)):
        for column in compress(columns, pattern):
            name = column.name
            entry = {"stackgroup": f"{stack}{number}", "showlegend": name not in listed, "legendgroup": name}
            listed.add(name)
            drawn = trace(column, points, first, last, panel) | {"meta": name} | entry | style(name)
            if min(drawn["y"]) < 0:
                drawn |= {"customdata": drawn["y"], "hovertemplate": "%{customdata:,.1f}"}
                drawn["y"] = [max(value, 0.0) for value in drawn["y"]]
            yield drawn


def line(values: pl.Series, points: Points, key: str, style: Trace, *, panel: int = 0) -> Iterable[Trace]:
    """A line with holes where nothing is known."""
    common = {"meta": key, "legendgroup": key, "hovertemplate": "%{y:,.1f}", "showlegend": True}
    for first, last, is_known in runs(values.is_not_null().to_list()):
        if is_known:
            yield {**trace(values, points, first, last, panel), **common, **style}
            common["showlegend"] = False


def trace(values: pl.Series, points: Points, first: int, last: int, panel: int = 0) -> Trace:
    """One run of known values; the last is repeated at the end of its bucket."""
    drawn: list[Any] = values[first:last].round(6).to_list()
    return {"type": "scatter", "mode": "lines", **points(first, last), "y": [*drawn, drawn[-1]], "yaxis": axis(panel)}
