"""Facts and timelines of random sites equal what the rules say when asked instant by instant."""

import random

import duckdb
import polars as pl
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.kinds.openstack.facts import build_facts, read_inputs
from usage_assets.kinds.openstack.facts.build import METRICS_OF
from usage_assets.schema import violations
from usage_assets.timelines.tables import USAGE, USAGE_STEPS
from usage_assets.warehouse.bookkeeping import ACCOUNTS
from usage_assets_tests.golden.compare import build, differences, oracle
from usage_assets_tests.golden.random_site import random_case
from usage_assets_tests.golden.worked import scratch
from usage_assets_tests.properties import examples

SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, print_blob=True)
TABLES = {"intervals": INTERVALS, "rejects": REJECTS, "accounts": ACCOUNTS, "usage": USAGE, "steps": USAGE_STEPS}


@given(rng=st.randoms(use_true_random=False))
@example(rng=random.Random(9000000080))  # two lives of a host with an odd number of microseconds between them
@examples(25, like=SLOW)
def test_values_hours_and_the_fate_of_every_row_are_those_of_the_rules(rng: random.Random):
    case = random_case(rng)
    built = build(case.site, case.rows, case.months, case.extracted, scratch())
    for month in case.months:
        extracted = case.extracted[month]
        expected = oracle(case.site, case.rows, month, extracted)
        assert differences(expected, built, month, extracted, case.site.bucket_minutes) == []


@given(seed=st.integers(0, 2**32))
@examples(6, like=SLOW)
def test_months_built_one_by_one_equal_the_range_and_keep_the_contract_of_their_tables(seed: int):
    case = random_case(random.Random(seed))
    whole = _frames(build(case.site, case.rows, case.months, case.extracted, scratch()))
    apart = [
        _frames(build(case.site, case.rows, [month], case.extracted, scratch())) for month in reversed(case.months)
    ]
    with duckdb.connect(":memory:") as con:
        for name, frame in whole.items():
            parts = pl.concat([frames[name] for frames in apart])
            assert_frame_equal(parts, frame, check_row_order=False, check_exact=True)
            con.register("frame", frame.to_arrow())
            assert violations(con, "frame", TABLES[name]) == []


@given(seed=st.integers(0, 2**32))
@examples(3, like=SLOW)
def test_a_fact_asset_built_alone_has_the_rows_it_has_among_all(seed: int):
    case = random_case(random.Random(seed))
    raw = read_inputs(scratch().reader(case.rows, case.site, case.months, case.extracted), case.site, case.months)
    whole = build_facts(case.site, case.months, raw, case.extracted)
    for asset, metrics in METRICS_OF.items():
        alone = build_facts(case.site, case.months, raw, case.extracted, only={asset})
        for mine, every in ((alone.intervals, whole.intervals), (alone.rejects, whole.rejects)):
            assert_frame_equal(mine, every.filter(pl.col("metric").is_in(metrics)), check_row_order=False)
        assert_frame_equal(
            alone.accounts, whole.accounts.filter(asset=f"openstack/facts/{asset}"), check_row_order=False
        )


def _frames(built) -> dict[str, pl.DataFrame]:
    facts, usage = built
    return {
        "intervals": facts.intervals,
        "rejects": facts.rejects,
        "accounts": facts.accounts,
        "usage": usage.usage,
        "steps": usage.steps,
    }
