"""Merging the rows read of a month with those stored of it: poll by poll, and nothing is lost.

A poll with the same rows as stored stays untouched. One with other rows is replaced, its old rows go to
`evidence.gpu_state`. One that the files no longer hold stays, marked `gone_at`; where many vanish at once, the month is
refused until an operator confirms it (purge_known).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl

from usage_assets.core.errors import EvidenceError
from usage_assets.kinds.htcondor.raw.read import Inspected, select
from usage_assets.kinds.htcondor.raw.tables import CONTENT, COPIES, GPU_STATE
from usage_assets.schema import violations
from usage_assets.schema.contract import Violation, require_columns
from usage_assets.sources.sql.evidence import SHRINK_FRACTION, SHRINK_ROWS, Counts
from usage_assets.specs.raw_table import EXTRACTED_AT, GONE_AT, IS_CONTEXT, SEEN_FROM, SEEN_TO
from usage_assets.warehouse import Writer, bound

TABLE = GPU_STATE.table
INCOMING = "incoming_gpu_state"
_HASH = "hash({})".format(", ".join(f'"{name}"' for name in CONTENT))
_OF_MONTH = "site = $site AND month = $month::DATE"


@dataclass(frozen=True)
class Part:
    """The polls of a file that are to be stored, with the file."""

    found: Inspected
    polls: pl.DataFrame


@dataclass
class Stored:
    """Result of writing a month: its counts, whether any row was changed, and why it was refused."""

    counts: Counts = field(default_factory=Counts)
    wrote: bool = False
    refused: tuple[Violation, ...] = ()
    missed: int = 0
    doubles: int = 0


@dataclass(frozen=True)
class MonthRows:
    """The rows that were read for a month. `twice` are (poll_at, h) of rows that a file holds more than once.

    With `whole` every file of the month was read, and a stored poll that is not among these has vanished, but those of
    the local months `kept`, whose files could not be read.
    """

    site: str
    month: date
    parts: Sequence[Part]
    twice: pl.DataFrame
    whole: bool
    kept: Collection[date] = ()


def merge(writer: Writer, rows: MonthRows, *, now: datetime, purge_known: bool, asset: str, run_id: str) -> Stored:
    """Write the month in the writer's transaction; its readiness says whether it was refused."""
    writer.ensure(TABLE)
    out = _Merge(writer, rows, now).run(purge_known=purge_known)
    refused = {rows.month: list(out.refused)} if out.refused else {}
    writer.record_readiness(asset, rows.site, [rows.month], refused, run_id)
    if out.wrote:
        writer.record_write(rows.site, asset, run_id, {rows.month: out.counts.rows})
    return out


