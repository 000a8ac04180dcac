"""A restore changes nothing, or all of it; what was there is never lost, and a killed one can be given again."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.core.disk import same_disk
from usage_assets.core.errors import BackupError, DiskError
from usage_assets.operations.backup import make_backup
from usage_assets.operations.manifest import NAME
from usage_assets.operations.places import Places
from usage_assets.operations.restore import restore, unfinished
from usage_assets.warehouse import Warehouse
from usage_assets_tests import ROOT
from usage_assets_tests.unit.operations.installation import grow, instance_of, job, known_runs, make, places_in, rows


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return make(tmp_path / "here")


@pytest.fixture
def saved(places: Places, tmp_path: Path) -> Path:
    return make_backup(places, tmp_path / "backups")[0]


def everything(folder: Path) -> dict[str, bytes]:
    """All files below a folder, but for locks."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_an_installation_moves_to_another_place_whole(places: Places, saved: Path, tmp_path: Path):
    other = places_in(tmp_path / "other")
    restore(saved, other)
    assert rows(other) == rows(places)
    assert known_runs(other) == known_runs(places)
    for name in ("sites/a.yaml", "sites/lists/machines.csv", "data/plots/a/2020-01/stack.html", "alerts.yaml"):
        assert (tmp_path / "other" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_a_moved_installation_goes_on_where_the_old_one_stopped(saved: Path, tmp_path: Path):
    other = places_in(tmp_path / "other")
    restore(saved, other)
    fresh = grow(other)
    assert fresh in rows(other)[0]
    assert len(known_runs(other)) == 2
    with instance_of(other) as instance:
        assert len(list(instance.fetch_materializations(dg.AssetKey(["a", "thing"]), limit=9).records)) == 2


def test_places_that_hold_data_are_refused_and_left_as_they_are(places: Places, saved: Path, tmp_path: Path):
    grow(places)
    before = rows(places), known_runs(places)
    with pytest.raises(BackupError, match=r"there is data already: .*warehouse\.duckdb.*--force"):
        restore(saved, places)
    assert (rows(places), known_runs(places)) == before


def test_forced_what_was_there_is_moved_aside_whole(places: Places, saved: Path, tmp_path: Path):
    later = grow(places)
    done = restore(saved, places, force=True)
    assert later not in rows(places)[0]
    assert later not in known_runs(places)
    assert done.aside is not None
    old = Warehouse(done.aside / "data" / "warehouse.duckdb")
    with old.read() as reader:
        assert later in reader.sql("SELECT run FROM left_rows")["run"].to_list()
    assert (done.aside / "home" / "history" / "runs" / f"{later}.db").is_file()


def test_a_dry_run_says_what_it_would_do_and_does_nothing(places: Places, saved: Path, tmp_path: Path):
    before = everything(tmp_path / "here")
    done = restore(saved, places, dry_run=True)
    assert places.warehouse in {piece.target for piece in done.pieces}
    assert done.unset == ("NOVA_PASSWORD", "SMTP_PASSWORD")
    assert everything(tmp_path / "here") == before


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def edit(folder: Path, **values: object) -> None:
    found = json.loads((folder / NAME).read_text())
    (folder / NAME).write_text(json.dumps(found | values))


def outside(folder: Path) -> None:
    found = json.loads((folder / NAME).read_text())
    found["files"][0]["path"] = "../../etc/passwd"
    (folder / NAME).write_text(json.dumps(found))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "warehouse.duckdb").unlink(), r"warehouse\.duckdb is missing"),
        (lambda folder: (folder / "sites" / "a.yaml").write_text("kind"), r"sites/a\.yaml has 4 bytes, not"),
        (lambda folder: flip(folder / "warehouse.duckdb"), r"warehouse\.duckdb is not what was saved"),
        (lambda folder: (folder / NAME).write_text("{"), r"manifest\.json can't be read"),
        (lambda folder: (folder / NAME).unlink(), "is no backup"),
        (lambda folder: edit(folder, format=2, release="9.9"), r"made by release 9\.9, in a newer form"),
        (lambda folder: edit(folder, schema_version=99, release="9.9"), r"schema version 99.*Install release 9\.9"),
        (outside, "lies outside the backup"),
    ],
)
def test_a_backup_that_is_damaged_or_newer_is_refused(saved: Path, tmp_path: Path, harm, said: str):
    harm(saved)
    with pytest.raises(BackupError, match=said):
        restore(saved, places_in(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_while_a_run_writes_nothing_is_restored(places: Places, saved: Path):
    with Warehouse(places.warehouse).site("a", "reading"), pytest.raises(BackupError, match="a run is writing"):
        restore(saved, places, force=True)


def test_while_a_process_has_the_storage_open_nothing_is_restored(places: Places, saved: Path, tmp_path: Path):
    code = "import sys; file = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(places.home / "history" / "runs.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(BackupError, match=rf"process {other.pid} \(.*\) has files of .* open"):
            restore(saved, places, force=True)
        other.kill()


def test_while_a_daemon_is_at_work_nothing_is_restored(places: Places, saved: Path):
    import time

    from dagster._daemon.types import DaemonHeartbeat

    with instance_of(places) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "SENSOR", "id", None))
    with pytest.raises(BackupError, match=r"a Dagster daemon was at work \d+ s ago"):
        restore(saved, places, force=True)


