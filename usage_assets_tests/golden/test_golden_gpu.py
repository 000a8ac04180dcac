"""Hand-worked polls of a pool: what each of the known faults of such statistics would have made of them.

Every poll is 15 minutes after the one before unless a case says otherwise, so a GPU seen at one poll counts for 0.25 h.
"""

from datetime import datetime, timedelta

import pytest

from usage_assets.kinds.htcondor.facts.build import MonthFacts
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets_tests.golden.pools import A100, START, at, facts_of, hours, row

HOSTED = Pool(hosted=frozenset({"h1"}))


def states(facts: MonthFacts, *columns: str) -> list[tuple]:
    return facts.runs.sort("start_at", "machine", "gpu").select(columns).rows()


def test_two_polls_in_a_bucket() -> None:
    """Polls every 5 minutes: claimed at one of three is a third of the bucket, not all of it."""
    rows = [row(0, "slot1_1@h1", "CUDA0", "Claimed"), row(5, "slot1@h1", "CUDA0"), row(10, "slot1@h1", "CUDA0")]
    found = hours(facts_of(rows, Pool(poll_minutes=5)))
    assert found == pytest.approx({"allocated_open": 5 / 60, "available_open": 0.25, "total": 0.25})


def test_gap_is_not_idle() -> None:
    """Six hours without polls are neither held nor free: each side of the gap counts for itself."""
    facts = facts_of([row(minutes, "slot1_1@h1", "CUDA0", "Claimed") for minutes in (0, 15, 375, 390)])
    assert hours(facts)["allocated_open"] == 1.0
    assert states(facts, "start_at", "end_at", "polls") == [(at(0), at(30), 2), (at(375), at(405), 2)]
    assert facts.polls["missed"].to_list() == [0, 0, 23, 0]


def test_a_late_poll_is_no_gap() -> None:
    facts = facts_of([row(minutes, "slot1@h1", "CUDA0") for minutes in (0, 22.5, 45.1)])
    assert states(facts, "start_at", "end_at") == [(at(0), at(37.5)), (at(45.1), at(60.1))]
    assert facts.polls["missed"].to_list() == [0, 0, 1]


def test_ids_unique_per_machine() -> None:
    rows = [row(0, f"slot1@{host}", f"CUDA{number}") for host in ("h1", "h2") for number in range(4)]
    facts = facts_of(rows)
    assert facts.polls.select("machines", "gpus").row(0) == (2, 8)
    assert hours(facts)["total"] == 2.0
    assert facts.intervals["entity_id"].n_unique() == 8


def test_mask_is_a_name() -> None:
    """The mask of gpulab2003 leaves gpulab20031 alone; the polls of a masked host stay polls."""
    pool = Pool(masked={"gpulab2003": "fan"})
    rows = [
        row(0, "slot1@gpulab2003.pool.edu", "CUDA0"),
        row(15, "slot1@gpulab2003.pool.edu", "CUDA0"),
        row(15, "slot1_1@gpulab20031.pool.edu", "CUDA0", "Claimed", average_usage=0.5),
        row(15, "slot1_1@gpulab2003.pool.edu", "CUDA1", "Claimed", average_usage=0.5),
    ]
    facts = facts_of(rows, pool)
    assert hours(facts) == {"allocated_open": 0.25, "available_open": 0.25, "total": 0.25}
    assert facts.polls.select("rows", "machines", "gpus").rows() == [(1, 0, 0), (3, 1, 1)]
    assert sorted(facts.rejects.select("entity_id", "reason", "gpus").rows()) == [
        ("gpulab2003.pool.edu/CUDA0", "masked", 1.0),
        ("gpulab2003.pool.edu/CUDA1", "masked", 1.0),
    ]
    assert (facts.rows_kept, facts.reasons) == (1, {"masked": 3})
    assert facts.performance["gpus"].sum() == 1
    assert set(states(facts, "machine", "masked")) == {
        ("gpulab2003.pool.edu", "fan"),
        ("gpulab20031.pool.edu", None),
    }


def test_backfill_lists_a_taken_gpu() -> None:
    """Backfill offers only the GPU that no primary job holds, though its slot lists both."""
    rows = [
        row(0, "slot1@h1", "CUDA0"),
        row(0, "slot1@h1", "CUDA1"),
        row(0, "slot1_1@h1", "CUDA0", "Claimed"),
        row(0, "backfill2@h1", "CUDA0"),
        row(0, "backfill2@h1", "CUDA1"),
    ]
    found = hours(facts_of(rows, HOSTED))
    assert found == {
        "allocated_prioritized_hosted": 0.25,
        "available_prioritized_hosted": 0.5,
        "available_backfill_hosted": 0.25,
        "total": 0.5,
    }


