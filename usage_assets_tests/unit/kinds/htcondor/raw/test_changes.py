"""Files that change: what is read again, what is replaced, kept and refused, and the running month."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from usage_assets.kinds.htcondor.raw import dump as dumped
from usage_assets.kinds.htcondor.raw import pull
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.htcondor.raw.pools import at, every, parquet, read, rows, site_of, sqlite, stored

TIMES = every(15, "2025-10-05 00:00:03.123456", 4)


def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read from now on."""
    seen: list[Path] = []
    still = pull.still

    def noted(file, target, *, rows):
        seen.append(file.path)
        return still(file, target, rows=rows)

    monkeypatch.setattr(pull, "still", noted)
    return seen


def test_an_old_file_is_read_again_only_when_it_changed(
    pool: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    path = parquet(pool, rows(TIMES))
    read(site_of(pool), warehouse)
    seen = reads(monkeypatch)
    again = read(site_of(pool), warehouse)[0]
    assert (again.rows, again.note, seen) == (4, "its files are as they were", [])
    path.touch()
    assert (read(site_of(pool), warehouse)[0].rows, seen) == (4, [])
    with warehouse.read() as reader:
        assert reader.sql("SELECT version FROM serving.versions").rows() == [(1,)]
        assert reader.sql("SELECT modified_ns FROM serving.files").rows() == [(path.stat().st_mtime_ns,)]
    parquet(pool, rows(TIMES, State="Drained"))
    assert read(site_of(pool), warehouse)[0].rows_changed == 4
    assert seen == [path]


def test_a_changed_poll_leaves_its_old_rows_as_evidence(
    pool: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    at(monkeypatch, "2026-02-01 10:00")
    parquet(pool, [*rows(TIMES), *rows(TIMES, AssignedGPUs="GPU-2")])
    read(site_of(pool), warehouse)
    at(monkeypatch, "2026-02-02 10:00")
    changed = [*rows(TIMES[:1], State="Claimed"), *rows(TIMES[1:]), *rows(TIMES, AssignedGPUs="GPU-2")]
    parquet(pool, changed)
    (done,) = read(site_of(pool), warehouse)
    assert (done.rows, done.rows_new, done.rows_changed) == (8, 0, 1)
    with warehouse.read() as reader:
        old = reader.sql("SELECT gpu, state, seen_from, seen_to FROM evidence.gpu_state").rows()
        since = reader.sql("SELECT state, seen_from FROM raw.gpu_state ORDER BY poll_at, gpu LIMIT 2").rows()
    assert old == [("GPU-1", "Unclaimed", datetime(2026, 2, 1, 10), datetime(2026, 2, 2, 10))]
    assert since == [("Claimed", datetime(2026, 2, 2, 10)), ("Unclaimed", datetime(2026, 2, 1, 10))]


def test_polls_that_vanish_stay_and_many_at_once_are_refused(pool: Path, warehouse: Warehouse):
    times = every(15, "2025-10-05 00:00", 100)
    parquet(pool, rows(times))
    read(site_of(pool), warehouse)
    parquet(pool, rows(times[:95]))
    (done,) = read(site_of(pool), warehouse)
    assert (done.rows, done.rows_gone, done.refused) == (100, 5, ())
    path = parquet(pool, rows(times[:50]))
    (done,) = read(site_of(pool), warehouse)
    assert "45 of 95 rows are not in the files any more" in str(done.refused[0])
    assert len(stored(warehouse, "poll_at, gone_at")) == 100
    (done,) = read(site_of(pool), warehouse, purge_known=True)
    assert (done.rows, done.rows_gone, done.refused) == (100, 50, ())
    path.unlink()
    (done,) = read(site_of(pool), warehouse)
    assert "50 of 50 rows are not in the files any more" in str(done.refused[0])
    parquet(pool, rows(times))
    (done,) = read(site_of(pool), warehouse)
    assert (done.rows, done.rows_gone, done.refused) == (100, 0, ())


@pytest.mark.parametrize("write", [parquet, sqlite])
def test_the_running_month_goes_on_from_its_newest_poll(
    pool: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, write
):
    at(monkeypatch, "2025-10-05 12:00")
    path = write(pool, rows(TIMES))
    read(site_of(pool), warehouse)
    path.unlink()
    at(monkeypatch, "2025-10-05 13:00")
    write(pool, rows(every(15, "2025-10-05 00:00:03.123456", 6)))
    calls: list[bool] = []
    monkeypatch.setattr(pull.Pull, "_read_files", followed(calls, pull.Pull._read_files))
    (done,) = read(site_of(pool), warehouse)
    assert (done.rows, done.rows_new, done.rows_changed) == (6, 2, 0)
    assert calls == [False]
    with warehouse.read() as reader:
        since = reader.sql("SELECT seen_from FROM raw.gpu_state ORDER BY poll_at").rows()
    assert [at.hour for (at,) in since] == [12] * 4 + [13] * 2


def followed(calls: list[bool], read_files):
    def noted(self, files, known, *, whole):
        calls.append(whole)
        return read_files(self, files, known, whole=whole)

    return noted


@pytest.mark.parametrize("write", [parquet, sqlite])
def test_a_running_file_that_changed_before_its_end_is_read_whole(
    pool: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, write
):
    at(monkeypatch, "2025-10-05 12:00")
    path = write(pool, rows(TIMES))
    read(site_of(pool), warehouse)
    path.unlink()
    late = [*TIMES[:1], *every(15, "2025-10-05 00:05", 1), *TIMES[1:], TIMES[-1] + timedelta(minutes=15)]
    write(pool, rows(late))
    calls: list[bool] = []
    monkeypatch.setattr(pull.Pull, "_read_files", followed(calls, pull.Pull._read_files))
    (done,) = read(site_of(pool), warehouse)
    assert (done.rows, done.rows_new) == (6, 2)
    assert calls == [False, True]


def test_a_small_file_per_poll_is_read_once(pool: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    at(monkeypatch, "2025-10-05 12:00")
    site = site_of(
        pool, snapshots=[{"folder": str(pool), "files": ["gpu_state_{month}.parquet", "poll_{month}-*.parquet"]}]
    )
    for number, time in enumerate(TIMES):
        parquet(pool, rows([time]), f"poll_2025-10-{number:03}.parquet")
    read(site, warehouse)
    seen = reads(monkeypatch)
    more = parquet(pool, rows(every(15, "2025-10-05 01:00", 1)), "poll_2025-10-004.parquet")
    assert (read(site, warehouse)[0].rows, seen) == (5, [more])
    parquet(pool, rows([*TIMES, *every(15, "2025-10-05 01:00", 1)]))
    for path in pool.glob("poll_*"):
        path.unlink()
    assert (read(site, warehouse)[0].rows, read(site, warehouse)[0].rows_gone) == (5, 0)


def test_a_run_that_ends_before_its_commit_leaves_everything_as_it_was(
    pool: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    parquet(pool, rows(TIMES))
    read(site_of(pool), warehouse)
    before = stored(warehouse)
    parquet(pool, rows(TIMES, State="Drained"))

    def dies(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(dumped.record, "record", dies)
        with pytest.raises(KeyboardInterrupt):
            read(site_of(pool), warehouse)
    assert stored(warehouse) == before
    assert read(site_of(pool), warehouse)[0].rows_changed == 4
