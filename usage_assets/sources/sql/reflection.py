"""Which declared tables and columns a source has, and which of them the account may read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from usage_assets.core.errors import SourceError
from usage_assets.sources.sql.servers import Server
from usage_assets.sources.sql.tls import MYSQL
from usage_assets.specs.raw_table import RawTable

_TEMPORAL = ("datetime", "timestamp", "date")
_TEXT = ("char", "text", "enum", "set")


@dataclass(frozen=True)
class SourceColumn:
    """A column at the source: its name and type there, and how its text is compared (MariaDB)."""

    name: str
    type: str
    charset: str | None = None
    collation: str | None = None
    primary: bool = False

    @property
    def is_temporal(self) -> bool:
        """Whether the server itself knows it as a date or an instant."""
        return self.type.lower().startswith(_TEMPORAL)

    @property
    def is_text(self) -> bool:
        """Whether the server holds text."""
        return any(word in self.type.lower() for word in _TEXT)


@dataclass(frozen=True)
class Relation:
    """A table at the source under one of its names; one that can't be read may not be there at all (`certain`)."""

    schema: str
    name: str
    columns: dict[str, SourceColumn]
    readable: bool = True
    certain: bool = True

    @property
    def where(self) -> str:
        """What faults call it."""
        return f"{self.schema}.{self.name}"

    def from_clause(self) -> sa.TableClause:
        """The table with its columns, for statements."""
        return sa.table(self.name, *[sa.column(name) for name in self.columns], schema=self.schema)


@dataclass(frozen=True)
class Found:
    """A declared table as the source has it. `relation` is None where it is not there; `note` says what is lacking."""

    raw: RawTable
    server: Server | None = None
    relation: Relation | None = None
    shadow: Relation | None = None
    note: str | None = None
    denied: bool = False
    missing: tuple[str, ...] = field(default=())

    @property
    def dialect(self) -> str:
        """The dialect of the server that has the table."""
        assert self.server is not None
        return self.server.dialect

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The live table, then its archive."""
        return tuple(relation for relation in (self.relation, self.shadow) if relation is not None)

    def column(self, name: str, relation: Relation | None = None) -> SourceColumn | None:
        """The source's column for a declared one, under whichever name this release has it."""
        relation = relation or self.relation
        if relation is None:
            return None
        older = self.raw.renamed.get(name)
        return relation.columns.get(name) or (relation.columns.get(older) if older else None)


def find_tables(servers: Sequence[Server], tables: Iterable[RawTable]) -> dict[str, Found]:
    """How each declared table stands at the source, by its raw name."""
    tables = list(tables)
    found: dict[str, Found] = {}
    for server in servers:
        _require_schemas(server)
        its_tables = [raw for raw in tables if raw.database in server.schemas]
        relations = _relations(server, its_tables)
        for raw in its_tables:
            found[raw.name] = _find(server, raw, relations)
    for raw in tables:
        if raw.name not in found:
            found[raw.name] = Found(raw, note=f"the site names no database {raw.database}")
    return found


def _require_schemas(server: Server) -> None:
    """A database that the site names must be there; only tables may be missing.

    A server that compares names without case is asked for its own spelling of them.
    """
    if server.dialect == "sqlite":
        return  # its files were opened
    catalogue = "pg_namespace" if server.dialect == "postgresql" else "information_schema.schemata"
    column = "nspname" if server.dialect == "postgresql" else "schema_name"
    named = sa.text(f"SELECT {column} AS name FROM {catalogue} WHERE lower({column}) IN :names").bindparams(
        sa.bindparam("names", sorted({schema.lower() for schema in server.schemas.values()}), expanding=True)
    )
    there = {str(row[0]) for batch in server.whole(named.columns(), "its databases") for row in batch}
    folds = server.dialect in MYSQL and server.rows(sa.text("SELECT @@lower_case_table_names"), "its settings")[0][0]
    for database, schema in server.schemas.items():
        if schema in there:
            continue
        alike = sorted(name for name in there if name.lower() == schema.lower())
        if folds and alike:
            server.schemas[database] = alike[0]
            continue
        msg = (
            f"site {server.site}: databases.{database}: {schema} is not on the {server.label}, or the account may "
            f"not read any of it; check its name in the site's file, or see usage-assets grants {server.site}"
            + (f". It has {alike[0]}: capitals and small letters differ there" if alike else "")
        )
        raise SourceError(msg)


def names_of(raw: RawTable) -> tuple[str, ...]:
    """Names that the table may have at a source, the current one first."""
    return (raw.source, *raw.alternatives)


