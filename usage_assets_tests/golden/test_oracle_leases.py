"""Leases of random queues equal what the rules say of each, one by one."""

import random
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from usage_assets.kinds.openstack.facts.leases import build_leases, read_leases
from usage_assets_tests.golden.oracle_leases import Lead, leads
from usage_assets_tests.golden.random_leases import FIRST, Queue, random_queue, shown
from usage_assets_tests.golden.raw_months import month_rows
from usage_assets_tests.golden.test_oracle import SLOW
from usage_assets_tests.golden.worked import scratch
from usage_assets_tests.properties import examples

_COLUMNS = ("lease_id", "outcome", "requested", "effective", "basis", "projected", "is_censored")


def differences(queue: Queue) -> list[str]:
    """Leases in which the package and the oracle differ."""
    site, extracted = queue.site, {FIRST: queue.extracted}
    raw = read_leases(scratch().reader(queue.rows, site, [FIRST], extracted), site, [FIRST])
    made = build_leases(site, [FIRST], raw, extracted).rows
    found = {lease: _rounded(Lead(*rest)) for lease, *rest in made.select(_COLUMNS).iter_rows()}
    wanted = leads(
        month_rows(queue.rows, FIRST, site.first_month),
        FIRST,
        queue.extracted,
        cleaning=timedelta(minutes=site.cleaning_minutes),
        horizon=timedelta(days=site.leadtime_horizon_days),
    )
    every = sorted({*found, *wanted})
    return [
        f"{lease}: package {found.get(lease)}, oracle {_rounded(wanted[lease]) if lease in wanted else None}"
        for lease in every
        if lease not in wanted or found.get(lease) != _rounded(wanted[lease])
    ]


def _rounded(lead: Lead) -> Lead:
    def near(hours: float | None) -> float | None:
        return None if hours is None else round(hours, 6)

    return Lead(
        lead.outcome, near(lead.requested), near(lead.effective), lead.basis, near(lead.projected), lead.is_censored
    )


@given(seed=st.integers(0, 2**32))
@examples(25, like=SLOW)
def test_every_lease_has_the_outcome_and_the_waits_of_the_rules(seed: int):
    queue = random_queue(random.Random(seed))
    assert differences(queue) == [], shown(queue)
