"""Long histories for a picture: no finer than the picture has pixels. The page keeps every value."""

from datetime import datetime, timedelta
from math import ceil
from statistics import fmean

from usage_assets.reports.frame import Figure, Trace, stamp


def thinned(figure: Figure, columns: int) -> Figure:
    """The figure; where regular steps are more than the picture's columns, means of as many as share one.

    Steps are regular that have a first time and a width (`steps.points_of`). What a browser draws of ten years of days
    looks the same, and takes it a third of the time.
    """
    regular = [trace for trace in figure["data"] if "dx" in trace]
    if not regular:
        return figure
    first = min(_start(trace) for trace in regular)
    last = max(_edge(trace, len(trace["y"]) - 1) for trace in regular)
    share = ceil((last - first) / min(_width(trace) for trace in regular) / columns)
    if share < 2:
        return figure
    return {**figure, "data": [_coarse(trace, share) if "dx" in trace else trace for trace in figure["data"]]}


def _coarse(trace: Trace, share: int) -> Trace:
    """Means over `share` steps; the last one is over those that are left, and ends where the trace did."""
    *values, _ = trace["y"]  # the last is repeated at the end of its step
    firsts = range(0, len(values), share)
    means = [fmean(values[first : first + share]) for first in firsts]
    times = [stamp(_edge(trace, number)) for number in (*firsts, len(values))]
    kept = {key: value for key, value in trace.items() if key not in {"x0", "dx", "customdata"}}
    return kept | {"x": times, "y": [*means, means[-1]]}


def _start(trace: Trace) -> datetime:
    return datetime.fromisoformat(trace["x0"])


def _width(trace: Trace) -> timedelta:
    return timedelta(milliseconds=trace["dx"])


def _edge(trace: Trace, number: int) -> datetime:
    return _start(trace) + number * _width(trace)
