"""Sessions of a server: settings against limits that would cut an answer short, a snapshot, and pings while idle."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from usage_assets.sources.sql.servers import Server

STATEMENT_SECONDS = 3600
IDLE_SECONDS = 28_800
QUIET_SECONDS = 15.0  # after which a ping is sent: HAProxy in front of Galera often hangs up after 50

# Nova's archive has no index but its primary key: without these MariaDB compares each row of a join with each of it
_HASH_JOINS = ("join_cache_level = 8", "join_buffer_size = 16777216", "join_buffer_space_limit = 134217728")
# what MariaDB and MySQL share; a limit on rows goes first, as it cuts every answer that follows
_MYSQL = (
    "sql_select_limit = 18446744073709551615",  # DEFAULT would be the server's own limit
    "sql_big_selects = 1",
    "time_zone = '+00:00'",
    "net_write_timeout = 600",  # a slow reader must not be taken for a dead one
    f"wait_timeout = {IDLE_SECONDS}",  # nor one that waits for another server
)
_MARIADB = (
    f"max_statement_time = {STATEMENT_SECONDS}",
    "idle_transaction_timeout = 0",
    "idle_readonly_transaction_timeout = 0",
    *_HASH_JOINS,
)
_MYSQL_ALONE = (f"max_execution_time = {STATEMENT_SECONDS * 1000}",)
_UNKNOWN_VARIABLE = 1193
_POSTGRESQL_IDLE = ("idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout")


def _begin_mysql(server: "Server") -> None:
    con = server.con
    for setting in _MYSQL:
        con.exec_driver_sql(f"SET SESSION {setting}")
    maria = "MariaDB" in str(con.exec_driver_sql("SELECT VERSION()").scalar())
    for setting in _MARIADB if maria else _MYSQL_ALONE:
        try:
            con.exec_driver_sql(f"SET SESSION {setting}")
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "args", (0,))[0] != _UNKNOWN_VARIABLE:  # older releases have fewer of them
                raise
    con.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    con.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
    server.now = con.exec_driver_sql("SELECT UTC_TIMESTAMP()").scalar_one()


def _begin_postgresql(server: "Server") -> None:
    con = server.con
    for setting in ("TimeZone = 'UTC'", "DateStyle = 'ISO'", f"statement_timeout = {STATEMENT_SECONDS * 1000}"):
        con.exec_driver_sql(f"SET {setting}")
    there = sa.text("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY(:names)")
    con.execute(there, {"names": list(_POSTGRESQL_IDLE)})
    con.commit()
    con.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    server.now = con.exec_driver_sql("SELECT date_trunc('second', now() AT TIME ZONE 'UTC')").scalar_one()
    own = con.exec_driver_sql("SELECT current_schema()").scalar() or "public"
    for name, schema in server.schemas.items():
        server.schemas[name] = schema or str(own)


def _begin_sqlite(server: "Server") -> None:
    # as bytes, which Arrow takes faster than text: text of a copy need not be UTF-8, and one such value ends the read
    raw = server.con.connection.dbapi_connection
    with suppress(AttributeError):
        raw.text_factory = bytes  # type: ignore[union-attr]
    server.con.exec_driver_sql("BEGIN")
    for name in server.schemas:  # a file's snapshot begins with its first read
        server.con.exec_driver_sql(f'SELECT count(*) FROM "{name}".sqlite_master').scalar()


BEGIN: dict[str, Callable[["Server"], None]] = {
    "mysql": _begin_mysql,
    "mariadb": _begin_mysql,
    "postgresql": _begin_postgresql,
    "sqlite": _begin_sqlite,
}


@contextmanager
def kept_alive(servers: Sequence["Server"]) -> Iterator[None]:
    """Ping servers that are idle for a while, each in its own transaction, during the block."""
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
    while not ended.wait(QUIET_SECONDS / 3):
        for server in servers:
            if time.monotonic() - server.used_at > QUIET_SECONDS and server.busy.acquire(blocking=False):
                try:
                    _ping(server)
                finally:
                    server.busy.release()


def _ping(server: "Server") -> None:
    """Run a query by the driver itself; an error is kept for the next query of the server."""
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
