"""Long histories for a picture: no finer than the picture has pixels. The page keeps every value."""

from math import ceil
from statistics import fmean

from usage_assets.reports.frame import regular, stamp
from usage_assets.specs.plot_context import Figure, Trace


def thinned(figure: Figure, columns: int) -> Figure:
    """The figure; where regular steps are more than the picture's columns, means of as many as share one.

    What a browser draws of ten years of days looks the same, and takes it half the time.
    """
    steps = [(*regular(trace), len(trace["y"]) - 1) for trace in figure["data"] if _is_steps(trace)]
    if not steps:
        return figure
    first, last = min(start for start, _, _ in steps), max(start + width * count for start, width, count in steps)
    share = ceil((last - first) / min(width for _, width, _ in steps) / columns)
    if share < 2:
        return figure
    return {**figure, "data": [_coarse(trace, share) if _is_steps(trace) else trace for trace in figure["data"]]}


def _is_steps(trace: Trace) -> bool:
    """Whether a trace is regular steps (`steps.points_of`); cells of a heat map stand in regular columns too."""
    return trace["type"] == "scatter" and "dx" in trace


def _coarse(trace: Trace, share: int) -> Trace:
    """Means over `share` steps; the last one is over those that are left, and ends where the trace did."""
    start, width = regular(trace)
    *values, _ = trace["y"]  # the last is repeated at the end of its step
    firsts = range(0, len(values), share)
    means = [fmean(values[first : first + share]) for first in firsts]
    times = [stamp(start + number * width) for number in (*firsts, len(values))]
    kept = {key: value for key, value in trace.items() if key not in {"x0", "dx", "customdata"}}
    return kept | {"x": times, "y": [*means, means[-1]]}
