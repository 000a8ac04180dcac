"""Exported tables in a database: new ones are loaded beside the old ones and replace them in one step.

A reader sees the old tables or the new ones. A process that is killed leaves either, and perhaps tables named
`<table>__new` or `<table>__old`, which the next export removes. Rows of other sites and months are carried over by the
server.
"""

import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL

from usage_assets.core import settings
from usage_assets.core.errors import ExportError
from usage_assets.core.months import next_month
from usage_assets.reports.exports.files import read_month
from usage_assets.reports.exports.tables import ExportTable
from usage_assets.schema import Type
from usage_assets.sites.base import expand
from usage_assets.sources.sql.error_texts import Scrubber
from usage_assets.sources.sql.tls import MYSQL, credentials

VARIABLE = "USAGE_EXPORT_URL"
CONNECT_SECONDS = 15
WAIT_SECONDS = 60
"""How long to wait for readers that hold a table, before the old tables are left as they are."""
_BATCH = 5_000
_NEW, _OLD = "__new", "__old"
_LOCK = "usage_assets_export"
_TYPES: dict[Type, sa.types.TypeEngine[Any]] = {
    Type.INSTANT: sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb"),
    Type.TEXT: sa.String(64),
    Type.FLOAT: sa.Double(),
    Type.INT: sa.BigInteger(),
    Type.BOOL: sa.Boolean(),
}


@dataclass(frozen=True)
class Load:
    """Rows for one table: the Parquet files of these months of a site, by month."""

    table: ExportTable
    months: Mapping[date, Path]
    all_months: Mapping[date, Path]
    """All months that the site has: those of which the database lacks rows are loaded too."""


def target() -> str | None:
    """The address in the environment or the secrets file, without secrets; None where there is none."""
    text = settings.secret(VARIABLE)
    return None if not text else _shown(_url(text)[0])


def load(site: str, loads: Sequence[Load]) -> dict[str, int]:
    """Replace the months of a site in all tables at once; how many rows of the site each has then."""
    url, scrub = _url(settings.secret(VARIABLE) or "")
    try:
        with _engine(url).connect() as con:
            _exclude_others(con)
            return _TARGETS[con.dialect.name](con).replace(site, loads)
    except ExportError:
        raise
    except Exception as error:  # drivers raise what they like
        cause = scrub(str(getattr(error, "orig", None) or error)) or type(error).__name__
        msg = (
            f"site {site}: export to {_shown(url)}: {cause}; its tables are "
            f"as they were. Look at {VARIABLE}, and that the account may create, drop, insert and select there"
        )
    raise ExportError(msg)  # outside, so that it has no context that would show the driver's text


def _url(text: str) -> tuple[URL, Scrubber]:
    expanded = expand(text, where=VARIABLE)
    try:
        url = sa.make_url(expanded)
    except sa.exc.ArgumentError:
        msg = f"{VARIABLE} can't be read; write it as driver://user:password@host:port/name"
        raise ExportError(msg) from None
    if url.get_backend_name() not in _TARGETS:
        msg = f"{VARIABLE}: {url.get_backend_name()} is none of {', '.join(_TARGETS)}"
        raise ExportError(msg)
    return url, Scrubber([expanded])


def _shown(url: URL) -> str:
    """Backend, host and database of an address: no part that may be secret."""
    where = f"{url.host or 'localhost'}/" if url.get_backend_name() != "sqlite" else ""
    return f"{url.get_backend_name()} {where}{url.database or ''}"


