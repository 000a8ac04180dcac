"""Rows of an SQLite snapshot file, written as Parquet: read in parts, so that the collector's writes go on between."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from usage_assets.core.errors import SourceError
from usage_assets.kinds.htcondor.raw.tables import SOURCE, TIME, require_columns

TABLE = "gpu_state"
_PART = 30_000
_WAIT_SECONDS = 20.0
ROW = "file_row_number"


@dataclass(frozen=True)
class Rows:
    """Which rows of a file are wanted: those after a row number, those of some local days (the last one excluded)."""

    after: int = 0
    first: date | None = None
    last: date | None = None


def to_parquet(source: Path, target: Path, rows: Rows) -> None:
    """Write the wanted rows, with their row numbers; SourceError names the file.

    All columns are text, numbers written out.
    """
    try:
        _write(source, target, rows, str)
    except sqlite3.Error as error:
        if "decode" not in str(error):
            raise unreadable(source, error) from error
        # several times slower, and takes any bytes
        _write(source, target, rows, lambda raw: raw.decode("utf-8", "replace"))


def unreadable(source: Path, error: sqlite3.Error) -> SourceError:
    """The error of a file whose pages can't be read."""
    return SourceError(f"{source}: can't be read as SQLite ({error}); is it damaged, cut off, or still being copied?")


def _write(source: Path, target: Path, rows: Rows, factory: Callable[[bytes], str]) -> None:
    with closing(connect(source)) as con:
        con.text_factory = factory
        names = columns(con, source)
        require_columns(names, source)
        chosen = [found for found in names if found.lower() in {name.lower() for name in (*SOURCE.values(), TIME)}]
        schema = pa.schema([pa.field(name, pa.string()) for name in chosen] + [pa.field(ROW, pa.int64())])
        time = next((name for name in chosen if name.lower() == TIME), None)

        with pq.ParquetWriter(target, schema, compression="zstd", compression_level=1) as writer:
            for part in _parts(con, chosen, time, rows):
                numbers, *found = zip(*part, strict=True)
                writer.write_table(pa.table([*map(_texts, found), pa.array(numbers, pa.int64())], schema))


def connect(source: Path) -> sqlite3.Connection:
    """The file, opened for reading only; a write of the collector is waited for."""
    return sqlite3.connect(f"file:{quote(str(source.absolute()))}?mode=ro", uri=True, timeout=_WAIT_SECONDS)


def columns(con: sqlite3.Connection, source: Path) -> list[str]:
    """Names of the table's columns; SourceError where there is no such table."""
    names = [row[1] for row in con.execute(f"PRAGMA table_info({TABLE})")]
    if not names:
        there = [row[0] for row in con.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        msg = f"{source}: has no table {TABLE}, only {', '.join(there[:10]) or 'none at all'}"
        raise SourceError(msg)
    return names


def _parts(con: sqlite3.Connection, names: Sequence[str], time: str | None, rows: Rows) -> Iterator[list[Any]]:
    shown = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    bounds = {">=": rows.first, "<": rows.last} if time is not None else {}
    values = [day.isoformat() for day in bounds.values() if day is not None]
    wanted = "".join(f' AND "{time}" {sign} ?' for sign, day in bounds.items() if day is not None)
    after = rows.after
    while True:
        part = con.execute(
            f"SELECT rowid, {shown or 'NULL'} FROM {TABLE} WHERE rowid > ?{wanted} ORDER BY rowid LIMIT {_PART}",
            [after, *values],
        ).fetchall()
        if not part:
            return
        yield part
        after = part[-1][0]


def _texts(column: Sequence[Any]) -> pa.Array:
    """A column as text; value by value only where values are of several types."""
    try:
        return pa.array(column, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        pass
    try:
        array = pa.array(column)
        if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
            return array.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    return pa.array([_text(value) for value in column], pa.string())


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