def test_a_gpu_that_both_hold_is_allocated_once() -> None:
    rows = [
        row(0, "slot1_1@h1", "CUDA0", "Claimed", average_usage=0.5),
        row(0, "backfill2_1@h1", "CUDA0", "Claimed", remote_owner="bob", average_usage=0.9),
    ]
    facts = facts_of(rows)
    assert hours(facts) == {"allocated_open": 0.25, "available_open": 0.25, "total": 0.25}
    assert facts.performance.select("class", "gpus", "usage").rows() == [("open", 1, 0.5)]


def test_backfill_on_open_capacity_has_a_class_of_its_own() -> None:
    rows = [
        row(0, "slot1@h2", "CUDA0"),
        row(0, "backfill2_1@h2", "CUDA0", "Claimed"),
        row(0, "backfill2_1@h3", "CUDA0", "Claimed"),  # no primary slot of h3 is there
    ]
    found = hours(facts_of(rows, HOSTED))
    assert (found["available_backfill_open"], found["allocated_backfill_open"]) == (0.5, 0.5)
    assert (found["available_open"], found["total"]) == (0.25, 0.5)


def test_drained_and_owner_gpus_are_offered() -> None:
    """One definition for all tables: every state beside Claimed is available, and held by nobody."""
    rows = [row(0, "slot1@h1", f"CUDA{number}", state) for number, state in enumerate(("Drained", "Owner", "Matched"))]
    facts = facts_of(rows, HOSTED)
    assert hours(facts) == {"available_prioritized_hosted": 0.75, "drained": 0.25, "total": 0.75}
    assert {state for (state,) in states(facts, "primary_state")} == {"other"}


def test_idle_primary_busy_backfill() -> None:
    """A researcher's idle GPU with a backfill job is available in its own class and held in backfill, never open."""
    rows = [
        row(0, "slot1@h2", "CUDA0", prioritized_projects="ProjectA"),
        row(0, "backfill2_1@h2", "CUDA0", "Claimed", prioritized_projects=""),
    ]
    assert hours(facts_of(rows)) == {
        "available_prioritized_researcher": 0.25,
        "available_backfill_researcher": 0.25,
        "allocated_backfill_researcher": 0.25,
        "total": 0.25,
    }


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_a_row_that_names_no_gpu_takes_no_share_of_what_its_slot_used(blank: str | None) -> None:
    rows = [
        row(0, "slot1_1@h1", "CUDA0", "Claimed", average_usage=0.5),
        row(0, "slot1_1@h1", blank, "Claimed", average_usage=0.5),
    ]
    assert facts_of(rows).performance.select("gpus", "usage").rows() == [(1, 0.5)]


def test_usage_of_a_two_gpu_slot() -> None:
    """A slot of two GPUs that reports 1.2 uses each for 60 %; the slot of one reports 0.6."""
    rows = [
        row(0, "slot1_1@h1", "CUDA0", "Claimed", average_usage=1.2),
        row(0, "slot1_1@h1", "CUDA1", "Claimed", average_usage=1.2),
        row(0, "slot1_2@h1", "CUDA2", "Claimed", average_usage=0.6),
        row(0, "slot1_3@h1", "CUDA3", "Claimed", average_usage=None),
        row(0, "slot1_4@h1", "CUDA4", "Claimed", average_usage=-1.0),
        row(0, "slot1_5@h1", "CUDA5", "Claimed", average_usage=float("nan")),
        row(0, "slot1@h1", "CUDA6", average_usage=0.9),
    ]
    found = facts_of(rows).performance.select("machine", "device", "class", "gpus", "usage").rows()
    assert found == [("h1", A100, "open", 3, pytest.approx(1.8))]


def test_an_owner_that_nothing_tells_is_unknown() -> None:
    rows = [row(0, f"slot1_{number}@h1", f"CUDA{number}", "Claimed", remote_owner=who) for number, who in
            enumerate((None, "", " ", "ann"))]  # fmt: skip
    facts = facts_of(rows)
    assert sorted(facts.runs["primary_user"]) == ["Unknown", "Unknown", "Unknown", "ann"]
    assert hours(facts)["allocated_open"] == 1.0
    assert states(facts_of([row(0, "slot1@h1", "CUDA0", remote_owner="ann")]), "primary_user") == [(None,)]


