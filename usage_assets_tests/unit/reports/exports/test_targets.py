"""Where exports go: files, the snapshot and a database in SQLite. Old or new, whole, and nobody else's rows."""

import os
import shutil
import sqlite3
from datetime import date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from usage_assets.core.errors import ExportError
from usage_assets.reports.exports import database, files, snapshot
from usage_assets.reports.exports.tables import EXPORTS, USAGE_LONG

JAN, FEB = date(2020, 1, 1), date(2020, 2, 1)


def rows(site, month, value, days=2):
    at = [datetime(month.year, month.month, day) for day in range(1, days + 1)]
    return pl.DataFrame(
        {"time": at, "site": site, "resource": "nodes", "metric": "total", "value": value, "complete": True},
        schema=USAGE_LONG.polars_schema,
    )


def put(site, month, value, **more):
    files.write_month(USAGE_LONG, site, month, rows(site, month, value, **more))


def load(site, *months):
    paths = {month: files.month_path(USAGE_LONG, site, month) for month in months}
    return database.load(site, [database.Load(USAGE_LONG, paths, files.site_paths(USAGE_LONG, site))])


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("USAGE_EXPORT_URL", f"sqlite:///{tmp_path / 'export.db'}")
    return tmp_path / "export.db"


def stored(path: Path):
    with sqlite3.connect(path) as con:
        return con.execute("SELECT time, site, value FROM usage_long ORDER BY site, time").fetchall()


