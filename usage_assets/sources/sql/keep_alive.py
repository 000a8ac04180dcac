"""Idle connections kept open: a proxy hangs up on one that is silent, and what it had read from is one snapshot."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from usage_assets.sources.sql.servers import Server

IDLE_SECONDS = 15.0  # HAProxy in front of Galera often hangs up after 50


@contextmanager
def kept_alive(servers: Sequence["Server"]) -> Iterator[None]:
    """Within the block a server that is not asked anything for a while gets a question, in its own transaction."""
    remote = [server for server in servers if server.dialect != "sqlite"]
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(remote, ended), name="keep-alive", daemon=True)
    if remote:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if remote:
            thread.join(5)  # not for ever: a question to a server that is stuck


def _watch(servers: Sequence["Server"], ended: threading.Event) -> None:
    while not ended.wait(IDLE_SECONDS / 3):
        for server in servers:
            if time.monotonic() - server.used_at > IDLE_SECONDS and server.busy.acquire(blocking=False):
                try:
                    _ping(server)
                finally:
                    server.busy.release()


def _ping(server: "Server") -> None:
    """Ask by the driver itself; what fails is kept for whoever asks next."""
    if server.lost is not None:
        return
    try:
        driver = server.con.connection.dbapi_connection
        assert driver is not None
        cursor = driver.cursor()
        cursor.execute("SELECT 1")
        cursor.fetchall()
        cursor.close()
        server.used_at = time.monotonic()
    except Exception as error:  # drivers raise what they like
        server.lost = error
