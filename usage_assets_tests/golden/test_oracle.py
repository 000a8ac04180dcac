"""Facts and timelines of random sites equal what the rules say when asked instant by instant."""

import random

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from usage_assets_tests.golden.compare import build, differences, oracle
from usage_assets_tests.golden.random_site import random_case
from usage_assets_tests.golden.stores import Scratch

SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, print_blob=True)


@pytest.fixture(scope="module")
def scratch() -> Scratch:
    return Scratch()


@given(rng=st.randoms(use_true_random=False))
@settings(SLOW, max_examples=25)
def test_values_hours_and_the_fate_of_every_row_are_those_of_the_rules(scratch: Scratch, rng: random.Random):
    case = random_case(rng)
    facts, usage = build(case.site, case.rows, case.months, case.extracted, scratch)
    for month in case.months:
        expected = oracle(case.site, case.rows, month, case.extracted[month])
        assert differences(expected, facts, usage, month, case.extracted[month]) == []


@given(seed=st.integers(0, 2**32))
@settings(SLOW, max_examples=8)
def test_months_built_one_by_one_equal_the_range(scratch: Scratch, seed: int):
    case = random_case(random.Random(seed))
    whole = _frames(build(case.site, case.rows, case.months, case.extracted, scratch))
    apart = [_frames(build(case.site, case.rows, [month], case.extracted, scratch)) for month in reversed(case.months)]
    for name, frame in whole.items():
        parts = pl.concat([frames[name] for frames in apart])
        assert_frame_equal(parts, frame, check_row_order=False, check_exact=True)


def _frames(built) -> dict[str, pl.DataFrame]:
    facts, usage = built
    return {
        "intervals": facts.intervals,
        "rejects": facts.rejects,
        "accounts": facts.accounts,
        "usage": usage.usage,
        "steps": usage.steps,
    }
