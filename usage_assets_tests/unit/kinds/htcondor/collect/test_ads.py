"""What a pool says of its slots -> rows."""

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from usage_assets.kinds.htcondor.collect.ads import attributes, constraint, rows_of, table_of
from usage_assets.kinds.htcondor.raw.tables import SOURCE
from usage_assets_tests.unit.kinds.htcondor.collect.pools import LENT, SLOT

AT = datetime(2025, 11, 2, 6, 30, 0, 5, tzinfo=UTC)
CHICAGO = ZoneInfo("America/Chicago")


def gpus(*slots: dict) -> list[tuple[str, str | None]]:
    return [(str(row["Name"]).partition("@")[0], row["AssignedGPUs"]) for row in rows_of(slots)]  # type: ignore[misc]


def test_a_slot_has_a_row_for_each_of_its_gpus():
    assert gpus(SLOT) == [("slot1", "GPU-1a"), ("slot1", "GPU-2b")]
    assert gpus(SLOT | {"AssignedGPUs": " GPU-1a,, GPU-1a "}) == [("slot1", "GPU-1a")]
    assert [row["AvailableGPUs"] for row in rows_of([SLOT])] == ["GPU-1a,GPU-2b"] * 2


@pytest.mark.parametrize("nothing", [None, "", " , ", []])
def test_a_primary_slot_that_names_no_gpu_has_a_row_without_one(nothing):
    assert gpus(SLOT | {"AssignedGPUs": nothing}) == [("slot1", None)]


def test_the_gpus_of_a_backfill_slot_are_those_that_it_may_lend():
    assert gpus(SLOT, LENT) == [("slot1", "GPU-1a"), ("slot1", "GPU-2b"), ("backfill2", "GPU-2b")]
    claimed = LENT | {"Name": "backfill2_1@h1.x.edu", "State": "Claimed", "AssignedGPUs": "GPU-9"}
    assert gpus(claimed) == [("backfill2_1", "GPU-2b")]
    assert gpus(claimed | {"AvailableGPUs": []}) == [("backfill2_1", "GPU-9")]  # a job's GPU is not lost


def test_a_backfill_slot_that_lends_nothing_has_no_row():
    assert gpus(LENT | {"AvailableGPUs": []}) == []
    assert gpus(LENT | {"AvailableGPUs": None, "AssignedGPUs": "GPU-1a"}) == []


def test_a_machine_may_be_called_backfill():
    assert gpus(SLOT | {"Name": "slot1@backfill.x.edu", "AvailableGPUs": []}) == [
        ("slot1", "GPU-1a"),
        ("slot1", "GPU-2b"),
    ]


@pytest.mark.parametrize(
    ("assigned", "named"),
    [
        ("GPU-1a", "GPUs_GPU_1a"),
        ("CUDA0", "GPUs_CUDA0"),
        ("MIG-6a96bd13-70bc-6494", "GPUs_MIG_6a96bd13_70bc_6494"),
        ("GPU-odd_one-x", "GPUs_GPU_odd_one_x"),
    ],
)
def test_the_name_of_an_attribute_leads_to_the_id_that_the_machine_uses(assigned, named):
    primary = SLOT | {"AssignedGPUs": assigned}
    lends = LENT | {"AvailableGPUs": [named]}
    assert gpus(primary, lends)[1] == ("backfill2", assigned)
    if assigned != "GPU-odd_one-x":  # alone it can't be known
        assert gpus(lends) == [("backfill2", assigned)]
    assert gpus(primary, lends | {"AvailableGPUs": [assigned]})[1] == ("backfill2", assigned)


def test_ids_are_those_of_the_own_machine():
    other = LENT | {"Machine": "h2.x.edu", "AvailableGPUs": ["GPUs_GPU_odd_one"]}
    assert gpus(SLOT | {"AssignedGPUs": "GPU-odd_one"}, other)[1] == ("backfill2", "GPU-odd-one")


def test_a_poll_has_every_column_and_both_times():
    poll = table_of([SLOT | {"More": 7}], AT, CHICAGO, ["more", "Name", "TIMESTAMP", "Rank"])
    assert poll.column_names == [*SOURCE.values(), "more", "Rank", "timestamp", "local_time"]
    row = poll.to_pylist()[0]
    assert (row["timestamp"], row["local_time"]) == (AT, datetime(2025, 11, 2, 1, 30, 0, 5))
    assert (row["Disk"], row["RemoteOwner"], row["Rank"]) == (None, None, None)
    assert (row["GPUs_GlobalMemoryMb"], row["GPUs_DeviceName"]) == (143771, "NVIDIA H200")


def test_what_a_column_does_not_take_is_null():
    odd = {"Disk": "12", "GPUs_GlobalMemoryMb": math.nan, "GPUsAverageUsage": True, "RemoteOwner": "x" * 10**6}
    row = table_of([SLOT | odd], AT, CHICAGO).to_pylist()[0]
    assert (row["Disk"], row["GPUs_GlobalMemoryMb"], row["GPUsAverageUsage"]) == (None, None, None)
    assert len(row["RemoteOwner"]) == 10_000
    odd = {"Disk": 2**70, "GPUs_GlobalMemoryMb": 5.0, "GPUsAverageUsage": 1, "PrioritizedProjects": ["a", "b"]}
    row = table_of([SLOT | odd | {"RemoteOwner": "\ud800<script>"}], AT, CHICAGO).to_pylist()[0]
    assert (row["Disk"], row["GPUs_GlobalMemoryMb"], row["GPUsAverageUsage"]) == (None, 5, 1.0)
    assert (row["PrioritizedProjects"], row["RemoteOwner"]) == ("a,b", "?<script>")


def test_a_condition_comes_on_top_of_having_gpus():
    assert constraint(None) == "GPUs >= 1"
    assert constraint("A || B") == "(GPUs >= 1) && (A || B)"
    assert attributes()[:3] == ["Name", "Machine", "AssignedGPUs"]
