"""Dumps from real servers: equal tables from each, and faults that name the cause and no password."""

import threading
from datetime import date

import polars as pl
import pytest
import sqlalchemy as sa

from usage_assets.core.errors import SourceError
from usage_assets.kinds.openstack.raw.tables import BY_NAME, TABLES
from usage_assets.sources.sql.servers import Server
from usage_assets.warehouse import Warehouse
from usage_assets_tests.services.dumps import (
    FEB,
    JAN,
    JUN,
    PASSWORD,
    assert_equal,
    grant,
    mariadb_urls,
    postgres_database,
    said,
    text,
)
from usage_assets_tests.unit.sources.sources import (
    Data,
    ddl,
    everything,
    held,
    insert,
    make_server,
    make_sqlite,
    month_of,
    run,
    site_of,
    stored,
    world,
)

DATABASES = ("nova", "nova_cell0", "nova_api", "blazar", "zun", "chameleon_usage")


def test_mariadb_gives_the_same_tables_as_sqlite(mariadb_admin, prefix, warehouse, reference):
    run(mariadb_urls(mariadb_admin, prefix, world()), warehouse, JAN, JUN)
    assert_equal(reference, everything(warehouse))


def test_mariadb_gives_the_same_tables_in_a_narrow_window_and_where_databases_compare_text_differently(
    mariadb_admin, prefix, warehouse, reference
):
    urls = mariadb_urls(mariadb_admin, prefix, world())
    with mariadb_admin.begin() as con:
        con.exec_driver_sql(
            f"ALTER TABLE {prefix}_nova_api.request_specs CONVERT TO CHARACTER SET utf8mb3 COLLATE utf8mb3_bin"
        )
        con.exec_driver_sql(
            f"ALTER TABLE {prefix}_nova.instances CONVERT TO CHARACTER SET utf8mb3 COLLATE utf8mb3_unicode_ci"
        )
    run(urls, warehouse, FEB, date(2020, 3, 1))
    months = [FEB, date(2020, 3, 1)]
    assert_equal(
        {name: frame.filter(pl.col("month").is_in(months)) for name, frame in reference.items()},
        everything(warehouse),
    )


def test_postgresql_gives_the_same_tables_from_schemas_of_one_database(postgres_admin, prefix, warehouse, reference):
    url = postgres_database(postgres_admin, f"{prefix}_all")
    make_server(sa.create_engine(url, poolclass=sa.NullPool), world(), {name: name for name in DATABASES})
    urls = {name: text(url.update_query_dict({"options": f"-csearch_path={name}"})) for name in DATABASES}
    run(urls, warehouse, JAN, JUN)
    assert_equal(reference, everything(warehouse))


def test_postgresql_gives_the_same_tables_from_a_database_per_service(postgres_admin, prefix, warehouse, reference):
    urls = {}
    for name in DATABASES:
        url = postgres_database(postgres_admin, f"{prefix}_{name}")
        data = {table: rows for table, rows in world().items() if table.split(".")[0] == name}
        make_server(sa.create_engine(url, poolclass=sa.NullPool), data, {name: "public"})
        urls[name] = text(url)
    run(urls, warehouse, JAN, JUN)
    assert_equal(reference, everything(warehouse))
    narrow = Warehouse(warehouse.path.parent / "narrow" / "warehouse.duckdb")
    run(urls, narrow, FEB)
    assert_equal({name: frame.filter(pl.col("month") == FEB) for name, frame in reference.items()}, everything(narrow))


def test_parents_on_another_server_are_found_there(mariadb_admin, prefix, tmp_path, warehouse, reference):
    elsewhere = {table: rows for table, rows in world().items() if table.startswith("nova_api.")}
    here = {table: rows for table, rows in world().items() if not table.startswith("nova_api.")}
    urls = mariadb_urls(mariadb_admin, prefix, here) | make_sqlite(tmp_path / "elsewhere", elsewhere)
    run(urls, warehouse, JAN, JUN)
    assert_equal(reference, everything(warehouse))