def test_blank_projects_are_open() -> None:
    rows = [row(0, "slot1@h2", f"CUDA{number}", prioritized_projects=said) for number, said in
            enumerate((None, "", "  ", "ProjectA"))]  # fmt: skip
    found = hours(facts_of(rows, HOSTED))
    assert (found["available_open"], found["available_prioritized_researcher"]) == (0.75, 0.25)


def test_hosted_list_decides() -> None:
    rows = [row(0, "slot1@h1", f"CUDA{number}", prioritized_projects=said) for number, said in
            enumerate((None, "", "ProjectA"))]  # fmt: skip
    rows.append(row(0, "interactive1@h1", "CUDA3"))
    assert hours(facts_of(rows, HOSTED)) == {"available_prioritized_hosted": 1.0, "total": 1.0}


def test_a_host_split_over_two_classes_is_classed_by_slot() -> None:
    rows = [
        row(0, "slot1@h2", "CUDA0", prioritized_projects="ProjectA"),
        row(0, "slot2@h2", "CUDA1"),
        row(0, "interactive1@h2", "CUDA2"),
        row(0, "backfill3@h2", "CUDA1"),
    ]
    assert hours(facts_of(rows)) == {
        "available_prioritized_researcher": 0.25,
        "available_open": 0.25,
        "available_interactive": 0.25,
        "available_backfill_researcher": 0.25,
        "total": 0.75,
    }


def test_machine_changes_owner() -> None:
    """The class is that of the poll: owned for two polls, open from then on."""
    rows = []
    for minutes, projects in ((0, "ProjectA"), (15, "ProjectA"), (30, ""), (45, "")):
        rows.append(row(minutes, "slot1@h2", "CUDA0", prioritized_projects=projects))
        rows.append(row(minutes, "backfill2_1@h2", "CUDA0", "Claimed", prioritized_projects=""))
    assert hours(facts_of(rows)) == {
        "available_prioritized_researcher": 0.5,
        "available_open": 0.5,
        "available_backfill_researcher": 0.5,
        "allocated_backfill_researcher": 0.5,
        "available_backfill_open": 0.5,
        "allocated_backfill_open": 0.5,
        "total": 1.0,
    }


def test_unknown_device_is_kept() -> None:
    rows = [row(0, "slot1@h1", "CUDA0", device=None, memory_mb=None), row(15, "slot1@h1", "CUDA0")]
    facts = facts_of(rows)
    assert facts.intervals.filter(metric="total").select("node_type", "gpus").rows() == [
        ("unknown", 1.0),
        ("A100 80GB", 1.0),
    ]
    assert states(facts, "device", "memory_mb") == [(None, None), (A100, 81251)]


def test_another_row_of_the_gpu_may_tell_its_device() -> None:
    rows = [row(0, "slot1_1@h1", "CUDA0", "Claimed", device=None), row(0, "slot1@h1", "CUDA0")]
    assert states(facts_of(rows), "device", "primary_state") == [(A100, "claimed")]


def test_draining_is_seen_polls_times_the_interval() -> None:
    """Drained at three polls, seen without at one between them: two episodes, 0.75 h."""
    rows = [row(minutes, "slot1@h1", "CUDA0", "Drained") for minutes in (0, 15, 45)]
    rows.append(row(30, "slot1@h1", "CUDA0"))
    facts = facts_of(rows)
    assert hours(facts)["drained"] == 0.75
    assert facts.intervals.filter(metric="drained").height == 2


def test_drained_and_refusing_mean_that_no_job_is_there() -> None:
    rows = [
        row(0, "slot1@h1", "CUDA0", "Drained"),
        row(0, "backfill2_1@h1", "CUDA0", "Claimed"),
        row(0, "slot1@h2", "CUDA0", prevent_jobs_reason="disk full"),
        row(0, "slot1@h3", "CUDA0", prevent_jobs_reason="disk full"),
        row(0, "backfill2_1@h3", "CUDA0", "Claimed"),
        row(0, "slot1@h4", "CUDA0", prevent_jobs_reason=" "),
    ]
    facts = facts_of(rows)
    assert states(facts, "machine", "is_drained", "is_refusing", "reason") == [
        ("h1", False, False, None),
        ("h2", False, True, "disk full"),
        ("h3", False, False, "disk full"),
        ("h4", False, False, None),
    ]
    assert hours(facts)["refusing"] == 0.25


def test_doubles_count_once() -> None:
    rows = [row(0, "slot1_1@h1", "CUDA0", "Claimed", average_usage=0.5)] * 3
    facts = facts_of(rows)
    assert facts.polls.select("rows", "duplicates", "gpus").row(0) == (3, 2, 1)
    assert facts.performance.select("gpus", "usage").row(0) == (1, 0.5)
    assert (facts.rows_kept, facts.reasons) == (1, {"duplicate": 2})


