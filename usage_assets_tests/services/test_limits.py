"""Limits of a server and of what lies before it: none cuts what is read, none ends a read of two servers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date

import pytest

from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.sources.sql.access import check_site
from usage_assets.warehouse import Warehouse
from usage_assets_tests.services.servers import MariaDB, mariadb_in
from usage_assets_tests.unit.sources.sources import make_server, run, site_of, stored

JAN = date(2020, 1, 1)
ROWS = 700
TABLES = [BY_NAME["nova_instances"], BY_NAME["nova_api_request_specs"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A server that protects itself from clients: few rows an answer, short waits."""
    with mariadb_in(tmp_path_factory.mktemp("capped")) as found:
        make_server(
            found.engine, {"nova.instances": [], "nova_api.request_specs": []}, {"nova": "nova", "nova_api": "api"}
        )
        with found.engine.begin() as con:
            con.exec_driver_sql(
                "INSERT INTO nova.instances (id, uuid, created_at, hidden) "
                f"SELECT seq, CONCAT('u', seq), '2020-01-05', 0 FROM nova.seq_1_to_{ROWS}"
            )
            con.exec_driver_sql(
                "INSERT INTO api.request_specs (id, instance_uuid, created_at) "
                f"SELECT seq, CONCAT('u', seq), '2020-01-05' FROM nova.seq_1_to_{ROWS}"
            )
            for name in ("first", "second"):
                con.exec_driver_sql(f"CREATE USER {name}@'127.0.0.1'")
                con.exec_driver_sql(f"GRANT SELECT ON *.* TO {name}@'127.0.0.1'")
            con.exec_driver_sql("CREATE DATABASE slow")
            con.exec_driver_sql("SET GLOBAL init_connect = 'SET sql_big_selects = 0, max_join_size = 1000'")
            con.exec_driver_sql("SET GLOBAL sql_select_limit = 20")
            con.exec_driver_sql("SET GLOBAL wait_timeout = 2")
        yield found


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    return Warehouse(tmp_path / "data" / "warehouse.duckdb")


def url(server: MariaDB, user: str, database: str, port: int | None = None) -> str:
    return server.url.set(username=user, database=database, port=port or server.port).render_as_string()


def test_a_server_that_caps_every_answer_is_read_whole_again_and_again(server, warehouse):
    urls = {"nova": url(server, "first", "nova"), "nova_api": url(server, "first", "api")}
    for _ in range(2):
        result = run(urls, warehouse, JAN, tables=TABLES)
        assert [(item.rows, item.rows_moved, item.rows_gone) for item in result.months] == [(ROWS, 0, 0)] * 2
    found = check_site(site_of(urls), TABLES).tables
    assert [(one.state, one.rows, one.columns_missing) for one in found] == [("found", ROWS, ())] * 2


def slowly(server: MariaDB, seconds: float) -> None:
    """Reading the instances takes so long from now on."""
    with server.engine.begin() as con:
        con.exec_driver_sql(
            "CREATE OR REPLACE VIEW slow.instances AS SELECT * FROM nova.instances "
            f"WHERE id <> {ROWS} OR SLEEP({seconds}) = 0"
        )


def test_a_server_that_hangs_up_on_who_is_idle_waits_while_another_one_is_read(server, warehouse):
    slowly(server, 3)
    urls = {"nova": url(server, "first", "slow"), "nova_api": url(server, "second", "api")}
    run(urls, warehouse, JAN, tables=TABLES)
    assert stored(warehouse, "nova_api_request_specs", ["id"]).height == ROWS


@contextmanager
def impatient_proxy(port: int, seconds: float) -> Iterator[int]:
    """A port before another one that hangs up when nothing has passed for so long, as HAProxy does."""

    def pass_on(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as behind, suppress(OSError):
            import select

            while True:
                ready, _, _ = select.select([client, behind], [], [], seconds)
                if not ready:
                    return
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    (behind if one is client else client).sendall(data)

    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=pass_on, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def test_a_proxy_that_hangs_up_on_who_is_idle_is_kept_busy_while_another_server_is_read(server, warehouse, monkeypatch):
    slowly(server, 3)
    monkeypatch.setattr("usage_assets.sources.sql.sessions.QUIET_SECONDS", 0.3)
    with impatient_proxy(server.port, 1.5) as port:
        urls = {"nova": url(server, "first", "slow"), "nova_api": url(server, "second", "api", port)}
        run(urls, warehouse, JAN, tables=TABLES)
    assert stored(warehouse, "nova_api_request_specs", ["id"]).height == ROWS


def test_the_settings_are_of_the_session_alone(server):
    with server.engine.connect() as con:
        assert con.exec_driver_sql("SELECT @@GLOBAL.sql_select_limit, @@GLOBAL.wait_timeout").one() == (20, 2)
