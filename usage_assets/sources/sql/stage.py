"""Source rows into the staging database: text parsed set-based to the declared types, one row per key.

A staged table `s_<raw name>` has the declared columns and
`_root` (satellites: the key of the row they belong to, null where that is missing at the source),
`_live` (not from the archive), `_skip` (not to be held), `_odd` (how many of the row's instants are no dates),
`_bad` (how many of its numbers are no numbers), `_terminated` (of a server that is held as deleted without a date:
when an event says that it was terminated).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

import duckdb
import pyarrow as pa

from usage_assets.schema import Column, Type
from usage_assets.sources.personal import Redactor
from usage_assets.sources.sql.error_texts import short_read
from usage_assets.sources.sql.months import undated
from usage_assets.sources.sql.reflection import Found, Relation
from usage_assets.sources.sql.servers import Server
from usage_assets.sources.sql.statements import (
    OWN_LIFE,
    Filter,
    Step,
    doubled_keys,
    links,
    plain,
    terminations,
    with_parents,
)
from usage_assets.specs.raw_table import HELD_AS_DELETED, RawTable, ServerLife

ASK_ROWS = 1_000
CHUNK_ROWS = 20_000
LARGE_ROWS = 5_000
CHUNK_BYTES = 8_000_000
Parts = Iterable[Sequence[str] | None]


@dataclass(frozen=True)
class Staged:
    """What reading a table gave; of a `narrow` one only the columns that its months need, see `Stage.fill`."""

    read: int = 0
    doubled: int = 0
    keyless: int = 0
    bad_numbers: int = 0
    narrow: bool = False

    def notes(self) -> list[str]:
        """What a person should know of it."""
        out = []
        if self.doubled:
            out.append(f"{self.doubled} row(s) share their key with another; the one updated last was kept")
        if self.keyless:
            out.append(f"{self.keyless} row(s) without a key were left out")
        if self.bad_numbers:
            out.append(f"{self.bad_numbers} value(s) are not of their column's type and were stored as null")
        return out


def parsed(column: Column) -> str:
    """SQL that reads the column's text as its declared type; null where it is none."""
    name = f'"{column.name}"'
    if column.type in {Type.INSTANT, Type.DATE}:
        # fractions to the microsecond; what may follow (a zone) is not read: all instants are UTC
        fraction = (
            f"CASE WHEN substr({name}, 20, 1) = '.' THEN regexp_extract(substr({name}, 20), '^[.][0-9]{{1,6}}') "
            "ELSE '' END"
        )
        text = f"CASE WHEN {name} LIKE '____-__-__%' THEN replace(left({name}, 19), 'T', ' ') || {fraction} END"
        instant = f"TRY_CAST({text} AS TIMESTAMP)"
        return instant if column.type is Type.INSTANT else f"CAST({instant} AS DATE)"
    if column.name == HELD_AS_DELETED.name:  # a number or a text: the row's own id; null or no column at all: live
        text = f"lower(trim({name}))"
        return f"coalesce({text} NOT IN ('', '0', '0.0', 'f', 'false') AND {name} <> chr(0), false)"
    if column.type is Type.BOOL:
        return (
            f"CASE {name} WHEN '1' THEN true WHEN '0' THEN false WHEN chr(1) THEN true WHEN chr(0) THEN false "
            f"ELSE coalesce(TRY_CAST(lower(trim({name})) AS BOOLEAN), TRY_CAST({name} AS DOUBLE) <> 0) END"
        )
    if column.type in {Type.INT, Type.FLOAT}:
        return f"TRY_CAST({name} AS {column.type})"
    return name