def tables(path: Path):
    with sqlite3.connect(path) as con:
        return {name for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_a_month_is_a_parquet_and_a_csv_file_and_nothing_else_is_left():
    path = files.write_month(USAGE_LONG, "s", JAN, rows("s", JAN, 1.5))
    assert path == files.exports_dir() / "usage_long" / "s" / "2020-01.parquet"
    assert sorted(each.name for each in path.parent.iterdir()) == ["2020-01.csv", "2020-01.parquet"]
    assert pl.read_parquet(path).equals(rows("s", JAN, 1.5))
    assert path.with_suffix(".csv").read_text().splitlines()[:2] == [
        "time,site,resource,metric,value,complete",
        "2020-01-01 00:00:00,s,nodes,total,1.5,true",
    ]


def test_the_snapshot_has_all_tables_in_a_version_that_dashboards_read():
    put("s", JAN, 1.0)
    put("t", FEB, 2.0)
    path = snapshot.write_snapshot()
    with duckdb.connect(str(path), read_only=True) as con:
        assert {name for (name,) in con.execute("SHOW TABLES").fetchall()} == set(EXPORTS)
        tags = con.execute("SELECT tags FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()[0][0]
        assert tags["storage_version"].startswith("v1.0.0")
        assert con.execute("SELECT site, sum(value) FROM usage_long GROUP BY site ORDER BY site").fetchall() == [
            ("s", 2.0),
            ("t", 4.0),
        ]
        put("s", JAN, 5.0)
        snapshot.write_snapshot()  # one who has the old file open keeps it
        assert con.execute("SELECT max(value) FROM usage_long WHERE site = 's'").fetchall() == [(1.0,)]
    with duckdb.connect(str(path), read_only=True) as con:
        assert con.execute("SELECT max(value) FROM usage_long WHERE site = 's'").fetchall() == [(5.0,)]


def sums(path: Path) -> dict[str, float]:
    with duckdb.connect(str(path), read_only=True) as con:
        return dict(con.execute("SELECT site, sum(value) FROM usage_long GROUP BY site ORDER BY site").fetchall())


def test_months_that_have_not_changed_come_from_the_old_snapshot_and_all_others_from_their_files():
    for site, value in (("s", 1.0), ("t", 2.0), ("gone", 3.0)):
        put(site, JAN, value)
        put(site, FEB, value)
    path = snapshot.write_snapshot()
    whole = sums(path)
    assert sums(snapshot.write_snapshot()) == whole
    shutil.rmtree(path.parent / USAGE_LONG.name / "gone")
    files.month_path(USAGE_LONG, "t", FEB).unlink()
    put("s", JAN, 10.0)
    put("t", JAN, 20.0)  # by a run that was killed before its own snapshot
    put("new", JAN, 30.0)
    assert sums(snapshot.write_snapshot()) == {"new": 60.0, "s": 22.0, "t": 40.0}
    path.write_bytes(b"no database at all")
    assert sums(snapshot.write_snapshot()) == {"new": 60.0, "s": 22.0, "t": 40.0}


def test_files_that_were_not_changed_are_not_read_and_months_just_written_are_whatever_the_clock_says():
    put("s", JAN, 1.0)
    put("s", FEB, 2.0)
    path = snapshot.write_snapshot()
    for month in (JAN, FEB):
        put("s", month, 10.0)
        os.utime(files.month_path(USAGE_LONG, "s", month), (0, 0))
    assert sums(snapshot.write_snapshot([("s", FEB)])) == {"s": 22.0}
    assert path.with_name(f".{path.name}.new").exists() is False


def test_the_snapshot_of_another_release_is_made_anew():
    put("s", JAN, 1.0)
    path = snapshot.write_snapshot()
    with duckdb.connect(str(path)) as con:
        con.execute("ALTER TABLE usage_wide RENAME COLUMN total TO sum").fetchall()
    assert sums(snapshot.write_snapshot()) == {"s": 2.0}
    with duckdb.connect(str(path), read_only=True) as con:
        assert con.execute("SELECT total FROM usage_wide").fetchall() == []


def test_a_snapshot_that_a_killed_process_left_is_no_hindrance():
    put("s", JAN, 1.0)
    path = snapshot.write_snapshot()
    left = path.with_name(f".{path.name}.new")
    left.write_bytes(b"half a file")
    snapshot.write_snapshot()
    assert not left.exists()


def test_months_are_replaced_and_rows_of_other_months_and_sites_are_carried_over(path):
    put("s", JAN, 1.0)
    put("s", FEB, 2.0)
    put("t", JAN, 3.0)
    assert load("s", JAN, FEB) == {"usage_long": 4}
    assert load("t", JAN) == {"usage_long": 2}
    put("s", FEB, 20.0, days=1)
    assert load("s", FEB) == {"usage_long": 3}
    assert stored(path) == [
        ("2020-01-01 00:00:00", "s", 1.0),
        ("2020-01-02 00:00:00", "s", 1.0),
        ("2020-02-01 00:00:00", "s", 20.0),
        ("2020-01-01 00:00:00", "t", 3.0),
        ("2020-01-02 00:00:00", "t", 3.0),
    ]
    assert tables(path) == {"usage_long"}


def test_a_database_that_lacks_months_gets_them_from_the_files(path):
    put("s", JAN, 1.0)
    put("s", FEB, 2.0)
    assert load("s", FEB) == {"usage_long": 4}
    put("s", JAN, 1.0, days=3)  # an export of these rows failed
    assert load("s", FEB) == {"usage_long": 5}
    put("s", date(2020, 3, 1), 3.0)
    put("t", JAN, 3.0)
    assert load("t", JAN) == {"usage_long": 2}
    assert load("s", FEB) == {"usage_long": 7}


def test_left_over_tables_are_removed(path):
    put("s", JAN, 1.0)
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE usage_long__new (a INT)")
        con.execute("CREATE TABLE usage_long__old (a INT)")
    load("s", JAN)
    assert tables(path) == {"usage_long"}


def test_a_view_of_the_table_outlives_the_swap(path):
    put("s", JAN, 1.0)
    load("s", JAN)
    with sqlite3.connect(path) as con:
        con.execute("CREATE VIEW mine AS SELECT site, sum(value) AS value FROM usage_long GROUP BY site")
    put("s", JAN, 2.0)
    load("s", JAN)
    with sqlite3.connect(path) as con:
        assert con.execute("SELECT * FROM mine").fetchall() == [("s", 4.0)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE usage_long (time DATETIME, site TEXT, value DOUBLE)",
        "CREATE TABLE usage_long (time DATETIME, site TEXT, resource TEXT, metric TEXT, value DOUBLE)",
        "CREATE VIEW usage_long AS SELECT 1 AS time",
    ],
)
def test_a_table_that_is_not_ours_is_refused_and_left_alone(path, statement):
    put("s", JAN, 1.0)
    with sqlite3.connect(path) as con:
        con.execute(statement)
    with pytest.raises(ExportError, match="usage_long"):
        load("s", JAN)
    assert tables(path) <= {"usage_long"}


def test_an_address_that_can_not_be_read_is_said_without_its_password(monkeypatch):
    put("s", JAN, 1.0)
    monkeypatch.setenv("EXPORT_PASSWORD", "s3cr3t")
    for url in ("mysql+pymysql://u:${EXPORT_PASSWORD}@127.0.0.1:1/db", "oracle://u:${EXPORT_PASSWORD}@h/db"):
        monkeypatch.setenv("USAGE_EXPORT_URL", url)
        with pytest.raises(ExportError) as caught:
            load("s", JAN)
        assert "s3cr3t" not in str(caught.value)
        assert "USAGE_EXPORT_URL" in str(caught.value)
        assert caught.value.__context__ is None
    monkeypatch.setenv("USAGE_EXPORT_URL", "mysql+pymysql://u:${EXPORT_PASSWORD}@127.0.0.1:1/db")
    assert database.target() == "mysql 127.0.0.1/db"


def test_without_an_address_there_is_no_target():
    assert database.target() is None


def test_files_and_tables_of_the_release_before_complete_are_carried_over(path: Path):
    old = rows("s", JAN, 1.0).drop("complete")
    files.write_month(USAGE_LONG, "s", FEB, rows("s", FEB, 2.0))
    before = files.month_path(USAGE_LONG, "s", JAN)
    old.write_parquet(before)
    with sqlite3.connect(path) as con:
        names = ", ".join(USAGE_LONG.first_names)
        con.execute(f"CREATE TABLE usage_long ({names}, PRIMARY KEY (time, site, resource, metric))")
        con.executemany(
            "INSERT INTO usage_long VALUES (?, ?, ?, ?, ?)",
            old.with_columns(pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S")).rows(),
        )
    assert load("s", FEB) == {"usage_long": 4}
    with sqlite3.connect(path) as con:
        found = con.execute("SELECT value, complete FROM usage_long ORDER BY time").fetchall()
    assert found == [(1.0, None)] * 2 + [(2.0, 1)] * 2
    with duckdb.connect(str(snapshot.write_snapshot()), read_only=True) as con:
        assert con.execute("SELECT value, complete FROM usage_long ORDER BY time").fetchall() == [
            (1.0, None), (1.0, None), (2.0, True), (2.0, True),
        ]  # fmt: skip
    assert files.read_files(USAGE_LONG, [before])["complete"].null_count() == 2
