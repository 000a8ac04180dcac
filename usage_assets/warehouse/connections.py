"""Connections to DuckDB files: how they are opened, and that they are released."""

import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import duckdb

from usage_assets.core import settings
from usage_assets.core.disk import remove
from usage_assets.core.errors import WarehouseError
from usage_assets.core.file_faults import advice, damage, refused
from usage_assets.core.locks import SAID_SECONDS
from usage_assets.core.notes import warn

_CONFIG: dict[str, str | bool | int | float | list[str]] = {"memory_limit": "1GB", "preserve_insertion_order": False}
_STAGING_MEMORY = "128MB"  # what does not fit lies in the file or is spilled beside it
_POLL_SECONDS = 0.1
_HELD = re.compile(r"Conflicting lock is held in (.*?\(PID \d+\))", re.DOTALL)  # as DuckDB says who it is

_T = TypeVar("_T")


@contextmanager
def staging(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A scratch database in a file, so that a dump of any size is sorted into months in bounded memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(path)  # a killed process may have left its own
    try:
        with connect(path) as con:
            con.execute(f"SET memory_limit = '{_STAGING_MEMORY}'").fetchall()
            con.execute("SET threads = 1").fetchall()  # rows come in small chunks: more would wait for each other
            yield con
    finally:
        remove(path)


def attach(con: duckdb.DuckDBPyConnection, path: Path, name: str, *, read_only: bool = True) -> None:
    """Make the tables of another file readable as `<name>.<schema>.<table>`."""
    quoted = str(path).replace("'", "''")
    sql = f"ATTACH '{quoted}' AS {name}{' (READ_ONLY)' if read_only else ''}"
    _when_free(path, lambda: con.execute(sql).fetchall())


@contextmanager
def in_memory(folder: Path, *, keeps_order: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to no file, to attach some to; what does not fit in memory is spilled in that folder.

    With `keeps_order` inserted rows lie in the order in which they are given.
    """
    config = _CONFIG | {"temp_directory": str(folder / ".tmp"), "preserve_insertion_order": keeps_order}
    with duckdb.connect(":memory:", config=config) as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        yield con


@contextmanager
def connect(
    path: Path,
    *,
    read_only: bool = False,
    copy_of: Path | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to one file, closed at the end of the block; instants in UTC, spilling beside the file.

    `options` are DuckDB's, in place of ours. WarehouseError where the file, also while it is read, turns out to be
    damaged; it names the file that this one is a `copy_of`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(error, path.parent) from error
    config = _CONFIG | {"temp_directory": str(path.parent / ".tmp")} | dict(options)
    try:
        con = _when_free(path, lambda: duckdb.connect(str(path), read_only=read_only, config=config))
    except duckdb.Error as error:
        damaged = damage(error, copy_of or path)
        msg = (
            damaged or f"{path} can't be opened: {error}; nothing was changed. What to do: {advice(error, path.parent)}"
        )
        raise WarehouseError(msg) from error
    try:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        yield con
    except BaseException as error:
        _release(error)
        damaged = damage(error, copy_of or path)
        if damaged is not None:
            raise WarehouseError(damaged) from error
        raise
    finally:
        con.close()


def _when_free(path: Path, opened: Callable[[], _T]) -> _T:
    """Open a file once no program outside this project, such as the duckdb shell, holds it any more."""
    wait = settings.lock_wait_seconds()
    began = time.monotonic()
    deadline = began + wait
    warned = False
    while True:
        try:
            return opened()
        except duckdb.IOException as error:
            found = _HELD.search(str(error))
            if found is None:
                raise
            if time.monotonic() >= deadline:
                msg = (
                    f"{path}: held by {found[1]} for more than {wait:g} s; nothing was changed. End that program "
                    "(dashboards and notebooks read the published snapshot instead), or raise USAGE_LOCK_WAIT"
                )
                raise WarehouseError(msg) from None
            if not warned and time.monotonic() - began >= SAID_SECONDS:
                warned = True
                warn(f"waiting for {path}, held by {found[1]}")
        time.sleep(_POLL_SECONDS)


def _release(error: BaseException) -> None:
    """Free what the frames of an error hold: an unfinished result keeps the file's instance alive.

    The next connection of this process to the file would then wait for its end for ever (seen with DuckDB 1.5).
    """
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__
