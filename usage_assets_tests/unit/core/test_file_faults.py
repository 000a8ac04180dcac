"""Files that can't be opened: damaged ones ask for a backup, those of another user for their owner."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from usage_assets.cli import app as commands
from usage_assets.core.errors import WarehouseError
from usage_assets.core.file_faults import advice, sentence
from usage_assets.core.locks import file_lock
from usage_assets.operations.doctor import PROBES
from usage_assets.operations.doctor.probes import Installation, outcomes_of
from usage_assets.operations.places import Places
from usage_assets.serving.publish import publish
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.serving.store import FACTS, write
from usage_assets_tests.unit.sources.sources import make_sqlite, run, tables_of

NOBODY = 65534
JAN = date(2020, 1, 1)


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    write(warehouse, 1, rows=20_000)
    return warehouse


def damaged(path: Path, at: float) -> None:
    """Write nonsense into a file."""
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * at))
        file.write(os.urandom(4096))


def _read(warehouse: Warehouse) -> None:
    with warehouse.read() as reader:
        reader.sql(f"SELECT sum(n) FROM {FACTS.qualified}")
        reader.sql("SELECT sum(hash(COLUMNS(*))) FROM timelines.things")


def _write(warehouse: Warehouse) -> None:
    with warehouse.write("test") as writer:
        for table in ("facts", "timelines"):
            writer.con.execute(f"SELECT sum(hash(COLUMNS(*))) FROM {table}.things").fetchall()


def _compact(warehouse: Warehouse) -> None:
    warehouse.compact()


def _publish(warehouse: Warehouse) -> None:
    publish(warehouse, warehouse.path.parent / "published")


def _copy(warehouse: Warehouse) -> None:
    warehouse.copy_to(warehouse.path.parent / "copy.duckdb")


def _version(warehouse: Warehouse) -> None:
    warehouse.version()


@pytest.mark.parametrize("use", [_read, _write, _compact, _publish, _copy, _version])
def test_a_damaged_warehouse_asks_for_the_last_backup(filled: Warehouse, use: Callable[[Warehouse], None]):
    damaged(filled.path, 0.0)
    with pytest.raises(WarehouseError, match="is damaged") as caught:
        use(filled)
    said = str(caught.value)
    assert str(filled.path) in said
    assert "usage-assets restore" in said
    assert "disk" not in said
    assert "other programs" not in said


@pytest.mark.parametrize("use", [_read, _write, _compact])
def test_damage_that_only_reading_finds_says_the_same(
    tmp_path: Path, filled: Warehouse, use: Callable[[Warehouse], None]
):
    with duckdb.connect(str(filled.path)) as con:
        con.execute(
            "INSERT INTO facts.things SELECT site, month, state, hash(n + range) >> 1 FROM facts.things, range(40)"
        )
    whole = tmp_path / "whole"
    shutil.copy(filled.path, whole)
    found = []
    for at in (0.3, 0.4, 0.5, 0.6, 0.7):  # where in the file rows lie is DuckDB's own matter
        shutil.copy(whole, filled.path)
        damaged(filled.path, at)
        try:
            use(filled)
        except WarehouseError as error:
            found.append(str(error))
    assert found
    assert all(f"{filled.path} is damaged" in text and "usage-assets restore" in text for text in found)


def test_a_damaged_file_of_a_killed_write_says_what_is_lost(filled: Warehouse):
    script = (
        f"import duckdb, os; con = duckdb.connect({str(filled.path)!r})\n"
        "con.execute(\"SET checkpoint_threshold = '1TB'\"); con.execute('CREATE TABLE more (n INT)')\n"
        "[con.execute('INSERT INTO more VALUES (?)', [n]) for n in range(300)]; os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script], check=False, timeout=120)
    wal = filled.path.with_name("warehouse.duckdb.wal")
    with wal.open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff" * 64)
    with pytest.raises(WarehouseError) as caught:
        _read(filled)
    said = str(caught.value)
    assert f"{wal} is damaged" in said
    assert f"mv {wal} {wal}.damaged" in said
    assert "last write is lost" in said
    wal.rename(wal.with_name("warehouse.duckdb.wal.damaged"))
    _read(filled)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "free some room on the disk of /data"),
        (errno.EDQUOT, "free some room on the disk of /data"),
        (errno.EROFS, "the disk of /data/x may only be read"),
        (errno.EIO, "look at its health"),
    ],
)
def test_what_to_do_follows_from_the_fault(number: int, said: str):
    error = OSError(number, os.strerror(number), "/data/x")
    assert said in advice(error, Path("/data"))
    assert said in str(sentence(error, Path("/data")))


def test_a_fault_of_the_program_is_not_made_a_sentence():
    assert sentence(FileNotFoundError(errno.ENOENT, "gone", "/x"), Path("/data")) is None
    assert sentence(KeyError("x"), Path("/data")) is None


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that another user can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        found = Path(folder) / "data"
        monkeypatch.setenv("USAGE_DATA", str(found))
        monkeypatch.setenv("DAGSTER_HOME", str(Path(folder) / "home"))
        (Path(folder) / "home").mkdir()
        yield found


@contextmanager
def after_root_was_here(data: Path, *names: str) -> Iterator[None]:
    """Act as a user who owns the data but these folders; without being root, as one who may not write them."""
    if os.geteuid() == 0:
        for path in (data, data.parent / "home", *data.rglob("*"), *(data.parent / "home").rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        for name in names:
            for path in (data / name, *(data / name).rglob("*")):
                os.chown(path, 0, 0)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
        return
    for name in names:
        for path in (*(data / name).rglob("*"), data / name):
            path.chmod(path.stat().st_mode & ~0o222)
    try:
        yield
    finally:
        for name in names:
            for path in (data / name, *(data / name).rglob("*")):
                path.chmod(path.stat().st_mode | 0o200)


@pytest.fixture
def stored(data: Path) -> Warehouse:
    """A warehouse with its locks and a published snapshot."""
    warehouse = Warehouse(data / "warehouse.duckdb")
    write(warehouse, 1)
    with warehouse.site("edge", "test"):
        pass
    publish(warehouse, data / "published")
    write(warehouse, 2)
    return warehouse


def test_doctor_fails_and_names_folders_of_another_user(data: Path, stored: Warehouse):
    places = Places(data, data.parent / "home", data.parent / "sites", data.parent / "alerts.yaml")
    patient = Installation(places, datetime.now(tz=UTC), offline=True)
    assert [said.state for said in outcomes_of(PROBES["folders"], patient)] == ["ok", "ok"]
    with after_root_was_here(data, "published", ".locks"):
        found = outcomes_of(PROBES["folders"], patient)
    assert [said.state for said in found] == ["fail", "ok"]
    assert f"{data}/.locks, {data}/published belongs to" in found[0].found
    if os.geteuid() == 0:
        assert "belongs to root, and nobody can't write it" in found[0].found
        assert "chown -R nobody" in found[0].do
    assert stored.path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what another user can't write")
def test_doctor_of_root_fails_too_where_the_service_could_not_write(data: Path, stored: Warehouse):
    places = Places(data, data.parent / "home", data.parent / "sites", data.parent / "alerts.yaml")
    with after_root_was_here(data, "published"):
        pass
    (said, home) = outcomes_of(PROBES["folders"], Installation(places, datetime.now(tz=UTC), offline=True))
    assert (said.state, home.state) == ("fail", "ok")
    assert f"{data}/published belongs to root, and nobody can't write it" in said.found
    assert stored.path.exists()


def test_a_lock_of_another_user_is_one_sentence_that_names_it(data: Path, stored: Warehouse):
    with after_root_was_here(data, ".locks"), pytest.raises(WarehouseError) as caught, stored.site("edge", "test"):
        pass
    said = str(caught.value)
    assert said.startswith(f"{data}/.locks/edge.lock: Permission denied; nothing was changed.")
    assert "free" not in said
    if os.geteuid() == 0:
        assert f"{data}/.locks belongs to root" in said or f"{data}/.locks/edge.lock belongs to root" in said
    with after_root_was_here(data), file_lock(data / ".locks" / "edge.lock", "test", wait_seconds=1):
        pass


def test_a_dump_into_folders_of_another_user_names_them_and_not_the_free_space(data: Path):
    source = make_sqlite(data.parent / "source", {"nova.instances": [{"id": 1, "uuid": "u", "host": "h"}]})
    tables = tables_of({"nova.instances": []})
    warehouse = Warehouse(data / "warehouse.duckdb")
    run(source, warehouse, JAN, tables=tables)
    (data.parent / "source").chmod(0o777)
    with after_root_was_here(data, ".staging"), pytest.raises(WarehouseError) as caught:
        run(source, warehouse, JAN, tables=tables)
    said = str(caught.value)
    assert f"{data}/.staging" in said
    assert "free space" not in said
    assert "belongs to" in said


def test_a_command_says_one_sentence(
    data: Path, stored: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["usage-assets", "publish"])
    with pytest.raises(SystemExit) as ended:
        commands.main()  # all that it needs is loaded now, whoever may read the program's files
    assert not ended.value.code
    write(stored, 3)
    capsys.readouterr()
    with after_root_was_here(data, "published"), pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == commands.FAILED
    said = capsys.readouterr().err
    assert f"{data}/published/.publish.lock: Permission denied" in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