@pytest.mark.parametrize(
    "bad", ["0000-00-00 00:00:00", "2020-00-00 00:00:00", "2020-01-00 00:00:00", "2020-02-31 00:00:00"]
)
def test_zero_dates_of_mariadb_are_null_counted_and_mean_open(mariadb_admin, prefix, warehouse, bad):
    row = {"id": 1, "uuid": "a", "created_at": "2020-01-05 00:00:00", "deleted_at": bad}
    result = run(mariadb_urls(mariadb_admin, prefix, {"nova.instances": [row]}), warehouse, JUN)
    assert held(warehouse, "nova_instances") == {"1": ["2020-06"]}
    assert stored(warehouse, "nova_instances", ["deleted_at"]).rows() == [(None,)]
    assert month_of(result, "nova_instances", JUN).zero_dates == 1


def test_an_infinite_date_of_postgresql_is_null_and_counted(postgres_admin, prefix, warehouse):
    url = postgres_database(postgres_admin, f"{prefix}_nova")
    row = {"id": 1, "uuid": "a", "created_at": "2020-01-05 00:00:00", "deleted_at": "-infinity"}
    make_server(sa.create_engine(url, poolclass=sa.NullPool), {"nova.instances": [row]}, {"nova": "public"})
    result = run({"nova": text(url)}, warehouse, JUN)
    assert held(warehouse, "nova_instances") == {"1": ["2020-06"]}
    assert month_of(result, "nova_instances", JUN).zero_dates == 1


def test_a_vanished_row_is_asked_for_by_key_on_every_server(mariadb_admin, postgres_admin, prefix, tmp_path):
    first = [{"id": n, "uuid": f"u{n}", "created_at": "2020-01-05 00:00:00"} for n in (1, 2, 3)]
    second = [first[0], {**first[1], "terminated_at": "2019-01-01 00:00:00"}]
    other = postgres_database(postgres_admin, f"{prefix}_nova")
    for name, engine in (("mariadb", mariadb_admin), ("postgresql", sa.create_engine(other, poolclass=sa.NullPool))):
        warehouse = Warehouse(tmp_path / name / "warehouse.duckdb")
        for rows in (first, second):
            if name == "mariadb":
                urls = mariadb_urls(engine, prefix, {"nova.instances": rows})
            else:
                make_server(engine, {"nova.instances": rows}, {"nova": "public"})
                urls = {"nova": text(other)}
            result = run(urls, warehouse, JAN)
        item = month_of(result, "nova_instances", JAN)
        assert (item.rows, item.rows_moved, item.rows_gone) == (2, 1, 1), name


def test_a_database_that_is_not_on_the_server_is_an_error(mariadb_admin, prefix, warehouse):
    urls = mariadb_urls(mariadb_admin, prefix, {"nova.instances": []})
    urls["blazar"] = text(mariadb_admin.url.set(database=f"{prefix}_none"))
    with pytest.raises(SourceError, match=rf"databases.blazar: {prefix}_none is not on the mysql server"):
        run(urls, warehouse, JAN)


@pytest.mark.parametrize("server", ["mariadb", "postgresql"])
def test_a_source_that_dies_mid_read_leaves_the_stored_month_as_it_was(request, prefix, warehouse, monkeypatch, server):
    rows = [{"id": n, "uuid": f"u{n}", "created_at": "2020-01-05 00:00:00", "host": "x" * 200} for n in range(20_000)]
    data: Data = {"nova.instances": rows[:10]}
    if server == "mariadb":
        admin = request.getfixturevalue("mariadb_admin")
        urls, name = mariadb_urls(admin, prefix, data, f"{prefix}_ro"), f"{prefix}_nova.instances"
        grant(admin, prefix, f"SELECT ON {prefix}_nova.*")
        target, kill = admin, "SELECT id FROM information_schema.processlist WHERE user = :user"
    else:
        admin = request.getfixturevalue("postgres_admin")
        url = postgres_database(admin, f"{prefix}_nova")
        target, name = sa.create_engine(url, poolclass=sa.NullPool), "public.instances"
        make_server(target, data, {"nova": "public"})
        with target.begin() as con:
            con.exec_driver_sql(f"CREATE ROLE {prefix}_ro LOGIN PASSWORD '{PASSWORD}'")
            con.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {prefix}_ro")
            con.exec_driver_sql(f"GRANT SELECT ON public.instances TO {prefix}_ro")
        urls = {"nova": text(url.set(username=f"{prefix}_ro", password=PASSWORD))}
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :user"
    tables = [BY_NAME["nova_instances"]]
    run(urls, warehouse, JAN, tables=tables)
    before = stored(warehouse, "nova_instances", BY_NAME["nova_instances"].table.names)
    with target.begin() as con:
        con.execute(sa.text(insert(target.dialect.name, name, rows[10:11])[0][0]), rows[10:])

    real = Server.stream

    def dying(self, statement, where):
        for number, batch in enumerate(real(self, statement, where)):
            if number == 0 and where.endswith("instances"):
                with admin.connect() as con:
                    found = con.execute(sa.text(kill), {"user": f"{prefix}_ro"}).all()
                    assert found
                    if server == "mariadb":
                        con.exec_driver_sql(f"KILL {found[0][0]}")
            yield batch

    monkeypatch.setattr(Server, "stream", dying)
    with pytest.raises(SourceError, match=r"site here: .*instances: .*run it again when the server is back") as caught:
        run(urls, warehouse, JAN, tables=tables)
    said(caught)
    assert stored(warehouse, "nova_instances", BY_NAME["nova_instances"].table.names).equals(before)
    if server == "postgresql":
        with target.begin() as con:
            con.exec_driver_sql(f"DROP OWNED BY {prefix}_ro")


