"""Clip, intersect, subtract, union, and who owns an instant that several rows cover."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import polars as pl

FAR_PAST = datetime(1900, 1, 1)
FAR_FUTURE = datetime(9999, 1, 1)

# a month is small and its plans are many: the streaming engine's start-up doubles the time of a nightly run
ENGINE: Literal["in-memory"] = "in-memory"

_start, _end = pl.col("start_at"), pl.col("end_at")


def materialize(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The same rows, computed now.

    A plan that reads a frame at several places repeats what leads there, at every level; plans of the rules grew to
    thousands of nodes, and planning took longer than computing. So a function that branches computes its input first.
    """
    return frame.collect(engine=ENGINE).lazy()


def is_empty(frame: pl.LazyFrame) -> bool:
    """Whether a frame has no row."""
    return frame.head(1).collect(engine=ENGINE).is_empty()


def close(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The same intervals, open ends moved to the far future."""
    return frame.with_columns(_end.fill_null(pl.lit(FAR_FUTURE, dtype=pl.Datetime("us"))))


def clip(frame: pl.LazyFrame, lower: pl.Expr, upper: pl.Expr) -> pl.LazyFrame:
    """Intervals cut to `[lower, upper)`; what lies outside is left out."""
    return frame.with_columns(start_at=pl.max_horizontal(_start, lower), end_at=pl.min_horizontal(_end, upper)).filter(
        _start < _end
    )


def intersect(left: pl.LazyFrame, right: pl.LazyFrame, *, on: Sequence[str]) -> pl.LazyFrame:
    """Every piece of `left` that a row of `right` with the same keys covers, with the columns of both.

    Rows of `right` that overlap each other give overlapping pieces.
    """
    other = right.rename({"start_at": "_other_start", "end_at": "_other_end"})
    joined = left.join(other, on=list(on), how="inner")
    return clip(joined, pl.col("_other_start"), pl.col("_other_end")).drop("_other_start", "_other_end")


def is_first(keys: Sequence[str]) -> pl.Expr:
    """Of rows sorted by `keys`: the first of its group. Far cheaper than a window over many small groups."""
    return pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in keys)


def following(column: str, keys: Sequence[str]) -> pl.Expr:
    """Of rows sorted by `keys`: the column in the next row of the group, null in the last."""
    return pl.when(~is_first(keys).shift(-1).fill_null(value=True)).then(pl.col(column).shift(-1))


def union(frame: pl.LazyFrame, *, by: Sequence[str], touching: bool = True) -> pl.LazyFrame:
    """Disjoint intervals that cover, per group, exactly what the rows of the group cover together.

    Intervals that touch become one; with `touching` false they stay two, as open intervals do.
    """
    keys = list(by)
    alone, several = _split(frame.filter(_start < _end).select(*keys, "start_at", "end_at"), keys)
    merged = (
        _with_islands(several, keys, touching=touching)
        .group_by([*keys, "_island"])
        .agg(_start.min(), _end.max())
        .drop("_island")
    )
    return pl.concat([alone, merged])


def subtract(frame: pl.LazyFrame, holes: pl.LazyFrame, *, on: Sequence[str]) -> pl.LazyFrame:
    """The parts of each row that no hole with the same keys covers; a row's pieces keep its columns."""
    keys = list(on)
    rows = materialize(frame.with_row_index("_row"))
    merged = union(holes, by=keys).rename({"start_at": "_hole_start", "end_at": "_hole_end"})
    pierced = materialize(
        rows.select("_row", *keys, "start_at", "end_at")
        .join(merged, on=keys, how="inner")
        .filter((pl.col("_hole_start") < _end) & (pl.col("_hole_end") > _start))
        .sort("_row", "_hole_start")
    )
    before = pierced.select(
        "_row",
        piece_start=pl.when(is_first(["_row"])).then(_start).otherwise(pl.col("_hole_end").shift(1)),
        piece_end="_hole_start",
    )
    after = pierced.group_by("_row").agg(piece_start=pl.col("_hole_end").max(), piece_end=_end.first())
    pieces = pl.concat([before, after]).filter(pl.col("piece_start") < pl.col("piece_end"))
    whole = rows.join(pierced.select("_row").unique(), on="_row", how="anti")
    cut = (
        rows.drop("start_at", "end_at")
        .join(pieces.rename({"piece_start": "start_at", "piece_end": "end_at"}), on="_row", how="inner")
        .select(whole.collect_schema().names())
    )
    return pl.concat([whole, cut]).drop("_row")


def assign_owner(frame: pl.LazyFrame, *, by: Sequence[str], rank: Sequence[str]) -> pl.LazyFrame:
    """The parts of each row that it owns: an instant that rows of a group share belongs to the greatest rank.

    `rank` columns decide from first to last, nulls lowest; rows alike in all of them are told apart by their order.
    The result's pieces of one row do not touch each other and keep the row's columns.
    """
    keys = list(by)
    rows = materialize(frame.filter(_start < _end).with_row_index("_row"))
    narrow = rows.select("_row", *keys, *_others(rank, keys), "start_at", "end_at")
    single, several = _split(narrow, keys)
    alone, shared = _split(_with_islands(several, keys, touching=False), ["_island"])
    columns_of_piece = ["_row", "start_at", "end_at"]
    pieces = pl.concat([single.select(columns_of_piece), alone.select(columns_of_piece), _resolve(shared, list(rank))])
    columns = frame.collect_schema().names()
    return pieces.join(rows.drop("start_at", "end_at"), on="_row", how="inner").select(columns)


def merge_touching(frame: pl.LazyFrame, *, by: Sequence[str]) -> pl.LazyFrame:
    """Pieces alike in `by` that touch become one; other columns are taken from the first piece."""
    keys = list(by)
    ordered = frame.sort([*keys, "start_at"])
    fresh = is_first(keys) | (_start != _end.shift(1))
    others = [name for name in frame.collect_schema().names() if name not in {*keys, "start_at", "end_at"}]
    return (
        ordered.with_columns(_run=fresh.cast(pl.Int64).cum_sum())
        .group_by([*keys, "_run"])
        .agg(*(pl.col(name).first() for name in others), _start.min(), _end.max())
        .select(frame.collect_schema().names())
    )


def _split(frame: pl.LazyFrame, keys: list[str]) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Rows alone in their group, and rows in groups of several."""
    marked = materialize(frame.with_columns(_several=pl.struct(keys).is_duplicated()))
    return marked.filter(~pl.col("_several")).drop("_several"), marked.filter("_several").drop("_several")


def _others(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    return [name for name in names if name not in {*taken, "start_at", "end_at"}]


def _with_islands(frame: pl.LazyFrame, keys: list[str], *, touching: bool) -> pl.LazyFrame:
    """Number the connected stretches of each group; `touching` ones are one stretch or two."""
    ordered = frame.sort([*keys, "start_at"])
    reach = _end.cum_max().shift(1).over(keys)
    apart = _start > reach if touching else _start >= reach
    return ordered.with_columns(_island=apart.fill_null(value=True).cast(pl.Int64).cum_sum())


def _resolve(shared: pl.LazyFrame, rank: list[str]) -> pl.LazyFrame:
    """Pieces per row of stretches in which rows overlap: cut at every edge, give each piece to the greatest rank."""
    island = ["_island"]
    ranked = shared.sort([*rank, "_row"], nulls_last=False).with_row_index("_rank")
    edges = (
        pl.concat([shared.select(*island, at=_start), shared.select(*island, at=_end)])
        .unique()
        .sort([*island, "at"])
        .with_columns(until=pl.when(pl.col("_island") == pl.col("_island").shift(-1)).then(pl.col("at").shift(-1)))
        .filter(pl.col("until").is_not_null())
    )
    winners = (
        edges.join(ranked.select(*island, "_rank", "_row", "start_at", "end_at"), on=island, how="inner")
        .filter((_start <= pl.col("at")) & (_end >= pl.col("until")))
        .group_by([*island, "at", "until"])
        .agg(pl.col("_row").sort_by("_rank").last())
        .select("_row", start_at="at", end_at="until")
    )
    return merge_touching(winners, by=["_row"])
