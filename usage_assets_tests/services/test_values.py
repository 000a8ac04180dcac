"""Values as real servers hold them: fractions of seconds, and the mark of deletion in each type that it has there."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from usage_assets.kinds.openstack.facts import build_facts, read_inputs
from usage_assets.schema import Type
from usage_assets.warehouse import Warehouse
from usage_assets_tests.services.dumps import JAN, assert_equal, mariadb_urls, postgres_database, text
from usage_assets_tests.unit.sources.sources import (
    Data,
    columns_of,
    everything,
    insert,
    make_server,
    make_sqlite,
    run,
    site_of,
    stored,
    tables_of,
)

Source = Callable[[str, Data, dict[tuple[str, str], str]], dict[str, str]]
FINE = {"mysql": "DATETIME(6)", "postgresql": "TIMESTAMP(6)"}


@pytest.fixture
def source(request: pytest.FixtureRequest, prefix: str) -> Source:
    """Makes databases of a server with these rows, in which columns (table, name) have these types; their URLs."""

    def filled(server: str, data: Data, types: dict[tuple[str, str], str]) -> dict[str, str]:
        empty: Data = {table: [] for table in data}
        if server == "mysql":
            engine = request.getfixturevalue("mariadb_admin")
            urls = mariadb_urls(engine, prefix, empty)
            schemas = {database: f"{prefix}_{database}" for database in urls}
        else:
            url = postgres_database(request.getfixturevalue("postgres_admin"), f"{prefix}_all")
            engine = sa.create_engine(url, poolclass=sa.NullPool)
            schemas = {table.split(".")[0]: table.split(".")[0] for table in data}
            make_server(engine, empty, schemas)
            urls = {name: text(url.update_query_dict({"options": f"-csearch_path={name}"})) for name in schemas}
        with engine.begin() as con:
            for (table, column), kind in types.items():
                database, source = table.split(".")
                name = f"{schemas[database]}.{source}"
                if server == "mysql":
                    con.exec_driver_sql(f"ALTER TABLE {name} MODIFY COLUMN {column} {kind} NULL")
                else:  # the table is empty, so that nothing is converted
                    con.exec_driver_sql(f"ALTER TABLE {name} DROP COLUMN {column}, ADD COLUMN {column} {kind}")
            for table, rows in data.items():
                database, source = table.split(".")
                for sql, params in insert(server, f"{schemas[database]}.{source}", rows):
                    con.execute(sa.text(sql), params)
        return urls

    return filled


# --- fractions of seconds --------------------------------------------------------------------------------------------

CREATED, ENDED = datetime(2020, 1, 5, 10, 0, 0, 123_456), datetime(2020, 1, 5, 11, 0, 0, 999_999)
STOPPED = datetime(2020, 1, 5, 10, 30, 0, 1)
SERVER = {"id": 1, "uuid": "u1", "node": "h", "vcpus": 40, "memory_mb": 1, "root_gb": 1, "ephemeral_gb": 0,
          "project_id": "p", "user_id": "u", "vm_state": "deleted", "created_at": str(CREATED),
          "launched_at": str(CREATED), "terminated_at": str(ENDED), "deleted_at": str(ENDED)}  # fmt: skip
FRACTIONS: Data = {
    "nova.compute_nodes": [{"id": 1, "hypervisor_hostname": "h", "hypervisor_type": "QEMU", "vcpus": 40,
                            "memory_mb": 1, "local_gb": 1, "created_at": "2019-01-01 00:00:00.000001"}],
    "nova.instances": [SERVER],
    "nova.instance_actions": [{"id": 1, "instance_uuid": "u1", "action": "stop", "created_at": str(STOPPED),
                               "start_time": str(STOPPED)}],
    "nova.instance_actions_events": [{"id": 1, "action_id": 1, "event": "compute_stop_instance", "result": "Success",
                                      "created_at": str(STOPPED), "start_time": str(STOPPED)}],
    "blazar.leases": [{"id": "l1", "name": "l", "created_at": "2020-01-05 00:00:00.1",
                       "start_date": "2020-01-06 00:00:00.000010", "end_date": "2020-01-07 23:59:59.999999"}],
}  # fmt: skip


def instants(data: Data, server: str) -> dict[tuple[str, str], str]:
    """The columns of instants of these tables, to the microsecond."""
    return {
        (table, name): FINE[server]
        for table in data
        for name, kind in columns_of(table).items()
        if kind is Type.INSTANT
    }


@pytest.mark.parametrize("server", ["mysql", "postgresql"])
def test_fractions_of_seconds_reach_raw_tables_and_facts_to_the_microsecond(source, tmp_path, warehouse, server):
    urls = source(server, FRACTIONS, instants(FRACTIONS, server))
    run(urls, warehouse, JAN)
    assert stored(warehouse, "nova_instances", ["created_at", "launched_at", "terminated_at", "deleted_at"]).rows() == [
        (CREATED, CREATED, ENDED, ENDED)
    ]
    assert stored(warehouse, "nova_compute_nodes", ["created_at"]).rows() == [(datetime(2019, 1, 1, 0, 0, 0, 1),)]
    assert stored(warehouse, "nova_instance_actions_events", ["start_time"]).rows() == [(STOPPED,)]
    assert stored(warehouse, "blazar_leases", ["created_at", "start_date", "end_date"]).rows() == [
        (datetime(2020, 1, 5, 0, 0, 0, 100_000), datetime(2020, 1, 6, 0, 0, 0, 10),
         datetime(2020, 1, 7, 23, 59, 59, 999_999))
    ]  # fmt: skip
    reference = Warehouse(tmp_path / "reference" / "warehouse.duckdb")
    run(make_sqlite(tmp_path / "sqlite", FRACTIONS), reference, JAN)
    assert_equal(everything(reference), everything(warehouse))

    site = site_of(urls)
    with warehouse.read() as reader:
        facts = build_facts(site, [JAN], read_inputs(reader, site, [JAN]), {JAN: datetime(2020, 6, 1)})
    spans = {
        metric: [(end - start) // timedelta(microseconds=1) for start, end in rows.select("start_at", "end_at").rows()]
        for (metric,), rows in facts.intervals.group_by("metric")
    }
    assert spans["occupied_unknown"] == [3_600_876_543]
    assert spans["active"] == [1_799_876_545]  # until it was stopped


# --- the mark of deletion --------------------------------------------------------------------------------------------

NUMBERS = ((0, False), (1, True), (42, True), (2_147_483_647, True), (None, False))
TEXTS = (("0", False), ("", False), ("0b4c9f3e-7d43-4f0e-9b53-0a4d4d4c6a10", True), ("1", True),
         ("00000000-0000-0000-0000-000000000000", True), ("False positive", True), (None, False))  # fmt: skip
SWITCHES = ((0, False), (1, True), (None, False))
BOOLEANS = ((False, False), (True, True), (None, False))
HELD: list[tuple[str, str, Sequence[tuple[Any, bool]]]] = [
    ("mysql", "INT(11)", NUMBERS),
    ("mysql", "BIGINT", NUMBERS),
    ("mysql", "VARCHAR(36)", TEXTS),
    ("mysql", "BOOLEAN", SWITCHES),
    ("mysql", "TINYINT(1)", SWITCHES),
    ("mysql", "BIT(1)", SWITCHES),
    ("postgresql", "INTEGER", NUMBERS),
    ("postgresql", "BIGINT", NUMBERS),
    ("postgresql", "VARCHAR(36)", TEXTS),
    ("postgresql", "CHAR(36)", TEXTS),
    ("postgresql", "BOOLEAN", BOOLEANS),
]


def marked(values: Sequence[Any]) -> Data:
    """A server and a lease per value of `deleted`; what is held as deleted has no date of it, as bad rows of old."""
    at = {"created_at": "2020-01-05 00:00:00", "updated_at": "2020-01-20 00:00:00"}
    ends = {"start_date": "2020-01-06 00:00:00", "end_date": "2020-09-01 00:00:00"}
    rows = list(enumerate(values))
    return {
        "nova.instances": [{"id": n, "uuid": f"u{n}", "vm_state": "active", **at, "deleted": v} for n, v in rows],
        "blazar.leases": [{"id": f"l{n}", "name": "l", **at, **ends, "deleted": v} for n, v in rows],
    }


def marks(warehouse: Warehouse, table: str) -> list[bool]:
    frame = stored(warehouse, table, ["month", "id", "deleted"]).filter(pl.col("month") == JAN)
    return frame.sort(pl.col("id").cast(pl.String))["deleted"].to_list()


@pytest.mark.parametrize("held", HELD, ids=lambda held: f"{held[0]} {held[1]}")
def test_what_is_held_as_deleted_is_told_in_each_type_as_from_sqlite(source, tmp_path, warehouse, held):
    server, kind, values = held
    data = marked([value for value, _ in values])
    tables = tables_of(data)
    run(source(server, data, {(table, "deleted"): kind for table in data}), warehouse, JAN, tables=tables)
    reference = Warehouse(tmp_path / "reference" / "warehouse.duckdb")
    run(make_sqlite(tmp_path / "sqlite", data), reference, JAN, tables=tables)
    for table in tables:
        assert marks(warehouse, table.name) == marks(reference, table.name) == [gone for _, gone in values], table.name
        assert stored(warehouse, table.name).equals(stored(reference, table.name))
