"""Exported tables as files: `exports/<table>/<site>/<YYYY-MM>.parquet` and .csv, each whole or not there."""

import os
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path

import polars as pl

from usage_assets.core import settings
from usage_assets.core.errors import ExportError
from usage_assets.core.file_faults import advice
from usage_assets.reports.exports.tables import ExportTable


def exports_dir() -> Path:
    """Folder of everything exported."""
    return settings.data_dir() / "exports"


def month_path(table: ExportTable, site: str, month: date) -> Path:
    """The Parquet file of a site-month; the CSV file lies beside it."""
    return exports_dir() / table.name / site / f"{month:%Y-%m}.parquet"


def site_paths(table: ExportTable, site: str) -> dict[date, Path]:
    """The Parquet files of a site by month."""
    paths = sorted((exports_dir() / table.name / site).glob("????-??.parquet"))
    return {month_of(path): path for path in paths}


def month_of(path: Path) -> date:
    """The month of a file."""
    return date(int(path.stem[:4]), int(path.stem[5:]), 1)


def all_paths(table: ExportTable) -> list[Path]:
    """The Parquet files of all sites."""
    return sorted((exports_dir() / table.name).glob("*/????-??.parquet"))


def write_month(table: ExportTable, site: str, month: date, rows: pl.DataFrame) -> Path:
    """Write a month's rows as Parquet and CSV; a reader meets the old file or the new one."""
    path = month_path(table, site, month)
    whole = rows.select(table.names).cast(dict(table.polars_schema))  # type: ignore[arg-type]  # a schema is a mapping
    _beside(path, whole.write_parquet)
    # an apostrophe before texts that a spreadsheet would take for a formula
    inert = whole.with_columns(pl.col(pl.String).str.replace(r"^([=+\-@\t\r])", "'${1}"))
    _beside(path.with_suffix(".csv"), lambda to: inert.write_csv(to, datetime_format="%Y-%m-%d %H:%M:%S"))
    return path


def read_month(table: ExportTable, path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """Rows of a file; columns that the release which wrote it did not have yet are null."""
    names = columns or table.names
    there = set(pl.read_parquet_schema(path))
    if there != set(table.first_names):
        return pl.read_parquet(path, columns=columns)
    rows = pl.read_parquet(path, columns=[name for name in names if name in there])
    return rows.select(
        pl.col(name) if name in there else pl.lit(None, dtype=table.polars_schema[name]).alias(name) for name in names
    )


def read_files(table: ExportTable, paths: Iterable[Path], columns: list[str] | None = None) -> pl.DataFrame:
    """Rows of some files, in their order."""
    frames = [read_month(table, path, columns) for path in paths]
    return pl.concat(frames) if frames else pl.DataFrame(schema=table.polars_schema).select(columns or table.names)


def _beside(path: Path, write: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(fresh)
        fresh.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:  # of a full disk Polars speaks in its own way
        where = f"site {path.parent.name} {path.stem}"
        todo = advice(error, path.parent)
        msg = f"{where}: {path.name} could not be written ({error}); the old file is untouched. What to do: {todo}"
        raise ExportError(msg) from None
    finally:
        fresh.unlink(missing_ok=True)
