"""What an account may do beside reading: an account that only reads can't harm its source, whoever gets hold of it."""

import re
from collections.abc import Iterable

import sqlalchemy as sa

from usage_assets.sources.sql.servers import Server
from usage_assets.sources.sql.tls import MYSQL

_ADVICE = "give it SELECT alone: usage-assets grants {site}"
_SHOWN = 3

# of MySQL and MariaDB: what lets nobody change a row, a table or the server
_HARMLESS = {
    "USAGE", "SELECT", "SHOW VIEW", "SHOW DATABASES", "SHOW CREATE ROUTINE", "PROCESS", "REFERENCES", "LOCK TABLES",
    "CREATE TEMPORARY TABLES", "REPLICATION CLIENT", "BINLOG MONITOR", "SLAVE MONITOR", "REPLICA MONITOR",
}  # fmt: skip
_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?:(?:TABLE|FUNCTION|PROCEDURE|PACKAGE(?: BODY)?) )?(?P<where>.+?) TO ")
_ROLES = re.compile(r"GRANT (?P<roles>[^()]+?) TO ")
_ROLE = re.compile(r"`(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)?|'[^']*'(?:@'[^']*')?|\w+")
_QUOTED = re.compile(r"`((?:[^`]|``)*)`|'((?:[^'\\]|''|\\.)*)'|([\w$*%]+)")


def beyond_reading(server: Server) -> list[str]:
    """A sentence per way in which the account may do more than read the site's databases.

    SQLite files are opened read-only, whatever the file's mode.
    """
    if server.dialect == "sqlite":
        return []
    try:
        with (
            server.busy,
            server.con.begin_nested(),
        ):  # a question that this server can't answer must not end the snapshot
            ways = _of_mysql(server) if server.dialect in MYSQL else _of_postgresql(server)
    except sa.exc.DBAPIError:
        return []
    advice = _ADVICE.format(site=server.site)
    return [f"the account of the {server.label} may also {way}; {advice}" for way in ways]


def _of_mysql(server: Server) -> list[str]:
    found: dict[str, set[str]] = {}
    for line in _grants(server):
        if line.startswith("GRANT PROXY "):
            continue
        grant = _GRANT.match(line)
        if grant is None:
            continue
        what = re.sub(r"\([^)]*\)", "", grant["what"])  # privileges on columns
        beyond = {name.strip().upper() for name in what.split(",")} - _HARMLESS
        if "WITH GRANT OPTION" in line[grant.end() :]:
            beyond.add("GRANT OPTION")
        where = grant["where"].replace("`", "")
        if beyond and _concerns(server.schemas.values(), grant["where"]):
            found.setdefault(where, set()).update(beyond)
    return [f"{_few(sorted(what))} on {where}" for where, what in sorted(found.items())]


def _grants(server: Server) -> list[str]:
    """What SHOW GRANTS says of the account and of every role that it has, whether it is on or not."""
    maria = "MariaDB" in str(server.con.exec_driver_sql("SELECT VERSION()").scalar())
    on = server.con.exec_driver_sql("SELECT CURRENT_ROLE()").scalar() if maria else None
    lines = _shown(server, "SHOW GRANTS")
    roles = {
        role
        for line in lines
        if " ON " not in line and (granted := _ROLES.match(line))
        for role in _ROLE.findall(granted["roles"])
    }
    for role in sorted(roles):
        if maria:  # shows the grants of a role, and of those within it, only while the role is on
            _shown(server, f"SET ROLE {role}")
            lines += _shown(server, "SHOW GRANTS")
        else:
            lines += _shown(server, f"SHOW GRANTS FOR CURRENT_USER() USING {role}")
    if maria and roles:
        quoted = server.con.dialect.identifier_preparer.quote_identifier
        _shown(server, f"SET ROLE {quoted(str(on)) if on else 'NONE'}")
    return lines


def _shown(server: Server, statement: str) -> list[str]:
    try:
        result = server.con.exec_driver_sql(statement.replace("%", "%%"))
        return [str(row[0]) for row in result.all()] if result.returns_rows else []
    except sa.exc.DBAPIError:
        return []  # the account may not see it


def _concerns(schemas: Iterable[str], where: str) -> bool:
    """Whether the object of a grant is one of the schemas, in one of them, or everything."""
    schema = next((next(filter(None, parts), "") for parts in _QUOTED.findall(where)), "")
    if schema == "*":
        return True
    # of a whole schema the name is a pattern: % and _ stand for others, unless escaped
    pattern = "".join(
        re.escape(part[1]) if part.startswith("\\") else {"%": ".*", "_": "."}.get(part, re.escape(part))
        for part in re.findall(r"\\.|.", schema)
    )
    return any(re.fullmatch(pattern, name, re.IGNORECASE) for name in schemas)


_POSTGRESQL_TABLES = """
SELECT n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(:schemas) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
AND EXISTS (
  SELECT 1 FROM pg_roles r WHERE pg_has_role(r.oid, 'MEMBER') AND (
    r.oid = c.relowner OR has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
    OR has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE')))
ORDER BY 1
"""
_ALL = "do everything (superuser)"
_POSTGRESQL_ROLES = f"""
SELECT what FROM pg_roles, unnest(ARRAY[
  CASE WHEN rolsuper THEN '{_ALL}' END, CASE WHEN rolcreaterole THEN 'make roles' END,
  CASE WHEN rolcreatedb THEN 'make databases' END, CASE WHEN rolreplication THEN 'replicate' END]) AS what
WHERE pg_has_role(oid, 'MEMBER') AND what IS NOT NULL
"""


def _of_postgresql(server: Server) -> list[str]:
    able = {str(row[0]) for row in server.con.exec_driver_sql(_POSTGRESQL_ROLES).all()}
    if _ALL in able:
        return [_ALL]
    out = [", ".join(sorted(able))] if able else []
    schemas = sorted(set(server.schemas.values()))
    tables = [str(row[0]) for row in server.con.execute(sa.text(_POSTGRESQL_TABLES), {"schemas": schemas}).all()]
    if tables:
        out.append(f"write {_few(tables)}")
    return out


def _few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
