"""Which source is believed: authoritative, gap_fill, supplement; on literal frames, and hour by hour on random ones."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.intervals import Policy, Ranked, assign_owner, resolve
from usage_assets_tests.properties import examples
from usage_assets_tests.unit.intervals.strategies import HOURS, at, covering, frame, rows

POLICIES: tuple[Policy, ...] = ("authoritative", "gap_fill", "supplement")
Plain = list[tuple[str, int, int]]


def source(drawn: Plain, policy: Policy) -> Ranked:
    return Ranked(frame([(n, group, start, end, 0) for n, (group, start, end) in enumerate(drawn)]), policy)


def said(frames: list[pl.LazyFrame]) -> list[Plain]:
    """Entity, first hour and last hour of what counts of each source."""
    hours = [(pl.col(name) - pl.lit(at(0))).dt.total_hours() for name in ("start_at", "end_at")]
    return [sorted(one.select("group", *hours).collect().rows()) for one in frames]


NOVA: Plain = [("a", 0, 4), ("a", 8, 12)]


@pytest.mark.parametrize(
    ("policy", "other", "nova", "counts"),
    [
        ("authoritative", [("a", 2, 10)], [("a", 0, 2), ("a", 10, 12)], [("a", 2, 10)]),
        ("authoritative", [("b", 2, 10)], NOVA, [("b", 2, 10)]),
        ("gap_fill", [("a", 2, 10)], NOVA, [("a", 4, 8)]),
        ("gap_fill", [("a", 1, 3)], NOVA, []),
        ("gap_fill", [("b", 2, 10)], NOVA, [("b", 2, 10)]),
        ("supplement", [("a", 14, 16)], NOVA, []),
        ("supplement", [("b", 2, 10), ("a", 14, 16)], NOVA, [("b", 2, 10)]),
    ],
)
def test_a_second_source_counts_as_far_as_its_policy_goes(policy: Policy, other: Plain, nova: Plain, counts: Plain):
    assert said(resolve([source(NOVA, "authoritative"), source(other, policy)], by=["group"])) == [nova, counts]


def test_a_source_fills_what_all_before_it_leave_and_the_order_decides():
    services, inventory = [("a", 2, 6)], [("a", 0, 16)]
    sources = [source(NOVA, "authoritative"), source(services, "gap_fill"), source(inventory, "gap_fill")]
    assert said(resolve(sources, by=["group"])) == [NOVA, [("a", 4, 6)], [("a", 6, 8), ("a", 12, 16)]]
    swapped = [sources[0], sources[2], sources[1]]
    assert said(resolve(swapped, by=["group"])) == [NOVA, [("a", 4, 8), ("a", 12, 16)], []]


def test_an_entity_that_a_later_authority_took_over_is_known_to_a_supplement():
    sources = [source([("a", 0, 4)], "authoritative"), source([("a", 0, 4)], "authoritative")]
    assert said(resolve([*sources, source([("a", 6, 8)], "supplement")], by=["group"])) == [[], [("a", 0, 4)], []]


def test_a_source_alone_is_itself_whatever_its_policy():
    for policy in POLICIES:
        assert said(resolve([source(NOVA, policy)], by=["group"])) == [NOVA]


@st.composite
def ranked(draw: st.DrawFn) -> list[tuple[list, Policy]]:
    """One to four sources: their rows, not yet disjoint, and their policies."""
    count = draw(st.integers(1, 4))
    return [(draw(rows(size=4)), draw(st.sampled_from(POLICIES))) for _ in range(count)]


def built(drawn: list[tuple[list, Policy]]) -> list[pl.LazyFrame]:
    return resolve(
        [Ranked(assign_owner(frame(one), by=["group"], rank=["rank", "id"]), policy) for one, policy in drawn],
        by=["group"],
    )


def believed(drawn: list[tuple[list, Policy]], group: str, hour: int) -> int | None:
    """Which source decides an hour of an entity, by going through them in order."""
    found: int | None = None
    known = False
    for number, (one, policy) in enumerate(drawn):
        ours = [(start, end) for _, g, start, end, _ in one if g == group and start < end]
        covers = any(start <= hour < end for start, end in ours)
        if covers and (
            number == 0
            or policy == "authoritative"
            or (policy == "gap_fill" and found is None)
            or (policy == "supplement" and not known)
        ):
            found = number
        known = known or bool(ours)
    return found


@examples(60)
@given(ranked())
def test_each_hour_of_an_entity_counts_once_for_the_source_that_decides_it(drawn):
    result = [one.collect() for one in built(drawn)]
    for group in "ab":
        for hour in range(HOURS):
            covers = [number for number, one in enumerate(result) for _ in covering(one, hour, group)]
            decides = believed(drawn, group, hour)
            assert covers == ([] if decides is None else [decides])


@examples(60)
@given(ranked())
def test_gaps_filled_cover_what_all_sources_cover_together_and_leave_earlier_ones_untouched(drawn):
    filling: list[tuple[list, Policy]] = [
        (one, "gap_fill" if number else "authoritative") for number, (one, _) in enumerate(drawn)
    ]
    result = [one.collect() for one in built(filling)]
    first = assign_owner(frame(drawn[0][0]), by=["group"], rank=["rank", "id"]).sort("group", "start_at").collect()
    assert result[0].sort("group", "start_at").equals(first)
    for group in "ab":
        for hour in range(HOURS):
            anyone = any(g == group and s <= hour < e for one, _ in drawn for _, g, s, e, _ in one)
            assert sum(len(covering(one, hour, group)) for one in result) == int(anyone)
