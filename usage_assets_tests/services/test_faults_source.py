"""A source that dies while it is read: what is stored stays, the run says what happened, the next one works."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from usage_assets.core.months import RANGE_END, RANGE_START, Window
from usage_assets.definitions import build_defs
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.partitions import partition_keys
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.sources.sql.servers import Server
from usage_assets.warehouse import Warehouse
from usage_assets_tests.services.servers import MariaDB, mariadb_in
from usage_assets_tests.unit.sources.sources import make_server, run, site_of

ROWS = 60_000
JAN = date(2020, 1, 1)
_FILL = f"""
INSERT INTO nova.instances (id, uuid, created_at, host, project_id, vcpus, memory_mb, hidden)
SELECT seq, CONCAT('u', seq), '2020-01-05 00:00:00', REPEAT('x', 200), 'p', 1, 1, 0 FROM nova.seq_11_to_{ROWS}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    with mariadb_in(tmp_path_factory.mktemp("source")) as found:
        yield found


@pytest.fixture
def server(running: MariaDB) -> MariaDB:
    row = {"id": 1, "uuid": "u1", "created_at": "2020-01-05 00:00:00", "host": "a", "project_id": "p", "hidden": 0}
    make_server(running.engine, {"nova.instances": [row]}, {"nova": "nova"})
    return running


def site(server: MariaDB) -> OpenStackSite:
    return site_of({"nova": server.url.set(database="nova").render_as_string()})


def raw_run(server: MariaDB, warehouse: Warehouse, instance: dg.DagsterInstance) -> str:
    """What a run of the raw table ends with: nothing where all went well, else what it tells the operator."""
    own, window = site(server), Window("here", (JAN,))
    job = build_defs({"here": own}, warehouse, automation=False).resolve_job_def("openstack")
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[asset_key("openstack", "raw", "nova_instances")],
        tags={RANGE_START: str(partition_keys(window)[0]), RANGE_END: str(partition_keys(window)[-1])},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    failures = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
    return "; ".join(str(found and found.description) for found in failures)


def rows(warehouse: Warehouse) -> list[tuple]:
    with warehouse.read() as reader:
        return reader.sql(f"SELECT * FROM {BY_NAME['nova_instances'].table.qualified} ORDER BY ALL").rows()


def kill_when_rows_come(server: MariaDB, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Kill the server once the first rows of the large table have come; filled with their number by then.

    Most of its rows are still on the server: they are more than the connection's buffers hold.
    """
    read: list[int] = []
    stream = Server.stream

    def cut(self: Server, statement: sa.Executable, where: str) -> Iterator[Sequence[Sequence[Any]]]:
        for batch in stream(self, statement, where):
            yield batch
            if where == "nova.instances" and len(batch) > 1 and not read:  # a count is one row
                read.append(len(batch))
                server.kill()

    monkeypatch.setattr(Server, "stream", cut)
    return read


def test_a_source_killed_while_it_is_read_costs_no_row_and_the_next_run_takes_what_is_there(
    server, warehouse, monkeypatch: pytest.MonkeyPatch
):
    with dg.DagsterInstance.ephemeral() as instance:
        assert raw_run(server, warehouse, instance) == ""
        before = rows(warehouse)
        with server.engine.begin() as con:
            con.exec_driver_sql(_FILL)

        with monkeypatch.context() as patched:
            read = kill_when_rows_come(server, patched)
            said = raw_run(server, warehouse, instance)
        assert 0 < sum(read) < ROWS
        assert said.startswith("site here: nova.instances: "), said
        assert "Lost connection to MySQL server during query" in said
        assert said.endswith("the server ended the connection; run it again when the server is back")
        assert rows(warehouse) == before
        assert not list((warehouse.path.parent / ".staging").iterdir())

        said = raw_run(server, warehouse, instance)  # it is still down
        assert said.startswith("site here: databases nova: "), said
        assert said.endswith("check host and port in the site's file, and that the server runs")
        assert rows(warehouse) == before

        server.start()
        assert raw_run(server, warehouse, instance) == ""
    assert len(rows(warehouse)) == ROWS - 9


def test_a_source_whose_clock_was_set_back_loses_no_version_and_the_dump_says_so(server, warehouse):
    with server.engine.begin() as con:
        con.exec_driver_sql("CREATE OR REPLACE USER reader@'127.0.0.1'")
        con.exec_driver_sql("GRANT SELECT ON nova.* TO reader@'127.0.0.1'")
    urls = {"nova": server.url.set(username="reader", database="nova").render_as_string()}
    table = BY_NAME["nova_instances"]
    first = run(urls, warehouse, JAN, tables=[table]).extracted_at
    with server.engine.begin() as con:
        con.exec_driver_sql("UPDATE nova.instances SET host = 'b'")
        con.exec_driver_sql("SET GLOBAL init_connect = 'SET timestamp = UNIX_TIMESTAMP() - 86400'")
    try:
        second = run(urls, warehouse, JAN, tables=[table]).extracted_at
    finally:
        with server.engine.begin() as con:
            con.exec_driver_sql("SET GLOBAL init_connect = ''")
    assert timedelta(hours=23) < first - second < timedelta(hours=25)
    third = run(urls, warehouse, JAN, tables=[table]).extracted_at
    with warehouse.read() as reader:
        assert reader.sql("SELECT host FROM raw.nova_instances").rows() == [("b",)]
        versions = reader.sql("SELECT host, seen_from <= seen_to FROM evidence.nova_instances").rows()
        dumps = reader.sql("SELECT extracted_at, note FROM serving.dumps ORDER BY extracted_at").rows()
    assert versions == [("a", True)]
    assert [at for at, _ in dumps] == [second, third]
    assert f"the clock of the source went back: the dump before said {first}" in dumps[0][1]