def test_all_tables_of_a_server_are_read_in_one_snapshot(mariadb_admin, prefix, warehouse, monkeypatch):
    lease = {
        "created_at": "2020-01-05 00:00:00",
        "start_date": "2020-01-05 00:00:00",
        "end_date": "2020-09-05 00:00:00",
    }
    data: Data = {"blazar.leases": [{"id": "l1", **lease}], "blazar.reservations": [{"id": "r1", "lease_id": "l1"}]}
    urls = mariadb_urls(mariadb_admin, prefix, data)
    real = Server.stream
    asked: list[str] = []

    def interrupted(self, statement, where):
        yield from real(self, statement, where)
        asked.append(where)
        if where.endswith("leases") and asked.count(where) == 1:  # between the count and the rows
            with mariadb_admin.begin() as con:
                con.exec_driver_sql(f"INSERT INTO {prefix}_blazar.leases (id, created_at) VALUES ('l2', '2020-01-06')")
                con.exec_driver_sql(f"INSERT INTO {prefix}_blazar.reservations (id, lease_id) VALUES ('r2', 'l2')")

    monkeypatch.setattr(Server, "stream", interrupted)
    run(urls, warehouse, JAN, tables=[BY_NAME["blazar_leases"], BY_NAME["blazar_reservations"]])
    assert held(warehouse, "blazar_leases") == {"l1": ["2020-01"]}
    assert held(warehouse, "blazar_reservations") == {"r1": ["2020-01"]}


def test_a_dump_can_not_write_to_its_source(mariadb_admin, prefix):
    from usage_assets.sources.sql.servers import open_servers

    urls = mariadb_urls(mariadb_admin, prefix, {"nova.services": []})
    with open_servers(site_of(urls)) as (server,), pytest.raises(sa.exc.DBAPIError, match="READ ONLY"):
        server.con.exec_driver_sql(f"INSERT INTO {prefix}_nova.services (id) VALUES (1)")


def test_the_extraction_time_is_the_servers_utc_clock(mariadb_admin, prefix, warehouse):
    with mariadb_admin.connect() as con:
        before = con.exec_driver_sql("SELECT UTC_TIMESTAMP()").scalar_one()
        result = run(mariadb_urls(mariadb_admin, prefix, {"nova.services": []}), warehouse, JAN)
        after = con.exec_driver_sql("SELECT UTC_TIMESTAMP()").scalar_one()
    assert before <= result.extracted_at <= after


def test_two_dumps_of_a_site_at_once_both_succeed(mariadb_admin, prefix, warehouse):
    urls = mariadb_urls(mariadb_admin, prefix, {"nova.services": [{"id": 1, "created_at": "2020-01-02 00:00:00"}]})
    failed: list[BaseException] = []

    def once() -> None:
        try:
            run(urls, warehouse, JAN, tables=[BY_NAME["nova_services"]])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=once) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert held(warehouse, "nova_services") == {"1": ["2020-01"]}


def test_the_ddl_of_these_tests_has_every_declared_column(mariadb_admin, prefix):
    assert all(
        f"`{column.name}`" in ddl("mysql", "x", f"{raw.database}.{raw.source}")
        for raw in TABLES
        for column in raw.columns
    )
