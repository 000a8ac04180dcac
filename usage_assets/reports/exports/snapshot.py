"""The exported tables as one DuckDB file that dashboards may open while the warehouse is written."""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb

from usage_assets.core.disk import copy_file, put_in_place, remove
from usage_assets.core.errors import ExportError
from usage_assets.core.file_faults import advice
from usage_assets.reports.exports.files import all_paths, exports_dir, month_of
from usage_assets.reports.exports.tables import EXPORTS, ExportTable
from usage_assets.warehouse.connections import in_memory

STORAGE_VERSION = "v1.0.0"
"""What DuckDB 1.0 and everything since can read; plugins of dashboards are slow to follow."""

SiteMonth = tuple[str, date]


def snapshot_path() -> Path:
    """The file for dashboards."""
    return exports_dir() / "usage_public.duckdb"


def write_snapshot(written: Collection[SiteMonth] = ()) -> Path:
    """Write a new file and put it in the old one's place; readers keep the file that they opened.

    Its rows come from the Parquet files, thousands of them after some years. So the new file is a copy of the old one
    in which those months are exchanged whose files are younger than it, and those just `written`: a clock may have been
    set back. A snapshot is as old as its begin. Where the old one can't be used, all files are read.
    """
    path = snapshot_path()
    began = time.time_ns()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    remove(fresh)  # a killed process may have left its own
    try:
        if not _exchanged(path, fresh, set(written)):
            remove(fresh)
            with _opened(fresh) as con:
                for table in EXPORTS.values():
                    columns = ", ".join(f'"{name}" {kind}' for name, kind in _declared(table))
                    con.execute(f"CREATE TABLE fresh.{table.name} ({columns})").fetchall()
                    _insert(con, table, all_paths(table))
        os.utime(fresh, ns=(began, began))
        put_in_place(fresh, path)
    except (duckdb.Error, OSError) as error:
        todo = advice(error, path.parent)
        msg = f"{path.name} could not be made ({error}); the old file is untouched. What to do: {todo}"
        raise ExportError(msg) from error
    finally:
        remove(fresh)
    return path


def _exchanged(path: Path, fresh: Path, written: Collection[SiteMonth]) -> bool:
    """Make the new file from the old one; false where there is none, or its tables are not those of this release."""
    if not path.is_file():
        return False
    since = path.stat().st_mtime_ns
    copy_file(path, fresh)
    try:
        with _opened(fresh) as con:
            if any(_described(con, table) != _declared(table) for table in EXPORTS.values()):
                return False
            for table in EXPORTS.values():
                _exchange(con, table, since, written)
    except duckdb.Error:  # damaged; where the reason is another one, it stops the file's making anew too
        return False
    return True


@contextmanager
def _opened(fresh: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that has the file as `fresh`; at the end of the block all is in the file, or that is raised."""
    with in_memory(fresh.parent, keeps_order=True) as con:
        quoted = str(fresh).replace("'", "''")
        con.execute(f"ATTACH '{quoted}' AS fresh (STORAGE_VERSION '{STORAGE_VERSION}')").fetchall()
        yield con
        con.execute("CHECKPOINT fresh").fetchall()
        con.execute("DETACH fresh").fetchall()


def _exchange(con: duckdb.DuckDBPyConnection, table: ExportTable, since: int, written: Collection[SiteMonth]) -> None:
    """Rows of a table: months that have changed from their files, those without a file not at all."""
    paths = {(path.parent.name, month_of(path)): path for path in all_paths(table)}
    month = f"date_trunc('month', \"{table.time}\")::DATE"
    times = f'SELECT DISTINCT site, "{table.time}" FROM fresh.{table.name}'  # few; a month of each row would be dear
    stored = set(con.execute(f"SELECT DISTINCT site, {month} FROM ({times})").fetchall())
    changed = {key for key, path in paths.items() if key in written or path.stat().st_mtime_ns >= since}
    old = (stored & changed) | (stored - paths.keys())
    if old:
        sites, months = zip(*old, strict=True)
        pairs = "SELECT unnest($sites::VARCHAR[]), unnest($months::DATE[])"
        con.execute(
            f'DELETE FROM fresh.{table.name} WHERE "{table.time}" >= $first AND (site, {month}) IN ({pairs})',
            {"sites": list(sites), "months": list(months), "first": min(months)},
        ).fetchall()
    _insert(con, table, [paths[key] for key in sorted(changed)])


def _insert(con: duckdb.DuckDBPyConnection, table: ExportTable, paths: Collection[Path]) -> None:
    if not paths:
        return
    order = ", ".join(f'"{name}"' for name in dict.fromkeys(("site", *table.key)))
    # files of older releases lack a column: what is not there is null
    shape = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in _declared(table))
    rows = f"(SELECT {shape} WHERE false) UNION ALL BY NAME (FROM read_parquet($paths, union_by_name=true))"
    names = ", ".join(f'"{name}"' for name in table.names)
    select = f"SELECT {names} FROM ({rows}) ORDER BY {order}"
    con.execute(f"INSERT INTO fresh.{table.name} {select}", {"paths": list(map(os.fspath, paths))}).fetchall()


def _declared(table: ExportTable) -> list[tuple[str, str]]:
    return [(column.name, str(column.type)) for column in table.columns]


def _described(con: duckdb.DuckDBPyConnection, table: ExportTable) -> list[tuple[str, str]]:
    """Names and types of a stored table's columns; none where there is no such table."""
    return con.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'fresh' AND table_name = $table "
        "ORDER BY column_index",
        {"table": table.name},
    ).fetchall()
