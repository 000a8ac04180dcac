"""Connections to a site's databases: one per server, read-only, in one consistent snapshot, with time limits."""

import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from usage_assets.core import clock
from usage_assets.core.errors import SourceError
from usage_assets.sites.base import expand
from usage_assets.sites.sql import SqlSite, Tls
from usage_assets.sources.sql.error_texts import Scrubber, fault, no_connection, short_read
from usage_assets.sources.sql.sessions import BEGIN, kept_alive
from usage_assets.sources.sql.tls import MYSQL, Transport, arguments, credentials, transport_of

CONNECT_SECONDS = 15
READ_SECONDS = 600
BATCH_ROWS = 5_000  # larger batches are no faster, and text costs four times as much memory in Python as in Arrow
BATCH_BYTES = 4_000_000
_FIRST_BATCH = 500

Query = sa.Select[Any] | sa.TextualSelect
_SEARCH_PATH = re.compile(r"-c\s*search_path=\s*\"?([^\s\",]+)\"?\S*")


def _wall_clock() -> datetime:
    return clock.naive_utc_now().replace(microsecond=0)


@dataclass
class Server:
    """A connection in its snapshot. `schemas` maps the site's database names to schemas of this server.

    `transport` says how it travels; None of files, which do not.
    """

    site: str
    label: str
    dialect: str
    schemas: dict[str, str]
    con: sa.Connection
    scrub: Scrubber
    transport: Transport | None = None
    now: datetime = field(default_factory=_wall_clock)
    busy: threading.Lock = field(default_factory=threading.Lock)
    """Held while a query runs."""
    used_at: float = field(default_factory=time.monotonic)
    lost: Exception | None = None
    """What ended the connection while it was idle."""

    def rows(self, statement: sa.Executable, where: str) -> list[Sequence[Any]]:
        """All rows of a small answer."""
        found = [row for batch in self.stream(statement, where) for row in batch]
        return [[_readable(value) for value in row] for row in found] if self.dialect == "sqlite" else found

    def count(self, statement: Query, where: str) -> int:
        """How many rows the server counts for a query, in the same snapshot."""
        if isinstance(statement, sa.Select):
            asked = statement.with_only_columns(sa.func.count(), maintain_column_froms=True).order_by(None)
        else:
            asked = sa.select(sa.func.count()).select_from(statement.subquery("asked"))
        answer = self.rows(asked, where)
        if not answer:
            raise short_read(self.site, where, counted=1, read=0)
        return int(answer[0][0])

    def whole(self, statement: Query, where: str) -> Iterator[Sequence[Sequence[Any]]]:
        """As `stream`; SourceError at its end where fewer rows came than the server counts of the same condition.

        Counted first: tables without snapshots (MyISAM) may grow in between.
        """
        counted = self.count(statement, where)
        read = 0
        for batch in self.stream(statement, where):
            read += len(batch)
            yield batch
        if read < counted:
            raise short_read(self.site, where, counted=counted, read=read)

    def stream(self, statement: sa.Executable, where: str) -> Iterator[Sequence[Sequence[Any]]]:
        """The answer in batches of bounded size, by a cursor of the server; plain tuples."""
        result = None
        with self.busy:
            try:
                if self.lost is not None:
                    raise self.lost
                options = {"stream_results": True, "max_row_buffer": BATCH_ROWS}
                result = self.con.execute(statement, execution_options=options)
                size = _FIRST_BATCH
                while batch := result.fetchmany(size):
                    if size == _FIRST_BATCH:
                        size = _batch_size(batch)
                    yield batch
            except Exception as error:  # drivers raise what they like
                _forget(result)
                raise self.fault(where, error) from None
            finally:
                self.used_at = time.monotonic()

    def fault(self, where: str, error: BaseException) -> SourceError:
        """The error as a person may see it."""
        return fault(self.site, where, error, self.scrub)


def _forget(result: sa.CursorResult[Any] | None) -> None:
    """Keep PyMySQL from reading the rest of an answer, when it is collected, from a connection that is gone."""
    answer: Any = getattr(getattr(result, "cursor", None), "_result", None)
    if getattr(answer, "unbuffered_active", False):
        answer.unbuffered_active = False


def _readable(value: object) -> object:
    """Text of a file, which need not be UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _batch_size(batch: Sequence[Sequence[Any]]) -> int:
    """Rows per fetch so that a batch stays small where rows are wide (request specs are kilobytes each)."""
    width = sum(len(value) for row in batch for value in row if isinstance(value, str | bytes)) / len(batch)
    return max(50, min(BATCH_ROWS, int(BATCH_BYTES / (width + 1))))


@contextmanager
def open_servers(site: SqlSite, databases: Sequence[str] | None = None) -> Iterator[list[Server]]:
    """One server per place that the site's databases lie in, each in its snapshot, for the block."""
    urls: dict[str, str] = {
        name: expand(url, where=f"site {site.key}: databases.{name}")
        for name, url in site.databases.items()
        if databases is None or name in databases
    }
    scrub = Scrubber(urls.values())
    with ExitStack() as stack:
        groups = _groups(site.key, urls).values()
        servers = [stack.enter_context(_open(site.key, group, scrub, site.tls)) for group in groups]
        stack.enter_context(kept_alive(servers))
        yield servers


@dataclass
class _Group:
    label: str
    url: URL
    schemas: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)


