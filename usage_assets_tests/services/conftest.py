"""Real database servers for tests: named by the environment, running on this machine, or started for the session.

In that order: `USAGE_TEST_MARIADB_URL` / `USAGE_TEST_POSTGRES_URL` (an account that may create databases and users),
the default port of 127.0.0.1, a server binary run in a temporary folder. Without any the tests are skipped, or fail
where `USAGE_REQUIRE_SERVICES=1`.
"""

import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from usage_assets.warehouse import Warehouse
from usage_assets_tests.services.dumps import JAN, JUN
from usage_assets_tests.services.servers import START_SECONDS, free_port, mariadb_in, missing, unanswered, wait_for
from usage_assets_tests.unit.sources.sources import everything, make_sqlite, run, world


def _found(variable: str, default: URL, start: Callable[[], Iterator[URL]]) -> Iterator[URL]:
    if named := os.environ.get(variable):
        url = sa.make_url(named)
        if reason := unanswered(url):
            missing(f"{variable} names a server that does not answer: {reason}")
        yield url
        return
    if unanswered(default) is None:
        yield default
        return
    yield from start()


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """A MariaDB or MySQL server with an account that may do everything."""

    def start() -> Iterator[URL]:
        with mariadb_in(tmp_path_factory.mktemp("mariadb")) as server:
            yield server.url

    yield from _found("USAGE_TEST_MARIADB_URL", sa.make_url("mysql+pymysql://root@127.0.0.1:3306"), start)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """A PostgreSQL server with an account that may do everything."""

    def start() -> Iterator[URL]:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
        initdb, server = shutil.which("initdb", path=path), shutil.which("postgres", path=path)
        if not initdb or not server or getpass.getuser() == "root":
            missing(
                "no PostgreSQL: set USAGE_TEST_POSTGRES_URL, run one on 127.0.0.1:5432 that trusts user postgres, or "
                "install postgresql (root can't start one)"
            )
            return
        folder = tmp_path_factory.mktemp("postgres")
        subprocess.run(
            [initdb, "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"],
            capture_output=True,
            check=True,
        )
        port, log = free_port(), folder / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [server, "-D", folder / "data", "-p", str(port), "-h", "127.0.0.1", "-k", folder],
                stdout=out,
                stderr=out,
            )
            url = sa.make_url(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres")
            wait_for(process, url, log)
            yield url
            process.terminate()
            process.wait(START_SECONDS)

    default = sa.make_url("postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
    yield from _found("USAGE_TEST_POSTGRES_URL", default, start)


@pytest.fixture
def prefix() -> str:
    """What names of databases and users of this test begin with."""
    return f"usage_test_{os.getpid()}_{time.monotonic_ns() % 1_000_000}"


@pytest.fixture
def mariadb_admin(mariadb: URL, prefix: str) -> Iterator[sa.Engine]:
    """An engine on the server; databases and users with the test's prefix are dropped afterwards."""
    bounded = {"init_command": "SET SESSION lock_wait_timeout = 60"}  # the server's own is a day
    engine = sa.create_engine(mariadb, poolclass=sa.NullPool, connect_args=bounded)
    yield engine
    with engine.begin() as con:
        for (name,) in con.exec_driver_sql("SHOW DATABASES").all():
            if name.startswith(prefix):
                con.exec_driver_sql(f"DROP DATABASE `{name}`")
        for (name,) in con.exec_driver_sql("SELECT user FROM mysql.user").all():
            if name.startswith(prefix):
                con.exec_driver_sql(f"DROP USER '{name}'@'%%'")


@pytest.fixture
def postgres_admin(postgres: URL, prefix: str) -> Iterator[sa.Engine]:
    """An engine on the server; databases and roles with the test's prefix are dropped afterwards."""
    engine = sa.create_engine(postgres, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    yield engine
    with engine.connect() as con:
        for (name,) in con.execute(sa.text("SELECT datname FROM pg_database")).all():
            if name.startswith(prefix):
                con.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        for (name,) in con.execute(sa.text("SELECT rolname FROM pg_roles")).all():
            if name.startswith(prefix):
                con.exec_driver_sql(f'DROP ROLE "{name}"')


@pytest.fixture
def reference(tmp_path: Path) -> dict[str, pl.DataFrame]:
    """The raw tables of the small world as SQLite gives them, from January to June 2020."""
    warehouse = Warehouse(tmp_path / "reference" / "warehouse.duckdb")
    run(make_sqlite(tmp_path / "sqlite", world()), warehouse, JAN, JUN)
    tables = everything(warehouse)
    assert tables["nova_instance_actions_events"].height > 30
    return tables
