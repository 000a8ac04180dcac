"""A backup is consistent while runs go on, whole or not there, and holds no secret."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from usage_assets.core.errors import BackupError, DiskError, WarehouseError
from usage_assets.operations.backup import backups, make_backup
from usage_assets.operations.manifest import NAME, Manifest
from usage_assets.operations.places import Places
from usage_assets.operations.restore import restore
from usage_assets.warehouse import Warehouse, migrations
from usage_assets_tests import ROOT
from usage_assets_tests.unit.operations.installation import grow, instance_of, known_runs, make, places_in, rows


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return make(tmp_path / "here")


def test_a_backup_holds_what_can_not_be_made_again(places: Places, tmp_path: Path):
    folder, manifest = make_backup(places, tmp_path / "backups")
    names = {file.path for file in manifest.files}
    assert {
        "warehouse.duckdb",
        "dagster/dagster.yaml",
        "dagster/alerts.db",
        "dagster/history/runs.db",
        "dagster/history/runs/index.db",
        "dagster/schedules/schedules.db",
        "sites/a.yaml",
        "sites/lists/machines.csv",
        "alerts.yaml",
        "plots/a/2020-01/stack.html",
        "exports/usage_wide.csv",
    } <= names
    assert manifest.schema_version == migrations.newest()
    assert list(manifest.faults(folder)) == []
    assert folder.stat().st_mode & 0o077 == 0


def test_a_backup_without_plots_says_so(places: Places, tmp_path: Path):
    _, manifest = make_backup(places, tmp_path / "backups", plots=False)
    assert not manifest.below("plots")
    assert "plots: made again by materializing them" in manifest.left_out


def test_a_backup_has_no_secret(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NOVA_PASSWORD", "s3cret-word")
    secrets = tmp_path / "here" / "data" / "secrets"
    secrets.write_text("SMTP_PASSWORD=s3cret-word\n")
    secrets.chmod(0o600)
    monkeypatch.setenv("USAGE_SECRETS", str(secrets))
    folder, _ = make_backup(places, tmp_path / "backups")
    assert not [path for path in folder.rglob("*") if path.is_file() and b"s3cret-word" in path.read_bytes()]


def test_a_named_file_outside_of_the_site_files_is_said_to_be_left_out(places: Places, tmp_path: Path):
    text = (places.sites / "a.yaml").read_text().replace("lists/machines.csv", str(tmp_path / "elsewhere.csv"))
    (places.sites / "a.yaml").write_text(text)
    _, manifest = make_backup(places, tmp_path / "backups")
    assert any("elsewhere.csv, which a.yaml names: it lies outside" in each for each in manifest.left_out)


def test_a_broken_site_file_is_saved_as_it_is(places: Places, tmp_path: Path):
    (places.sites / "bad.yaml").write_text("kind: [")
    folder, manifest = make_backup(places, tmp_path / "backups")
    assert (folder / "sites" / "bad.yaml").read_text() == "kind: ["
    assert any(each.startswith("files that bad.yaml names") for each in manifest.left_out)


def test_older_backups_are_removed_beyond_those_to_keep(places: Places, tmp_path: Path):
    made = [make_backup(places, tmp_path / "backups", keep=2)[0] for _ in range(4)]
    assert backups(tmp_path / "backups") == made[2:]
    assert sorted(path.name for path in (tmp_path / "backups").iterdir()) == [
        ".backup.lock",
        *(path.name for path in made[2:]),
    ]


def test_a_backup_that_fails_removes_no_older_one_and_leaves_nothing(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    old, _ = make_backup(places, tmp_path / "backups")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Warehouse, "copy_to", full)
    with pytest.raises(BackupError, match="No space left on device; nothing is left of it"):
        make_backup(places, tmp_path / "backups", keep=1)
    assert [path.name for path in (tmp_path / "backups").iterdir() if path.is_dir()] == [old.name]


def test_a_backup_without_room_on_the_disk_is_refused(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(total=1, used=1, free=1000))
    with pytest.raises(DiskError, match="are needed to make a backup"):
        make_backup(places, tmp_path / "backups")


def test_two_backups_into_one_folder_at_once_are_refused(places: Places, tmp_path: Path):
    from usage_assets.core.locks import file_lock

    (tmp_path / "backups").mkdir()
    with (
        file_lock(tmp_path / "backups" / ".backup.lock", "a backup", wait_seconds=0),
        pytest.raises(WarehouseError, match="a backup"),
    ):
        make_backup(places, tmp_path / "backups")


WRITER = """
import sys
from pathlib import Path
from usage_assets_tests.unit.operations.installation import grow, places_in
for n in range(1000):
    grow(places_in(Path(sys.argv[1])))
    print(n, flush=True)
