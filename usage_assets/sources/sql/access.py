"""What an account finds at a site's databases, and the grants it needs: the least that lets a dump read."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from usage_assets.core.errors import SiteError, SourceError
from usage_assets.schema import Type
from usage_assets.sites.base import expand
from usage_assets.sites.sql import SqlSite
from usage_assets.sources.sql.error_texts import short_read
from usage_assets.sources.sql.privileges import beyond_reading
from usage_assets.sources.sql.reflection import Found, Relation, find_tables, names_of
from usage_assets.sources.sql.servers import Server, open_servers, schema_of
from usage_assets.sources.sql.stage import parse_instant
from usage_assets.sources.sql.statements import as_text, is_date, plain, side_of
from usage_assets.sources.sql.tls import MYSQL
from usage_assets.specs.access_report import ServerAccess, SiteAccess, TableAccess
from usage_assets.specs.raw_table import Dated, RawTable

PROBE_ROWS = 20_000


def check_site(
    site: SqlSite,
    tables: Sequence[RawTable],
    *,
    count: bool = True,
    remarks: Callable[[Mapping[str, Found]], Iterable[str]] = lambda _: (),
) -> SiteAccess:
    """Connect read-only and say how each server is reached, whether each table is found, and what is in it.

    Without `count` no row is read, which takes a moment whatever the size of the tables. `remarks` adds sentences on
    what the tables hold.
    """
    named = [raw for raw in tables if raw.database in site.databases]
    with open_servers(site, sorted({raw.database for raw in named})) as servers:
        found = find_tables(servers, tables)
        seen = [_access(found[raw.name], count=count) for raw in tables]
        return SiteAccess(
            tuple(
                ServerAccess(one.label, one.transport.description if one.transport else "", tuple(warnings([one])))
                for one in servers
            ),
            tuple(_read_whole(seen, found) if count else seen),
            tuple(remarks(found)) if count else (),
        )


def warnings(servers: Iterable[Server]) -> list[str]:
    """What an operator should mend though rows can be read: accounts that may write, passwords in the clear."""
    return [
        warning
        for server in servers
        for warning in (server.transport.warning if server.transport else None, *beyond_reading(server))
        if warning is not None
    ]


def _access(found: Found, *, count: bool) -> TableAccess:
    raw, server = found.raw, found.server
    if server is None:
        return TableAccess(raw.name, f"{raw.database}.{raw.source}", "no database", note=found.note)
    source = f"{server.schemas[raw.database]}.{raw.source}"
    if found.relation is None:
        return TableAccess(raw.name, source, "not granted" if found.denied else "missing", note=found.note)
    spans = [_span(found, server, relation) for relation in found.relations] if count else []
    firsts = [first for _, first, _ in spans if first is not None]
    lasts = [last for _, _, last in spans if last is not None]
    return TableAccess(
        table=raw.name,
        source=f"{found.relation.schema}.{found.relation.name}",
        state="found",
        rows=sum(rows for rows, _, _ in spans) if count else None,
        first_at=min(firsts, default=None),
        last_at=max(lasts, default=None),
        columns_missing=found.missing,
        note=found.note,
    )


def _read_whole(seen: Sequence[TableAccess], found: Mapping[str, Found]) -> list[TableAccess]:
    """The reports, the largest table as unreadable where fewer of its rows come than the server counts.

    A dump would refuse them; a limit on the rows of an answer meets the largest table first.
    """
    largest = max(seen, key=lambda one: one.rows or 0, default=None)
    if largest is None or not largest.rows:
        return list(seen)
    item = found[largest.table]
    server, relation = item.server, item.relation
    assert server is not None
    assert relation is not None
    keys = plain(item, relation, item.raw.key, None)
    counted = min(server.count(keys, relation.where), PROBE_ROWS)
    read = sum(len(batch) for batch in server.stream(keys.limit(PROBE_ROWS), relation.where))
    if read >= counted:
        return list(seen)
    note = str(short_read(server.site, relation.where, counted=counted, read=read))
    return [replace(one, state="unreadable", note=note) if one is largest else one for one in seen]


def _span(found: Found, server: Server, relation: Relation) -> tuple[int, datetime | None, datetime | None]:
    """Rows, first and last time of one table."""
    side = side_of(found, relation, "t")
    rule = found.raw.months
    there = side.column(rule.column if isinstance(rule, Dated) else "created_at")
    bounds: list[sa.ColumnElement[Any]] = [sa.null(), sa.null()]
    if there is not None:
        value, source = there
        good = sa.case((is_date(server.dialect, value, source), value)) if source.is_temporal else value
        bounds = [as_text(server.dialect, pick(good), source, Type.INSTANT) for pick in (sa.func.min, sa.func.max)]
    statement = sa.select(sa.func.count(), *bounds).select_from(side.clause)
    rows, first, last = server.rows(statement, relation.where)[0]
    return int(rows), parse_instant(first), parse_instant(last)


def grants(site: SqlSite, tables: Sequence[RawTable]) -> str:
    """The SQL that gives the site's accounts what a dump reads, and nothing else; never with a password."""
    out: list[str] = []
    for database, template in site.databases.items():
        its_tables = [raw for raw in tables if raw.database == database]
        url = _url(site, database, template)
        backend = url.get_backend_name()
        if backend == "sqlite":
            out.append(f"-- {database}: an SQLite file needs no grant; the process must be able to read the file")
        elif backend in MYSQL:
            out += _of_mysql(url, its_tables)
        elif backend == "postgresql":
            out += _of_postgresql(url, its_tables)
    return "\n".join(out) + "\n"


