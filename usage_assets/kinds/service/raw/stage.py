"""Rows of the parts that are read, in a scratch database: judged, named, and reduced to one row per event_id.

Rows lie in the order of their parts, so a row's number in its part follows from its place and is not stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

from usage_assets.core.disk import remove
from usage_assets.core.hashing import hashes, salt_of
from usage_assets.kinds.service.raw.reader import BLANK, Part, PartError, Reader
from usage_assets.kinds.service.raw.rules import STAGED, judged
from usage_assets.kinds.service.raw.tables import CONTENT, USAGE_EVENTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.warehouse import Query
from usage_assets.warehouse.connections import connect

MEMORY = "700MB"
_TYPES = {column.name: str(column.type) for column in USAGE_EVENTS.columns}
_PLACE = {"source_row": "BIGINT", "id_hash": "VARCHAR", "reason": "VARCHAR", "cleared": "BOOLEAN", "row": "VARCHAR"}


@dataclass(frozen=True)
class Task:
    """A part to be read: by which reader, under which name, and whether it is new or has changed.

    `months` are those that are to be stored of one that is as it was; None = all of the window.
    """

    reader: Reader
    part: Part
    source_file: str
    months: frozenset[date] | None = None
    is_rival: bool = False
    """It has not changed itself: rows of it lost to those of a part that has."""

    @property
    def is_changed(self) -> bool:
        """Whether its rows take the place of those stored of it."""
        return self.months is None


class Staging:
    """A scratch database, made empty; closed and removed by `close`."""

    def __init__(self, path: Path, site: ServiceSite) -> None:
        self.path = path
        self.site = site
        remove(path)
        self._connected = connect(path, options={"memory_limit": MEMORY, "preserve_insertion_order": True})
        self.con: duckdb.DuckDBPyConnection = self._connected.__enter__()
        # a list of IN would become a join, and rows of a join come in any order
        self._run("SET disabled_optimizers = 'in_clause'")
        columns = ", ".join(f'"{name}" {(_TYPES | _PLACE)[name]}' for name in STAGED)
        self._run(f"CREATE TABLE events (part INTEGER, {columns})")
        self._run(
            "CREATE TABLE parts (part INTEGER, source_file VARCHAR, reader VARCHAR, changed BOOLEAN, broken BOOLEAN, "
            "begins BIGINT)"
        )
        self._run("CREATE TABLE due (part INTEGER, month DATE)")
        self.notes: list[str] = []
        self.has_ordinals = self.has_lost = False
        """Whether the tables of these names have rows: most dumps have no such ones, and need no join with them."""

    def _run(self, sql: str, params: Mapping[str, object] | None = None) -> list[tuple[object, ...]]:
        return self.con.execute(sql, params).fetchall()

    def read(self, tasks: Sequence[Task], window: Sequence[date]) -> None:
        """Stage the rows of every part, then name and reduce them."""
        for number, task in enumerate(tasks):
            self._read(number, task)
        due = [
            (number, month)
            for number, task in enumerate(tasks)
            for month in (window if task.months is None else sorted(task.months))
        ]
        # at once: a statement by itself for each month of hundreds of parts would take longer than their rows
        self.con.register("months_due", pa.table({"part": [part for part, _ in due], "month": [at for _, at in due]}))
        self._run("INSERT INTO due SELECT part, month FROM months_due")
        self.con.unregister("months_due")
        self._count_equal_rows()
        self._hide_people()
        self._find_losers()

    def _read(self, number: int, task: Task) -> None:
        begins, broken = self._number("SELECT count(*) FROM events"), False
        try:
            try:
                self._insert(number, task.reader, task.part)
            except PartError as error:
                with TemporaryDirectory(dir=self.path.parent) as folder:
                    mended = task.reader.mended(task.part, Path(folder))
                    if mended is None:
                        raise
                    self.notes.append(f"{task.source_file}: {_one_line(error)}; the rest of it was read")
                    self._insert(number, task.reader, mended)
        except PartError as error:
            broken = True
            self.notes.append(f"{task.source_file} can't be read: {_one_line(error)}")
            self._run(
                "INSERT INTO events (part, source_row, reason, row) VALUES ($part, 0, 'unreadable', $row)",
                {"part": number, "row": None},
            )
        self._run(
            "INSERT INTO parts VALUES ($part, $file, $reader, $changed, $broken, $begins)",
            {
                "part": number,
                "file": task.source_file,
                "reader": task.reader.name,
                "changed": task.is_changed,
                "broken": broken,
                "begins": begins,
            },
        )

    def _insert(self, number: int, reader: Reader, part: Part) -> None:
        with reader.rows(self.con, part) as rows:
            columns = self.con.sql(f"SELECT * FROM ({rows}) LIMIT 0").columns
            sql = judged(self.site, rows, columns, time_of=reader.time_of)
            names = ", ".join(f'"{name}"' for name in STAGED)
            self._run(f"INSERT INTO events (part, {names}) SELECT {number}, {names} FROM ({sql})")

    def _number(self, sql: str) -> int:
        found = self._run(sql)[0][0]
        assert isinstance(found, int)
        return found

    def _count_equal_rows(self) -> None:
        """`ordinals`: the place of rows without an id among equal ones of their part, from the second on."""
        nameless = "event_id IS NULL AND reason IS NULL"
        self._run(
            "CREATE TABLE ordinals AS SELECT rid, ordinal FROM (SELECT rowid AS rid, row_number() OVER (PARTITION BY "
            f"part, id_hash ORDER BY coalesce(source_row, rowid), rowid) AS ordinal FROM events WHERE {nameless} AND "
            f"hash(part, id_hash) IN (SELECT hash(part, id_hash) FROM events WHERE {nameless} GROUP BY 1 "
            "HAVING count(*) > 1)) WHERE ordinal > 1"
        )
        self.has_ordinals = self._number("SELECT count(*) FROM ordinals") > 0

    def _hide_people(self) -> None:
        """`people_<column>`: what each text of a column that names people is stored as."""
        for name, rule in self.site.personal.items():
            self._run(f"CREATE TABLE people_{name} (old VARCHAR, new VARCHAR)")
            if rule == "hash":
                salt = salt_of(self.site.key, "personal asks for hashes")
                texts = [
                    str(old) for (old,) in self._run(f'SELECT DISTINCT "{name}" FROM events WHERE "{name}" IS NOT NULL')
                ]
                found = hashes(texts, salt)
                self.con.register("people", pa.table({"old": list(found), "new": list(found.values())}))
                self._run(f"INSERT INTO people_{name} SELECT old, new FROM people")
                self.con.unregister("people")

    def _find_losers(self) -> None:
        """`lost`: rows that another one read with the same event_id beats."""
        named = self.rows("main", "e.reason IS NULL")
        self._run(
            "CREATE TABLE lost AS SELECT rid FROM (SELECT rid, row_number() OVER (PARTITION BY event_id ORDER BY ts, "
            f"source_file DESC, source_row DESC) AS place FROM ({named.sql}) WHERE hash(event_id) IN (SELECT "
            f"hash(event_id) FROM ({named.sql}) GROUP BY 1 HAVING count(*) > 1)) WHERE place > 1"
        )
        self.has_lost = self._number("SELECT count(*) FROM lost") > 0

    def rows(self, schema: str, where: str = "true") -> Query:
        """The staged rows as `event_id`, `ts`, content and provenance; also part, rid, month, reason, cleared, row."""
        content, joins, patches = [], [], []
        for column in CONTENT:
            if column.name in self.site.personal:
                content.append(f"p_{column.name}.new AS {column.name}")
                joins.append(
                    f"LEFT JOIN {schema}.people_{column.name} p_{column.name} ON p_{column.name}.old = e.{column.name}"
                )
                patches.append(f"'{column.name}', p_{column.name}.new")
            else:
                content.append(f'e."{column.name}"')
        ordinal = "1"
        if self.has_ordinals:
            ordinal = "coalesce(o.ordinal, 1)"
            joins.append(f"LEFT JOIN {schema}.ordinals o ON o.rid = e.rowid")
        row = "e.row" if not patches else f"json_merge_patch(e.row, json_object({', '.join(patches)}))::VARCHAR"
        return Query(
            f"SELECT CASE WHEN e.event_id IS NULL AND e.reason IS NULL THEN e.id_hash || '-' || {ordinal} "
            f"ELSE e.event_id END AS event_id, e.ts, "
            f"{', '.join(content)}, p.reader, p.source_file, coalesce(e.source_row, e.rowid - p.begins + 1) AS "
            "source_row, e.part, e.rowid AS rid, date_trunc('month', e.ts)::DATE AS month, e.reason, e.cleared, "
            f"{row} AS row, p.changed FROM {schema}.events e JOIN {schema}.parts p USING (part) "
            f"{' '.join(joins)} WHERE e.reason IS DISTINCT FROM '{BLANK}' "
            f"AND ({where})"
        )

    def close(self) -> None:
        """Close the database, so that another connection may attach it."""
        self._connected.__exit__(None, None, None)

    def remove(self) -> None:
        """Remove its file."""
        remove(self.path)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
