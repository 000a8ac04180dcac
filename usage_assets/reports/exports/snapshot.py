"""The exported tables as one DuckDB file that dashboards may open while the warehouse is written."""

import os
import time
from collections.abc import Collection
from pathlib import Path

import duckdb

from usage_assets.errors import ExportError
from usage_assets.reports.exports.files import all_paths, exports_dir
from usage_assets.reports.exports.tables import EXPORTS, ExportTable

STORAGE_VERSION = "v1.0.0"
"""What DuckDB 1.0 and everything since can read; plugins of dashboards are slow to follow."""


def snapshot_path() -> Path:
    """The file for dashboards."""
    return exports_dir() / "usage_public.duckdb"


def write_snapshot(site: str | None = None) -> Path:
    """Make the file anew and put it in the old one's place; readers keep what they opened.

    Its rows come from the Parquet files, thousands of them after some years: where those of one site have changed, the
    rows of sites whose files are all older than the old snapshot come from that. A snapshot is as old as its begin.
    """
    path = snapshot_path()
    began = time.time_ns()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    _remove(fresh)  # a killed process may have left its own
    try:
        with duckdb.connect(":memory:", config={"memory_limit": "1GB"}) as con:
            quoted = str(fresh).replace("'", "''")
            con.execute(f"ATTACH '{quoted}' AS fresh (STORAGE_VERSION '{STORAGE_VERSION}')").fetchall()
            kept = _unchanged(path) - {site} if site is not None and _attach_old(con, path) else ()
            for table in EXPORTS.values():
                _fill(con, table, kept)
            con.execute("DETACH fresh").fetchall()
        os.utime(fresh, ns=(began, began))
        fresh.replace(path)
    except (duckdb.Error, OSError) as error:
        msg = f"{path.name} could not be made ({error}); the old file is untouched"
        raise ExportError(msg) from error
    finally:
        _remove(fresh)
    return path


def _attach_old(con: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """The old file as `old`; false where there is none, or it is not what this release writes."""
    if not path.is_file():
        return False
    quoted = str(path).replace("'", "''")
    try:
        con.execute(f"ATTACH '{quoted}' AS old (READ_ONLY)").fetchall()
        for table in EXPORTS.values():
            con.execute(f"SELECT {_names(table)} FROM old.{table.name} LIMIT 0").fetchall()
    except duckdb.Error:
        return False
    return True


def _names(table: ExportTable) -> str:
    return ", ".join(f'"{name}"' for name in table.names)


def _fill(con: duckdb.DuckDBPyConnection, table: ExportTable, kept: Collection[str]) -> None:
    """Rows of a table: those of the `kept` sites from the old file, others from their Parquet files."""
    columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
    con.execute(f"CREATE TABLE fresh.{table.name} ({columns})").fetchall()
    read = [os.fspath(path) for path in all_paths(table) if path.parent.name not in kept]
    sources: dict[str, str] = {}
    asked: dict[str, list[str]] = {}
    if kept:
        sources["kept"] = f"SELECT {_names(table)} FROM old.{table.name} WHERE site IN (SELECT unnest($kept))"
        asked["kept"] = sorted(kept)
    if read:
        sources["paths"] = f"SELECT {_names(table)} FROM read_parquet($paths)"
        asked["paths"] = read
    if sources:
        order = ", ".join(f'"{name}"' for name in ("site", *table.key) if name in table.names)
        union = " UNION ALL ".join(sources.values())
        con.execute(f"INSERT INTO fresh.{table.name} SELECT * FROM ({union}) ORDER BY {order}", asked).fetchall()


def _unchanged(path: Path) -> set[str]:
    """The sites whose Parquet files, of all tables, are older than the snapshot."""
    since = path.stat().st_mtime_ns
    newest: dict[str, int] = {}
    for table in EXPORTS.values():
        for file in all_paths(table):
            newest[file.parent.name] = max(newest.get(file.parent.name, 0), file.stat().st_mtime_ns)
    return {site for site, at in newest.items() if at < since}


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
