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


def to_parquet(source: Path, target: Path, rows: Rows) -> int:
    """Write the wanted rows, with their row numbers; the number of the last one. SourceError names the file.

    All columns are text, numbers written out.
    """
    try:
        return _written(source, target, rows, str)
    except sqlite3.Error as error:
        if "decode" not in str(error):
            msg = f"{source}: can't be read as SQLite ({error}); is it damaged, cut off, or still being copied?"
            raise SourceError(msg) from error
    return _written(source, target, rows, _decoded)  # several times slower, and takes any bytes


def _written(source: Path, target: Path, rows: Rows, factory: Callable[[bytes], str]) -> int:
    with closing(connect(source)) as con:
        con.text_factory = factory
        names = columns(con, source)
        require_columns(names, source)
        chosen = [found for found in names if found.lower() in {name.lower() for name in (*SOURCE.values(), TIME)}]
        schema = pa.schema([pa.field(name, pa.string()) for name in chosen] + [pa.field(ROW, pa.int64())])
        time = next((name for name in chosen if name.lower() == TIME), None)
        last = rows.after
        with pq.ParquetWriter(target, schema, compression="zstd", compression_level=1) as writer:
            for part in _parts(con, chosen, time, rows):
                last = part[-1][0]
                texts = [_texts(column) for column in _turned(part)]
                writer.write_table(pa.table([*texts, pa.array([row[0] for row in part], pa.int64())], schema))
        return last


def connect(source: Path) -> sqlite3.Connection:
    """The file, opened for reading only; a write of the collector is waited for."""
    return sqlite3.connect(f"file:{quote(str(source.absolute()))}?mode=ro", uri=True, timeout=_WAIT_SECONDS)


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def columns(con: sqlite3.Connection, source: Path) -> list[str]:
    """Names of the table's columns; SourceError where there is no such table."""
    names = [row[1] for row in con.execute(f"PRAGMA table_info({TABLE})")]
    if not names:
        there = [row[0] for row in con.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        msg = f"{source}: has no table {TABLE}, only {', '.join(there[:10]) or 'none at all'}"
        raise SourceError(msg)
    return names


def row_time(source: Path, row: int) -> str | None:
    """The time in a row of the file; null where it has no such row."""
    with closing(connect(source)) as con:
        found = con.execute(f'SELECT "{TIME}" FROM {TABLE} WHERE rowid = ?', (row,)).fetchone()
    return None if found is None or found[0] is None else str(found[0])


def _parts(con: sqlite3.Connection, names: Sequence[str], time: str | None, rows: Rows) -> Iterator[list[Any]]:
    shown = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    wanted = ""
    values: list[str] = []
    if time is not None:
        if rows.first is not None:
            wanted, values = wanted + f' AND "{time}" >= ?', [*values, rows.first.isoformat()]
        if rows.last is not None:
            wanted, values = wanted + f' AND "{time}" < ?', [*values, rows.last.isoformat()]
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


def _turned(part: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Columns of rows, less the row number."""
    return list(zip(*part, strict=True))[1:]


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