class Stage:
    """The staging database of one dump."""

    def __init__(self, con: duckdb.DuckDBPyConnection, only: Filter, redactor: Redactor) -> None:
        self.con = con
        self._redactor = redactor
        self._only = only
        self._together = False

    @contextmanager
    def one_transaction(self) -> Iterator[None]:
        """One transaction for many small tables, so that each does not wait for the disk; large ones end it early."""
        self.con.execute("BEGIN").fetchall()
        self._together = True
        yield
        self._together = False
        self.con.execute("COMMIT").fetchall()

    def commit_if_large(self, rows: int) -> None:
        """Commit what a large table has so far: rows of an open transaction stay in memory."""
        if self._together and rows >= LARGE_ROWS:
            self.con.execute("COMMIT").fetchall()
            self.con.execute("BEGIN").fetchall()

    def columns(self, raw: RawTable) -> list[str]:
        """The columns that are read at all: what the site's file drops does not leave its source."""
        return self._redactor.read(raw, [column.name for column in raw.columns])

    def create(self, raw: RawTable) -> None:
        """An empty staged table."""
        columns = ", ".join(f'"{c.name}" {c.type}' for c in raw.columns)
        self.con.execute(
            f"CREATE OR REPLACE TABLE s_{raw.name} ({columns}, _root VARCHAR, _live BOOLEAN, _skip BOOLEAN, "
            "_odd SMALLINT, _bad SMALLINT, _terminated TIMESTAMP)"
        ).fetchall()

    def read(self, found: Found, steps: Sequence[Step], *, names: Sequence[str]) -> Staged:
        """Read the rows of a table that may touch the window; `names` are the columns that are needed."""
        raw, server = found.raw, found.server
        self.create(raw)
        if server is None or found.relation is None:
            return Staged()
        doubled = sum(_doubled(found, relation, server) for relation in found.relations)
        only = None if doubled else self._only  # which of two rows is kept must not depend on the window
        apart = bool(steps) and not _is_joined(found, steps)
        narrow = apart and not doubled and len(raw.key) == 1
        if narrow:
            needed = {*raw.key, steps[0].here, *OWN_LIFE.columns}
            names = [name for name in names if name in needed]
        read = self._read(found, steps, names, None if apart else only)
        return Staged(read, doubled, *self._clean(raw), narrow=narrow)

    def date_terminations(self, raw: RawTable, steps: Found, requests: Found) -> None:
        """Ask the source when servers were terminated that are held as deleted without a date: `_terminated`."""
        life, server = raw.months, steps.server
        assert isinstance(life, ServerLife)
        wanted = (
            f"SELECT DISTINCT uuid FROM s_{raw.name} s WHERE uuid IS NOT NULL AND {undated(raw, life)} ORDER BY uuid"
        )
        uuids = [uuid for (uuid,) in self.con.execute(wanted).fetchall()]
        if not uuids or server is None or requests.server is not server:
            return
        self.con.execute("CREATE OR REPLACE TEMP TABLE terminated (uuid VARCHAR, start_time VARCHAR)").fetchall()
        for step, request, asked in product(steps.relations, requests.relations, tuple(_parts(uuids))):
            statement = terminations(steps, requests, step, request, named=life.terminated_by[2], uuids=asked)
            if statement is not None:
                for batch in server.stream(statement, f"{step.schema}.{step.name}"):
                    self._append("terminated", batch, ["uuid", "start_time"])
        first_end = f"min({parsed(Column('start_time', Type.INSTANT, ''))})"
        self.con.execute(
            f"UPDATE s_{raw.name} AS s SET _terminated = t.at "
            f"FROM (SELECT uuid, {first_end} AS at FROM terminated GROUP BY uuid) t WHERE s.uuid = t.uuid"
        ).fetchall()

    def fill(self, found: Found, names: Sequence[str]) -> None:
        """Read all columns of a satellite whose parents lie apart, now that the rows that are held are known."""
        raw = found.raw
        key = f'"{raw.key[0]}"'
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE held_rows AS SELECT {key}, _root FROM s_{raw.name} "
            f"SEMI JOIN m_{raw.name} USING ({key})"
        ).fetchall()
        few = 2 * self._count("held_rows") < self._count(f"s_{raw.name}")
        keys = [str(row[0]) for row in self.con.execute(f"SELECT {key} FROM held_rows").fetchall()] if few else []
        assert found.server is not None
        self.create(raw)
        for relation in found.relations:
            asked = [plain(found, relation, names, None, keys=chunk) for chunk in (_parts(keys) if few else [None])]
            for statement in asked:
                self._insert(found, relation, names, found.server.stream(statement, relation.where), root="NULL")
        self.con.execute(
            f"CREATE OR REPLACE TABLE s_{raw.name} AS SELECT s.* REPLACE (h._root AS _root) FROM s_{raw.name} s "
            f"JOIN held_rows h USING ({key})"
        ).fetchall()
        wanted, stored = self._count("held_rows"), self._count(f"s_{raw.name}")
        if stored < wanted:
            raise short_read(found.server.site, found.relations[0].where, counted=wanted, read=stored)

    @contextmanager
    def separate_schema(self) -> Iterator[None]:
        """Staged tables made within the block stand apart and are gone after it; those of the dump are seen there."""
        self.con.execute("CREATE SCHEMA separate_schema").fetchall()
        self.con.execute("SET search_path = 'separate_schema,main'").fetchall()
        try:
            yield
        finally:
            self.con.execute("SET search_path = 'main'").fetchall()
            self.con.execute("DROP SCHEMA separate_schema CASCADE").fetchall()

    def read_again(self, found: Found, steps: Sequence[Step], names: Sequence[str], keys: Sequence[str]) -> None:
        """Read the rows with these keys whatever their dates; of a key of several columns all rows there are."""
        self.create(found.raw)
        self._read(found, steps, names, None, _parts(keys) if len(found.raw.key) == 1 else (None,))

    def _read(
        self, found: Found, steps: Sequence[Step], names: Sequence[str], only: Filter | None, parts: Parts = (None,)
    ) -> int:
        """Store the rows that pass the filter, with their roots, one per key; `parts` are keys asked for at a time."""
        server, is_joined = found.server, _is_joined(found, steps)
        assert server is not None
        root = "_root" if is_joined else f'"{steps[0].here}"' if steps else "NULL"
        read = 0
        for relation, keys in product(found.relations, parts):
            if is_joined:
                statement = with_parents(found, relation, names, steps, only, keys=keys)
            else:
                statement = plain(found, relation, names, only, keys=keys)
            read += self._insert(found, relation, names, server.whole(statement, relation.where), root=root)
        if steps and not is_joined:
            self._find_roots(found.raw, steps)
        self._unique(found.raw)
        return read

    def _insert(
        self,
        found: Found,
        relation: Relation,
        names: Sequence[str],
        batches: Iterable[Sequence[Sequence[Any]]],
        *,
        root: str,
    ) -> int:
        """Store rows of the named columns; `root` is SQL of the row's root."""
        raw, live = found.raw, relation is found.relation
        columns = [column for column in raw.columns if column.name in names]
        instants = [c for c in columns if c.type in {Type.INSTANT, Type.DATE}]
        numbers = [c for c in columns if c.type in {Type.INT, Type.FLOAT, Type.BOOL}]
        extra = [*(["_skip"] if raw.skip_flag else []), *(["_root"] if root == "_root" else [])]
        skip = "false"
        if raw.skip_flag:
            skip = f"coalesce({parsed(Column('_skip', Type.BOOL, ''))}, false)"
        values = ", ".join(f'{self._redactor.sql(raw, c.name) or parsed(c)} AS "{c.name}"' for c in columns)
        select = (
            f"SELECT {values}, CAST({root} AS VARCHAR) AS _root, "
            f"{str(live).lower()} AS _live, {skip} AS _skip, {_unparsable(instants)} AS _odd, "
            f"{_unparsable(numbers)} AS _bad FROM batch_of_source_rows"
        )
        count = 0
        for chunk in _chunks(batches, [*(c.name for c in columns), *extra]):
            self.con.register("batch_of_source_rows", self._redactor.redact(raw, chunk))
            self.con.execute(f"INSERT INTO s_{raw.name} BY NAME {select}").fetchall()
            self.con.unregister("batch_of_source_rows")
            count += chunk.num_rows
            self.commit_if_large(chunk.num_rows)
        return count

    def _find_roots(self, raw: RawTable, steps: Sequence[Step]) -> None:
        """Find each row's root where its parents lie on another server: their keys are read whole, and joined here."""
        self.con.execute(
            "CREATE OR REPLACE TEMP TABLE followed AS SELECT DISTINCT _root AS link, _root AS reached "
            f"FROM s_{raw.name} WHERE _root IS NOT NULL"
        ).fetchall()
        for number, step in enumerate(steps):
            onward = step.there if step is steps[-1] else steps[number + 1].here
            self.con.execute("CREATE OR REPLACE TEMP TABLE links (there VARCHAR, onward VARCHAR)").fetchall()
            for parent in step.parents:
                for relation in parent.relations:
                    assert parent.server is not None
                    statement = links(parent, relation, [step.there, onward])
                    for batch in parent.server.whole(statement, relation.where):
                        self._append("links", batch, ["there", "onward"])
            self.con.execute(
                "CREATE OR REPLACE TEMP TABLE followed AS SELECT link, min(onward) AS reached FROM followed "
                "JOIN links ON reached = there GROUP BY link"
            ).fetchall()
        self.con.execute(
            f"CREATE OR REPLACE TABLE s_{raw.name} AS SELECT s.* REPLACE (f.reached AS _root) FROM s_{raw.name} s "
            "LEFT JOIN followed f ON f.link = s._root"
        ).fetchall()

    def _append(self, table: str, batch: Sequence[Sequence[Any]], names: Sequence[str]) -> None:
        self.con.register("batch_of_texts", text_table(batch, names))
        self.con.execute(f"INSERT INTO {table} BY NAME FROM batch_of_texts").fetchall()
        self.con.unregister("batch_of_texts")

    def _unique(self, raw: RawTable) -> None:
        """Keep one row per key: the live one, of those the latest updated."""
        key = ", ".join(f'"{name}"' for name in raw.key)
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE doubled AS SELECT {key} FROM s_{raw.name} GROUP BY ALL HAVING count(*) > 1"
        ).fetchall()
        if not self._count("doubled"):
            return
        names = [column.name for column in raw.columns]
        latest = [name for name in ("updated_at", "created_at") if name in names]
        order = ", ".join(f'"{name}" DESC NULLS LAST' for name in [*latest, *names])
        same = " AND ".join(f's."{name}" IS NOT DISTINCT FROM d."{name}"' for name in raw.key)
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE kept AS SELECT s.* FROM s_{raw.name} s SEMI JOIN doubled d ON {same} "
            f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _live DESC, {order}, _root DESC NULLS LAST) = 1"
        ).fetchall()
        self.con.execute(f"DELETE FROM s_{raw.name} s USING doubled d WHERE {same}").fetchall()
        self.con.execute(f"INSERT INTO s_{raw.name} SELECT * FROM kept").fetchall()

    def _clean(self, raw: RawTable) -> tuple[int, int]:
        """Rows without a key, which can't be told apart and are left out; and values that are no numbers."""
        null = " OR ".join(f'"{name}" IS NULL' for name in raw.key)
        keyless, bad = self.con.execute(
            f"SELECT count(*) FILTER (WHERE {null}), coalesce(sum(_bad), 0)::BIGINT FROM s_{raw.name}"
        ).fetchall()[0]
        if keyless:
            self.con.execute(f"DELETE FROM s_{raw.name} WHERE {null}").fetchall()
        return keyless, bad

    def _count(self, relation: str) -> int:
        return int(self.con.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])