"""


def test_a_backup_made_while_another_process_runs_and_writes_restores_to_one_moment(places: Places, tmp_path: Path):
    made = []
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "here")], stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
    ) as writer:
        assert writer.stdout is not None
        for _ in range(3):
            writer.stdout.readline()
            writer.stdout.readline()
            made.append(make_backup(places, tmp_path / "backups")[0])
        os.killpg(writer.pid, signal.SIGKILL)  # with what mirrors the output of its runs
    for number, folder in enumerate(made):
        other = places_in(tmp_path / f"other{number}")
        restore(folder, other)
        left, right = rows(other)
        assert left == right
        assert len(left) >= 3 * number
        runs = known_runs(other)
        # every run that Dagster knows as ended had written its row before the warehouse was copied, but for the last
        assert len([run for run, status in runs.items() if status.value == "SUCCESS" and run not in left]) <= 1
        with instance_of(other) as instance:
            for run in runs:
                assert instance.all_logs(run)
            latest = instance.get_latest_materialization_event(job_key())
            assert latest is not None
            assert latest.run_id in runs


def job_key():
    import dagster as dg

    return dg.AssetKey(["a", "thing"])


def test_a_backup_takes_in_what_a_killed_process_had_written(places: Places, tmp_path: Path):
    code = """
import os, sys
from pathlib import Path
import duckdb
con = duckdb.connect(sys.argv[1])
con.execute("SET checkpoint_threshold = '1GB'")
con.execute("INSERT INTO left_rows VALUES ('killed')")
con.execute("INSERT INTO right_rows VALUES ('killed')")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code, str(places.warehouse)], check=False)
    assert places.warehouse.with_name("warehouse.duckdb.wal").exists()
    folder, _ = make_backup(places, tmp_path / "backups")
    other = places_in(tmp_path / "other")
    restore(folder, other)
    assert "killed" in rows(other)[0]


KILLED = """
import os, signal, sys, threading, time
from pathlib import Path
from usage_assets.operations.backup import make_backup
from usage_assets_tests.unit.operations.installation import places_in
def die():
    time.sleep(float(sys.argv[2]))
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=die, daemon=True).start()
while True:
    make_backup(places_in(Path(sys.argv[1]) / "here"), Path(sys.argv[1]) / "backups", keep=2)
"""


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.3])
@pytest.mark.kills
def test_a_killed_backup_is_no_backup_and_the_next_one_clears_it_away(places: Places, tmp_path: Path, seconds: float):
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(seconds)]
    assert subprocess.run(command, check=False, cwd=ROOT).returncode == -9
    for folder in backups(tmp_path / "backups"):
        assert list(Manifest.read(folder).faults(folder)) == []
    for part in (tmp_path / "backups").glob(".*.part"):
        if not (part / NAME).exists():
            with pytest.raises(BackupError, match="is no backup"):
                restore(part, places_in(tmp_path / "other"))
    make_backup(places, tmp_path / "backups")
    assert not list((tmp_path / "backups").glob(".*.part"))


def test_an_empty_installation_can_be_saved(tmp_path: Path):
    _, manifest = make_backup(places_in(tmp_path / "nothing"), tmp_path / "backups")
    assert manifest.files == ()
    assert manifest.schema_version is None


def test_a_backup_goes_on_beside_readers_and_waits_for_a_writer(places: Places, tmp_path: Path):
    with Warehouse(places.warehouse).read():
        began = time.monotonic()
        make_backup(places, tmp_path / "backups")
        assert time.monotonic() - began < 20
    grow(places)


def test_a_manifest_is_readable_by_people(places: Places, tmp_path: Path):
    folder, manifest = make_backup(places, tmp_path / "backups")
    found = json.loads((folder / NAME).read_text())
    assert found["release"] == manifest.release
    assert found["files"][0].keys() == {"path", "size", "sha256"}