def grant_for(site: SqlSite, raw: RawTable, source: str) -> str:
    """The SQL that lets the site's account read one table, named as it is at the source, in one line."""
    url = _url(site, raw.database, site.databases[raw.database])
    if url.get_backend_name() in MYSQL:
        what = _selects(raw, _tick)
        return f"GRANT {what} ON {_tick(url.database or '')}.{_tick(source)} TO {_text(url.username or '')}@'%';"
    schema, account = schema_of(url)[1] or "public", _double(url.username or "")
    return (
        f"GRANT USAGE ON SCHEMA {_double(schema)} TO {account}; "
        f"GRANT {_selects(raw, _double)} ON {_double(schema)}.{_double(source)} TO {account};"
    )


def _selects(raw: RawTable, quote: Callable[[str], str]) -> str:
    """SELECT, of a table with columns that are nobody's business on those that are read alone."""
    return f"SELECT ({', '.join(quote(column.name) for column in raw.columns)})" if raw.by_columns else "SELECT"


def _of_mysql(url: URL, tables: Iterable[RawTable]) -> list[str]:
    account, database = f"{_text(url.username or '')}@'%'", url.database or ""
    lines = [
        f"-- database {database} on {url.host or 'localhost'}; '%' may be narrowed to the host that connects",
        f"-- make the account first, with a password of your own: CREATE USER {account} IDENTIFIED BY ...",
    ]
    for comment, names in _wanted(tables):
        lines += [f"-- {comment}: granted where the table is there"] if comment else []
        for raw, name in names:
            give = f"GRANT {_selects(raw, _tick)} ON {_tick(database)}.{_tick(name)} TO {account}"
            there = f"table_schema = {_text(database)} AND table_name = {_text(name)}"
            is_there = f"EXISTS (SELECT 1 FROM information_schema.tables WHERE {there})"
            lines.append(
                f"SET @give = IF({is_there}, {_text(give)}, 'DO 0'); "
                "PREPARE give FROM @give; EXECUTE give; DEALLOCATE PREPARE give;"
                if comment
                else f"{give};"
            )
    return lines


def _of_postgresql(url: URL, tables: Iterable[RawTable]) -> list[str]:
    url, schema = schema_of(url)
    schema, account = schema or "public", _double(url.username or "")
    lines = [
        f"-- in database {url.database} on {url.host or 'localhost'}",
        f"-- make the account first, with a password of your own: CREATE ROLE {account} LOGIN PASSWORD ...",
        f"GRANT CONNECT ON DATABASE {_double(url.database or '')} TO {account};",
        f"GRANT USAGE ON SCHEMA {_double(schema)} TO {account};",
    ]
    for comment, names in _wanted(tables):
        lines += [f"-- {comment}: granted where the table is there"] if comment else []
        for raw, name in names:
            table = f"{_double(schema)}.{_double(name)}"
            give = f"GRANT {_selects(raw, _double)} ON {table} TO {account};"
            if comment:
                give = f"DO $do$BEGIN IF to_regclass({_text(table)}) IS NOT NULL THEN {give} END IF; END$do$;"
            lines.append(give)
    return lines


def _wanted(tables: Iterable[RawTable]) -> list[tuple[str, list[tuple[RawTable, str]]]]:
    """Tables that every release has, then those that may not be there, each part with what it is."""
    tables = list(tables)
    always = [(raw, raw.source) for raw in tables if not raw.optional]
    archives = [(raw, f"shadow_{raw.source}") for raw in tables if raw.archived]
    perhaps = [(raw, name) for raw in tables if raw.optional for name in names_of(raw)]
    parts = [("", always), ("rows that nova-manage archived", archives), ("not in every release", perhaps)]
    return [(what, names) for what, names in parts if names]


def _url(site: SqlSite, database: str, template: str) -> URL:
    """The URL with everything expanded but the password, which may not be set yet."""
    where = f"site {site.key}: databases.{database}"
    try:
        url = sa.make_url(re.sub(r"(://[^:@/]*):[^@]*@", r"\1@", template))
        return url.set(
            username=expand(url.username, where=where) if url.username else None,
            host=expand(url.host, where=where) if url.host else None,
            database=expand(url.database, where=where) if url.database else None,
        )
    except SiteError:
        raise
    except Exception:
        msg = f"{where}: the URL can't be read; write it as driver://user:password@host:port/name"
        raise SourceError(msg) from None


def _text(name: str) -> str:
    return "'" + name.replace("\\", "\\\\").replace("'", "''") + "'"


def _tick(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _double(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
