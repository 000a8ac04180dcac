"""Real database servers for tests: named by the environment, running on this machine, or started for the session.

In that order: `USAGE_TEST_MARIADB_URL` / `USAGE_TEST_POSTGRES_URL` (an account that may create databases and users),
the default port of 127.0.0.1, a server binary run in a temporary folder. Without any the tests are skipped, or fail
where `USAGE_REQUIRE_SERVICES=1`.
"""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

START_SECONDS = 60


def _works(url: URL) -> str | None:
    """Why the server does not answer; None where it does."""
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as con:
            con.exec_driver_sql("SELECT 1").scalar()
    except Exception as error:
        return str(getattr(error, "orig", error)).splitlines()[0]
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _missing(reason: str) -> None:
    if os.environ.get("USAGE_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _found(variable: str, default: URL, start: Callable[[], Iterator[URL]]) -> Iterator[URL]:
    if named := os.environ.get(variable):
        url = sa.make_url(named)
        if reason := _works(url):
            _missing(f"{variable} names a server that does not answer: {reason}")
        yield url
        return
    if _works(default) is None:
        yield default
        return
    yield from start()


def _wait(process: subprocess.Popen[bytes], url: URL, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while reason := _works(url):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            _missing(f"the server started for the tests does not answer: {reason}; {log.read_text()[-500:]}")
        time.sleep(0.2)


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """A MariaDB or MySQL server with an account that may do everything."""

    def start() -> Iterator[URL]:
        server, install = shutil.which("mariadbd") or shutil.which("mysqld"), shutil.which("mariadb-install-db")
        if not server or not install:
            _missing("no MariaDB: set USAGE_TEST_MARIADB_URL, run one on 127.0.0.1:3306, or install mariadb-server")
            return
        folder = tmp_path_factory.mktemp("mariadb")
        user = f"--user={getpass.getuser()}"
        made = subprocess.run(
            [
                install,
                "--no-defaults",
                f"--datadir={folder / 'data'}",
                "--auth-root-authentication-method=normal",
                user,
            ],
            capture_output=True,
            check=False,
        )
        if made.returncode:
            _missing(f"mariadb-install-db failed: {made.stderr.decode()[-500:]}")
        port = _free_port()
        options = [f"--datadir={folder / 'data'}", f"--socket={folder / 'socket'}", f"--port={port}"]
        log = folder / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [server, "--no-defaults", *options, "--bind-address=127.0.0.1", user], stdout=out, stderr=out
            )
            url = sa.make_url(f"mysql+pymysql://root@127.0.0.1:{port}")
            _wait(process, url, log)
            yield url
            process.terminate()
            process.wait(START_SECONDS)

    yield from _found("USAGE_TEST_MARIADB_URL", sa.make_url("mysql+pymysql://root@127.0.0.1:3306"), start)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """A PostgreSQL server with an account that may do everything."""

    def start() -> Iterator[URL]:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
        initdb, server = shutil.which("initdb", path=path), shutil.which("postgres", path=path)
        if not initdb or not server or getpass.getuser() == "root":
            _missing(
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
        port, log = _free_port(), folder / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [server, "-D", folder / "data", "-p", str(port), "-h", "127.0.0.1", "-k", folder],
                stdout=out,
                stderr=out,
            )
            url = sa.make_url(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres")
            _wait(process, url, log)
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
    engine = sa.create_engine(mariadb, poolclass=sa.NullPool)
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