class _Merge:
    """The rows of a month, compared with those that are stored of it, in the writer's transaction."""

    def __init__(self, writer: Writer, rows: MonthRows, now: datetime) -> None:
        self.writer = writer
        self.con = writer.con
        self.rows = rows
        self.now = now
        self.out = Stored()
        self.params = {"site": rows.site, "month": rows.month, "now": now, "kept": sorted(rows.kept) or [date.min]}

    def run(self, *, purge_known: bool) -> Stored:
        """Store what is new or changed, and count what is stored then."""
        out = self.out
        self._show()
        described = self.con.sql(f"SELECT * FROM {INCOMING} LIMIT 0")
        require_columns(TABLE, zip(described.columns, map(str, described.types), strict=True))
        before = self._number(f"SELECT count(*) FROM {TABLE.qualified} WHERE {_OF_MONTH}")
        out.refused = tuple(violations(self.con, INCOMING, TABLE)) if self.rows.parts else ()
        if not out.refused and not before:
            self._execute(f"INSERT INTO {TABLE.qualified} BY NAME SELECT * FROM {INCOMING}")
            out.wrote = True
        elif not out.refused:
            self._compare(purge_known=purge_known)
        count(self.writer, self.rows.site, self.rows.month, out)
        if not before and not out.refused:
            out.counts.rows_new = out.counts.rows
        for number in range(len(self.rows.parts)):
            self.con.unregister(f"polls_of_file_{number}")
        return out

    def _execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a statement, with those of the month's parameters that it names."""
        params = {name: value for name, value in self.params.items() if f"${name}" in sql}
        return self.con.execute(sql, bound(params)).fetchall()

    def _number(self, sql: str) -> int:
        return int(self._execute(sql)[0][0])

    def _keep(self, name: str, sql: str) -> None:
        self._execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")

    def _show(self) -> None:
        """Make the rows readable in the shape of raw.gpu_state, as INCOMING."""
        constants = {
            "site": f"'{self.rows.site}'",
            "month": f"DATE '{self.rows.month}'",
            IS_CONTEXT.name: "false",
            GONE_AT.name: "CAST(NULL AS TIMESTAMP)",
            EXTRACTED_AT.name: f"TIMESTAMP '{self.now}'",
            SEEN_FROM.name: f"TIMESTAMP '{self.now}'",
        }
        texts = []
        for number, part in enumerate(self.rows.parts):
            name = f"polls_of_file_{number}"
            self.con.register(name, part.polls.to_arrow())
            texts.append(f"({select(part.found, name, constants, since=part.polls['at'].min())})")
        base = " UNION ALL BY NAME ".join(texts)
        others = ", ".join(f'"{name}"' for name in TABLE.names if name != COPIES)
        sql = f"SELECT {others}, 1::BIGINT AS {COPIES} FROM ({base})"
        if not texts:
            sql = f"SELECT {others}, {COPIES} FROM {TABLE.qualified} LIMIT 0"
        elif not self.rows.twice.is_empty():
            self.con.register("rows_held_twice", self.rows.twice.to_arrow())
            sql += (
                f" ANTI JOIN rows_held_twice USING (poll_at, h) UNION ALL BY NAME SELECT {others}, count(*)::BIGINT AS "
                f"{COPIES} FROM ({base}) SEMI JOIN rows_held_twice USING (poll_at, h) GROUP BY {others}"
            )
        kind = "TABLE" if texts and not self.rows.whole else "VIEW"  # a whole month would take its room in memory
        self._execute(f"CREATE OR REPLACE TEMP {kind} {INCOMING} AS {sql}")

    def _compare(self, *, purge_known: bool) -> None:
        """Sort polls into new, changed and vanished ones by their numbers of rows and hashes, and store them."""
        signs = f"count(*) AS n, bit_xor({_HASH}) AS x, sum({COPIES})::BIGINT AS s"
        self._keep("fresh_polls", f"SELECT poll_at, {signs} FROM {INCOMING} GROUP BY poll_at")
        ((first,),) = self._execute("SELECT min(poll_at) FROM fresh_polls")
        # a bound known beforehand lets the storage skip what lies before
        least = "" if self.rows.whole or first is None else f" AND poll_at >= TIMESTAMP '{first}'"
        self._keep(
            "stored_polls",
            f"SELECT poll_at, any_value(local_at) AS local_at, {signs}, count(*) FILTER (WHERE {GONE_AT.name} IS NULL) "
            f"AS alive FROM {TABLE.qualified} WHERE {_OF_MONTH}{least} GROUP BY poll_at",
        )
        self._keep(
            "changed_polls",
            "SELECT poll_at FROM fresh_polls f JOIN stored_polls o USING (poll_at) "
            "WHERE (f.n, f.x, f.s) <> (o.n, o.x, o.s) OR o.alive < o.n",
        )
        self._keep("new_polls", "SELECT poll_at FROM fresh_polls ANTI JOIN stored_polls USING (poll_at)")
        if self.rows.whole:
            self._mark_gone(purge_known=purge_known)
            if self.out.refused:
                return
        if self._number("SELECT count(*) FROM changed_polls"):
            self._replace()
        if self._number("SELECT count(*) FROM new_polls"):
            self.out.counts.rows_new += self._number(
                f"INSERT INTO {TABLE.qualified} BY NAME SELECT * FROM {INCOMING} SEMI JOIN new_polls USING (poll_at)"
            )
            self.out.wrote = True

    def _mark_gone(self, *, purge_known: bool) -> None:
        """Mark the polls that the files no longer hold."""
        self._keep(
            "gone_polls",
            "SELECT poll_at, alive FROM stored_polls o ANTI JOIN fresh_polls USING (poll_at) "
            "WHERE date_trunc('month', o.local_at)::DATE NOT IN (SELECT unnest($kept::DATE[]))",
        )
        lost = self._number("SELECT coalesce(sum(alive), 0)::BIGINT FROM gone_polls")
        if not lost:
            return
        alive = self._number("SELECT sum(alive)::BIGINT FROM stored_polls")
        if lost > SHRINK_ROWS and lost / alive > SHRINK_FRACTION and not purge_known:
            site, month = self.rows.site, self.rows.month
            msg = (
                f"site {site}: gpu_state {month:%Y-%m}: {lost} of {alive} rows are not in the files any more; "
                "nothing was written. Have the files back; if they were removed on purpose, run once with purge_known"
            )
            self.out.refused = (Violation(month, str(EvidenceError(msg)), 0),)
            return
        self._execute(
            f"UPDATE {TABLE.qualified} SET {GONE_AT.name} = $now::TIMESTAMP WHERE {_OF_MONTH} "
            f"AND {GONE_AT.name} IS NULL AND poll_at IN (SELECT poll_at FROM gone_polls)"
        )
        self.out.wrote = True

    def _replace(self) -> None:
        """Replace polls whose rows differ; rows of them that are the same keep their `seen_from`."""
        changed = f"{_OF_MONTH} AND poll_at IN (SELECT poll_at FROM changed_polls)"
        self._keep("old_rows", f"SELECT *, {_HASH} AS h FROM {TABLE.qualified} WHERE {changed}")
        self._keep("new_rows", f"SELECT *, {_HASH} AS h FROM {INCOMING} SEMI JOIN changed_polls USING (poll_at)")
        self._execute(
            f"UPDATE new_rows AS n SET {SEEN_FROM.name} = least(o.{SEEN_FROM.name}, n.{SEEN_FROM.name}) "
            f"FROM old_rows o WHERE n.poll_at = o.poll_at AND n.h = o.h AND o.{GONE_AT.name} IS NULL"
        )
        same = "(SELECT poll_at, h FROM new_rows) USING (poll_at, h)"
        replaced = (
            f"(SELECT * FROM old_rows ANTI JOIN {same} UNION ALL "
            f"SELECT * FROM old_rows SEMI JOIN {same} WHERE {GONE_AT.name} IS NOT NULL)"
        )
        versions = self._number(f"SELECT count(*) FROM {replaced}")
        if versions:
            self.writer.ensure(GPU_STATE.versions)
            self._execute(
                f"INSERT INTO {GPU_STATE.versions.qualified} BY NAME SELECT * EXCLUDE (h) "
                f"REPLACE (least({SEEN_FROM.name}, $now::TIMESTAMP) AS {SEEN_FROM.name}), "
                f"$now::TIMESTAMP AS {SEEN_TO.name} FROM {replaced}"
            )
        fresh = self._number(
            "SELECT count(*) FROM new_rows ANTI JOIN (SELECT poll_at, h FROM old_rows) USING (poll_at, h)"
        )
        counts = self.out.counts
        counts.rows_changed, counts.versions = min(versions, fresh), versions
        counts.rows_new += fresh - counts.rows_changed
        self._execute(f"DELETE FROM {TABLE.qualified} WHERE {changed}")
        self._execute(f"INSERT INTO {TABLE.qualified} BY NAME SELECT * EXCLUDE (h) FROM new_rows")
        self.out.wrote = True


def count(writer: Writer, site: str, month: date, out: Stored) -> None:
    """Count the rows that are stored of a month, those marked as gone, and further copies of rows."""
    found = writer.con.execute(
        f"SELECT count(*), count({GONE_AT.name}), coalesce(sum({COPIES} - 1), 0)::BIGINT FROM {TABLE.qualified} "
        f"WHERE {_OF_MONTH}",
        {"site": site, "month": month},
    ).fetchall()[0]
    out.counts.rows, out.counts.rows_gone, out.doubles = map(int, found)


def missed_polls(writer: Writer, site: str, month: date, poll_minutes: int) -> int:
    """Polls that should lie between those stored of a month, and are not there."""
    found = writer.con.execute(
        f"SELECT DISTINCT poll_at FROM {TABLE.qualified} WHERE {_OF_MONTH} ORDER BY 1", {"site": site, "month": month}
    ).fetchall()
    step = timedelta(minutes=poll_minutes)
    apart = [later - earlier for (earlier,), (later,) in pairwise(found)]
    return sum(round(each / step) - 1 for each in apart if each > 1.5 * step)
