"""Reading rows of the warehouse, and replacing whole site-months of them within a transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa

from usage_assets.core import clock
from usage_assets.core.errors import WarehouseError
from usage_assets.schema import Table, Violation, violations
from usage_assets.schema.contract import require_columns
from usage_assets.warehouse.bookkeeping import GATES, VERSIONS
from usage_assets.warehouse.connections import attach

_BATCH_ROWS = 60_000
Params = Sequence[object] | Mapping[str, object] | None


@dataclass(frozen=True)
class Replaced:
    """What a replacement did: rows written per month, and the months kept as they were with the reason."""

    rows: dict[date, int]
    refused: dict[date, list[Violation]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReplaceAfter:
    """Rows that replace those with `column` > an instant, and with the values of `owned`."""

    table: Table
    rows: pl.DataFrame
    column: str
    owned: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """A SELECT with its values, bound by name (`$name`)."""

    sql: str
    params: Mapping[str, object] = field(default_factory=dict)


class Reader:
    """Reads of one consistent state of the warehouse."""

    def __init__(self, con: duckdb.DuckDBPyConnection | None) -> None:
        self._con = con
        self._tables: frozenset[str] | None = None

    def sql(self, query: str, params: Params = None) -> pl.DataFrame:
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
        self._written: dict[tuple[str, str], tuple[str, dict[date, int]]] = {}
        self._gates: dict[tuple[str, date, str], tuple[object, ...]] = {}

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
        blocked: Mapping[date, str] | None = None,
    ) -> Replaced:
        """Replace a site's months of `table` by `rows` (a frame, or the name of a relation of this connection).

        A month whose rows break the table's declaration, or that `blocked` names with a reason, keeps its old rows; the
        rest is written. Either way `serving.gates` records it in the same transaction, and `serving.versions` what was
        written. `owned` limits what is replaced to rows with these values in a column (`facts.intervals` has several
        owners).
        """
        self.ensure(table)
        relation = rows
        if isinstance(rows, pl.DataFrame):
            relation = "incoming_rows"
            self.con.register(relation, _in_batches(rows))
        months = sorted(months)
        refused = self._violations(table, str(relation))
        for month, reason in (blocked or {}).items():
            refused.setdefault(month, []).append(Violation(month, reason, 0))
        good = [month for month in months if month not in refused]
        self.delete(table, site=site, months=good, owned=owned)
        names = ", ".join(f'"{name}"' for name in table.names)
        self.con.execute(
            f"INSERT INTO {table.qualified} BY NAME SELECT {names} FROM {relation} "
            "WHERE month IN (SELECT unnest($months::DATE[]))",
            bound({"months": good}),
        ).fetchall()
        self.record_readiness(asset, site, months, refused, run_id)
        counted = self.con.sql(
            f"SELECT month, count(*) FROM {relation} WHERE month IN (SELECT unnest($months::DATE[])) GROUP BY month",
            params=bound({"months": good}),
        ).fetchall()
        if isinstance(rows, pl.DataFrame):
            self.con.unregister("incoming_rows")
        written = dict.fromkeys(good, 0) | dict(counted)
        self.record_write(site, asset, run_id, written)
        return Replaced(rows=written, refused=refused)

    def insert_month(
        self,
        table: Table,
        queries: Iterable[Query],
        *,
        site: str,
        month: date,
        asset: str,
        run_id: str,
        owned: Mapping[str, Sequence[str]] | None = None,
    ) -> list[Violation]:
        """Replace a site's month of `table` by the rows of queries; what the rows break of the table's declaration.

        Unlike `replace` it looks at the rows once they are stored, so that none of them is held in memory: where it
        returns something, the caller has to roll the transaction back.
        """
        self.ensure(table)
        self.delete(table, site=site, months=[month], owned=owned)
        for query in queries:
            self.con.execute(f"INSERT INTO {table.qualified} BY NAME {query.sql}", bound(query.params)).fetchall()
        stored = [f"site = {_literal(site)}", f"month = DATE '{month}'"]
        stored += [f'"{name}" IN ({", ".join(map(_literal, values))})' for name, values in (owned or {}).items()]
        where = " AND ".join(stored)
        self.con.execute(
            f"CREATE OR REPLACE TEMP VIEW stored_month AS SELECT * FROM {table.qualified} WHERE {where}"
        ).fetchall()
        broken = violations(self.con, "stored_month", table)
        ((count,),) = self.con.execute("SELECT count(*) FROM stored_month").fetchall()
        self.con.execute("DROP VIEW stored_month").fetchall()
        self.record_readiness(asset, site, [month], {month: broken} if broken else {}, run_id)
        self.record_write(site, asset, run_id, {month: count})
        return broken

    def refused(self, table: Table, rows: pl.DataFrame) -> dict[date, list[Violation]]:
        """The months of a frame that its table's declaration refuses, without writing anything."""
        self.con.register("rows_to_check", _in_batches(rows))
        out = self._violations(table, "rows_to_check")
        self.con.unregister("rows_to_check")
        return out

    def _violations(self, table: Table, relation: str) -> dict[date, list[Violation]]:
        described = self.con.sql(f"SELECT * FROM {relation} LIMIT 0")
        require_columns(table, zip(described.columns, map(str, described.types), strict=True))
        out: dict[date, list[Violation]] = {}
        for violation in violations(self.con, relation, table):
            out.setdefault(violation.month, []).append(violation)
        return out

    def replace_tail(
        self, parts: Sequence[ReplaceAfter], *, since: datetime, site: str, month: date, asset: str, run_id: str
    ) -> list[Violation]:
        """Replace only those rows of a site's month that reach beyond an instant, in all tables of an asset or in none.

        Rows that break a declaration leave the month as it is. Either way it is gated; where it was written, the rows
        of the last table count as the asset's.
        """
        self.ensure(*(part.table for part in parts))
        broken = [
            found
            for part in parts
            if not part.rows.is_empty()
            for found in self.refused(part.table, part.rows).get(month, [])
        ]
        self.record_readiness(asset, site, [month], {month: broken} if broken else {}, run_id)
        if broken:
            return broken
        for part in parts:
            conditions, params = _scope(site, [month], part.owned)
            where, table = " AND ".join(conditions), part.table.qualified
            sql = f'DELETE FROM {table} WHERE {where} AND "{part.column}" > $since'
            self.con.execute(sql, bound(params | {"since": since})).fetchall()
            if not part.rows.is_empty():
                self.put(part.table, part.rows)
        ((count,),) = self.con.execute(f"SELECT count(*) FROM {table} WHERE {where}", bound(params)).fetchall()
        self.record_write(site, asset, run_id, {month: count})
        return []

    def record_write(self, site: str, asset: str, run_id: str, rows: Mapping[date, int]) -> None:
        """Record months of an asset as written; of several tables of an asset the last one's rows count."""
        _, before = self._written.get((site, asset), ("", {}))
        self._written[site, asset] = run_id, before | dict(rows)

    def record_readiness(
        self, asset: str, site: str, months: Sequence[date], refused: Mapping[date, Sequence[Violation]], run_id: str
    ) -> None:
        """Record for every month whether the asset's rows are good, and why not; stored with the transaction."""
        for month in months:
            reason = "; ".join(map(str, refused.get(month, ()))) or None
            self._gates[site, month, asset] = (site, month, asset, month not in refused, reason, run_id)

    def finish(self) -> None:
        """Store what the transaction says of its writes: gates, and versions, each month one further."""
        now = clock.naive_utc_now()
        versions = [
            (site, month, asset, 1, count, run_id, now)
            for (site, asset), (run_id, rows) in self._written.items()
            for month, count in rows.items()
        ]
        self._replace_by_asset(VERSIONS, versions, "n.* REPLACE (n.version + coalesce(o.version, 0) AS version)")
        self._replace_by_asset(GATES, list(self._gates.values()), "n.*")
        self._written.clear()
        self._gates.clear()

    def _replace_by_asset(self, table: Table, rows: Sequence[tuple[object, ...]], columns: str) -> None:
        """Put rows (`n`) in place of those of the same site, month and asset (`o`)."""
        if not rows:
            return
        self.ensure(table)
        self.con.register("rows_by_asset", pl.DataFrame(rows, table.polars_schema, orient="row").to_arrow())
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE fresh_rows AS SELECT {columns} FROM rows_by_asset n "
            f"LEFT JOIN {table.qualified} o USING (site, month, asset)"
        ).fetchall()
        same = " AND ".join(f"o.{name} = n.{name}" for name in ("site", "month", "asset"))
        self.con.execute(f"DELETE FROM {table.qualified} o USING rows_by_asset n WHERE {same}").fetchall()
        self.con.execute(f"INSERT INTO {table.qualified} BY NAME FROM fresh_rows").fetchall()
        self.con.execute("DROP TABLE fresh_rows").fetchall()
        self.con.unregister("rows_by_asset")

    def attach(self, path: Path) -> None:
        """Make the tables of a staging database, closed by now, readable as `staged.<table>`."""
        attach(self.con, path, "staged")

    def put(self, table: Table, frame: pl.DataFrame) -> None:
        """Append rows to a bookkeeping table; use `replace` for tables that people read."""
        self.con.register("rows_to_put", _in_batches(frame))
        self.con.execute(f"INSERT INTO {table.qualified} BY NAME SELECT * FROM rows_to_put").fetchall()
        self.con.unregister("rows_to_put")

    def delete(
        self, table: Table, *, site: str, months: Sequence[date], owned: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Remove a site's months from a bookkeeping table; `owned` limits that to rows with these values."""
        conditions, params = _scope(site, months, owned)
        self.con.execute(f"DELETE FROM {table.qualified} WHERE {' AND '.join(conditions)}", bound(params)).fetchall()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _in_batches(frame: pl.DataFrame) -> pa.Table:
    """The rows in batches: DuckDB gives each to a thread, and all rows to one thread where they are one batch."""
    rows = frame.to_arrow()
    return pa.Table.from_batches(rows.to_batches(max_chunksize=_BATCH_ROWS), schema=rows.schema)


def _fetch(con: duckdb.DuckDBPyConnection, query: str, params: Params) -> pl.DataFrame:
    """The result of a query as a frame.

    `con.sql` with parameters turns every value into a Python object first (1 s per 200,000 rows); `execute` does not.
    """
    frame = pl.from_arrow(con.execute(query, bound(params)).to_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def bound(params: Params) -> Any:
    """The same values, lists of months and of names as one text that SQL casts (`$months::DATE[]`, `::VARCHAR[]`).

    DuckDB looks for pandas before it binds each element of a list, 0.4 ms apiece where there is none.
    """
    if not isinstance(params, Mapping):
        return params
    return {name: _one_text(value) if isinstance(value, list) and value else value for name, value in params.items()}


def _one_text(values: list[object]) -> object:
    if all(isinstance(each, date) for each in values):
        return f"[{', '.join(map(str, values))}]"
    if all(isinstance(each, str) for each in values):
        return f"[{', '.join(_quoted(str(each)) for each in values)}]"
    return values


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _scope(
    site: str | None, months: Sequence[date] | None, owned: Mapping[str, Sequence[str]] | None = None
) -> tuple[list[str], dict[str, Any]]:
    """Conditions of a site, some months, and values of columns, with their parameters."""
    conditions: list[str] = []
    params: dict[str, Any] = {}
    if site is not None:
        conditions.append("site = $site")
        params["site"] = site
    if months is not None:
        # the range lets the storage skip what lies outside it, which a list alone does not
        conditions.append("month BETWEEN $first AND $last AND month IN (SELECT unnest($months::DATE[]))")
        params |= {"months": list(months), "first": min(months, default=None), "last": max(months, default=None)}
    for column, values in (owned or {}).items():
        conditions.append(f'"{column}" IN (SELECT unnest($own_{column}::VARCHAR[]))')
        params[f"own_{column}"] = list(values)
    return conditions, params
