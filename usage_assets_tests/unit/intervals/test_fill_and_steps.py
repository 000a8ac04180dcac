"""What holds between the rows that say it; step functions, and their integrals over buckets."""

import polars as pl
import pytest
from hypothesis import given
from polars.testing import assert_frame_equal

from usage_assets.intervals import bucket_edges, fill_between, integrate, step_function
from usage_assets.intervals.algebra import FAR_FUTURE, FAR_PAST
from usage_assets_tests.properties import examples
from usage_assets_tests.unit.intervals.strategies import HOURS, at, frame, rows

SEGMENTS = [(0, "a", 2, 4, 0), (1, "a", 10, 12, 0)]


def test_a_gap_belongs_to_the_row_before_it_and_the_time_before_the_first_to_the_first():
    filled = fill_between(frame(SEGMENTS), by=["group"]).select("id", "start_at", "end_at").collect()
    assert filled.rows() == [(0, FAR_PAST, at(10)), (1, at(10), FAR_FUTURE)]


def test_with_nearest_a_gap_is_split_in_its_middle():
    filled = fill_between(frame(SEGMENTS), by=["group"], nearest=True).select("id", "start_at", "end_at").collect()
    assert filled.rows() == [(0, FAR_PAST, at(7)), (1, at(7), FAR_FUTURE)]


def test_a_filled_segment_remembers_where_it_was_real():
    filled = fill_between(frame(SEGMENTS), by=["group"]).collect()
    assert filled.select("real_start_at", "real_end_at").rows() == [(at(2), at(4)), (at(10), at(12))]


def test_groups_are_filled_by_themselves():
    filled = fill_between(frame([(0, "a", 2, 4, 0), (1, "b", 6, 8, 0)]), by=["group"]).collect()
    assert filled.select("start_at", "end_at").unique().rows() == [(FAR_PAST, FAR_FUTURE)]


def _steps(drawn):
    real = frame(drawn).filter(pl.col("start_at") < pl.col("end_at")).with_columns(amount=pl.col("rank") + 0.1)
    return real, step_function(real, by=["group"], amounts=["amount"])


@examples(60)
@given(rows())
def test_a_step_function_is_the_sum_of_what_covers_each_hour(drawn):
    _, steps = _steps(drawn)
    collected = steps.sort("at").collect()
    for group in "ab":
        for hour in range(HOURS):
            before = collected.filter((pl.col("group") == group) & (pl.col("at") <= at(hour)))["amount"].to_list()
            covering = [rank + 0.1 for _, g, s, e, rank in drawn if g == group and s <= hour < e]
            assert (before[-1] if before else 0.0) == pytest.approx(sum(covering), abs=1e-9)


@examples(60)
@given(rows())
def test_a_step_function_ends_at_exactly_zero(drawn):
    _, steps = _steps(drawn)
    last = steps.sort("at").group_by("group").agg(pl.col("amount").last()).collect()
    assert last.filter(pl.col("amount") != 0).is_empty()


@examples(60)
@given(rows())
def test_the_integrals_of_all_buckets_are_the_integral_of_the_whole(drawn):
    real, steps = _steps(drawn)
    window = pl.LazyFrame({"group": ["a", "b"], "start_at": [at(0)] * 2, "end_at": [at(HOURS)] * 2}).cast(
        {"start_at": pl.Datetime("us"), "end_at": pl.Datetime("us")}
    )
    buckets = bucket_edges(window, minutes=240).select("group", "bucket_at", "until")
    hours = integrate(steps, buckets, by=["group"], amounts=["amount"]).collect()
    assert hours.height == 2 * HOURS // 4
    whole = real.select(((pl.col("end_at") - pl.col("start_at")).dt.total_hours() * pl.col("amount")).sum())
    assert hours["amount"].sum() == pytest.approx(whole.collect().item(), rel=1e-9, abs=1e-9)


def test_a_step_on_an_edge_belongs_to_the_bucket_that_begins_there():
    _, steps = _steps([(0, "a", 4, 6, 1)])
    window = pl.LazyFrame({"group": ["a"], "start_at": [at(0)], "end_at": [at(8)]}).cast(
        {"start_at": pl.Datetime("us"), "end_at": pl.Datetime("us")}
    )
    buckets = bucket_edges(window, minutes=240).select("group", "bucket_at", "until")
    hours = integrate(steps, buckets, by=["group"], amounts=["amount"]).sort("bucket_at").collect()
    assert hours["amount"].to_list() == [0.0, pytest.approx(2.2)]


def test_the_last_bucket_is_cut_at_the_end_of_its_window():
    window = pl.LazyFrame({"start_at": [at(0)], "end_at": [at(30)]}).cast(
        {"start_at": pl.Datetime("us"), "end_at": pl.Datetime("us")}
    )
    edges = bucket_edges(window, minutes=1440).select("bucket_at", "until").collect()
    expected = pl.DataFrame({"bucket_at": [at(0), at(24)], "until": [at(24), at(30)]}).cast(pl.Datetime("us"))
    assert_frame_equal(edges, expected)
