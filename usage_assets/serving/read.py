"""Read the published numbers from a notebook, a dashboard or a script, while runs go on.

    from usage_assets import read

    with read.open() as published:                      # $USAGE_DATA/published, or read.open("/srv/usage/published")
        published.generation, published.written_at, published.sites(), published.tables()
        published.table("timelines.usage", site="chi_tacc", months=("2026-01", "2026-06"), columns=["month", "hours"])
        published.sql("SELECT site, sum(hours) FROM timelines.usage WHERE metric = $m GROUP BY site", {"m": "idle"})

Each answer is of one generation as a whole. Without `pinned` a query first looks, at most once a second, whether a
newer generation was published, and then opens it; queries that run stay with theirs to their end. The table
`serving.held_back` says which site-months are those of an earlier generation. Answers are Polars frames, or with `as_`
Arrow tables or pandas frames. One object serves any number of threads. Instants are naive UTC.
"""

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import duckdb

from usage_assets.core import settings
from usage_assets.core.errors import SnapshotError
from usage_assets.serving.pointer import NAME, Pointer, read_pointer

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["Published", "SnapshotError", "open"]

As = Literal["polars", "arrow", "pandas"]
Params = Sequence[object] | Mapping[str, object] | None
_LOOK_SECONDS = 1.0
_TRIES = 20
"""Times that CURRENT is read again when its file went away in between: two publishings must fit in one look."""
_DATABASE = "published"
_SETTINGS = (("TimeZone", "'UTC'"), ("enable_external_access", "false"), ("lock_configuration", "true"))
"""Set once the file is open: from then on a query reads it and nothing else."""


def open(  # noqa: A001 - read.open says what it is
    path: str | os.PathLike[str] | None = None,
    *,
    pinned: bool = False,
    memory_limit: str = "256MB",
    threads: int | None = None,
) -> "Published":
    """Open the newest generation in a folder, `$USAGE_DATA/published` unless given; `pinned` stays with it.

    Raises SnapshotError where nothing is published there.
    """
    folder = settings.published_dir() if path is None else Path(path)
    return Published(folder, pinned=pinned, memory_limit=memory_limit, threads=threads)


class _Snapshot:
    """One generation, open until it is retired and its last query has ended."""

    def __init__(self, pointer: Pointer, path: Path, config: Mapping[str, Any]) -> None:
        self.pointer = pointer
        self.queries = 0
        self.retired = False
        # in memory with the file attached: a process may open one path with one configuration only
        self.con = duckdb.connect(":memory:", config=dict(config))
        try:
            quoted = str(path).replace("'", "''")
            self.con.execute(f"ATTACH '{quoted}' AS {_DATABASE} (READ_ONLY)").fetchall()
            for name, value in _SETTINGS:
                self.con.execute(f"SET GLOBAL {name} = {value}").fetchall()
        except BaseException:
            self.con.close()
            raise


