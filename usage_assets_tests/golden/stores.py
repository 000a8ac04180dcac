"""Where the rows of a test site go: SQLite databases of its sources, or straight into raw tables."""

import atexit
import functools
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from usage_assets.kinds.openstack.raw.tables import TABLES
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.schema import Type
from usage_assets.specs.raw_table import RawTable
from usage_assets.warehouse import Reader, Warehouse, Writer
from usage_assets_tests.golden.builder import DATABASES, Month, Row, Rows, make_site
from usage_assets_tests.golden.raw_months import month_rows

_SQLITE = {
    Type.TEXT: "TEXT",
    Type.INT: "INTEGER",
    Type.FLOAT: "FLOAT",
    Type.BOOL: "BOOLEAN",
    Type.INSTANT: "DATETIME",
    Type.DATE: "DATE",
}


def raw_frame(
    table: RawTable, site: str, held: Mapping[Month, list[Row]], extracted: Mapping[Month, datetime]
) -> pl.DataFrame:
    """Raw rows of some months as the table's frame."""
    rows = [
        {"site": site, "month": month, "extracted_at": extracted[month], "seen_from": extracted[month]} | row
        for month in held
        for row in held[month]
    ]
    return pl.DataFrame(rows, schema=table.table.polars_schema, orient="row")


class Scratch:
    """A database in memory that holds the raw tables of one site after the other, for read_raw."""

    def __init__(self) -> None:
        self.con = duckdb.connect(":memory:")
        self.con.execute("SET TimeZone = 'UTC'").fetchall()
        self.writer = Writer(self.con)
        self.writer.ensure(*(table.table for table in TABLES))
        self.filled: list[str] = []

    def reader(
        self, rows: Rows, site: OpenStackSite, months: Sequence[Month], extracted: Mapping[Month, datetime]
    ) -> Reader:
        """The raw tables of these months; what was there before is gone."""
        for name in self.filled:
            self.con.execute(f"DELETE FROM {name}").fetchall()
        self.filled = [table.table.qualified for table in TABLES if rows.tables[table.name]]
        fill(self.writer, rows, site, months, extracted)
        return Reader(self.con)


def put_raw(
    warehouse: Warehouse, rows: Rows, site: OpenStackSite, months: Sequence[Month], extracted: Mapping[Month, datetime]
) -> None:
    """The raw tables of these months in a warehouse, with open gates."""
    names = frozenset(table.name for table in TABLES if rows.tables[table.name])
    new = not warehouse.path.exists()
    if new:
        warehouse.path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_without(names, site.key, tuple(months)), warehouse.path)
    with warehouse.write("golden rows") as writer:
        fill(writer, rows, site, months, extracted, gates=True, names=names if new else None)


@functools.cache
def _without(names: frozenset[str], key: str, months: tuple[Month, ...]) -> Path:
    """A warehouse with all raw tables but these, and no rows in them: three dozen empty tables take a second."""
    folder = Path(tempfile.mkdtemp(prefix="usage-golden-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    warehouse = Warehouse(folder / "warehouse.duckdb")
    site = make_site().model_copy(update={"key": key})
    empty = frozenset(table.name for table in TABLES) - names
    with warehouse.write("golden tables") as writer:
        fill(writer, Rows(), site, months, dict.fromkeys(months, datetime(2024, 1, 1)), gates=True, names=empty)
    return warehouse.path


def fill(
    writer: Writer,
    rows: Rows,
    site: OpenStackSite,
    months: Sequence[Month],
    extracted: Mapping[Month, datetime],
    *,
    gates: bool = False,
    names: frozenset[str] | None = None,
) -> None:
    """Write the raw rows of these months to tables that are there, or replace them with their gates."""
    held = {month: month_rows(rows, month, site.first_month) for month in months}
    for table in TABLES:
        if (names is not None and table.name not in names) or (not gates and not rows.tables[table.name]):
            continue
        frame = raw_frame(table, site.key, {month: held[month][table.name] for month in months}, extracted)
        if gates:
            asset = f"openstack/raw/{table.name}"
            done = writer.replace(table.table, frame, site=site.key, months=months, asset=asset, run_id="golden")
            assert not done.refused, done.refused
        else:
            writer.put(table.table, frame)


def write_sqlite(rows: Rows, folder: Path, databases: Sequence[str] = DATABASES, **site: Any) -> OpenStackSite:
    """The rows as one SQLite database per schema, and a site that points there. Gone rows are not written."""
    folder.mkdir(parents=True, exist_ok=True)
    for database in databases:
        path = folder / f"{database}.db"
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as con:
            for table in TABLES:
                if table.database == database:
                    _write_table(con, table, rows.tables[table.name])
        con.close()
    return make_site({name: f"sqlite:///{(folder / name).resolve()}.db" for name in databases}, **site)


def _write_table(con: sqlite3.Connection, table: RawTable, rows: Iterable[Row]) -> None:
    columns = {column.name: _SQLITE[column.type] for column in table.columns}
    names = [*columns, "hidden"] if table.skip_flag else list(columns)
    body = ", ".join(f"{name} {columns.get(name, 'BOOLEAN')}" for name in names)
    for prefix in ("", "shadow_") if table.archived else ("",):
        con.execute(f"CREATE TABLE {prefix}{table.source} ({body}, PRIMARY KEY ({', '.join(table.key)}))")
    for row in rows:
        if row["gone_at"] is None:
            prefix = "shadow_" if row["archived"] else ""
            marks = ", ".join("?" * len(names))
            con.execute(f"INSERT INTO {prefix}{table.source} VALUES ({marks})", [_plain(row[name]) for name in names])


def _plain(value: Any) -> Any:
    return value.isoformat(" ") if isinstance(value, datetime) else value