def parse_instant(text: str | None) -> datetime | None:
    """One instant, to the second; null where the text is none."""
    try:
        return datetime.fromisoformat(text[:19]) if text else None
    except ValueError:
        return None


def _is_joined(found: Found, steps: Sequence[Step]) -> bool:
    """Whether the server itself can join a table with all those that its path leads over."""
    return bool(steps) and all(parent.server is found.server for step in steps for parent in step.parents)


def _doubled(found: Found, relation: Relation, server: Server) -> int:
    """Rows that share their key with another at the source."""
    primary = {name for name, column in relation.columns.items() if column.primary}
    key = {column.name for name in found.raw.key if (column := found.column(name, relation)) is not None}
    if primary and primary <= key:
        return 0
    return int(server.rows(doubled_keys(found, relation), relation.where)[0][0])


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[start : start + ASK_ROWS] for start in range(0, len(keys), ASK_ROWS))


def _unparsable(columns: Sequence[Column]) -> str:
    """SQL: how many of these columns hold text that can't be read as their type."""
    if not columns:
        return "0"
    terms = (f'("{c.name}" IS NOT NULL AND {parsed(c)} IS NULL)::SMALLINT' for c in columns)
    return " + ".join(terms)


def _chunks(batches: Iterable[Sequence[Sequence[Any]]], names: Sequence[str]) -> Iterator[pa.Table]:
    """The batches as Arrow tables, some of them together: text in Arrow is a fraction of its size in Python."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for batch in batches:
        table = text_table(batch, names)
        waiting.append(table)
        rows += table.num_rows
        size += table.nbytes
        if rows >= CHUNK_ROWS or size >= CHUNK_BYTES:
            yield pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting)


def text_table(batch: Sequence[Sequence[Any]], names: Sequence[str]) -> pa.Table:
    """A batch of a server's rows as a table of texts; what is no UTF-8 is replaced."""
    return pa.Table.from_arrays([_text(values) for values in zip(*batch, strict=True)], names=list(names))


def _text(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a driver that hands over bytes or numbers all the same
        return pa.array([_as_text(value) for value in values], pa.string())


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return str(value)