def _find(server: Server, raw: RawTable, relations: dict[tuple[str, str], Relation]) -> Found:
    schema = server.schemas[raw.database]
    there = [relations[schema, name] for name in names_of(raw) if (schema, name) in relations]
    readable = [relation for relation in there if relation.readable]
    if not readable:
        if there and (there[0].certain or not raw.optional):
            return Found(raw, server, note=f"{schema}.{there[0].name} is not granted", denied=True)
        if there:
            return Found(raw, server, note=f"{schema}.{raw.source} is not there, or not granted")
        return Found(raw, server, note=f"the source has no table {schema}.{raw.source}")
    relation = readable[0]
    notes = []
    shadow = relations.get((schema, f"shadow_{raw.source}")) if raw.archived else None
    if shadow is not None and not shadow.readable:
        notes.append(f"the archive {schema}.{shadow.name} is not granted and was not read")
        shadow = None
    draft = Found(raw, server, relation, shadow)
    missing = tuple(c.name for c in raw.columns if draft.column(c.name) is None)
    keyless = [name for name in raw.key if name in missing]
    if keyless:
        return Found(raw, server, note=f"{schema}.{relation.name} has no column {', '.join(keyless)}", missing=missing)
    if missing:
        notes.append(f"{schema}.{relation.name} has no column {', '.join(missing)}")
    return Found(raw, server, relation, shadow, note="; ".join(notes) or None, missing=missing)


def _relations(server: Server, tables: list[RawTable]) -> dict[tuple[str, str], Relation]:
    wanted: dict[str, set[str]] = {}
    for raw in tables:
        names = wanted.setdefault(server.schemas[raw.database], set())
        names.update(names_of(raw))
        if raw.archived:
            names.add(f"shadow_{raw.source}")
    if not wanted:
        return {}
    if server.dialect in MYSQL:
        return _of_mysql(server, wanted)
    if server.dialect == "postgresql":
        return _of_postgresql(server, wanted)
    return _of_sqlite(server, wanted)


def _of_mysql(server: Server, wanted: dict[str, set[str]]) -> dict[tuple[str, str], Relation]:
    statement = sa.text(
        "SELECT table_schema, table_name, column_name, data_type, character_set_name, collation_name, column_key, "
        "privileges FROM information_schema.columns WHERE table_schema IN :schemas AND table_name IN :names "
        "ORDER BY ordinal_position"
    ).bindparams(
        sa.bindparam("schemas", sorted(wanted), expanding=True),
        sa.bindparam("names", sorted(set().union(*wanted.values())), expanding=True),
    )
    out = _granted(
        (schema, name, SourceColumn(column, str(kind), charset, collation, key == "PRI"), "select" in rights.split(","))
        for batch in server.whole(statement.columns(), "its tables")
        for schema, name, column, kind, charset, collation, key, privileges in batch
        for rights in (str(privileges).lower(),)
    )
    for schema, names in wanted.items():
        for name in names - {name for at, name in out if at == schema}:
            if _refused_by_mysql(server, schema, name):
                out[schema, name] = Relation(schema, name, {}, readable=False, certain=False)
    return out


def _granted(columns: Iterable[tuple[str, str, SourceColumn, bool]]) -> dict[tuple[str, str], Relation]:
    """Tables of (schema, table, column, whether it may be read): one without a readable column is not readable."""
    out: dict[tuple[str, str], Relation] = {}
    for schema, name, column, may_read in columns:
        relation = out.setdefault((schema, name), Relation(schema, name, {}))
        if may_read:
            relation.columns[column.name] = column
    return {at: replace(relation, readable=bool(relation.columns)) for at, relation in out.items()}


def _refused_by_mysql(server: Server, schema: str, name: str) -> bool:
    """Whether the server denies the table.

    Where the account may not read the whole schema, it denies tables that are not there as well.
    """
    quote = server.con.dialect.identifier_preparer.quote_identifier
    try:
        with server.busy:
            server.con.exec_driver_sql(f"SELECT 1 FROM {quote(schema)}.{quote(name)} LIMIT 0").close()
    except sa.exc.DBAPIError as error:
        code = getattr(error.orig, "args", (0,))[0]
        if code in {1142, 1143, 1044}:
            return True
        if code in {1146, 1049}:
            return False
        raise server.fault(f"{schema}.{name}", error) from None
    return False


def _of_postgresql(server: Server, wanted: dict[str, set[str]]) -> dict[tuple[str, str], Relation]:
    statement = sa.text(
        "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type, "
        "coalesce(a.attnum = ANY(i.indkey), false) AS is_primary, "
        "has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT') AS may "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary "
        "WHERE n.nspname = ANY(:schemas) AND c.relname = ANY(:names) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') "
        "ORDER BY a.attnum"
    ).bindparams(schemas=sorted(wanted), names=sorted(set().union(*wanted.values())))
    return _granted(
        (schema, name, SourceColumn(column, str(kind), primary=bool(primary)), bool(may_read))
        for batch in server.whole(statement.columns(), "its tables")
        for schema, name, column, kind, primary, may_read in batch
    )


def _of_sqlite(server: Server, wanted: dict[str, set[str]]) -> dict[tuple[str, str], Relation]:
    out: dict[tuple[str, str], Relation] = {}
    for schema, names in wanted.items():
        for name in sorted(names):
            statement = sa.text("SELECT name, type, pk FROM pragma_table_info(:name, :schema) ORDER BY cid").bindparams(
                name=name, schema=schema
            )
            rows = server.rows(statement, f"{schema}.{name}")
            columns = {column: SourceColumn(column, str(kind), primary=bool(pk)) for column, kind, pk in rows}
            if columns:
                out[schema, name] = Relation(schema, name, columns)
    return out
