"""Rows that list several GPUs, rows that name none by an id, and hourly polls in the hour that comes twice."""

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from usage_assets.kinds.htcondor.facts.build import month_facts
from usage_assets.kinds.htcondor.facts.rows import read_polled
from usage_assets.kinds.htcondor.raw.access import check_files
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.htcondor.raw.pools import (
    NOV,
    OCT,
    ROW,
    every,
    frame,
    parquet,
    polls,
    read,
    rows,
    site_of,
    sqlite,
    stored,
)

AT = datetime(2025, 10, 1, 0, 1)
CLAIMED = ROW | {"Name": "slot1_1@h1", "State": "Claimed", "GPUsAverageUsage": 1.6, "RemoteOwner": "ann@x"}
HOUR_NAME = "gpu_state_2025-11.parquet"


def held(site: HTCondorSite, warehouse: Warehouse) -> dict[str, Any]:
    """GPU-hours by metric of October, and what was used."""
    with warehouse.read() as reader:
        polled = read_polled(reader, "raw.gpu_state", site.key, [OCT])[OCT]
    facts = month_facts(site.pool(), site.key, OCT, polled)
    hours = (pl.col("end_at") - pl.col("start_at")).dt.total_minutes() / 60
    found = facts.intervals.group_by("metric").agg(hours.sum()).rows()
    return dict(found) | {"used": facts.performance.select("gpus", "usage").rows()}


@pytest.mark.parametrize("kind", ["text", "list", "sqlite", "exploded"])
def test_a_row_that_lists_several_gpus_is_a_row_for_each(pool: Path, warehouse: Warehouse, kind: str):
    said = [(CLAIMED, ["GPU-1", "GPU-2"]), (ROW, ["GPU-1", "GPU-2", "GPU-3"]), (ROW | {"Name": "slot2@h1"}, [])]
    site = site_of(pool)
    if kind == "exploded":
        parquet(pool, [row | {"timestamp": AT, "AssignedGPUs": gpu} for row, ids in said for gpu in ids or [""]])
    elif kind == "list":
        made = frame([row | {"timestamp": AT} for row, _ in said])
        pool.mkdir()
        made.with_columns(AssignedGPUs=pl.Series([ids for _, ids in said])).write_parquet(
            pool / "gpu_state_2025-10.parquet"
        )
    else:
        write = sqlite if kind == "sqlite" else parquet
        write(pool, [row | {"timestamp": AT, "AssignedGPUs": ", ".join(ids) or None} for row, ids in said])
    (done,) = read(site, warehouse)
    assert (done.rows, done.refused) == (6, ())
    assert ("lists several GPUs in a row" in str(done.note)) == (kind != "exploded")
    found = [(slot, gpu or None, usage) for slot, gpu, usage in stored(warehouse, "slot, gpu, average_usage")]
    assert found == [
        ("slot1@h1", "GPU-1", None), ("slot1@h1", "GPU-2", None), ("slot1@h1", "GPU-3", None),
        ("slot1_1@h1", "GPU-1", 1.6), ("slot1_1@h1", "GPU-2", 1.6), ("slot2@h1", None, None),
    ]  # fmt: skip
    hours = held(site, warehouse)
    assert (hours["total"], hours["allocated_open"], hours["available_open"]) == (0.75, 0.5, 0.75)
    assert hours["used"] == [(2, 1.6)]
    assert any("lists several GPUs" in line for line in check_files(site)) == (kind != "exploded")


def test_a_list_of_one_is_that_gpu(pool: Path, warehouse: Warehouse):
    pool.mkdir()
    one = frame([ROW | {"timestamp": AT}]).with_columns(AssignedGPUs=pl.Series([["GPU-1"]]))
    one.with_columns(AvailableGPUs=pl.Series([["GPU-1", "GPU-2"]])).write_parquet(pool / "gpu_state_2025-10.parquet")
    read(site_of(pool), warehouse)
    assert stored(warehouse, "gpu, available_gpus") == [("GPU-1", "GPU-1,GPU-2")]


@pytest.mark.parametrize("odd", ["['GPU-1', 'GPU-2']", "{GPU-1}", "undefined", "GPU-1 GPU-2", "GPU-1,error"])
def test_what_is_neither_an_id_nor_a_list_is_rejected_and_named(pool: Path, warehouse: Warehouse, odd: str):
    parquet(pool, [ROW | {"timestamp": AT}, CLAIMED | {"timestamp": AT, "AssignedGPUs": odd}])
    site = site_of(pool)
    (done,) = read(site, warehouse)
    said = f"1 row(s) whose AssignedGPUs is neither the id of a GPU nor ids with commas between ({odd!r})"
    assert said in str(done.note)
    assert any(said in line for line in check_files(site))
    with warehouse.read() as reader:
        polled = read_polled(reader, "raw.gpu_state", site.key, [OCT])[OCT]
    facts = month_facts(site.pool(), site.key, OCT, polled)
    assert facts.rejects.select("entity_id", "reason").rows() == [(f"h1.x.edu/{odd}", "bad_gpu")]
    assert (facts.rows_kept, facts.rows_rejected, facts.polls["gpus"].to_list()) == (1, 1, [1])


@pytest.mark.parametrize("write", [parquet, sqlite])
@pytest.mark.parametrize("second", ["01:00:07", "01:00:05", "01:00:03"])
def test_two_hourly_polls_of_the_hour_that_comes_twice_are_its_passes(pool: Path, warehouse: Warehouse, write, second):
    times = [datetime.fromisoformat(f"2025-11-02 {at}") for at in ("00:00:05", "01:00:05", second, "02:00:05")]
    found = rows(times)
    found[1] |= {"State": "Claimed"}
    write(pool, found, HOUR_NAME if write is parquet else "gpu_state_2025-11.db")
    site = site_of(pool, poll_minutes=60)
    (done,) = read(site, warehouse, NOV)
    assert (done.rows, done.note) == (4, None)
    assert [poll.hour for poll, _ in polls(warehouse)] == [5, 6, 7, 8]
    assert [state for _, state in stored(warehouse, "poll_at, state")] == ["Unclaimed", "Claimed", *["Unclaimed"] * 2]
    assert check_files(site)[1:] == []


def test_passes_that_cant_be_told_apart_are_said(pool: Path, warehouse: Warehouse):
    parquet(pool, rows(every(60, "2025-11-02 00:00:05", 6)), HOUR_NAME)
    site = site_of(pool, poll_minutes=60)
    (done,) = read(site, warehouse, NOV)
    said = f"{HOUR_NAME}: the hour that the clock shows twice (2025-11-02 01:00): nothing tells its two passes apart"
    assert said in str(done.note)
    parquet(pool, rows(every(60, "2025-12-02 00:00:05", 6)), "gpu_state_2025-12.parquet")
    assert sum(said in line for line in check_files(site)) == 1  # also when the file is not the newest one
