"""The exported tables as one DuckDB file that dashboards may open while the warehouse is written."""

import os
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


def write_snapshot() -> Path:
    """Make the file anew from the Parquet files and put it in the old one's place; readers keep what they opened."""
    path = snapshot_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    _remove(fresh)  # a killed process may have left its own
    try:
        with duckdb.connect(":memory:", config={"memory_limit": "1GB"}) as con:
            quoted = str(fresh).replace("'", "''")
            con.execute(f"ATTACH '{quoted}' AS fresh (STORAGE_VERSION '{STORAGE_VERSION}')").fetchall()
            for table in EXPORTS.values():
                _fill(con, table)
            con.execute("DETACH fresh").fetchall()
        fresh.replace(path)
    except (duckdb.Error, OSError) as error:
        msg = f"{path.name} could not be made ({error}); the old file is untouched"
        raise ExportError(msg) from error
    finally:
        _remove(fresh)
    return path


def _fill(con: duckdb.DuckDBPyConnection, table: ExportTable) -> None:
    columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
    con.execute(f"CREATE TABLE fresh.{table.name} ({columns})").fetchall()
    paths = [os.fspath(path) for path in all_paths(table)]
    if paths:
        names = ", ".join(f'"{name}"' for name in table.names)
        order = ", ".join(f'"{name}"' for name in ("site", *table.key) if name in table.names)
        con.execute(
            f"INSERT INTO fresh.{table.name} SELECT {names} FROM read_parquet($paths) ORDER BY {order}",
            {"paths": paths},
        ).fetchall()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
