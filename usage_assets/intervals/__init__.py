"""Pure mathematics of intervals on LazyFrames: no site, no Dagster, no input or output.

Conventions, here and everywhere: an interval is half-open, `[start_at, end_at)`; instants are naive `Datetime("us")`
and mean UTC; a null end is an open one. Functions take closed intervals unless they say otherwise: use `close` first.
"""

from usage_assets.intervals.algebra import (
    assign_owner,
    clip,
    close,
    following,
    intersect,
    is_empty,
    is_first,
    materialize,
    merge_touching,
    subtract,
    union,
)
from usage_assets.intervals.fill import fill_between
from usage_assets.intervals.leadtime import projected
from usage_assets.intervals.priority import Policy, Ranked, resolve
from usage_assets.intervals.steps import bucket_edges, held_values, integrate, step_function

__all__ = [
    "Policy",
    "Ranked",
    "assign_owner",
    "bucket_edges",
    "clip",
    "close",
    "fill_between",
    "following",
    "held_values",
    "integrate",
    "intersect",
    "is_empty",
    "is_first",
    "materialize",
    "merge_touching",
    "projected",
    "resolve",
    "step_function",
    "subtract",
    "union",
]
