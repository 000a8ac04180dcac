from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from usage_assets.kinds.htcondor.facts.build import MonthFacts, added_reasons, month_facts
from usage_assets.kinds.htcondor.facts.incremental import addition
from usage_assets.kinds.htcondor.facts.rows import Polled
from usage_assets_tests.golden.pools import MONTH, facts_of, frame, polled_of, row
from usage_assets_tests.golden.random_pool import POOL, pool_rows
from usage_assets_tests.properties import examples


def extend(stored: MonthFacts, polled: Polled) -> MonthFacts:
    """The month's facts with later polls."""
    if stored.polls.is_empty() or polled.polls.is_empty():
        return month_facts(POOL, "pool", MONTH, polled) if stored.polls.is_empty() else stored
    last = stored.polls.select(pl.col("poll_at").max()).item()
    is_open, spans = pl.col("end_at") > last, ("runs", "intervals", "rejects")
    tail = {name: getattr(stored, name).filter(is_open) for name in spans}
    tail |= {"polls": stored.polls.filter(poll_at=last), "performance": stored.performance.clear()}
    added = addition(POOL, "pool", MONTH, replace(stored, **tail), polled)
    return MonthFacts(
        polls=pl.concat([stored.polls, added.polls]),
        performance=pl.concat([stored.performance, added.performance]),
        rows_kept=stored.rows_kept + added.rows_kept,
        reasons=added_reasons([stored.reasons, added.reasons]),
        **{name: pl.concat([getattr(stored, name).filter(~is_open), getattr(added, name)]) for name in spans},
    )


def assert_same(left: MonthFacts, right: MonthFacts) -> None:
    for name in ("polls", "runs", "performance", "intervals", "rejects"):
        assert_frame_equal(getattr(left, name), getattr(right, name), check_row_order=False, check_exact=True)
    assert (left.rows_kept, left.reasons) == (right.rows_kept, right.reasons)


@examples(200)
@given(pool_rows(), st.data())
def test_polls_added_one_by_one_give_the_facts_of_the_whole_month(rows: list[dict], data: st.DataObject) -> None:
    polls = sorted({one["poll_at"] for one in rows})
    cuts = [0, *sorted(data.draw(st.sets(st.sampled_from(range(len(polls))), max_size=4))), len(polls)]
    found = facts_of([], POOL)
    for first, until in pairwise(cuts):
        part = [one for one in rows if one["poll_at"] in polls[first:until]]
        found = extend(found, polled_of(frame(part)))
    assert_same(found, facts_of(rows, POOL))


def test_an_earlier_poll_asks_for_the_month_anew() -> None:
    stored = facts_of([row(0, "slot1@h1", "CUDA0"), row(15, "slot1@h1", "CUDA0")], POOL)
    with pytest.raises(ValueError, match="build the month anew"):
        extend(stored, polled_of(frame([row(15, "slot1@h1", "CUDA0")])))


def test_a_state_that_goes_on_is_one_run() -> None:
    stored = facts_of([row(0, "slot1@h1", "CUDA0"), row(15, "slot1@h1", "CUDA0")], POOL)
    found = extend(stored, polled_of(frame([row(31, "slot1@h1", "CUDA0")])))
    assert found.runs.select("polls", hours=(pl.col("end_at") - pl.col("start_at"))).rows() == [
        (3, timedelta(minutes=46))
    ]
