"""Polls as they are made, written, taken into the file of their month, and read by raw."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from usage_assets.core import clock
from usage_assets.core.errors import DiskError, SourceError, WarehouseError
from usage_assets.core.locks import file_lock
from usage_assets.kinds.htcondor.collect.run import LOCK
from usage_assets.kinds.htcondor.raw import files as reading
from usage_assets.kinds.htcondor.raw.access import check_site
from usage_assets.kinds.htcondor.raw.files import find_files
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.htcondor.collect.pools import (
    SLOT,
    Built,
    Clock,
    Collected,
    collected,
    names,
    site_of,
)
from usage_assets_tests.unit.kinds.htcondor.raw.pools import parquet, polls, read, rows

OCT, NOV = date(2025, 10, 1), date(2025, 11, 1)
DAY = "2025-10-05T12:07:00"
POLLS = "gpu_state_2025-10.polls"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pool"


def at(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(clock, "naive_utc_now", lambda: datetime.fromisoformat(text))


def test_a_poll_is_a_small_file_that_raw_reads(folder: Path, warehouse: Warehouse):
    made = collected(folder, DAY)
    assert made.it.once()
    assert names(folder) == [f"{POLLS}/20251005T120700.000000Z.parquet"]
    assert made.said == ["2025-10-05 12:07:00 UTC: 3 row(s) of 1 machine(s)"]
    (done,) = read(made.it.site, warehouse, OCT)
    assert (done.rows, done.note) == (3, None)
    assert polls(warehouse) == [(datetime(2025, 10, 5, 12, 7), datetime(2025, 10, 5, 7, 7))]
    with warehouse.read() as reader:
        found = reader.sql(
            "SELECT slot, machine, gpu, available_gpus, device, memory_mb FROM raw.gpu_state ORDER BY ALL"
        )
    assert found.rows() == [
        ("backfill2@h1.x.edu", "h1.x.edu", "GPU-2b", "GPU-2b", "NVIDIA H200", 143771),
        ("slot1@h1.x.edu", "h1.x.edu", "GPU-1a", "GPU-1a,GPU-2b", "NVIDIA H200", 143771),
        ("slot1@h1.x.edu", "h1.x.edu", "GPU-2b", "GPU-1a,GPU-2b", "NVIDIA H200", 143771),
    ]


def test_what_is_asked_is_what_the_sites_file_says(folder: Path):
    made = collected(folder, DAY, collector={"constraint": "Site == 1", "projection": ["Arch"]})
    made.it.once()
    ((condition, asked),) = made.it.pool.asked  # type: ignore[attr-defined]
    assert condition == "(GPUs >= 1) && (Site == 1)"
    assert (asked[0], asked[-1]) == ("Name", "Arch")
    assert "Arch" in pq.read_schema(folder / POLLS / names(folder / POLLS)[0]).names


def test_the_pool_is_asked_at_full_steps_and_again_after_it_did_not_answer(folder: Path, warehouse: Warehouse):
    made = collected(folder, DAY, [SLOT], None, [], [SLOT])
    made.it.ever(rounds=4)
    assert names(folder / POLLS) == ["20251005T121500.000000Z.parquet", "20251005T130000.000000Z.parquet"]
    assert made.warned == [
        "site pool: the pool does not answer (cm.x.edu:9618: timed out); no poll was written",
        "site pool: the pool answers, but no slot of it has a GPU; did its collector just begin?; no poll was written",
    ]
    assert [at.hour for at, _ in polls_of(made, warehouse)] == [12, 13]


def polls_of(made: Collected, warehouse: Warehouse) -> list[tuple[datetime, datetime]]:
    (done,) = read(made.it.site, warehouse, OCT)
    assert not done.refused
    return polls(warehouse)


def test_a_slow_answer_costs_the_polls_that_it_lasts_and_counts_as_when_it_was_asked(folder: Path):
    clock = Clock(DAY)
    made = Collected(site_of(folder), Built([SLOT], clock=clock, takes=2000), clock)
    made.it.ever(rounds=2)
    assert names(folder / POLLS) == ["20251005T121500.000000Z.parquet", "20251005T130000.000000Z.parquet"]
    assert made.warned[0] == "the poll of 12:15:00 UTC took so long that 2 more were missed"


def test_a_clock_that_is_put_back_keeps_nobody_waiting_for_long(folder: Path, monkeypatch: pytest.MonkeyPatch):
    made = collected(folder, DAY)
    real, naps = made.clock.sleep, []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            made.clock.at = datetime(2025, 10, 5, 3, 1, tzinfo=UTC)
        real(seconds)

    monkeypatch.setattr(made.it, "sleep", sleep)
    made.it.ever(rounds=1)
    assert names(folder / POLLS) == ["20251005T031500.000000Z.parquet"]


def test_the_hour_that_comes_twice_is_told_apart(folder: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    made = collected(folder, "2025-11-02T05:20:00", step=1800)
    made.it.ever(rounds=6)
    assert made.it.tidy()
    made.it.ever(rounds=1)
    at(monkeypatch, "2025-11-02T08:45")
    read(made.it.site, warehouse, NOV)
    assert [f"{utc:%H:%M}={wall:%H:%M}" for utc, wall in polls(warehouse)] == [
        "05:30=00:30", "06:00=01:00", "06:30=01:30", "07:00=01:00", "07:30=01:30", "08:00=02:00", "08:30=02:30"
    ]  # fmt: skip


def test_a_poll_is_in_the_file_of_its_local_month(folder: Path, warehouse: Warehouse):
    made = collected(folder, "2025-11-01T04:20:00", step=1800)
    made.it.ever(rounds=2)
    assert names(folder) == [
        "gpu_state_2025-10.parquet",  # the month is over: taken in at once
        "gpu_state_2025-11.polls/20251101T050000.000000Z.parquet",
    ]
    assert [done.rows for done in read(made.it.site, warehouse, OCT, NOV)] == [0, 6]
    assert [wall.day for _, wall in polls(warehouse)] == [31, 1]


def test_a_day_of_polls_is_taken_into_the_file_of_the_month(folder: Path, warehouse: Warehouse):
    made = collected(folder, "2025-10-05T05:00:00", step=21600)
    made.it.ever(rounds=6)
    assert made.said[4] == "gpu_state_2025-10.parquet: 4 poll(s) taken in, 4 file(s) of polls removed"
    assert len(names(folder)) == 1 + 2
    before = polls_of(made, warehouse)
    made.it.ever(rounds=2)
    assert len(names(folder)) == 1
    assert polls_of(made, warehouse)[:6] == before
    assert pq.read_metadata(folder / "gpu_state_2025-10.parquet").num_row_groups == 1
    (done,) = read(made.it.site, warehouse, OCT)
    assert (done.rows, done.rows_gone) == (24, 0)
    assert (done.note or "").startswith("its files are as they were")


def test_the_running_month_goes_on_where_it_was_whatever_was_taken_in(
    folder: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    made = collected(folder, "2025-10-05T05:00:00", step=21600)
    seen = []
    for _ in range(9):
        made.it.ever(rounds=1)
        at(monkeypatch, f"{made.clock.at:%Y-%m-%dT%H:%M}")
        (done,) = read(made.it.site, warehouse, OCT)
        seen.append((done.rows, done.rows_new, done.rows_changed, done.rows_gone))
    assert seen == [(3 * n, 3, 0, 0) for n in range(1, 10)]
    with warehouse.read() as reader:
        assert reader.sql("SELECT count(*), max(copies) FROM raw.gpu_state").rows() == [(27, 1)]
        assert reader.sql("SELECT file FROM serving.files").rows() == [(str(folder / "gpu_state_2025-10.parquet"),)]


def test_a_poll_that_stands_in_both_places_counts_once(folder: Path, warehouse: Warehouse):
    made = collected(folder, DAY)
    made.it.ever(rounds=3)
    kept = {path: path.read_bytes() for path in (folder / POLLS).iterdir()}
    made.it.tidy()
    assert names(folder) == ["gpu_state_2025-10.parquet"]
    month = (folder / "gpu_state_2025-10.parquet").read_bytes()
    for path, content in kept.items():  # as after a kill between the two
        path.write_bytes(content)
    made.it.ever(rounds=1)
    (done,) = read(made.it.site, warehouse, OCT)
    assert (done.rows, done.note) == (12, None)
    with warehouse.read() as reader:
        assert reader.sql("SELECT max(copies) FROM raw.gpu_state").item() == 1
    (folder / "gpu_state_2025-10.parquet").write_bytes(month)
    assert made.it.tidy()
    assert made.said[-1] == "gpu_state_2025-10.parquet: 1 poll(s) taken in, 4 file(s) of polls removed"
    again = Warehouse(folder.parent / "again.duckdb")
    assert read(made.it.site, again, OCT)[0].rows == 12
    assert polls(again) == polls(warehouse)


def test_polls_that_are_taken_in_while_raw_reads_are_neither_lost_nor_doubled(
    folder: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    made = collected(folder, DAY)
    made.it.ever(rounds=3)
    real = reading.own.read_polls
    moments = iter(["before", "after"])

    def read_polls(paths):
        if next(moments, None) == "before":
            made.it.tidy()  # all are gone when they are opened
            return real(paths)
        found = real(paths)
        made.it.tidy()
        return found

    monkeypatch.setattr(reading.own, "read_polls", read_polls)
    assert len(polls_of(made, warehouse)) == 3
    made.it.ever(rounds=2)
    assert len(polls_of(made, warehouse)) == 5
    with warehouse.read() as reader:
        assert reader.sql("SELECT count(*), max(copies), count(gone_at) FROM raw.gpu_state").rows() == [(15, 1, 0)]


def test_a_reader_keeps_the_file_that_it_has_open(folder: Path):
    made = collected(folder, DAY)
    made.it.once()
    made.it.tidy()
    path = folder / "gpu_state_2025-10.parquet"
    with path.open("rb") as opened:
        made.it.ever(rounds=1)
        made.it.tidy()
        assert pq.read_table(opened).num_rows == 3
    assert pq.read_table(path).num_rows == 6


def test_attributes_that_are_asked_for_later_are_null_before(folder: Path, warehouse: Warehouse):
    collected(folder, DAY).it.ever(rounds=1)
    made = collected(folder, "2025-10-05T12:20:00", [SLOT | {"Arch": "x"}], collector={"projection": ["Arch"]})
    made.it.ever(rounds=1)
    assert read(made.it.site, warehouse, OCT)[0].rows == 5
    assert made.it.tidy()
    found = pl.read_parquet(folder / "gpu_state_2025-10.parquet")
    assert found["Arch"].to_list() == [None] * 3 + ["x"] * 2
    assert read(made.it.site, warehouse, OCT)[0].rows == 5


def test_files_of_another_collector_are_left_alone(folder: Path, warehouse: Warehouse):
    path = parquet(folder, rows([datetime(2025, 10, 5, 3)]))
    before = path.read_bytes()
    made = collected(folder, DAY)
    assert not made.it.once()
    assert "holds no instants with a zone" in made.warned[0]
    assert path.read_bytes() == before
    assert names(folder) == [path.name]
    (done,) = read(made.it.site, warehouse, OCT)
    assert done.rows == 1
    (folder / POLLS).mkdir()  # not even where someone put polls beside it
    collected(folder.parent / "other", DAY).it.once()
    (poll,) = (folder.parent / "other").rglob("*.parquet")
    poll.rename(folder / POLLS / poll.name)
    (done,) = read(made.it.site, warehouse, OCT)
    assert "Keep files of another collector in a folder of their own" in str(done.refused[0])
    assert not made.it.tidy()


def test_a_damaged_poll_is_named_and_takes_nothing_with_it(folder: Path, warehouse: Warehouse):
    made = collected(folder, DAY)
    made.it.ever(rounds=2)
    bad = folder / POLLS / "20251005T121500.000000Z.parquet"
    bad.write_bytes(bad.read_bytes()[:-50])
    assert not made.it.tidy()
    assert str(bad) in made.warned[-1]
    assert len(names(folder)) == 2
    (done,) = read(made.it.site, warehouse, OCT)
    assert str(bad) in str(done.refused[0])
    bad.unlink()
    assert made.it.tidy()
    assert len(polls_of(made, warehouse)) == 1


def test_a_second_collector_is_told_who_the_first_one_is(folder: Path):
    made = collected(folder, DAY)
    folder.mkdir()
    with file_lock(folder / LOCK, "collector of site pool", wait_seconds=0):
        for go in (made.it.once, made.it.ever, made.it.tidy):
            with pytest.raises(WarehouseError, match=rf"held by process {os.getpid()}: collector of site pool; one "):
                go()
    assert made.it.once()


def test_a_disk_that_takes_nothing_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    made = collected(folder, DAY)

    def full(table: pa.Table, where: Path, **_: object) -> None:
        where.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    assert not made.it.once()
    assert "No space left on device" in made.warned[0]
    assert names(folder) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="can't be made"):
        collected(tmp_path / "file" / "pool", DAY).it.once()


def test_what_a_kill_left_is_not_read_and_removed_by_the_next_collector(folder: Path, warehouse: Warehouse):
    made = collected(folder, DAY)
    made.it.ever(rounds=1)
    for left in (folder / ".gpu_state_2025-10.parquet.new", folder / POLLS / ".20251005T123000.000000Z.parquet.new"):
        left.write_bytes(b"PAR1 half")
    assert len(polls_of(made, warehouse)) == 1
    made.it.ever(rounds=1)
    assert "2 file(s) removed that a collector was writing when it ended" in made.said
    assert len(names(folder)) == 2


_SCRIPT = """
import sys
from pathlib import Path
from usage_assets_tests.unit.kinds.htcondor.collect.pools import SLOT, Clock, Collected, Built, site_of
clock = Clock(sys.argv[2])
pool = Built([SLOT | {"Name": f"slot1_{n}@h1.x.edu"} for n in range(200)])
made = Collected(site_of(Path(sys.argv[1])), pool, clock, 3600)
print("ready", flush=True)
made.it.ever()
"""


@pytest.mark.kills
def test_a_collector_that_is_killed_at_any_moment_loses_no_poll(folder: Path, warehouse: Warehouse):
    begin = datetime(2025, 10, 1, 5)
    for number in range(3):
        command = [sys.executable, "-c", _SCRIPT, str(folder), f"{begin:%Y-%m-%dT%H:%M:%S}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2 + number * 0.13)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        process.stdout.close()
        site = site_of(folder)
        every = {at for file in find_files(site).get(OCT, []) for at in _times(file, folder.parent / "copy.parquet")}
        assert {later - earlier for earlier, later in pairwise(sorted(every))} <= {timedelta(hours=1)}
        if every:
            begin = max(every)
        if begin.month > 10 or begin.day > 25:
            break
    (done,) = read(site_of(folder), warehouse, OCT)
    assert not done.refused
    assert {at for at, _ in polls(warehouse)} >= {at for at in every if at.month == 10}
    with warehouse.read() as reader:
        assert reader.sql("SELECT max(copies) FROM raw.gpu_state").item() == 1


def _times(file: reading.SnapshotFile, target: Path) -> list[datetime]:
    copy = reading.still(file, target, rows=reading.Rows())
    paths = [path for path in (copy.path, copy.polls) if path is not None]
    times = pl.concat([pl.read_parquet(path, columns=["timestamp"]) for path in paths])["timestamp"].unique().to_list()
    assert len(times) == len(set(times))
    return [at.astimezone(UTC).replace(tzinfo=None) for at in times]


def test_check_site_counts_the_polls_of_both_places(folder: Path):
    made = collected(folder, DAY)
    made.it.ever(rounds=2)
    made.it.tidy()
    made.it.ever(rounds=1)
    (found,) = check_site(made.it.site, ()).tables
    assert (found.state, found.rows, found.first_at, found.last_at) == (
        "found", 9, datetime(2025, 10, 5, 12, 15), datetime(2025, 10, 5, 12, 45)
    )  # fmt: skip


def test_a_month_without_polls_is_no_file(folder: Path):
    (folder / POLLS).mkdir(parents=True)
    assert find_files(site_of(folder)) == {}
    (folder / POLLS / ".20251005T123000.000000Z.parquet.new").write_bytes(b"")
    assert find_files(site_of(folder)) == {}


def test_a_poll_needs_times_with_a_zone(folder: Path, warehouse: Warehouse):
    parquet(folder / POLLS, rows([datetime(2025, 10, 5, 3)]), "20251005T080000.000000Z.parquet")
    (done,) = read(site_of(folder), warehouse, OCT)
    assert "holds no instants with a zone" in str(done.refused[0])
    (file,) = reading.find_files(site_of(folder))[OCT]
    with pytest.raises(SourceError):
        reading.still(file, folder.parent / "copy.parquet", rows=reading.Rows())