def _engine(url: URL) -> sa.Engine:
    if url.get_backend_name() == "sqlite":
        args: dict[str, Any] = {"timeout": WAIT_SECONDS}
    else:
        args = credentials(url) | ({} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS})
    # transactions are begun and ended by statements
    return sa.create_engine(url, connect_args=args, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")


def _exclude_others(con: sa.Connection) -> None:
    """Exclude exports of other machines; those of this one wait for each other's lock file."""
    for setting in _SETTINGS[con.dialect.name]:
        con.exec_driver_sql(setting)
    lock = f"SELECT GET_LOCK('{_LOCK}', {WAIT_SECONDS})"
    if con.dialect.name in MYSQL and not con.exec_driver_sql(lock).scalar():
        msg = f"another export has held the database for {WAIT_SECONDS} s; run it again when that has ended"
        raise ExportError(msg)


_SETTINGS = {
    "mysql": (f"SET SESSION lock_wait_timeout = {WAIT_SECONDS}", "SET SESSION time_zone = '+00:00'"),
    "postgresql": (
        f"SET lock_timeout = '{WAIT_SECONDS}s'",
        "SET TimeZone = 'UTC'",
        f"SELECT pg_advisory_lock(hashtext('{_LOCK}'))",
    ),
    # views of a table outlive its renaming; a load that fills the cache must not lock readers out
    "sqlite": ("PRAGMA legacy_alter_table = ON", "PRAGMA cache_spill = OFF"),
}
_SETTINGS["mariadb"] = _SETTINGS["mysql"]


class _Target:
    """Tables of one connection; dialects override what they do in their own way."""

    begin, mark = "BEGIN", "%s"

    def __init__(self, con: sa.Connection) -> None:
        self.con = con

    def replace(self, site: str, loads: Sequence[Load]) -> dict[str, int]:
        """Load new tables beside the old ones, and swap all of them."""
        there = {each.table.name for each in loads if self.check(each.table)}
        out = {}
        for each in loads:
            self.drop(each.table.name + _NEW, each.table.name + _OLD)
        for each in loads:
            fresh = _declare(each.table, each.table.name + _NEW)
            fresh.create(self.con)
            out[each.table.name] = self.fill(fresh, each, site, carry=each.table.name in there)
            # the old table's index is still there: a name of its own each time
            index = sa.Index(f"ix_{each.table.name}_{secrets.token_hex(4)}", fresh.c.site, fresh.c[each.table.time])
            index.create(self.con)  # sorted once, not row by row
        self.swap([each.table.name for each in loads], there)
        return out

    def check(self, table: ExportTable) -> bool:
        """Whether the table is there; refuse one that is not ours."""
        inspector = sa.inspect(self.con)
        if table.name in inspector.get_view_names():
            msg = f"{table.name} is a view in the export database; rename it, or name another database in {VARIABLE}"
            raise ExportError(msg)
        if not inspector.has_table(table.name):
            return False
        columns = [column["name"] for column in inspector.get_columns(table.name)]
        key = inspector.get_pk_constraint(table.name)["constrained_columns"]
        if columns not in (table.names, table.first_names) or key != list(table.key):
            msg = (
                f"the export database has a table {table.name} that is not ours: columns {', '.join(columns)} with key "
                f"({', '.join(key)}), ours are {', '.join(table.names)} with key ({', '.join(table.key)}). Rename it, "
                f"or name another database in {VARIABLE}"
            )
            raise ExportError(msg)
        return True

    def fill(self, fresh: sa.Table, load: Load, site: str, *, carry: bool) -> int:
        """Carry over what stays and insert what is new; the rows of the site."""
        months, expected = load.months, 0
        counted = sa.select(sa.func.count()).select_from(fresh).where(fresh.c.site == site)
        with self.transaction():
            if carry:
                old = _declare(load.table, load.table.name)
                months = {**self.behind(old, load, site), **months}
                have = {column["name"] for column in sa.inspect(self.con).get_columns(old.name)}
                # a table of an older release lacks a column: it stays unknown
                kept = [column if column.name in have else sa.null().label(column.name) for column in old.columns]
                stays = sa.select(*kept).select_from(old).where(~_replaced(old, load.table, site, months))
                self.con.execute(fresh.insert().from_select(load.table.names, stays))
                expected = self.con.execute(counted).scalar_one()
            else:
                months = load.all_months
            for path in months.values():
                rows = read_month(load.table, path)
                self.insert(fresh, rows)
                expected += rows.height
        found = self.con.execute(counted).scalar_one()
        if found != expected:
            msg = f"site {site}: {load.table.name} would have {found} rows in the database, not {expected}"
            raise ExportError(msg)
        return found

    def behind(self, table: sa.Table, load: Load, site: str) -> dict[date, Path]:
        """Months of which the database lacks rows that the file has: an export that failed, a new database."""
        time = table.c[load.table.time]
        found = self.con.execute(sa.select(time, sa.func.count()).where(table.c.site == site).group_by(time))
        have: Counter[date] = Counter()
        for at, count in found:
            have[date(at.year, at.month, 1)] += count
        rows = {
            month: pl.scan_parquet(path).select(pl.len()).collect().item() for month, path in load.all_months.items()
        }
        return {month: load.all_months[month] for month, count in rows.items() if count != have[month]}

    def insert(self, table: sa.Table, rows: pl.DataFrame) -> None:
        """Append rows."""
        names, marks = self.quoted(rows.columns), ", ".join([self.mark] * rows.width)
        for batch in rows.iter_slices(_BATCH):
            if not batch.is_empty():
                self.con.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", batch.rows())

    def swap(self, names: Sequence[str], there: set[str]) -> None:
        """Put the new tables in the place of the old ones, all in one step."""
        with self.transaction():
            for name in names:
                if name in there:
                    self.copy_grants(name)
                    self.con.exec_driver_sql(f"DROP TABLE {name}")
                self.con.exec_driver_sql(f"ALTER TABLE {name}{_NEW} RENAME TO {name}")

    def copy_grants(self, name: str) -> None:
        """Grant on a new table what was granted on the old one, where grants do not go by name."""

    def drop(self, *names: str) -> None:
        """Remove what an export that was killed has left."""
        for name in names:
            self.con.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")

    def quoted(self, names: Sequence[str]) -> str:
        """Column names as the dialect writes them."""
        return ", ".join(map(self.con.dialect.identifier_preparer.quote, names))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing of it, as far as the dialect goes."""
        self.con.exec_driver_sql(self.begin)
        try:
            yield
        except BaseException:
            self.con.exec_driver_sql("ROLLBACK")
            raise
        self.con.exec_driver_sql("COMMIT")


class _MySQL(_Target):
    def swap(self, names: Sequence[str], there: set[str]) -> None:
        """RENAME TABLE is one step for all tables, and grants go by name."""
        moves = [f"{name} TO {name}{_OLD}" for name in names if name in there]
        moves += [f"{name}{_NEW} TO {name}" for name in names]
        self.con.exec_driver_sql(f"RENAME TABLE {', '.join(moves)}")
        self.drop(*(f"{name}{_OLD}" for name in names))


class _PostgreSQL(_Target):
    def insert(self, table: sa.Table, rows: pl.DataFrame) -> None:
        """COPY is ten times as fast."""
        names = self.quoted(rows.columns)
        raw: Any = self.con.connection.driver_connection
        with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN (FORMAT csv)") as copy:
            copy.write(rows.write_csv(include_header=False, datetime_format="%Y-%m-%d %H:%M:%S%.6f"))

    def copy_grants(self, name: str) -> None:
        """Grants of the old table, but its owner's."""
        granted = self.con.exec_driver_sql(
            "SELECT CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, "
            "g.privilege_type FROM pg_class c, aclexplode(c.relacl) g "
            f"WHERE c.oid = '{name}'::regclass AND g.grantee <> c.relowner"
        ).all()
        for grantee, privilege in granted:
            self.con.exec_driver_sql(f"GRANT {privilege} ON {name}{_NEW} TO {grantee}")


class _SQLite(_Target):
    begin, mark = "BEGIN IMMEDIATE", "?"

    def insert(self, table: sa.Table, rows: pl.DataFrame) -> None:
        """Instants as text, so that they compare with dates as people write them."""
        super().insert(table, rows.with_columns(pl.col(pl.Datetime).dt.strftime("%Y-%m-%d %H:%M:%S")))


_TARGETS: dict[str, type[_Target]] = {"mysql": _MySQL, "mariadb": _MySQL, "postgresql": _PostgreSQL, "sqlite": _SQLite}
_CHARSET: dict[str, Any] = {f"{dialect}_charset": "utf8mb4" for dialect in MYSQL}
_CHARSET |= {f"{dialect}_collate": "utf8mb4_bin" for dialect in MYSQL}


def _declare(table: ExportTable, name: str) -> sa.Table:
    """The table under a name, with its key."""
    return sa.Table(
        name,
        sa.MetaData(),
        *(sa.Column(column.name, _TYPES[column.type], nullable=column.nullable) for column in table.columns),
        sa.PrimaryKeyConstraint(*table.key),
        **_CHARSET,
    )


def _replaced(table: sa.Table, export: ExportTable, site: str, months: Mapping[date, Path]) -> sa.ColumnElement[bool]:
    """Condition of the rows that the new ones replace: of the site, in the months."""
    time = table.c[export.time]
    spans: list[tuple[date, date]] = []
    for month in sorted(months):
        if spans and spans[-1][1] == month:
            spans[-1] = (spans[-1][0], next_month(month))
        else:
            spans.append((month, next_month(month)))
    within = [sa.and_(time >= _at(first), time < _at(after)) for first, after in spans]
    return sa.and_(table.c.site == site, sa.or_(sa.false(), *within))


def _at(day: date) -> sa.ColumnElement[Any]:
    # as text, which every server compares with its instants, and SQLite with the text that it stores
    return sa.literal_column(f"'{day.isoformat()} 00:00:00'")
