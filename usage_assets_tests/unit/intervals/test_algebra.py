"""Half-open intervals, null end = open: clip, intersect, union, subtract, and who owns an instant.

Each property is checked hour by hour against the rows themselves.
"""

import polars as pl
from hypothesis import given
from polars.testing import assert_frame_equal

from usage_assets.intervals import assign_owner, clip, close, intersect, merge_touching, subtract, union
from usage_assets_tests.properties import examples
from usage_assets_tests.unit.intervals.strategies import HOURS, at, covering, frame, rows


def test_an_open_interval_reaches_the_far_future():
    open_row = pl.LazyFrame({"start_at": [at(1)], "end_at": [None]}, schema_overrides={"end_at": pl.Datetime("us")})
    assert close(open_row).collect()["end_at"][0].year == 9999


def test_clipping_keeps_only_what_lies_within_the_bounds():
    clipped = clip(frame([(0, "a", 2, 9, 0), (1, "a", 0, 3, 0), (2, "a", 8, 9, 0)]), pl.lit(at(3)), pl.lit(at(8)))
    expected = frame([(0, "a", 3, 8, 0)])
    assert_frame_equal(clipped.collect(), expected.collect())


@examples(60)
@given(rows(), rows())
def test_an_intersection_covers_an_hour_where_both_sides_do(left, right):
    other = frame(right).filter(pl.col("start_at") < pl.col("end_at")).select("group", "start_at", "end_at")
    one = frame(left).filter(pl.col("start_at") < pl.col("end_at"))
    result = intersect(one, other, on=["group"]).collect()
    for group in "ab":
        for hour in range(HOURS):
            times = sum(g == group and s <= hour < e for _, g, s, e, _ in right)
            expected = sorted(n for n, g, s, e, _ in left if g == group and s <= hour < e for _ in range(times))
            assert covering(result, hour, group) == expected


@examples(60)
@given(rows())
def test_a_union_covers_each_hour_once_where_any_row_does(drawn):
    result = union(frame(drawn), by=["group"]).with_columns(id=pl.lit(0)).collect()
    for group in "ab":
        for hour in range(HOURS):
            covered = any(g == group and s <= hour < e for _, g, s, e, _ in drawn)
            assert covering(result, hour, group) == ([0] if covered else [])


@examples(60)
@given(rows())
def test_the_pieces_of_a_union_do_not_touch(drawn):
    pieces = union(frame(drawn), by=["group"]).sort("group", "start_at").collect()
    gaps = pieces.select(gap=(pl.col("start_at") > pl.col("end_at").shift(1)).over("group"))["gap"]
    assert gaps.drop_nulls().all()


@examples(60)
@given(rows(), rows())
def test_subtracting_leaves_the_hours_that_no_hole_covers(left, holes):
    one = frame(left).filter(pl.col("start_at") < pl.col("end_at"))
    result = subtract(one, frame(holes).select("group", "start_at", "end_at"), on=["group"]).collect()
    for group in "ab":
        for hour in range(HOURS):
            in_hole = any(g == group and s <= hour < e for _, g, s, e, _ in holes)
            expected = sorted(n for n, g, s, e, _ in left if g == group and s <= hour < e and not in_hole)
            assert covering(result, hour, group) == expected


@examples(60)
@given(rows())
def test_an_hour_belongs_to_the_covering_row_of_greatest_rank(drawn):
    result = assign_owner(frame(drawn), by=["group"], rank=["rank", "id"]).collect()
    for group in "ab":
        for hour in range(HOURS):
            over = [(rank, n) for n, g, s, e, rank in drawn if g == group and s <= hour < e]
            assert covering(result, hour, group) == ([max(over)[1]] if over else [])


@examples(60)
@given(rows())
def test_the_pieces_that_a_row_owns_do_not_touch(drawn):
    pieces = assign_owner(frame(drawn), by=["group"], rank=["rank", "id"]).sort("id", "start_at").collect()
    gaps = pieces.select(gap=(pl.col("start_at") > pl.col("end_at").shift(1)).over("id"))["gap"]
    assert gaps.drop_nulls().all()


def test_a_null_rank_is_the_lowest():
    data = frame([(0, "a", 0, 9, 0), (1, "a", 0, 9, 1)]).with_columns(
        rank=pl.when(pl.col("id") == 1).then(None).otherwise("rank")
    )
    assert assign_owner(data, by=["group"], rank=["rank"]).collect()["id"].to_list() == [0]


@examples(60)
@given(rows(groups=1))
def test_cutting_and_merging_gives_the_same_hours(drawn):
    one = frame(drawn).filter(pl.col("start_at") < pl.col("end_at"))
    hourly = pl.concat([clip(one, pl.lit(at(hour)), pl.lit(at(hour + 1))) for hour in range(HOURS)])
    merged = merge_touching(hourly, by=["id", "group", "rank"])
    assert_frame_equal(merged.sort("id").collect(), one.sort("id").collect())
