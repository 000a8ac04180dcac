"""Several sources of the same intervals, combined by the policy of each."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import polars as pl

from usage_assets.intervals.algebra import materialize, subtract

Policy = Literal["authoritative", "gap_fill", "supplement"]


class Ranked(NamedTuple):
    """Disjoint intervals per entity, and how far they are believed beside those of the sources before them."""

    intervals: pl.LazyFrame
    policy: Policy


def resolve(sources: Sequence[Ranked], *, by: Sequence[str]) -> list[pl.LazyFrame]:
    """What counts of each source, in their order: together disjoint per entity (the columns `by`).

    `authoritative` decides wherever it knows anything: it replaces what earlier sources say of an entity at the times
    that it covers. `gap_fill` counts only where no earlier source covers the entity at that time. `supplement` counts
    only for entities of which no earlier source knows anything at any time. Columns of the frames may differ.
    """
    keys = list(by)
    counting: list[pl.LazyFrame] = []
    known: list[pl.LazyFrame] = []
    for intervals, policy in sources:
        rows = materialize(intervals)
        spans = rows.select(*keys, "start_at", "end_at")
        if not counting:
            counts = rows
        elif policy == "authoritative":
            counting = [materialize(subtract(earlier, spans, on=keys)) for earlier in counting]
            counts = rows
        elif policy == "gap_fill":
            covered = pl.concat([earlier.select(*keys, "start_at", "end_at") for earlier in counting])
            counts = materialize(subtract(rows, covered, on=keys))
        else:
            counts = materialize(rows.join(pl.concat(known).unique(), on=keys, how="anti"))
        counting.append(counts)
        known.append(rows.select(keys))
    return counting