def _groups(site: str, urls: dict[str, str]) -> dict[tuple[Any, ...], _Group]:
    groups: dict[tuple[Any, ...], _Group] = {}
    key: tuple[Any, ...]
    for name, text in urls.items():
        url = _parse(site, name, text)
        backend = url.get_backend_name()
        where = f"{url.host or 'local'}{f':{url.port}' if url.port else ''}"
        if backend == "sqlite":
            group = groups.setdefault(("sqlite",), _Group("SQLite files", url))
            group.schemas[name] = name
            group.files[name] = Path(str(url.database or "").removeprefix("file:"))
        elif backend in MYSQL:
            key = (url.drivername, url.host, url.port, url.username, url.password, _frozen(url))
            group = groups.setdefault(key, _Group(f"{backend} server {where}", url))
            group.schemas[name] = url.database or name
        elif backend == "postgresql":
            url, schema = schema_of(url)
            key = (url.drivername, url.host, url.port, url.database, url.username, url.password, _frozen(url))
            group = groups.setdefault(key, _Group(f"postgresql database {url.database} on {where}", url))
            group.schemas[name] = schema
        else:
            msg = f"site {site}: databases.{name}: {backend} is not supported; use mysql, mariadb, postgresql or sqlite"
            raise SourceError(msg)
    return groups


def _frozen(url: URL) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(url.query.items()))


def _parse(site: str, name: str, text: str) -> URL:
    try:
        url = sa.make_url(text)
    except Exception:  # the driver's text may hold parts of the password, whatever its type
        url = None
    if url is None or "@" in (url.host or ""):
        msg = (
            f"site {site}: databases.{name}: the URL can't be read; write it as driver://user:password@host:port/name "
            "and percent-encode @ : / ? # % within the password"
        )
        raise SourceError(msg)
    if "plugin" in url.query:  # of devstack: SQLAlchemy would load and run it
        msg = (
            f"site {site}: databases.{name}: the URL names a plugin, which is for OpenStack's own services; leave "
            "plugin=... out of it"
        )
        raise SourceError(msg)
    return url


def schema_of(url: URL) -> tuple[URL, str]:
    """The URL without its search path, and the schema that it named ('' = the account's own)."""
    options = url.query.get("options")
    if not isinstance(options, str) or not (match := _SEARCH_PATH.search(options)):
        return url, ""
    rest = _SEARCH_PATH.sub("", options).strip()
    query = {**url.query, "options": rest}
    return url.set(query={name: value for name, value in query.items() if value}), match[1]


@contextmanager
def _open(site: str, group: _Group, scrub: Scrubber, tls: Tls | None) -> Iterator[Server]:
    backend = group.url.get_backend_name()
    where = f"databases {', '.join(group.schemas)}"
    engine = None
    con = None
    server = None
    try:
        place = f"site {site}: {where}"
        engine = _engine(group, site, {} if tls is None or backend == "sqlite" else arguments(group.url, tls, place))
        con = engine.connect()
        transport = None if backend == "sqlite" else transport_of(con, group.url, tls, place)
        server = Server(site, group.label, backend, group.schemas, con, scrub, transport)
        BEGIN[backend](server)
        if backend == "sqlite":
            server.now = _wall_clock()  # not earlier: the snapshot of the files has begun
    except SourceError as error:
        broken: SourceError | None = error
    except Exception as error:  # drivers raise what they like (a missing package is a RuntimeError)
        broken = no_connection(site, where, error, scrub, url=group.url, tls_is_named=tls is not None)
    else:
        broken = None
    if broken is not None or server is None or con is None or engine is None:
        _drop(con, engine)
        raise broken or SourceError(f"site {site}: {where}: no connection")
    try:
        yield server
    finally:
        _drop(con, engine)


def _drop(con: sa.Connection | None, engine: sa.Engine | None) -> None:
    """Close without reading what is left of an answer; a connection that is broken already may say so in vain."""
    try:
        if con is not None:
            con.invalidate()
            con.close()
    except Exception:  # noqa: S110  # nothing was written: there is nothing to lose
        pass
    if engine is not None:
        engine.dispose()


def _engine(group: _Group, site: str, more: dict[str, Any]) -> sa.Engine:
    url = group.url
    backend = url.get_backend_name()
    args: dict[str, Any] = {}
    if backend == "sqlite":
        return sa.create_engine("sqlite://", creator=lambda: _attach(site, group), poolclass=sa.pool.NullPool)
    if backend in MYSQL:
        args = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS, "charset": "utf8mb4"}
    elif backend == "postgresql":
        args = {"connect_timeout": CONNECT_SECONDS, "keepalives": 1, "keepalives_idle": 30}
    args = {name: value for name, value in args.items() if name not in url.query} | credentials(url) | more
    return sa.create_engine(url, connect_args=args, poolclass=sa.pool.NullPool)


def _attach(site: str, group: _Group) -> sqlite3.Connection:
    con = sqlite3.connect("file::memory:", uri=True, timeout=30, isolation_level=None, check_same_thread=False)
    for name, path in group.files.items():
        if not path.is_file():
            msg = f"site {site}: databases.{name}: no file {path.name} in {path.parent}; make it, or mend the URL"
            raise SourceError(msg)
        con.execute(f'ATTACH DATABASE ? AS "{name}"', (f"{path.resolve().as_uri()}?mode=ro",))
        con.execute(f'PRAGMA "{name}".mmap_size = 4294967296')  # no system call per page
    return con
