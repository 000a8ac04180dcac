"""Tables of hosts: what stood still, what changed its class, what refuses jobs; and restriction to hosts and users."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from usage_assets.core.errors import UsageError
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.tables import allocation, draining, hosts, users
from usage_assets.kinds.htcondor.tables.options import Options
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets_tests.unit.kinds.htcondor.tables.made import (
    DAY,
    HOSTED,
    OPEN,
    RESEARCHER,
    Gpu,
    MadePool,
    States,
    claimed,
    drained,
    every,
    idle,
    lent,
    row,
)

HOUR = every(15, 1)


def test_a_host_has_a_row_per_device_with_what_it_gave():
    gpus: States = {
        ("m", "0"): [claimed(), claimed(), lent(idle()), idle()],
        ("m", "1"): [idle(device=None)] * 4,
        ("n", "0"): [None, idle(), idle(), None],
    }
    table = hosts.host_table(MadePool(HOUR, gpus).cube()).frame
    line = row(table, machine="m", device="L40S")
    assert (line["primary_allocated_avg"], line["backfill_allocated_avg"], line["allocated_avg"]) == (0.5, 0.25, 0.75)
    assert (line["allocated_percent"], line["gpu_hours_observed"], line["available_hours_observed"]) == (75, 0.75, 1)
    assert row(table, machine="m", device="Unknown")["allocated_percent"] == 0
    away = row(table, machine="n")
    assert (away["available_avg"], away["first_seen"], away["last_seen"]) == (0.5, HOUR[1], HOUR[2])


def test_machines_never_active_are_those_whose_primary_slots_no_job_held():
    gpus: States = {
        ("busy", "0"): [idle(), idle(), idle(), claimed()],
        ("lent", "0"): [lent(idle())] * 4,
        ("still", "0"): [drained()] * 4,
        ("only_backfill", "0"): [lent(Gpu())] * 4,
        ("masked", "0"): [idle(masked="x")] * 4,
    }
    table = hosts.never_active(MadePool(HOUR, gpus).cube()).frame
    assert table["machine"].to_list() == ["lent", "still"]
    assert table["backfill_hours_observed"].to_list() == [1, 0]


def test_a_machine_of_two_classes_is_in_two_categories():
    gpus: States = {
        ("split", "0"): [idle(RESEARCHER)] * 4,
        ("split", "1"): [idle(OPEN)] * 4,
        ("hosted", "0"): [idle(HOSTED)] * 4,
        ("bare", "0"): [lent(Gpu())] * 4,
    }
    table = hosts.machine_categories(MadePool(HOUR, gpus).cube()).frame
    assert table.select("category", "machine", "gpus", "percent").rows() == [
        (RESEARCHER, "split", 1, 50),
        (HOSTED, "hosted", 1, 100),
        (OPEN, "split", 1, 50),
        (hosts.BACKFILL_ONLY, "bare", 1, 100),
    ]


def test_unused_gpus_are_of_a_tier_and_say_what_backfill_made_of_them():
    flagship: dict[str, Any] = {"device": "NVIDIA H200", "memory_mb": 143_771}
    gpus: States = {
        ("m", "0"): [idle(**flagship)] * 4,
        ("m", "1"): [lent(idle(**flagship))] * 4,
        ("m", "2"): [claimed(**flagship), *[idle(**flagship)] * 3],
        ("m", "3"): [idle()] * 4,
    }
    cube = MadePool(HOUR, gpus).cube()
    assert hosts.unused_gpus(cube).frame.select("gpu", "is_idle", "backfill_hours_observed").rows() == [
        ("0", True, 0),
        ("1", False, 1),
    ]
    assert hosts.unused_gpus(cube, None).frame["tier"].to_list() == ["Flagship", "Flagship", "Standard"]


def test_refusing_hosts_say_whether_the_reason_is_still_set():
    refusing = idle(is_refusing=True, reason="fan")
    gpus: States = {
        ("over", "0"): [refusing, refusing, idle(), idle()],
        ("still", "0"): [idle(), idle(), claimed(reason="fan"), refusing],
        ("gone", "0"): [refusing, refusing, None, None],
    }
    table = draining.refusing_hosts(MadePool(HOUR, gpus).cube()).frame
    shown = table.select("machine", "is_still_set", "gpu_hours_refusing", "gpu_hours_set").rows()
    # of a machine that left, its last poll tells
    assert shown == [("gone", True, 0.5, 0.5), ("over", False, 0.5, 0.5), ("still", True, 0.25, 0.5)]
    assert row(table, machine="over")["last_seen"] == HOUR[1]
    assert row(allocation.cluster_totals(MadePool(HOUR, gpus).cube()).frame)["refusing_avg"] == 1.25


def test_an_episode_that_lasts_is_open_and_one_that_the_gpu_leaves_is_closed():
    gpus: States = {
        ("m", "0"): [idle(), drained(), drained(), drained()],
        ("n", "0"): [drained(), None, drained(), None],
    }
    table = draining.draining_episodes(MadePool(HOUR, gpus).cube()).frame
    lasting = row(table, machine="m")
    assert (lasting["is_open"], lasting["end_at"], lasting["hours_elapsed"]) == (True, None, 0.75)
    assert table.filter(pl.col("machine") == "n").select("polls", "is_open", "end_at").rows() == [
        (1, False, HOUR[1]),
        (1, False, HOUR[3]),
    ]


def test_an_episode_crosses_the_edge_of_a_month_as_one():
    start = DAY.replace(day=31)
    polls = every(15, 48, start)
    made = MadePool(polls, {("m", "0"): [drained()] * len(polls)})
    assert made.runs.height == 2
    assert draining.draining_episodes(made.cube()).frame["hours_observed"].to_list() == [48]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (("gpu1",), ["gpu1.x.edu"]),
        (("GPU1.X.EDU",), ["gpu1.x.edu"]),
        (("gpu1*",), ["gpu1.x.edu", "gpu10.x.edu"]),
        (("gpu?.x.edu",), ["gpu1.x.edu", "gpu2.x.edu"]),
        (("gpu2", "gpu10"), ["gpu10.x.edu", "gpu2.x.edu"]),
        (("pu",), []),
    ],
)
def test_hosts_are_names_or_patterns_and_never_parts_of_names(asked: tuple[str, ...], found: list[str]):
    made = MadePool(HOUR, {(f"gpu{n}.x.edu", "0"): [claimed()] * 4 for n in (1, 2, 10)})
    cube = made.cube(hosts=asked)
    assert sorted(cube.kinds["machine"].cast(pl.String())) == found
    assert row(allocation.cluster_totals(cube).frame)["available_avg"] == len(found)
    assert cube.observed.intervals == 4
    assert ("no machine is called pu" in cube.metadata().notes) == (asked == ("pu",))


def test_time_of_an_excluded_user_is_neither_allocated_nor_available():
    gpus: States = {
        ("m", "0"): [claimed("ann")] * 4,
        ("m", "1"): [claimed("bob")] * 4,
        ("m", "2"): [lent(idle(), "ann")] * 4,
        ("m", "3"): [lent(Gpu(), "ann")] * 4,
    }
    cube = MadePool(HOUR, gpus).cube(exclude_users=("ann",))
    total = row(allocation.cluster_totals(cube).frame)
    assert (total["allocated_avg"], total["available_avg"]) == (1, 2)
    assert set(users.user_hours(cube).frame["user"]) == {"bob"}
    assert cube.metadata().excluded_users == ("ann",)


def test_an_excluded_host_that_no_poll_saw_is_listed_under_its_name():
    made = MadePool(HOUR, {("m", "0"): [idle()] * 4}, Pool(masked={"far.x.edu": "moved"}))
    assert hosts.excluded_hosts(made.cube()).frame.select("machine", "reason", "gpus", "is_seen").rows() == [
        ("far.x.edu", "moved", 0, False)
    ]


def test_options_that_mean_nothing_are_errors():
    with pytest.raises(UsageError, match="classes are one of"):
        Options(classes="seven")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least one minute"):
        Options(bucket_minutes=0)


def test_tables_of_an_empty_window_have_their_columns():
    from usage_assets.kinds.htcondor.tables.analyse import all_tables

    made = MadePool(HOUR, {("m", "0"): [idle()] * 4})
    full, empty = made.cube(), made.cube(Window(DAY + timedelta(days=3), DAY + timedelta(days=4)))
    for name, result in all_tables(made.facts, empty).items():
        assert result.frame.schema == all_tables(made.facts, full)[name].frame.schema, name
        assert result.metadata.coverage == 0
