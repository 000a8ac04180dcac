"""A release opens the files of older ones, upgrades them whole or not at all, and refuses newer ones politely."""

import logging
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from usage_assets.core.errors import WarehouseError
from usage_assets.warehouse import Warehouse, migrations, staging
from usage_assets.warehouse.migrations import Migration, add_column
from usage_assets_tests import ROOT


def add_seen_from(con: duckdb.DuckDBPyConnection) -> None:
    add_column(con, "raw.things", "seen_from", "TIMESTAMP", "extracted_at")


TWO = Migration(2, "things say since when they are seen", add_seen_from)
THREE = Migration(3, "names of things", lambda con: add_column(con, "raw.things", "name", "VARCHAR", "'thing ' || n"))


@pytest.fixture
def old(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """A file of the first release, without a version, met by one that has two migrations."""
    make_old(warehouse.path)
    monkeypatch.setattr(migrations, "MIGRATIONS", (TWO, THREE))
    return warehouse


def make_old(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE SCHEMA raw").fetchall()
        con.execute("CREATE TABLE raw.things (n BIGINT NOT NULL, extracted_at TIMESTAMP NOT NULL, note VARCHAR)")
        con.execute("CREATE VIEW raw.seen AS SELECT n FROM raw.things").fetchall()
        con.execute("INSERT INTO raw.things VALUES (1, '2020-01-02', NULL), (2, '2020-01-03', 'b')").fetchall()


def things(warehouse: Warehouse) -> list[tuple]:
    with warehouse.read() as reader:
        return reader.sql("SELECT * FROM raw.things ORDER BY n").rows()


def versions(path: Path) -> list[int]:
    with duckdb.connect(str(path), read_only=True) as con:
        return [n for (n,) in con.execute("SELECT version FROM serving.schema_version ORDER BY version").fetchall()]


UPGRADED = [
    (1, datetime(2020, 1, 2), None, datetime(2020, 1, 2), "thing 1"),
    (2, datetime(2020, 1, 3), "b", datetime(2020, 1, 3), "thing 2"),
]


def test_a_reader_of_an_older_file_meets_it_upgraded(old: Warehouse):
    assert things(old) == UPGRADED
    assert versions(old.path) == [2, 3]


def test_a_writer_of_an_older_file_meets_it_upgraded(old: Warehouse):
    with old.write("test") as writer:
        writer.con.execute("DELETE FROM raw.things WHERE name = 'thing 2'").fetchall()
    assert things(old) == UPGRADED[:1]


def test_a_dump_beside_an_older_file_meets_it_upgraded(old: Warehouse, tmp_path: Path):
    with staging(tmp_path / "stage.duckdb") as con, old.beside(con) as there:
        assert there
        assert con.execute("SELECT name FROM stored.raw.things ORDER BY n").fetchall() == [("thing 1",), ("thing 2",)]


def test_an_upgrade_is_said_once_with_its_versions(old: Warehouse, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "usage_assets"):
        things(old)
        things(old)
    assert caplog.messages == [
        "usage_assets: warehouse upgraded from version 1 to 3: things say since when they are seen; names of things"
    ]


def test_an_upgrade_is_written_down_with_release_and_time(old: Warehouse):
    things(old)
    with old.read() as reader:
        rows = reader.sql("SELECT release, applied_at FROM serving.schema_version").rows()
    assert [release for release, _ in rows] == [migrations.release()] * 2
    assert all(abs((datetime.now() - at).days) <= 1 for _, at in rows)  # noqa: DTZ005 - a day is near enough


def test_an_upgraded_table_still_requires_what_it_required(old: Warehouse):
    things(old)
    with old.read() as reader:
        nullable = dict(reader.sql("SELECT column_name, is_nullable FROM duckdb_columns()").rows())
    assert {name: nullable[name] for name in ("n", "note", "seen_from")} == {
        "n": False,
        "note": True,
        "seen_from": False,
    }


def test_a_new_file_is_of_the_newest_version_at_once(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(migrations, "MIGRATIONS", (TWO, THREE))
    with warehouse.write("test"):
        pass
    assert versions(warehouse.path) == [3]


def test_a_file_of_the_first_release_is_of_version_one(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(migrations, "MIGRATIONS", ())
    make_old(warehouse.path)
    with warehouse.write("test"):
        pass
    assert versions(warehouse.path) == [1]


def test_a_migration_that_fails_leaves_the_file_as_it_was(old: Warehouse, monkeypatch: pytest.MonkeyPatch):
    broken = Migration(3, "a fault", lambda con: add_column(con, "raw.no_such_table", "n", "INT", "1"))
    monkeypatch.setattr(migrations, "MIGRATIONS", (TWO, broken))
    with pytest.raises(WarehouseError, match=r"version 3 \(a fault\).*it is as it was"):
        things(old)
    monkeypatch.setattr(migrations, "MIGRATIONS", ())
    assert things(old) == [(1, datetime(2020, 1, 2), None), (2, datetime(2020, 1, 3), "b")]


KILLED = """
import os, signal, sys
from pathlib import Path
from usage_assets.warehouse import migrations
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.warehouse.test_migrations import THREE, TWO

def dies(con):
    THREE.apply(con)
    os.kill(os.getpid(), signal.SIGKILL)

migrations.MIGRATIONS = (TWO, migrations.Migration(3, "dies", dies))
Warehouse(Path(sys.argv[1])).upgrade()
"""


def test_a_killed_upgrade_leaves_the_old_file_and_the_next_one_ends_it(old: Warehouse, monkeypatch: pytest.MonkeyPatch):
    command = [sys.executable, "-c", KILLED, str(old.path)]
    assert subprocess.run(command, check=False, cwd=ROOT).returncode == -9
    with duckdb.connect(str(old.path), read_only=True) as con:
        assert len(con.execute("SELECT * FROM raw.things").description or ()) == 3
    assert things(old) == UPGRADED


def newer(path: Path) -> bytes:
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE SCHEMA serving").fetchall()
        con.execute("CREATE TABLE serving.schema_version (version BIGINT, release VARCHAR, applied_at TIMESTAMP)")
        con.execute("INSERT INTO serving.schema_version VALUES (9, '7.5.0', '2030-01-01')").fetchall()
    return path.read_bytes()


def opened(warehouse: Warehouse, way: str) -> None:
    if way == "read":
        with warehouse.read():
            pass
    elif way == "write":
        with warehouse.write("test"):
            pass
    elif way == "compact":
        warehouse.compact()
    else:
        warehouse.upgrade()


@pytest.mark.parametrize("way", ["read", "write", "compact", "upgrade"])
def test_a_file_of_a_newer_release_is_refused_untouched(warehouse: Warehouse, way: str):
    make_old(warehouse.path)
    before = newer(warehouse.path)
    with pytest.raises(WarehouseError, match=r"made by release 7\.5\.0.*Install release 7\.5\.0"):
        opened(warehouse, way)
    assert warehouse.path.read_bytes() == before


def test_a_process_that_knew_the_file_notices_that_a_newer_release_upgraded_it(warehouse: Warehouse):
    with warehouse.write("test"):
        pass
    with warehouse.read():
        pass
    with duckdb.connect(str(warehouse.path)) as con:
        con.execute("INSERT INTO serving.schema_version VALUES (99, '8.0.0', '2030-01-01')").fetchall()
    with pytest.raises(WarehouseError, match=r"8\.0\.0"), warehouse.write("test"):
        pass


def test_the_version_of_a_known_file_is_not_asked_for_again(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    with warehouse.write("test"):
        pass
    asked = []
    monkeypatch.setattr(migrations, "stored_version", lambda *args: asked.append(1))
    with warehouse.read():
        pass
    with warehouse.write("test") as writer:
        writer.con.execute("CREATE TABLE t (n INT)").fetchall()
    with warehouse.read():
        pass
    assert not asked


def test_two_that_open_an_older_file_at_once_upgrade_it_once(old: Warehouse, tmp_path: Path):
    code = """
import sys
from pathlib import Path
from usage_assets.warehouse import migrations
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.warehouse.test_migrations import THREE, TWO
migrations.MIGRATIONS = (TWO, THREE)
with Warehouse(Path(sys.argv[1])).read() as reader:
    print(reader.sql("SELECT count(name) AS n FROM raw.things")["n"][0])
"""
    found: list[subprocess.CompletedProcess[str]] = []

    def one() -> None:
        command = [sys.executable, "-c", code, str(old.path)]
        found.append(subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True))

    both = [threading.Thread(target=one) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert [(done.returncode, done.stdout) for done in found] == [(0, "2\n")] * 2, [done.stderr for done in found]
    assert sum(done.stderr.count("upgraded from version 1 to 3") for done in found) == 1
    assert versions(old.path) == [2, 3]


def test_raw_rows_of_an_older_file_get_what_the_rules_of_this_release_ask_of_them(warehouse: Warehouse):
    warehouse.path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(warehouse.path)) as con:
        for schema in ("raw", "evidence", "serving"):
            con.execute(f"CREATE SCHEMA {schema}").fetchall()
        con.execute("CREATE TABLE serving.schema_version (version BIGINT, release VARCHAR, applied_at TIMESTAMP)")
        con.execute("INSERT INTO serving.schema_version VALUES (2, '0.1.0', '2026-01-01')").fetchall()
        for schema in ("raw", "evidence"):
            con.execute(f"CREATE TABLE {schema}.zun_container AS SELECT 1::BIGINT AS id").fetchall()
    with warehouse.read() as reader:
        for schema in ("raw", "evidence"):
            row = reader.sql(f"SELECT * FROM {schema}.zun_container").row(0, named=True)
            assert row == {"id": 1, "container_type": None, "capsule_id": None}
