"""The only module that opens DuckDB: replace whole site-months in one transaction, read consistently, stage dumps.

One process may write a DuckDB file and meanwhile no other may even read it. So everything is computed outside, and the
file is held only for the write, behind an OS lock that readers share and writers own alone.
"""

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from usage_assets import settings
from usage_assets.errors import WarehouseError
from usage_assets.locks import file_lock
from usage_assets.schema import Table, Violation, violations
from usage_assets.schema.contract import require_columns
from usage_assets.serving import GATES

_CONFIG: dict[str, str | bool | int | float | list[str]] = {"memory_limit": "1GB", "preserve_insertion_order": False}
_STAGING_MEMORY = "128MB"  # what does not fit lies in the file or is spilled beside it


@dataclass(frozen=True)
class Replaced:
    """What a replacement did: rows written per month, and the months kept as they were with the reason."""

    rows: dict[date, int]
    refused: dict[date, list[Violation]] = field(default_factory=dict)


class Reader:
    """Reads of one consistent state of the warehouse."""

    def __init__(self, con: duckdb.DuckDBPyConnection | None) -> None:
        self._con = con
        self._tables: frozenset[str] | None = None

    def sql(self, query: str, params: Sequence[object] | Mapping[str, object] | None = None) -> pl.DataFrame:
        """The result of one SELECT; values are bound, never written into the text."""
        if self._con is None:
            msg = "the warehouse is empty: materialize something first (make demo, or usage-assets backfill)"
            raise WarehouseError(msg)
        return _fetch(self._con, query, params)

    def has(self, table: Table) -> bool:
        """Whether the table is there yet."""
        if self._con is None:
            return False
        if self._tables is None:
            found = self._con.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall()
            self._tables = frozenset(name for (name,) in found)
        return table.qualified in self._tables

    def frame(
        self,
        table: Table,
        site: str | None = None,
        months: Sequence[date] | None = None,
        *,
        columns: Sequence[str] | None = None,
        where: str = "",
        select: Mapping[str, str] | None = None,
    ) -> pl.DataFrame:
        """Rows of a table, of one site and of some months where given; no row where the table is not there yet.

        `columns` narrows what is read, `where` is a further condition in SQL, `select` adds computed columns
        (name -> SQL expression).
        """
        names = list(table.names if columns is None else columns)
        if self._con is None or not self.has(table):
            schema = {name: table.polars_schema[name] for name in names}
            return pl.DataFrame(schema=schema | dict.fromkeys(select or {}, pl.String()))
        parts = [f'"{name}"' for name in names] + [f'{sql} AS "{name}"' for name, sql in (select or {}).items()]
        conditions, params = _scope(site, months)
        if where:
            conditions.append(f"({where})")
        clause = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return _fetch(self._con, f"SELECT {', '.join(parts)} FROM {table.qualified}{clause}", params)


