"""A MariaDB of a test's own, which may be killed and started again."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

START_SECONDS = 60
_SBIN = os.pathsep.join(["/usr/sbin", "/usr/local/sbin", "/usr/libexec"])


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where services are required."""
    if os.environ.get("USAGE_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def unanswered(url: URL) -> str | None:
    """Why the server does not answer; None where it does."""
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as con:
            con.exec_driver_sql("SELECT 1").scalar()
    except Exception as error:
        return str(getattr(error, "orig", error)).splitlines()[0]
    return None


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(process: subprocess.Popen[bytes], url: URL, log: Path) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while reason := unanswered(url):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            missing(f"the server started for the tests does not answer: {reason}; {log.read_text()[-500:]}")
        time.sleep(0.1)


class MariaDB:
    """A server in a folder, on a port of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        path = os.pathsep.join([os.environ.get("PATH", ""), _SBIN])
        server = shutil.which("mariadbd", path=path) or shutil.which("mysqld", path=path)
        install = shutil.which("mariadb-install-db", path=path)
        if not server or not install:
            missing("no MariaDB: install mariadb-server")
        user = f"--user={getpass.getuser()}"
        method = "--auth-root-authentication-method=normal"
        made = subprocess.run(
            [install, "--no-defaults", f"--datadir={folder / 'data'}", method, user], capture_output=True, check=False
        )
        if made.returncode:
            missing(f"mariadb-install-db failed: {made.stderr.decode()[-500:]}")
        self.port = free_port()
        self.url = sa.make_url(f"mysql+pymysql://root@127.0.0.1:{self.port}")
        self.engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        self._log = folder / "log"
        self._command = [
            server, "--no-defaults", f"--datadir={folder / 'data'}", f"--socket={folder / 'socket'}",
            f"--port={self.port}", "--bind-address=127.0.0.1", user, *options,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, again after a kill, and wait until it answers."""
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(self._command, stdout=out, stderr=out)
        wait_for(self._process, self.url, self._log)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(START_SECONDS)

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(START_SECONDS)


@contextmanager
def mariadb_in(folder: Path, *options: str) -> Iterator[MariaDB]:
    """A running server for the block, with these options of mariadbd."""
    server = MariaDB(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
