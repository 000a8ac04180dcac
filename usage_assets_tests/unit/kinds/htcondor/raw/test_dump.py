"""Snapshot files -> raw.gpu_state, month by month."""

import shutil
import sqlite3
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from usage_assets.core.errors import SourceError
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.htcondor.raw.pools import (
    DEC,
    NOV,
    OCT,
    ROW,
    at,
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

TIMES = every(15, "2025-10-05 00:00:03.123456", 4)


@pytest.mark.parametrize("write", [parquet, sqlite])
def test_a_month_is_stored_by_name_with_times_in_utc(pool: Path, warehouse: Warehouse, write):
    write(pool, rows(TIMES))
    (done,) = read(site_of(pool), warehouse)
    assert (done.rows, done.rows_new, done.refused, done.note) == (4, 4, (), None)
    first = stored(warehouse, "poll_at, local_at, slot, machine, gpu, state, device, memory_mb, disk, copies, month")[0]
    assert first == (TIMES[0] + timedelta(hours=5), TIMES[0], "slot1@h1", "h1.x.edu", "GPU-1", "Unclaimed",
                     "NVIDIA A100-SXM4-80GB", 81051, 5, 1, OCT)  # fmt: skip


def test_columns_in_any_order_of_any_age_and_type_are_taken_by_name(pool: Path, warehouse: Warehouse):
    old = [
        {name: row[name] for name in ("timestamp", "State", "AssignedGPUs", "Machine", "Name")} for row in rows(TIMES)
    ]
    parquet(pool, old)
    new = frame(rows(every(15, "2025-11-05 00:00", 2))).with_columns(
        pl.col("timestamp").cast(pl.Datetime("ns")),
        pl.col("GPUs_GlobalMemoryMb").cast(pl.Float32),
        pl.col("Disk").cast(pl.String),
        pl.col("Name").cast(pl.Categorical),
    )
    new.write_parquet(pool / "gpu_state_2025-11.parquet")
    text = frame(rows(every(15, "2025-12-05 00:00", 2))).with_columns(
        pl.col("timestamp").dt.to_string("%Y-%m-%d %H:%M:%S%.6f")
    )
    text.write_parquet(pool / "gpu_state_2025-12.parquet")
    done = read(site_of(pool), warehouse, OCT, NOV, DEC)
    assert [(month.rows, month.refused) for month in done] == [(4, ()), (2, ()), (2, ())]
    assert "has no column AvailableGPUs, GPUs_DeviceName" in str(done[0].note)
    found = stored(warehouse, "month, poll_at, slot, memory_mb, disk")
    assert found[0] == (OCT, TIMES[0] + timedelta(hours=5), "slot1@h1", None, None)
    assert found[4] == (NOV, datetime(2025, 11, 5, 6), "slot1@h1", 81051, 5)
    assert found[6][1] == datetime(2025, 12, 5, 6)


def test_bad_values_are_null_and_counted_and_long_texts_cut(pool: Path, warehouse: Warehouse):
    odd = [
        ROW | {"timestamp": TIMES[0], "GPUs_GlobalMemoryMb": "many", "RemoteOwner": "x" * 10**6},
        ROW | {"timestamp": TIMES[1], "GPUs_GlobalMemoryMb": "", "GPUsAverageUsage": "nan"},
        ROW
        | {"timestamp": TIMES[2], "GPUsAverageUsage": "-0.5", "Machine": "../../etc", "RemoteOwner": "<script>\x00"},
        ROW | {"timestamp": "yesterday"},
        ROW | {"timestamp": "9999-12-31 23:00:00"},
        ROW | {"timestamp": None},
    ]
    sqlite(pool, odd)
    (done,) = read(site_of(pool), warehouse)
    assert (done.rows, done.zero_dates, done.refused) == (3, 3, ())
    assert done.note is not None
    assert "1 number(s) that are none, null" in done.note
    assert "1 text(s) cut" in done.note
    found = stored(warehouse, "poll_at, machine, remote_owner, memory_mb, average_usage")
    assert len(found[0][2]) < 1000
    assert found[0][2].startswith("xxx")
    assert found[0][3] is None
    assert found[1][3] is None
    assert found[2][1:] == ("../../etc", "<script>\x00", 81051, -0.5)


def test_two_long_texts_that_begin_alike_stay_two(pool: Path, warehouse: Warehouse):
    parquet(pool, [*rows(TIMES[:1], RemoteOwner="x" * 5000 + "a"), *rows(TIMES[:1], RemoteOwner="x" * 5000 + "b")])
    (done,) = read(site_of(pool), warehouse)
    assert done.rows == 2


def test_exact_doubles_are_held_once_and_counted(pool: Path, warehouse: Warehouse):
    parquet(pool, [*rows(TIMES), *rows(TIMES[:2]), *rows(TIMES[:1])])
    (done,) = read(site_of(pool), warehouse)
    assert done.rows == 4
    assert done.note == "3 row(s) that stand twice, held once"
    assert stored(warehouse, "poll_at, copies")[0][1] == 3
    again = read(site_of(pool), warehouse)[0]
    assert (again.rows, again.rows_new) == (4, 0)


def test_missed_polls_are_counted(pool: Path, warehouse: Warehouse):
    parquet(pool, rows([*TIMES, *every(15, "2025-10-05 02:00", 2)]))
    assert read(site_of(pool), warehouse)[0].note == "4 poll(s) missed"


def test_a_month_in_utc_takes_the_hours_of_the_local_month_before(pool: Path, warehouse: Warehouse):
    parquet(pool, rows([datetime(2025, 10, 31, 18, 59), datetime(2025, 10, 31, 19), datetime(2025, 10, 31, 23)]))
    sqlite(pool, rows([datetime(2025, 11, 1), datetime(2025, 11, 30, 18)]), "gpu_state_2025-11.db")
    done = read(site_of(pool), warehouse, OCT, NOV)
    assert [(month.rows, month.refused) for month in done] == [(1, ()), (3, ())]


def test_the_hour_that_comes_twice_is_told_apart_by_the_jump_back(pool: Path, warehouse: Warehouse):
    night = [*every(15, "2025-11-02 00:45", 5), *every(15, "2025-11-02 01:00", 5)]
    for write, name in ((parquet, "gpu_state_2025-11.parquet"), (sqlite, "gpu_state_2025-11.db")):
        shutil.rmtree(pool, ignore_errors=True)
        write(pool, rows(night), name)
        there = Warehouse(warehouse.path.parent / write.__name__ / "w.duckdb")
        read(site_of(pool), there, NOV)
        found = polls(there)
        assert [poll for poll, _ in found] == every(15, "2025-11-02 05:45", 10)
        assert [local for _, local in found] == night


def test_an_hour_that_could_come_twice_and_came_once_is_the_first_pass(pool: Path, warehouse: Warehouse):
    parquet(pool, rows(every(30, "2025-11-02 00:30", 4)), "gpu_state_2025-11.parquet")
    read(site_of(pool), warehouse, NOV)
    assert [poll for poll, _ in polls(warehouse)] == [
        datetime(2025, 11, 2, 5, 30), datetime(2025, 11, 2, 6), datetime(2025, 11, 2, 6, 30), datetime(2025, 11, 2, 8),
    ]  # fmt: skip


def test_times_in_the_hour_that_the_clock_left_out_are_shifted_and_counted(pool: Path, warehouse: Warehouse):
    march = date(2026, 3, 1)
    parquet(pool, rows(every(30, "2026-03-08 01:30", 4)), "gpu_state_2026-03.parquet")
    (done,) = read(site_of(pool), warehouse, march)
    assert "2 time(s) in the hour that the clock left out" in str(done.note)
    assert polls(warehouse)[1] == (datetime(2026, 3, 8, 8), datetime(2026, 3, 8, 2))


def test_times_with_a_zone_need_no_clock(pool: Path, warehouse: Warehouse):
    pool.mkdir()
    utc = frame(rows(every(60, "2025-11-02 05:00", 4))).with_columns(pl.col("timestamp").dt.replace_time_zone("UTC"))
    utc.write_parquet(pool / "gpu_state_2025-11.parquet")
    sqlite(pool, [ROW | {"timestamp": "2025-12-02T01:00:00+01:00"}], "gpu_state_2025-12.db")
    read(site_of(pool), warehouse, NOV, DEC)
    assert polls(warehouse) == [
        (datetime(2025, 11, 2, 5), datetime(2025, 11, 2)),
        (datetime(2025, 11, 2, 6), datetime(2025, 11, 2, 1)),
        (datetime(2025, 11, 2, 7), datetime(2025, 11, 2, 1)),
        (datetime(2025, 11, 2, 8), datetime(2025, 11, 2, 2)),
        (datetime(2025, 12, 2), datetime(2025, 12, 1, 18)),
    ]


def test_a_poll_in_two_files_counts_in_the_first(pool: Path, warehouse: Warehouse):
    sqlite(pool, rows(TIMES, State="Claimed"))
    parquet(pool, rows([*TIMES, TIMES[-1] + timedelta(minutes=15)], State="Unclaimed"))
    (done,) = read(site_of(pool), warehouse)
    assert done.rows == 5
    assert "4 poll(s) of gpu_state_2025-10.parquet are in another file too" in str(done.note)
    assert [state for _, state in stored(warehouse, "poll_at, state")] == ["Claimed"] * 4 + ["Unclaimed"]


def whole(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(whole(path)[: len(whole(path)) // 2]), "can't be read as Parquet"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"no snapshots at all"), "neither a Parquet nor an SQLite file"),
        (lambda path: pl.DataFrame({"a": [1]}).write_parquet(path), "no column timestamp, Name, Machine"),
        (
            lambda path: frame(rows(TIMES)).with_columns(timestamp=pl.lit(5)).write_parquet(path),
            "column timestamp is of type integer",
        ),
        (lambda path: path.write_bytes(b"SQLite format 3\x00" + b"\x00" * 2000), "can't be read as SQLite"),
    ],
)
def test_a_file_that_cant_be_read_refuses_its_month_alone(pool: Path, warehouse: Warehouse, spoil, said: str):
    path = parquet(pool, rows(TIMES))
    parquet(pool, rows(every(15, "2025-12-05 00:00", 3)), "gpu_state_2025-12.parquet")
    parquet(pool, rows(every(15, "2025-11-05 00:00", 3)), "gpu_state_2025-11.parquet")
    read(site_of(pool), warehouse, OCT)
    before = stored(warehouse)
    spoil(path)
    done = read(site_of(pool), warehouse, OCT, NOV, DEC)
    assert [month.rows for month in done[1:]] == [3, 3]
    (refused,) = done[0].refused
    assert said in str(refused)
    assert "gpu_state_2025-10.parquet" in str(refused)
    assert stored(warehouse)[: len(before)] == before
    with warehouse.read() as reader:
        gates = reader.sql("SELECT month, ok, reason FROM serving.gates ORDER BY month").rows()
    assert [ok for _, ok, _ in gates] == [False, True, True]
    assert "its hours in a file of another month were not read" in str(done[1].note)


def test_an_sqlite_file_without_the_table_is_refused(pool: Path, warehouse: Warehouse):
    pool.mkdir()
    with closing(sqlite3.connect(pool / "gpu_state_2025-10.db")) as con:
        con.execute("CREATE TABLE other (a)")
        con.commit()
    (done,) = read(site_of(pool), warehouse)
    assert "has no table gpu_state, only other" in str(done.refused[0])


def test_bytes_that_are_no_text_are_replaced(pool: Path, warehouse: Warehouse):
    path = sqlite(pool, rows(TIMES[:1]))
    with closing(sqlite3.connect(path)) as con:
        con.execute("UPDATE gpu_state SET RemoteOwner = CAST(x'41ff42' AS TEXT)")
        con.commit()
    read(site_of(pool), warehouse)
    assert stored(warehouse, "remote_owner") == [("A\ufffdB",)]


def test_without_its_folder_nothing_is_written(pool: Path, warehouse: Warehouse):
    parquet(pool, rows(TIMES))
    read(site_of(pool), warehouse)
    shutil.rmtree(pool)
    with pytest.raises(SourceError, match=r"folder of snapshots .* can't be read"):
        read(site_of(pool), warehouse)
    assert len(stored(warehouse)) == 4


def test_a_month_without_a_file_is_refused_unless_none_is_expected(
    pool: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    pool.mkdir()
    (done,) = read(site_of(pool), warehouse)
    assert "no snapshot file of 2025-10" in str(done.refused[0])
    assert not read(site_of(pool, first_month="2025-11"), warehouse)[0].refused
    gap = {"source": "gpu_state", "from": "2025-10-01", "to": "2025-11-01"}
    assert not read(site_of(pool, known_gaps=[gap]), warehouse)[0].refused
    at(monkeypatch, "2025-10-01 00:10")
    assert not read(site_of(pool), warehouse)[0].refused