class Writer(Reader):
    """Writes within one transaction; also reads what it has written."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        super().__init__(con)
        self.con = con
        self._ensured: set[str] = set()

    def ensure(self, *tables: Table) -> None:
        """Create the tables that are not there yet; refuse one that was made with other columns."""
        for table in tables:
            if table.qualified in self._ensured:
                continue
            self._ensured.add(table.qualified)
            self.con.execute(f"CREATE SCHEMA IF NOT EXISTS {table.stage}").fetchall()
            self.con.execute(table.ddl).fetchall()
            self._tables = None
            found = self.con.sql(f"SELECT * FROM {table.qualified} LIMIT 0")
            have = {name: str(kind) for name, kind in zip(found.columns, found.types, strict=True)}
            want = {column.name: str(column.type) for column in table.columns}
            if have != want:
                changed = sorted(set(have.items()) ^ set(want.items()))
                msg = (
                    f"table {table.qualified} in the warehouse was made by another version (differs in {changed}); "
                    "move the file aside and backfill again, or use the version that made it"
                )
                raise WarehouseError(msg)

    def replace(
        self,
        table: Table,
        rows: pl.DataFrame | str,
        *,
        site: str,
        months: Iterable[date],
        asset: str,
        run_id: str,
        owned: Mapping[str, Sequence[str]] | None = None,
        closed: Mapping[date, str] | None = None,
    ) -> Replaced:
        """Replace a site's months of `table` by `rows` (a frame, or the name of a relation of this connection).

        A month whose rows break the table's declaration, or that `closed` names with a reason, keeps its old rows; the
        rest is written. Either way `serving.gates` records it in the same transaction. `owned` limits what is replaced
        to rows with these values in a column (`facts.intervals` has several owners).
        """
        self.ensure(table, GATES)
        relation = rows
        if isinstance(rows, pl.DataFrame):
            relation = "incoming_rows"
            self.con.register(relation, rows.to_arrow())
        described = self.con.sql(f"SELECT * FROM {relation} LIMIT 0")
        require_columns(table, zip(described.columns, map(str, described.types), strict=True))
        months = sorted(months)
        refused: dict[date, list[Violation]] = {}
        for violation in violations(self.con, str(relation), table):
            refused.setdefault(violation.month, []).append(violation)
        for month, reason in (closed or {}).items():
            refused.setdefault(month, []).append(Violation(month, reason, 0))
        good = [month for month in months if month not in refused]
        self._swap(table, str(relation), site, good, owned or {})
        self.gate(asset, site, months, refused, run_id)
        counted = self.con.sql(
            f"SELECT month, count(*) FROM {relation} WHERE month IN (SELECT unnest($months::DATE[])) GROUP BY month",
            params=bound({"months": good}),
        ).fetchall()
        if isinstance(rows, pl.DataFrame):
            self.con.unregister("incoming_rows")
        return Replaced(rows=dict.fromkeys(good, 0) | dict(counted), refused=refused)

    def refused(self, table: Table, rows: pl.DataFrame) -> dict[date, list[Violation]]:
        """The months of a frame that its table's declaration refuses, without writing anything."""
        self.con.register("rows_to_check", rows.to_arrow())
        described = self.con.sql("SELECT * FROM rows_to_check LIMIT 0")
        require_columns(table, zip(described.columns, map(str, described.types), strict=True))
        out: dict[date, list[Violation]] = {}
        for violation in violations(self.con, "rows_to_check", table):
            out.setdefault(violation.month, []).append(violation)
        self.con.unregister("rows_to_check")
        return out

    def _swap(
        self, table: Table, relation: str, site: str, months: list[date], owned: Mapping[str, Sequence[str]]
    ) -> None:
        conditions, params = _scope(site, months)
        _own(conditions, params, owned)
        self.con.execute(f"DELETE FROM {table.qualified} WHERE {' AND '.join(conditions)}", bound(params)).fetchall()
        names = ", ".join(f'"{name}"' for name in table.names)
        self.con.execute(
            f"INSERT INTO {table.qualified} BY NAME SELECT {names} FROM {relation} "
            "WHERE month IN (SELECT unnest($months::DATE[]))",
            bound({"months": months}),
        ).fetchall()

    def gate(
        self, asset: str, site: str, months: Sequence[date], refused: Mapping[date, Sequence[Violation]], run_id: str
    ) -> None:
        """Record for every month whether the asset's rows are good, and why not."""
        self.ensure(GATES)
        rows = [
            (site, month, asset, month not in refused, "; ".join(map(str, refused.get(month, ()))) or None, run_id)
            for month in months
        ]
        frame = pl.DataFrame(rows, schema=GATES.polars_schema, orient="row")
        conditions, params = _scope(site, months)
        self.con.execute(
            f"DELETE FROM {GATES.qualified} WHERE asset = $asset AND {' AND '.join(conditions)}",
            bound(params | {"asset": asset}),
        ).fetchall()
        self.put(GATES, frame)

    def attach(self, path: Path) -> None:
        """Make the tables of a staging database, closed by now, readable as `staged.<table>`."""
        _attach(self.con, path, "staged")

    def put(self, table: Table, frame: pl.DataFrame) -> None:
        """Append rows to a bookkeeping table; use `replace` for tables that people read."""
        self.con.register("rows_to_put", frame.to_arrow())
        self.con.execute(f"INSERT INTO {table.qualified} BY NAME SELECT * FROM rows_to_put").fetchall()
        self.con.unregister("rows_to_put")

    def delete(
        self, table: Table, *, site: str, months: Sequence[date], owned: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Remove a site's months from a bookkeeping table; `owned` limits that to rows with these values."""
        conditions, params = _scope(site, months)
        _own(conditions, params, owned or {})
        self.con.execute(f"DELETE FROM {table.qualified} WHERE {' AND '.join(conditions)}", bound(params)).fetchall()


@dataclass(frozen=True)
class Warehouse:
    """The DuckDB file of an installation."""

    path: Path

    @classmethod
    def default(cls) -> "Warehouse":
        """The warehouse of the environment (`USAGE_DATA`)."""
        return cls(settings.warehouse_path())

    @property
    def _lock(self) -> Path:
        return self.path.parent / ".warehouse.lock"

    @contextmanager
    def read(self, *, wait_seconds: float | None = None) -> Iterator[Reader]:
        """Reads of one state; several processes may read at once, a writer waits for them."""
        wait = settings.lock_wait_seconds() if wait_seconds is None else wait_seconds
        with file_lock(self._lock, "reading", shared=True, wait_seconds=wait):
            if not self.path.exists():
                yield Reader(None)
                return
            with _connect(self.path, read_only=True) as con:
                yield Reader(con)

    @contextmanager
    def beside(self, con: duckdb.DuckDBPyConnection) -> Iterator[bool]:
        """Attach the warehouse read-only as `stored` to a staging connection; false where there is none yet."""
        with file_lock(self._lock, "reading", shared=True, wait_seconds=settings.lock_wait_seconds()):
            if not self.path.exists():
                yield False
                return
            _attach(con, self.path, "stored")
            try:
                yield True
            finally:
                con.execute("DETACH stored").fetchall()

    @contextmanager
    def write(self, holder: str) -> Iterator[Writer]:
        """One transaction: all of the block or nothing of it. `holder` is shown to those who wait."""
        with (
            file_lock(self._lock, holder, wait_seconds=settings.lock_wait_seconds()),
            _connect(self.path) as con,
        ):
            con.execute("BEGIN").fetchall()
            try:
                yield Writer(con)
            except BaseException:
                con.execute("ROLLBACK").fetchall()
                raise
            con.execute("COMMIT").fetchall()

    def compact(self) -> tuple[int, int]:
        """Rewrite the file without the room that replaced rows left; its size in bytes before and after."""
        with file_lock(self._lock, "compacting", wait_seconds=settings.lock_wait_seconds()):
            if not self.path.exists():
                return 0, 0
            before = self.path.stat().st_size
            fresh = self.path.with_name(f".{self.path.name}.compact")
            fresh.unlink(missing_ok=True)
            with _connect(self.path) as con:  # a write-ahead file of a killed process is taken in first
                con.execute("CHECKPOINT").fetchall()
            with duckdb.connect(":memory:") as con:
                for name, path, mode in (("old", self.path, " (READ_ONLY)"), ("fresh", fresh, "")):
                    quoted = str(path).replace("'", "''")
                    con.execute(f"ATTACH '{quoted}' AS {name}{mode}").fetchall()
                con.execute("COPY FROM DATABASE old TO fresh").fetchall()
            fresh.replace(self.path)
            return before, self.path.stat().st_size

    @contextmanager
    def site(self, site: str, holder: str) -> Iterator[None]:
        """Exclude other runs of the same site for the block; runs of other sites go on."""
        lock = self.path.parent / ".locks" / f"{site}.lock"
        with file_lock(lock, holder, wait_seconds=settings.lock_wait_seconds()):
            yield


@contextmanager
def staging(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A scratch database in a file, so that a dump of any size is sorted into months in bounded memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(path)  # a killed process may have left its own
    try:
        with _connect(path) as con:
            con.execute(f"SET memory_limit = '{_STAGING_MEMORY}'").fetchall()
            con.execute(
                "SET threads = 1"
            ).fetchall()  # rows come in small chunks: more threads only wait for each other
            yield con
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(path.suffix + ".wal").unlink(missing_ok=True)


def _attach(con: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    quoted = str(path).replace("'", "''")
    con.execute(f"ATTACH '{quoted}' AS {name} (READ_ONLY)").fetchall()


@contextmanager
def _connect(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    config = _CONFIG | {"temp_directory": str(path.parent / ".tmp")}
    try:
        con = duckdb.connect(str(path), read_only=read_only, config=config)
    except duckdb.Error as error:
        msg = f"the warehouse {path.name} can't be opened: {error}; close other programs that hold it"
        raise WarehouseError(msg) from error
    try:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        yield con
    except BaseException as error:
        _let_go(error)
        raise
    finally:
        con.close()


def _let_go(error: BaseException) -> None:
    """Free what the frames of an error hold: an unfinished result keeps the file's instance alive.

    The next connection of this process to the file would then wait for its end for ever (seen with DuckDB 1.5).
    """
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__


def _fetch(
    con: duckdb.DuckDBPyConnection, query: str, params: Sequence[object] | Mapping[str, object] | None
) -> pl.DataFrame:
    """The result of a query as a frame.

    `con.sql` with parameters turns every value into a Python object first (1 s per 200,000 rows); `execute` does not.
    """
    frame = pl.from_arrow(con.execute(query, bound(params)).to_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def bound(params: Sequence[object] | Mapping[str, object] | None) -> Any:
    """The same values, lists of months as one text that SQL casts (`$months::DATE[]`).

    DuckDB looks for pandas before it binds each element of a list, 0.4 ms apiece where there is none.
    """
    if not isinstance(params, Mapping):
        return params
    return {
        name: f"[{', '.join(map(str, value))}]"
        if isinstance(value, list) and value and all(isinstance(each, date) for each in value)
        else value
        for name, value in params.items()
    }


def _scope(site: str | None, months: Sequence[date] | None) -> tuple[list[str], dict[str, Any]]:
    conditions: list[str] = []
    params: dict[str, Any] = {}
    if site is not None:
        conditions.append("site = $site")
        params["site"] = site
    if months is not None:
        # the range lets the storage skip what lies outside it, which a list alone does not
        conditions.append("month BETWEEN $first AND $last AND month IN (SELECT unnest($months::DATE[]))")
        params |= {"months": list(months), "first": min(months, default=None), "last": max(months, default=None)}
    return conditions, params


def _own(conditions: list[str], params: dict[str, Any], owned: Mapping[str, Sequence[str]]) -> None:
    for column, values in owned.items():
        conditions.append(f'"{column}" IN (SELECT unnest($own_{column}::VARCHAR[]))')
        params[f"own_{column}"] = list(values)
