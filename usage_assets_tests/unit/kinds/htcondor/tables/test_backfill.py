"""How long GPUs stand free for backfill, and whose jobs made room."""

from datetime import timedelta

import polars as pl
import pytest

from usage_assets.kinds.htcondor.tables import backfill
from usage_assets_tests.unit.kinds.htcondor.tables.made import (
    DAY,
    Gpu,
    MadePool,
    States,
    claimed,
    every,
    idle,
    lent,
    row,
)

HOUR = timedelta(hours=1)


def spells(made: MadePool) -> list[tuple[float, float, str, bool]]:
    table = backfill.availability_spells(made.cube()).frame
    return table.select("hours_observed", "hours_used", "ended_by", "is_cut").rows()


def test_a_spell_ends_when_a_primary_job_takes_the_gpu():
    observed = [claimed(), lent(idle(), None), lent(idle()), lent(idle(), "cid"), claimed(), lent(idle(), None)]
    made = MadePool(every(15, 1.5), {("m", "0"): observed})
    assert spells(made) == [(0.75, 0.5, "primary", False), (0.25, 0, "window", True)]
    evicted = backfill.evictions_by_user(made.cube()).frame
    assert evicted.select("user", "stints", "ended", "evictions").rows() == [
        ("cid", 1, 1, 1),
        ("bob", 1, 1, 0),
        ("total", 2, 2, 1),
    ]
    assert row(evicted, user="total")["evictions_per_100_hours"] == 200


def test_a_spell_that_is_withdrawn_or_no_longer_seen_is_no_eviction():
    gpus: States = {("m", "0"): [lent(idle()), idle(), lent(idle()), None]}
    made = MadePool(every(15, 1), gpus)
    assert [how for _, _, how, _ in spells(made)] == ["withdrawn", "unseen"]
    table = row(backfill.evictions_by_machine(made.cube()).frame, machine="m")
    assert (table["stints"], table["ended"], table["evictions"]) == (2, 1, 0)


def test_a_gap_of_polls_ends_nothing_and_adds_no_hours():
    polls = [*every(15, 1), *every(15, 1, DAY + 5 * HOUR)]
    made = MadePool(polls, {("m", "0"): [lent(idle())] * 8})
    assert spells(made) == [(2, 2, "window", True)]


def test_a_change_between_jobs_of_one_user_is_one_stint_and_of_two_users_are_two():
    again = lent(idle()).with_(backfill_job="bob#3")
    made = MadePool(every(15, 1), {("m", "0"): [lent(idle()), again, lent(idle(), "cid"), claimed()]})
    assert row(backfill.evictions_by_user(made.cube()).frame, user="bob")["stints"] == 1
    assert row(backfill.evictions_by_user(made.cube()).frame, user="total")["stints"] == 2


def test_gpus_are_followed_one_by_one():
    gpus: States = {("m", "0"): [idle(), idle(), idle(), lent(idle())], ("m", "1"): [claimed()] * 4}
    made = MadePool(every(15, 1), gpus)
    assert [how for _, _, how, _ in spells(made)] == ["window"]
    assert row(backfill.evictions_by_user(made.cube()).frame, user="bob")["evictions"] == 0


def test_lengths_are_of_spells_that_the_window_does_not_cut():
    free, busy = lent(Gpu(primary_state="idle", primary_class="open", device="NVIDIA H200"), None), claimed()
    observed = [free, busy, free, busy, free, free, free, busy, free]
    made = MadePool(every(15, 2.25), {("m", "0"): observed})
    line = row(backfill.spell_lengths(made.cube()).frame, device="H200")
    assert (line["spells"], line["whole_spells"], line["to_primary"]) == (4, 2, 2)
    assert (line["hours_mean"], line["hours_median"], line["hours_max"]) == (0.5, 0.5, 0.75)
    assert line["to_primary_percent"] == 100


def test_filtered_families_are_left_out_unless_all_devices_are_asked_for():
    old = Gpu(device="NVIDIA A40", primary_state="idle", primary_class="open")
    made = MadePool(every(15, 1), {("m", "0"): [lent(old)] * 4})
    assert backfill.evictions_by_user(made.cube()).frame.filter(pl.col("user") != "total").is_empty()
    assert row(backfill.evictions_by_user(made.cube(all_devices=True)).frame, user="bob")["gpu_hours_observed"] == 1


@pytest.mark.parametrize("state", ["idle", "other", None])
def test_what_follows_a_stint_is_an_eviction_only_where_a_primary_job_is(state):
    after = Gpu(primary_state=state, primary_class="open" if state else None).with_(
        backfill_state="other", backfill_class="backfill_open"
    )
    made = MadePool(every(15, 0.5), {("m", "0"): [lent(idle()), after]})
    line = row(backfill.evictions_by_user(made.cube()).frame, user="bob")
    assert (line["ended"], line["evictions"]) == (1, 0)