class Published(contextlib.AbstractContextManager["Published"]):
    """Published numbers: questions to the newest generation, or with `pinned` to the one it was opened with."""

    def __init__(self, folder: Path, *, pinned: bool, memory_limit: str, threads: int | None) -> None:
        self._folder = folder
        self._pinned = pinned
        self._config: dict[str, Any] = {
            "memory_limit": memory_limit,
            "temp_directory": str(Path(tempfile.gettempdir()) / f"usage_assets_read_{os.getpid()}"),
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        } | ({} if threads is None else {"threads": threads})
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._looked = 0.0
        self._closed = False
        self._now = self._open_newest()

    @property
    def generation(self) -> int:
        """The generation that the last query was answered from, or the next will be unless a newer one is found."""
        return self._now.pointer.generation

    @property
    def written_at(self) -> datetime:
        """When that generation was published, naive UTC."""
        return self._now.pointer.written_at

    def sites(self) -> list[str]:
        """Keys of the sites that have rows."""
        with self._query() as cursor:
            return _sites(cursor)

    def tables(self) -> list[str]:
        """Tables and views as `<stage>.<name>`."""
        with self._query() as cursor:
            return sorted(_columns(cursor))

    def refresh(self) -> bool:
        """Move on to the newest generation; whether it is another one. SnapshotError where it can't be opened."""
        with self._opening:
            self._require_open()
            if self._stat() == self._seen and self._now.pointer.path(self._folder).exists():
                return False
            newest = self._open_newest()
            with self._lock:
                old, self._now = self._now, newest
                old.retired = True
                done = old.queries == 0
            if done:
                old.con.close()
            return newest.pointer.generation != old.pointer.generation

    def close(self) -> None:
        """Let go of the file; queries that run end first."""
        with self._lock:
            done = not self._closed and self._now.queries == 0
            self._closed = self._now.retired = True
        if done:
            self._now.con.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    @overload
    def sql(self, select: str, params: Params = ..., *, as_: Literal["polars"] = ...) -> "pl.DataFrame": ...
    @overload
    def sql(self, select: str, params: Params = ..., *, as_: Literal["arrow"]) -> "pa.Table": ...
    @overload
    def sql(self, select: str, params: Params = ..., *, as_: Literal["pandas"]) -> "pd.DataFrame": ...
    def sql(self, select: str, params: Params = None, *, as_: As = "polars") -> Any:
        """The answer to one SELECT; `params` are bound (`$name` or `?`). It reads the snapshot and nothing else.

        Raises SnapshotError where it is not one SELECT, or DuckDB refuses it.
        """
        _require_format(as_)
        with self._query() as cursor:
            _require_select(select)
            return _answer(cursor, select, params, as_)

    def table(
        self,
        name: str,
        *,
        site: str | None = None,
        months: tuple[date | str, date | str] | None = None,
        columns: Sequence[str] | None = None,
        as_: As = "polars",
    ) -> Any:
        """Rows of a table or view (`timelines.usage`), of one site and of the months from first to last where given.

        Months are dates or texts such as "2026-01"; both ends are included. Raises SnapshotError for a table, column or
        site that is not there, and names those that are.
        """
        _require_format(as_)
        with self._query() as cursor:
            found = _columns(cursor)
            has = _among(name, found, "table", f"generation {self.generation}")
            wanted = has if columns is None else [column for column in columns if _among(column, has, "column", name)]
            conditions: list[str] = []
            params: dict[str, object] = {}
            if site is not None:
                _among("site", has, "column", name)
                _among(site, _sites(cursor), "site", f"generation {self.generation}")
                conditions.append("site = $site")
                params["site"] = site
            if months is not None:
                _among("month", has, "column", name)
                conditions.append("month BETWEEN $first AND $last")
                params |= {"first": _month(months[0]), "last": _month(months[1])}
            clause = f" WHERE {' AND '.join(conditions)}" if conditions else ""
            names = ", ".join(f'"{column}"' for column in wanted)
            schema, _, plain = name.partition(".")
            return _answer(cursor, f'SELECT {names} FROM "{schema}"."{plain}"{clause}', params, as_)

    @contextlib.contextmanager
    def _query(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own on one generation, which stays open for the block."""
        self._look()
        with self._lock:
            self._require_open()
            snapshot = self._now
            snapshot.queries += 1
        try:
            cursor = snapshot.con.cursor()
            try:
                cursor.execute(f"USE {_DATABASE}").fetchall()
                yield cursor
            except duckdb.Error as error:
                msg = f"generation {snapshot.pointer.generation}: {error}"
                raise SnapshotError(msg) from error
            finally:
                cursor.close()
        finally:
            with self._lock:
                snapshot.queries -= 1
                done = snapshot.retired and snapshot.queries == 0
            if done:
                snapshot.con.close()

    def _look(self) -> None:
        """Move on where a newer generation is there; looked for at most once a second, by one thread."""
        now = time.monotonic()
        with self._lock:
            if self._pinned or self._closed or now - self._looked < _LOOK_SECONDS:
                return
            self._looked = now
        with contextlib.suppress(SnapshotError):  # the generation at hand is whole, and the next look tries again
            self.refresh()

    def _stat(self) -> tuple[int, int] | None:
        try:
            found = (self._folder / NAME).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _open_newest(self) -> _Snapshot:
        """Open what CURRENT names; again where that was removed meanwhile, as two newer ones were published."""
        for left in reversed(range(_TRIES)):
            seen = self._stat()
            pointer = read_pointer(self._folder)
            try:
                snapshot = _Snapshot(pointer, pointer.path(self._folder).resolve(), self._config)
            except duckdb.Error as error:
                if left and self._stat() != seen:
                    continue
                msg = (
                    f"{self._folder}: generation {pointer.generation} can't be opened ({error}); "
                    "usage-assets publish makes a new one"
                )
                raise SnapshotError(msg) from error
            self._seen, self._looked = seen, time.monotonic()
            return snapshot
        raise AssertionError

    def _require_open(self) -> None:
        if self._closed:
            msg = "this reader was closed; open another (usage_assets.read.open)"
            raise SnapshotError(msg)


def _require_select(select: str) -> None:
    found = duckdb.extract_statements(select)
    if [statement.type for statement in found] != [duckdb.StatementType.SELECT]:
        names = ", ".join(statement.type.name for statement in found) or "nothing"
        msg = f"one SELECT can be asked, this is {names}; snapshots are read only"
        raise SnapshotError(msg)


def _require_format(as_: str) -> None:
    if as_ not in {"polars", "arrow", "pandas"}:
        msg = f'as_ is {as_!r}; write "polars", "arrow" or "pandas"'
        raise SnapshotError(msg)
    if as_ == "pandas":
        try:
            import pandas as pd  # noqa: F401, PLC0415 - optional
        except ImportError:
            msg = 'pandas is not installed: pip install pandas, or ask for as_="polars" or "arrow"'
            raise SnapshotError(msg) from None


def _answer(cursor: duckdb.DuckDBPyConnection, select: str, params: Params, as_: As) -> Any:
    answer = cursor.execute(select, params).to_arrow_table()
    if as_ == "arrow":
        return answer
    if as_ == "pandas":
        return answer.to_pandas()
    import polars as pl  # noqa: PLC0415 - only who asks for it pays for it

    return pl.from_arrow(answer)


def _columns(cursor: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Columns of every table and view, by `<stage>.<name>`."""
    found = cursor.execute(
        "SELECT schema_name || '.' || table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
        f"WHERE database_name = '{_DATABASE}' AND NOT internal GROUP BY 1"
    ).fetchall()
    return dict(found)


def _sites(cursor: duckdb.DuckDBPyConnection) -> list[str]:
    return [key for (key,) in cursor.execute("SELECT DISTINCT site FROM serving.gates ORDER BY site").fetchall()]


def _among(name: str, there: Any, what: str, where: str) -> Any:
    """What a mapping holds under a name, or the name itself of a list."""
    if name not in there:
        msg = f"{where} has no {what} {name!r}; there are: {', '.join(sorted(there))}"
        raise SnapshotError(msg)
    return there[name] if isinstance(there, dict) else name


def _month(given: date | str) -> date:
    if isinstance(given, date):
        return date(given.year, given.month, 1)
    try:
        return datetime.strptime(given, "%Y-%m").date()
    except ValueError:
        msg = f'{given!r} is not a month; write "2026-01", or a date'
        raise SnapshotError(msg) from None
