"""Tiny source databases for tests: declared tables with literal rows, the same on SQLite, MariaDB and PostgreSQL."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from usage_assets.core.months import Window, months_between
from usage_assets.kinds.openstack.raw.dump import dump
from usage_assets.kinds.openstack.raw.tables import BY_NAME, TABLES
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.schema import Type
from usage_assets.sources.record import DumpResult, TableMonth
from usage_assets.specs.raw_table import RawTable
from usage_assets.warehouse import Warehouse

Rows = Sequence[Mapping[str, Any]]
Data = Mapping[str, Sequence[Any]]  # "nova.instances" or "nova.shadow_instances" -> rows

# one line per dialect
_SQL_TYPES: dict[str, dict[Type, str]] = {
    "sqlite": {Type.INT: "INTEGER", Type.FLOAT: "FLOAT", Type.BOOL: "BOOLEAN", Type.INSTANT: "DATETIME",
               Type.DATE: "DATE", Type.TEXT: "TEXT"},
    "mysql": {Type.INT: "BIGINT", Type.FLOAT: "FLOAT", Type.BOOL: "TINYINT(1)", Type.INSTANT: "DATETIME",
              Type.DATE: "DATE", Type.TEXT: "VARCHAR(255)"},
    "postgresql": {Type.INT: "BIGINT", Type.FLOAT: "REAL", Type.BOOL: "BOOLEAN", Type.INSTANT: "TIMESTAMP",
                   Type.DATE: "DATE", Type.TEXT: "TEXT"},
}  # fmt: skip


def raw_of(table: str) -> RawTable:
    """The declaration of `<database>.<table at the source>`, shadow tables included."""
    database, source = table.split(".")
    return BY_NAME[f"{database}_{source.removeprefix('shadow_')}"]


def columns_of(table: str, without: Iterable[str] = ()) -> dict[str, Type]:
    """Columns of a source table, with the flags that the declarations do not hold."""
    raw = raw_of(table)
    columns = {column.name: column.type for column in raw.columns if column.name not in set(without)}
    return columns | ({raw.skip_flag: Type.BOOL} if raw.skip_flag and raw.skip_flag not in without else {})


def ddl(dialect: str, name: str, table: str, *, primary: bool = True, without: Iterable[str] = ()) -> str:
    """CREATE TABLE of a source table; `name` is what it is called there."""
    types = _SQL_TYPES[dialect]
    quote = "`" if dialect == "mysql" else '"'
    key = raw_of(table).key
    body = [f"{quote}{column}{quote} {types[kind]}" for column, kind in columns_of(table, without).items()]
    if dialect == "mysql":
        body = [line.replace("VARCHAR(255)", "MEDIUMTEXT") if "spec" in line else line for line in body]
        body = [f"{line} NULL" if "DATETIME" in line else line for line in body]
    if primary:
        body.append(f"PRIMARY KEY ({', '.join(f'{quote}{column}{quote}' for column in key)})")
    return f"CREATE TABLE {name} ({', '.join(body)})"


def insert(dialect: str, name: str, rows: Rows) -> list[tuple[str, dict[str, Any]]]:
    """INSERT statements with named parameters."""
    quote = "`" if dialect == "mysql" else '"'
    out = []
    for row in rows:
        columns = ", ".join(f"{quote}{column}{quote}" for column in row)
        values = ", ".join(f":{column}" for column in row)
        out.append((f"INSERT INTO {name} ({columns}) VALUES ({values})", dict(row)))
    return out


def make_sqlite(folder: Path, data: Data, *, primary: bool = True, without: Iterable[str] = ()) -> dict[str, str]:
    """SQLite files of a site, one per database; the URLs by database."""
    folder.mkdir(parents=True, exist_ok=True)
    urls = {}
    for table, rows in data.items():
        database, source = table.split(".")
        path = folder / f"{database}.db"
        urls[database] = f"sqlite:///{path}"
        with sqlite3.connect(path) as con:
            con.execute(f"DROP TABLE IF EXISTS {source}")
            con.execute(ddl("sqlite", source, table, primary=primary, without=without))
            for sql, params in insert("sqlite", source, rows):
                con.execute(sql, params)
        con.close()
    return urls


def make_server(engine: sa.Engine, data: Data, schemas: Mapping[str, str]) -> None:
    """The tables in a server's schemas (MariaDB: databases), which are made anew."""
    dialect = engine.dialect.name
    with engine.begin() as con:
        for schema in {schemas[table.split(".")[0]] for table in data}:
            kind, rest = ("DATABASE", "") if dialect == "mysql" else ("SCHEMA", " CASCADE")
            con.exec_driver_sql(f"DROP {kind} IF EXISTS {schema}{rest}")
            con.exec_driver_sql(f"CREATE {kind} {schema}")
        if dialect == "mysql":
            con.exec_driver_sql("SET SESSION sql_mode = 'ALLOW_INVALID_DATES'")
        for table, rows in data.items():
            database, source = table.split(".")
            name = f"{schemas[database]}.{source}"
            con.exec_driver_sql(ddl(dialect, name, table))
            flags = [column for column, kind in columns_of(table).items() if kind is Type.BOOL]
            for row in rows:
                bools = {flag: bool(row[flag]) for flag in flags if row.get(flag) is not None}
                sql, params = insert(dialect, name, [{**row, **bools}])[0]
                con.execute(sa.text(sql), params)