def test_rows_that_name_no_gpu_or_machine_are_rejected_in_spans() -> None:
    rows = [row(minutes, slot, gpu) for minutes in (0, 15) for slot, gpu in
            (("slot1@h1", None), ("slot1@h1", ""), ("slot1@", "CUDA0"), ("slot1@h1", "CUDA1"))]  # fmt: skip
    facts = facts_of(rows)
    assert (facts.rows_kept, facts.reasons) == (2, {"no_gpu": 4, "null_key": 2})
    assert sorted(facts.rejects.select("reason", "entity_id", "end_at").rows()) == [
        ("no_gpu", "h1", at(30)),
        ("null_key", None, at(30)),
    ]


def test_a_moved_job_is_one_run_and_another_job_another() -> None:
    rows = [
        row(0, "slot1_1@h1", "CUDA0", "Claimed"),
        row(15, "slot1_7@h1", "CUDA0", "Claimed"),
        row(30, "slot1_7@h1", "CUDA0", "Claimed", global_job_id="job#2"),
    ]
    facts = facts_of(rows)
    assert states(facts, "primary_job", "polls") == [("job#1", 2), ("job#2", 1)]
    # the same user's next job: one interval
    assert facts.intervals.filter(metric="allocated_open").select("start_at", "end_at", "user_id").rows() == [
        (at(0), at(45), "ann")
    ]


def test_a_gpu_that_is_not_seen_is_not_there() -> None:
    rows = [row(minutes, "slot1@h1", "CUDA0") for minutes in (0, 15, 45)] + [row(30, "slot1@h2", "CUDA0")]
    facts = facts_of(rows)
    assert hours(facts)["total"] == 1.0
    assert facts.runs.filter(machine="h1")["polls"].to_list() == [2, 1]


def test_a_month_ends_at_its_edge() -> None:
    """The last poll of a month holds until the month's end, and the next month begins with its own first poll."""
    last = START + timedelta(days=31, minutes=-4)
    facts = facts_of([row(0, "slot1@h1", "CUDA0") | {"poll_at": last}])
    assert states(facts, "end_at") == [(datetime(2025, 11, 1),)]


def test_the_repeated_hour_is_marked() -> None:
    """Clocks in Chicago go back on 2025-11-02 at 07:00 UTC: 01:00 to 02:00 comes twice, from 06:00 and from 07:00."""
    november = datetime(2025, 11, 2)
    polls = [november + timedelta(hours=hour) for hour in (5, 6, 7, 8)]
    rows = [row(0, "slot1@h1", "CUDA0") | {"poll_at": poll} for poll in polls]
    facts = facts_of(rows, Pool(timezone="America/Chicago"), month=datetime(2025, 11, 1).date())
    assert facts.polls["is_repeated"].to_list() == [False, False, True, False]


def test_odd_names_do_not_meet() -> None:
    """A machine `a/b` with GPU `c` and a machine `a` with GPU `b/c` are two GPUs; a path is a name like any other."""
    rows = [row(0, "slot1@a/b", "c"), row(0, "slot1@a", "b/c"), row(0, "slot1@../etc", "MIG-GPU-5c/7/0")]
    facts = facts_of(rows)
    assert facts.intervals["entity_id"].n_unique() == 3
    assert set(facts.runs["machine"]) == {"a/b", "a", "../etc"}


def test_a_mig_slice_is_a_gpu_of_its_own() -> None:
    slices = [row(0, "slot1@h1", f"MIG-{number}", device=f"{A100} MIG 3g.40gb", memory_mb=40192) for number in (1, 2)]
    facts = facts_of(slices)
    assert facts.intervals["node_type"].unique().to_list() == ["A100 80GB MIG 3g.40gb"]
    assert facts.polls["gpus"].to_list() == [2]


def test_no_rows_give_no_facts() -> None:
    facts = facts_of([])
    assert all(frame.is_empty() for frame in (*facts.tables.values(), facts.intervals, facts.rejects))


def test_a_long_owner_and_a_script_are_kept_as_they_are() -> None:
    names = ["x" * 1000, "<script>alert(1)</script>", "名前"]
    rows = [row(0, f"slot1_{n}@h1", f"CUDA{n}", "Claimed", remote_owner=name) for n, name in enumerate(names)]
    assert set(facts_of(rows).intervals["user_id"].drop_nulls()) == set(names)