def test_a_run_that_has_not_ended_is_in_the_way_unless_forced(places: Places, saved: Path):
    with instance_of(places) as instance:
        run = instance.create_run_for_job(job(), status=dg.DagsterRunStatus.STARTED)
    with pytest.raises(BackupError, match=rf"run {run.run_id[:8]} has not ended \(started\)"):
        restore(saved, places)
    restore(saved, places, force=True)


def test_a_run_that_was_under_way_when_the_backup_was_made_has_failed_after_the_restore(places: Places, tmp_path: Path):
    with instance_of(places) as instance:
        run = instance.create_run_for_job(job(), status=dg.DagsterRunStatus.STARTED)
    folder, _ = make_backup(places, tmp_path / "backups")
    other = places_in(tmp_path / "other")
    restore(folder, other)
    assert known_runs(other)[run.run_id] == dg.DagsterRunStatus.FAILURE


def test_a_backup_of_an_older_release_is_upgraded_when_it_is_opened(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from usage_assets.warehouse import migrations

    number = migrations.newest() + 1
    more = migrations.Migration(
        number, "a column", lambda con: migrations.add_column(con, "main.left_rows", "n", "INT", "7")
    )
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, more))
    other = places_in(tmp_path / "other")
    restore(saved, other)
    with Warehouse(other.warehouse).read() as reader:
        assert reader.sql("SELECT n FROM left_rows")["n"].to_list() == [7]


KILLED = """
import os, signal, sys
from pathlib import Path
import usage_assets.operations.restore as restoring
from usage_assets_tests.unit.operations.installation import places_in
real, calls = getattr(restoring, sys.argv[3]), []
def killed(*args):
    if len(calls) == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
    calls.append(1)
    return real(*args)
setattr(restoring, sys.argv[3], killed)
if sys.argv[5:] == ["across"]:
    restoring.same_disk = lambda one, other: False
restoring.restore(Path(sys.argv[1]), places_in(Path(sys.argv[2])), force=True)
"""


@pytest.mark.parametrize(
    "killed_at",
    [
        ("_stage", "2"),
        ("_put", "0"),
        ("_put", "1"),
        ("put_in_place", "3"),
        ("_put", "4"),
        ("copy_whole", "1", "across"),
        ("put_in_place", "4", "across"),
    ],
)
@pytest.mark.kills
def test_a_killed_restore_loses_nothing_and_the_same_command_ends_it(
    places: Places, saved: Path, tmp_path: Path, killed_at: tuple[str, ...]
):
    later = grow(places)
    command = [sys.executable, "-c", KILLED, str(saved), str(tmp_path / "here"), *killed_at]
    assert subprocess.run(command, check=False, cwd=ROOT).returncode == -9
    left, right = rows(places)  # the warehouse is whole, old or new
    assert left == right
    begun = unfinished(places)
    assert (begun is None) == (killed_at[0] == "_stage")
    done = restore(saved, places, force=begun is None)
    assert unfinished(places) is None
    assert later not in rows(places)[0]
    assert later not in known_runs(places)
    assert done.aside is not None
    kept = list(done.aside.rglob(f"{later}.db"))
    assert len(kept) == 1
    assert not list((tmp_path / "here").rglob("*.restored"))
    assert not list((tmp_path / "here").rglob("*.replaced"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than the tests' own."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or same_disk(memory, tmp_path):
        pytest.skip("/dev/shm is no file system of its own here")
    folder = Path(tempfile.mkdtemp(dir=memory, prefix="usage_assets_test_"))
    yield folder
    shutil.rmtree(folder)


def test_what_lies_on_other_file_systems_is_copied_aside(places: Places, tmp_path: Path, elsewhere: Path):
    shutil.copytree(places.sites, elsewhere / "sites")
    shutil.copytree(places.home, elsewhere / "home")
    apart = Places(places.data, elsewhere / "home", elsewhere / "sites", places.alerts)
    saved, _ = make_backup(apart, tmp_path / "backups")
    (apart.sites / "a.yaml").write_text("changed: since\n")
    later = grow(apart)
    before = everything(elsewhere)

    foreseen = restore(saved, apart, dry_run=True).copied
    assert {piece.target for piece in foreseen} >= {apart.sites / "a.yaml", apart.home / "history"}
    assert everything(elsewhere) == before

    done = restore(saved, apart, force=True)
    assert later not in known_runs(apart)
    assert (apart.sites / "a.yaml").read_text() == (saved / "sites" / "a.yaml").read_text()
    assert done.aside is not None
    assert (done.aside / "sites" / "a.yaml").read_text() == "changed: since\n"
    assert len(list(done.aside.rglob(f"{later}.db"))) == 1
    assert unfinished(apart) is None
    assert [path.name for path in elsewhere.rglob(".*")] == []


def test_room_for_what_is_copied_aside_is_asked_for_before_anything_changes(
    places: Places, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    grow(places)
    before = everything(tmp_path / "here")
    monkeypatch.setattr("usage_assets.operations.restore.same_disk", lambda one, other: False)
    monkeypatch.setattr("usage_assets.operations.restore.size_of", lambda path: 10**18)
    for dry_run in (True, False):
        with pytest.raises(DiskError, match="keep what is replaced on other file systems"):
            restore(saved, places, force=True, dry_run=dry_run)
    assert everything(tmp_path / "here") == before