def site_of(urls: Mapping[str, str], first_month: date = date(2020, 1, 1), key: str = "here") -> OpenStackSite:
    """A site with these databases."""
    return OpenStackSite.model_validate(
        {"kind": "openstack", "key": key, "name": key, "first_month": first_month, "databases": dict(urls)}
    )


def tables_of(data: Data) -> list[RawTable]:
    """The declared tables of some data."""
    return list({raw_of(table).name: raw_of(table) for table in data}.values())


def run(
    urls: Mapping[str, str],
    warehouse: Warehouse,
    first: date,
    last: date | None = None,
    *,
    tables: Sequence[RawTable] = TABLES,
    site_key: str = "here",
    **options: Any,
) -> DumpResult:
    """Dump the months from `first` to `last` of a site with these databases."""
    site = site_of(urls, key=site_key)
    window = Window(site_key, months_between(first, last or first))
    return dump(site, window, warehouse, tables=tables, run_id="test", **options)


def stored(warehouse: Warehouse, table: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """A raw table, sorted; without the times of the dumps that saw its rows unless they are asked for."""
    raw = BY_NAME[table]
    names = (
        list(columns) if columns else [name for name in raw.table.names if name not in {"extracted_at", "seen_from"}]
    )
    with warehouse.read() as reader:
        frame = reader.frame(raw.table, columns=names)
    return frame.sort(["month", *[name for name in raw.key if name in names]] if "month" in names else names)


def everything(warehouse: Warehouse) -> dict[str, pl.DataFrame]:
    """All raw tables, sorted."""
    return {raw.name: stored(warehouse, raw.name) for raw in TABLES}


def held(warehouse: Warehouse, table: str) -> dict[str, list[str]]:
    """Which months hold which row: key -> months as 2020-01; context rows are marked with a star."""
    key = BY_NAME[table].key[0]
    out: dict[str, list[str]] = {}
    for month, name, context in stored(warehouse, table, ["month", key, "is_context"]).sort("month").iter_rows():
        out.setdefault(str(name), []).append(f"{month:%Y-%m}{'*' if context else ''}")
    return out


def month_of(result: DumpResult, table: str, month: date) -> TableMonth:
    """What the dump says of one table-month."""
    return next(item for item in result.months if item.table.name == table and item.month == month)


def _at(month: int, day: int = 2) -> str:
    return f"2020-{month:02}-{day:02} 03:04:05"


def world() -> dict[str, list[Any]]:
    """A site with something of everything: lives, context, satellites, orphans, archives, hidden and dateless rows."""
    hosts = [
        {
            "id": "1",
            "hypervisor_hostname": "h1",
            "created_at": _at(1),
            "deleted_at": _at(2),
            "vcpus": 4,
            "reservable": 1,
        },
        {"id": "2", "hypervisor_hostname": "h1", "created_at": _at(4), "deleted_at": None, "vcpus": 8, "reservable": 0},
        {
            "id": "3",
            "hypervisor_hostname": "h2",
            "created_at": _at(3),
            "deleted_at": None,
            "vcpus": 8,
            "reservable": None,
        },
    ]
    leases = [
        {
            "id": f"l{n}",
            "name": f"Lease {n} é",
            "created_at": _at(n),
            "start_date": _at(n, 5),
            "end_date": _at(n + 1, 9),
            "deleted_at": _at(n + 2) if n % 2 else None,
            "status": "ACTIVE",
            "degraded": n % 2,
        }
        for n in range(1, 5)
    ]
    reservations = [
        {"id": f"r{n}", "lease_id": f"l{n}", "created_at": _at(n), "resource_type": "physical:host"}
        for n in range(1, 7)
    ]
    allocations = [
        {"id": f"a{n}", "reservation_id": f"r{n}", "compute_host_id": str(n % 3 + 1), "created_at": _at(n)}
        for n in range(1, 8)
    ]
    life = {"vcpus": 1, "memory_mb": 2, "project_id": "p", "vm_state": "active", "hidden": 0}
    instances = [
        {
            "id": n,
            "uuid": f"u{n}",
            **life,
            "created_at": _at(n),
            "launched_at": _at(n, 3),
            "terminated_at": _at(n + 1) if n % 2 else None,
            "deleted_at": None,
        }
        for n in range(1, 6)
    ]
    instances += [
        {"id": 20, "uuid": "u20", **life, "created_at": None, "launched_at": _at(3)},
        {"id": 21, "uuid": "u21", **life, "created_at": None},
        {"id": 22, "uuid": "u22", **life, "created_at": _at(1), "hidden": 1},
    ]
    archived = [{"id": 30, "uuid": "u30", **life, "created_at": _at(1), "deleted_at": _at(3)}]
    numbers = [1, 2, 3, 4, 5, 20, 22, 30, 99]
    actions = [
        {
            "id": n,
            "instance_uuid": f"u{n}",
            "action": "create",
            "created_at": _at(n % 4 + 1),
            "start_time": _at(n % 4 + 1),
        }
        for n in numbers
    ]
    events = [
        {
            "id": n * 10 + k,
            "action_id": n,
            "event": "compute__x",
            "result": "Success",
            "host": None,
            "created_at": _at(2),
            "start_time": _at(2),
        }
        for n in [*numbers, 98]
        for k in range(3)
    ]
    specs = [
        {"id": n, "instance_uuid": f"u{n}", "spec": '{"a": "%s"}' % ("x" * n * 10), "created_at": _at(n % 4 + 1)}
        for n in [*numbers, 40]
    ]
    nodes = [
        {
            "id": n,
            "hypervisor_hostname": f"h{n % 2}",
            "hypervisor_type": "ironic",
            "vcpus": n,
            "memory_mb": 1,
            "local_gb": 1,
            "cpu_allocation_ratio": 16.1,
            "created_at": _at(n),
            "deleted_at": _at(n + 1) if n < 4 else None,
        }
        for n in range(1, 6)
    ]
    return {
        "nova.compute_nodes": nodes,
        "nova.services": [{"id": 1, "host": "c", "binary": "nova-compute", "disabled": 0, "created_at": _at(1)}],
        "nova.instances": instances,
        "nova.shadow_instances": archived,
        "nova.instance_actions": actions[:-2],
        "nova.shadow_instance_actions": actions[-2:],
        "nova.instance_actions_events": events,
        "nova_cell0.instances": [{"id": 40, "uuid": "u40", **life, "created_at": _at(2), "deleted_at": _at(3)}],
        "nova_api.request_specs": specs,
        "blazar.leases": leases,
        "blazar.reservations": reservations,
        "blazar.computehosts": hosts,
        "blazar.computehost_allocations": allocations,
        "blazar.computehost_extra_capabilities": [
            {"id": f"c{n}", "computehost_id": str(n), "property_id": "p", "capability_value": "v", "created_at": _at(1)}
            for n in range(1, 5)
        ],
        "blazar.resource_properties": [{"id": "p", "property_name": "node_type", "resource_type": "physical:host"}],
        "blazar.events": [{"id": "e", "lease_id": "l1", "event_type": "start_lease", "time": _at(1), "status": "DONE"}],
        "zun.container": [
            {"id": 1, "uuid": "z", "created_at": _at(2), "updated_at": _at(4), "status": "Stopped", "cpu": 0.5,
             "memory": "512M"}
        ],
        "zun.container_actions": [{"id": 1, "container_uuid": "z", "created_at": _at(5)}],
        "chameleon_usage.node_usage_report_cache": [
            {"date": f"2020-0{n}-03 00:00:00", "node_type": "x", "used_hours": n * 0.25} for n in range(1, 5)
        ],
        "chameleon_usage.node_count_cache": [
            {"date": f"2020-0{n}-03", "node_type": "x", "cnt": n} for n in range(1, 5)
        ],
    }  # fmt: skip
