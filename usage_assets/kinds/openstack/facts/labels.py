"""Labels: capabilities of hosts and devices over time. A label counts from its creation to its deletion.

Before its first label an owner has that one. Services mark rows one after the other: a label that ends within a minute
of the next one's start, or of its owner's end, lasts until then. A value that the source overwrote in place has no
history: each month has the one that was stored with it.
"""

from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from usage_assets.intervals import assign_owner, close, following, is_empty, is_first, materialize
from usage_assets.intervals.algebra import FAR_FUTURE, FAR_PAST

OWNER = ["month", "owner_id"]
CAPABILITY: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "owner_id": pl.String(),
    "name": pl.String(),
    "value": pl.String(),
    "history": pl.List(
        pl.Struct({"id": pl.String, "value": pl.String, "start_at": pl.Datetime("us"), "end_at": pl.Datetime("us")})
    ),
}
"""Grain: month, owner and name. `history` has the rows where there are several or one that ended, else it is null."""
_TOGETHER = timedelta(minutes=1)
_FIRST, _LAST = (pl.lit(at, dtype=pl.Datetime("us")) for at in (FAR_PAST, FAR_FUTURE))


def labels(capabilities: pl.LazyFrame, names: Mapping[str, str], owners: pl.LazyFrame) -> pl.LazyFrame:
    """Labels of each owner at every instant: month, owner_id, start_at, end_at and a column per name.

    `names` are names of capabilities and the columns for their values, `owners` has month, owner_id and ended (open =
    null). The pieces of an owner cover all time; one that never changed has one.
    """
    known = materialize(
        capabilities.filter(pl.col("name").is_in(list(names)))
        .join(owners.select(*OWNER, "ended").unique(OWNER), on=OWNER, how="left")
        .with_columns(history=pl.when(~_is_lasting()).then("history"))
        .drop("ended")
    )
    steady = known.group_by(OWNER).agg(
        pl.col("value").filter((pl.col("name") == name) & pl.col("history").is_null()).first().alias(column)
        for name, column in names.items()
    )
    changed = materialize(known.filter(pl.col("history").is_not_null()).drop("value"))
    if is_empty(changed):
        return steady.with_columns(start_at=_FIRST, end_at=_LAST)
    steady = materialize(steady)
    pieces = materialize(_pieces(changed, owners))
    relabelled = pieces.select(OWNER).unique()
    covering = (pl.col("start_at") <= pl.col("_from")) & (pl.col("end_at") >= pl.col("_until"))
    over_time = (
        _between_changes(pieces)
        .join(pieces, on=OWNER, how="inner")
        .group_by([*OWNER, "_from", "_until"])
        .agg(
            pl.col("value").filter(covering & (pl.col("name") == name)).first().alias(f"_{column}")
            for name, column in names.items()
        )
        .join(steady, on=OWNER, how="left")
        .with_columns(pl.coalesce(f"_{column}", column).alias(column) for column in names.values())
        .rename({"_from": "start_at", "_until": "end_at"})
    )
    others = steady.join(relabelled, on=OWNER, how="anti").with_columns(start_at=_FIRST, end_at=_LAST)
    return pl.concat([others, over_time.select(others.collect_schema().names())])


def labelled(pieces: pl.LazyFrame, over_time: pl.LazyFrame, owner: str) -> pl.LazyFrame:
    """Pieces (month, column `owner`, start_at, end_at) cut where their owner's labels change, with its labels."""
    found = over_time.rename({"start_at": "_from", "end_at": "_until"})
    joined = pieces.join(found, left_on=["month", owner], right_on=OWNER, how="left")
    start, end = pl.max_horizontal("start_at", "_from"), pl.min_horizontal("end_at", "_until")
    return joined.filter(start < end).with_columns(start_at=start, end_at=end).drop("_from", "_until")


def _is_lasting() -> pl.Expr:
    """Whether a label is the only one that its owner ever had, and ended with it: most of machines that are gone."""
    only = pl.col("history").list.first().struct
    starts, ends = only.field("start_at").fill_null(_FIRST), only.field("end_at")
    ends_together = (pl.col("ended") - ends <= _TOGETHER).fill_null(value=False)
    return (pl.col("history").list.len() == 1).fill_null(value=False) & (starts < ends) & ends_together


def _pieces(changed: pl.LazyFrame, owners: pl.LazyFrame) -> pl.LazyFrame:
    """The time in which each label counts: month, owner_id, name, value, disjoint `[start_at, end_at)`."""
    keys = [*OWNER, "name"]
    rows = changed.explode("history").unnest("history").with_columns(pl.col("start_at").fill_null(_FIRST))
    own = assign_owner(close(rows).with_columns(created="start_at"), by=keys, rank=["created", "id"]).sort(
        [*keys, "start_at"]
    )
    first = is_first(keys)
    after = following("start_at", keys)
    return (
        own.with_columns(
            start_at=pl.when(first).then(_FIRST).otherwise("start_at"),
            end_at=pl.when(after - pl.col("end_at") <= _TOGETHER).then(after).otherwise("end_at"),
        )
        .join(owners.select(*OWNER, "ended").unique(OWNER), on=OWNER, how="left")
        .with_columns(
            end_at=pl.when((pl.col("ended") - pl.col("end_at") <= _TOGETHER) & after.is_null())
            .then(_LAST)
            .otherwise("end_at")
        )
        .drop("ended", "created", "id")
    )


def _between_changes(pieces: pl.LazyFrame) -> pl.LazyFrame:
    """All time of each owner, cut where any of its labels begins or ends: month, owner_id, _from, _until."""
    edges = pl.concat(pieces.select(*OWNER, _from=edge) for edge in ("start_at", "end_at", _LAST)).unique()
    return edges.sort([*OWNER, "_from"]).with_columns(_until=following("_from", OWNER)).drop_nulls("_until")
