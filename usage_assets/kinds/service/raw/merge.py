"""Merging the rows that were read with those that are stored, of whichever month: one row per event_id, none lost.

Of rows with one event_id the one with the smallest ts counts, among equal ones the last by (source_file, source_row).
That is a minimum, so the order in which rows come does not matter. Rows that lose are in raw.rejected_events. A row of
a part that was read again takes the place of the part's older version, which goes to evidence.usage_events; one that
is no longer at its source stays, marked `gone_at`, until another source has the event.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from usage_assets.core.errors import EvidenceError
from usage_assets.kinds.service.raw.stage import Staging
from usage_assets.kinds.service.raw.tables import CONTENT, IDENTITY, REJECTED_EVENTS, USAGE_EVENTS
from usage_assets.schema import Violation
from usage_assets.sources.sql.evidence import SHRINK_FRACTION, SHRINK_ROWS, Counts
from usage_assets.specs.raw_table import SEEN_FROM, SEEN_TO
from usage_assets.warehouse import Writer, bound

EVENTS, REJECTS = USAGE_EVENTS.table.qualified, REJECTED_EVENTS.table.qualified
_COLUMNS = [column.name for column in (*IDENTITY, *CONTENT)]
_PLACE = ("reader", "source_file", "source_row")
_SINCE = ("ingested_at", "seen_from")
_GOOD = "e.reason IS NULL"
_IN_MONTHS = "month IN (SELECT unnest($months::DATE[]))"
_OWN_REJECTS = (
    "r.site = $site AND r.source_file IN (SELECT source_file FROM staged.parts WHERE changed) "
    f"AND (r.{_IN_MONTHS} OR r.ts IS NULL)"
)


def _said(prefix: str) -> str:
    """What a row says, as one text: all but where it stands."""
    parts = ", ".join(f'{name} := {prefix}."{name}"' for name in _COLUMNS)
    return f"json_merge_patch('{{}}', to_json(struct_pack({parts})))::VARCHAR"


def _same(one: str, other: str) -> str:
    return " AND ".join(f'{one}."{name}" IS NOT DISTINCT FROM {other}."{name}"' for name in _COLUMNS)


@dataclass
class Merged:
    """Months that were changed of either table, those refused, and what was done to each of the window."""

    events: set[date] = field(default_factory=set)
    rejects: set[date] = field(default_factory=set)
    refused: dict[date, tuple[Violation, ...]] = field(default_factory=dict)
    counts: dict[date, Counts] = field(default_factory=dict)


class Merge:
    """One merge, in the writer's transaction; the staging database is attached as `staged`."""

    def __init__(
        self, writer: Writer, staging: Staging, site: str, window: Sequence[date], *, vanished: Sequence[str],
        now: datetime, removed: Collection[date] = (),
    ) -> None:  # fmt: skip
        self.writer, self.con = writer, writer.con
        self.staging = staging
        self.is_first = False
        self.window = list(window)
        self.out = Merged(counts={month: Counts() for month in window})
        for month in sorted(set(removed) & set(window)):
            msg = f"site {site}: the events of {month:%Y-%m} were removed by retention; they are not stored again"
            self.out.refused[month] = (Violation(month, msg, 0),)
        self.params: dict[str, Any] = {"site": site, "now": now, "months": list(window), "window": list(window)}
        writer.ensure(USAGE_EVENTS.table, REJECTED_EVENTS.table)
        self.con.register("vanished_parts", pa.table({"source_file": pa.array(list(vanished), pa.string())}))

    def run(self, *, purge_known: bool) -> Merged:
        """Store what the months of the window are due."""
        self._keep("replaced_parts", "SELECT source_file FROM staged.parts WHERE changed AND NOT broken")
        self._find_going()
        self._refuse_lost(purge_known=purge_known)
        self.params["months"] = [month for month in self.window if month not in self.out.refused]
        if self.params["months"]:
            self._keep("due_now", f"SELECT part, month FROM staged.due WHERE {_IN_MONTHS}")
            self._contest()
            self._remove()
            self._insert()
            self._mark_gone()
            self._find_rejects()
            before = self._signs()
            self._reject()
            renamed = self._name_reasons()
            self._find_changed_rejects(before, renamed)
        self._count()
        return self.out

    def _run(self, sql: str) -> list[tuple[Any, ...]]:
        params = {name: value for name, value in self.params.items() if f"${name}" in sql}
        return self.con.execute(sql, bound(params)).fetchall()

    def _keep(self, name: str, sql: str) -> None:
        self._run(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")

    def _staged(self, where: str) -> str:
        return f"({self.staging.rows('staged', where).sql})"

    def _find_going(self) -> None:
        """`going`: stored rows whose part was read again without them, or is no longer there."""
        self._keep(
            "going",
            f"SELECT s.event_id, s.month, s.source_file, s.gone_at FROM {EVENTS} s WHERE s.site = $site AND "
            "s.source_file IN (SELECT source_file FROM vanished_parts UNION ALL SELECT source_file FROM replaced_parts)"
            f" AND NOT EXISTS (SELECT 1 FROM {self._staged('e.reason IS NULL AND p.changed')} f "
            "WHERE f.source_file = s.source_file AND f.event_id = s.event_id)",
        )

    def _refuse_lost(self, *, purge_known: bool) -> None:
        """Refuse months that would lose too many rows at once."""
        found = self._run(
            f"SELECT month, g.n, s.n FROM (SELECT month, count(*) AS n FROM going WHERE gone_at IS NULL AND "
            f"month IN (SELECT unnest($months::DATE[])) GROUP BY month) g JOIN (SELECT month, count(*) AS n FROM "
            f"{EVENTS} WHERE site = $site AND gone_at IS NULL GROUP BY month) s USING (month)"
        )
        for month, lost, alive in found:
            if lost > SHRINK_ROWS and lost / alive > SHRINK_FRACTION and not purge_known:
                msg = (
                    f"site {self.params['site']}: usage_events {month:%Y-%m}: {lost} of {alive} rows are not at their "
                    "sources any more; nothing was written. Have the files back; if they were removed on purpose, run "
                    "once with purge_known"
                )
                self.out.refused[month] = (Violation(month, str(EvidenceError(msg)), 0),)

    def _contest(self) -> None:
        """`won`: the row that counts of each event_id that was read; `met`: stored rows that are in question."""
        order = "is_gone, ts, source_file DESC, source_row DESC, is_stored DESC"
        names = "event_id, ts, source_file, source_row, month"
        fresh = f"SELECT {names}, rid, part, false AS is_stored, false AS is_gone FROM {self._first()}"
        self.is_first = not self._run(f"SELECT 1 FROM {EVENTS} WHERE site = $site LIMIT 1")
        if self.is_first:
            self._keep("met", f"SELECT *, false AS is_same, false AS is_again, false AS is_gone FROM {EVENTS} LIMIT 0")
            self._run(f"CREATE OR REPLACE TEMP VIEW won AS {fresh}")
            return
        self._keep("read_ids", f"SELECT DISTINCT event_id FROM {self._staged(_GOOD)}")
        self._keep(
            "met",
            f"SELECT s.*, coalesce(c.is_same, false) AS is_same, c.event_id IS NOT NULL AS is_again, "
            "g.event_id IS NOT NULL OR s.gone_at IS NOT NULL AS is_gone FROM "
            f"(SELECT * FROM {EVENTS} WHERE site = $site AND event_id IN (FROM read_ids)) s LEFT JOIN (SELECT "
            f"s.event_id, s.source_file, bool_or({_same('s', 'f')} AND s.source_row = f.source_row "
            f"AND s.gone_at IS NULL) AS is_same FROM {EVENTS} s "
            f"JOIN {self._staged(_GOOD)} f USING (event_id, source_file) WHERE s.site = $site "
            "GROUP BY ALL) c USING (event_id, source_file) LEFT JOIN going g USING (event_id, source_file)",
        )
        candidates = f"SELECT {names}, NULL, NULL, true, is_gone FROM met WHERE is_same OR NOT is_again"
        self._keep(
            "won",
            f"SELECT * FROM ({fresh} UNION ALL {candidates}) "
            f"QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY {order}) = 1",
        )

    def _first(self) -> str:
        is_first = " AND e.rowid NOT IN (SELECT rid FROM staged.lost)" if self.staging.has_lost else ""
        return self._staged(_GOOD + is_first)

    def _remove(self) -> None:
        """Take stored rows out that another one replaces or beats; a row that only waits for its month beats none."""
        comes = f"(w.is_stored OR {_due('w')})"
        is_other = "NOT (w.is_stored AND w.source_file = s.source_file AND w.source_row = s.source_row)"
        self._keep(
            "removed",
            "SELECT s.*, (s.is_again AND NOT s.is_same) AS is_replaced FROM met s JOIN won w USING (event_id) "
            f"WHERE {is_other} AND ({comes} OR ((s.is_again AND NOT s.is_same) AND "
            "s.month IN (SELECT unnest($months::DATE[]))))",
        )
        self._keep(
            "versions",
            f"SELECT r.* FROM removed r LEFT JOIN {self._staged(_GOOD)} f ON f.event_id = r.event_id AND "
            f"f.source_file = r.source_file AND {_same('r', 'f')} WHERE (r.is_replaced AND (f.event_id IS NULL "
            "OR r.gone_at IS NOT NULL)) OR (NOT r.is_replaced AND r.is_gone)",
        )
        months = self._run("SELECT month, count(*) FROM removed GROUP BY month")
        self.out.events |= {month for month, _ in months}
        if not months:
            return
        if self._run("SELECT count(*) FROM versions") != [(0,)]:
            self.writer.ensure(USAGE_EVENTS.versions)
            columns = [name for name in USAGE_EVENTS.versions.names if name not in {SEEN_TO.name, SEEN_FROM.name}]
            names = ", ".join(f'"{name}"' for name in columns)
            self._run(
                f"INSERT INTO {USAGE_EVENTS.versions.qualified} BY NAME SELECT {names}, "
                f"least({SEEN_FROM.name}, $now::TIMESTAMP) AS {SEEN_FROM.name}, $now::TIMESTAMP AS {SEEN_TO.name} "
                "FROM versions"
            )
        for month, number in self._run("SELECT month, count(*) FROM versions GROUP BY month"):
            counts = self.out.counts.setdefault(month, Counts())
            counts.rows_changed = counts.versions = number
        self._run(
            f"DELETE FROM {EVENTS} s USING removed r WHERE s.site = $site AND s.month = r.month "
            "AND s.event_id = r.event_id AND s.source_file = r.source_file AND s.source_row = r.source_row"
        )

    def _insert(self) -> None:
        """Add the rows that count and are due; one that says what it said before keeps when it was first stored."""
        before = self._numbers()
        content = ", ".join(f'f."{name}"' for name in (*_COLUMNS, *_PLACE))
        winners, since = "", dict.fromkeys(_SINCE, "$now::TIMESTAMP")
        if not self.is_first:
            winners = (
                "SEMI JOIN won w ON w.rid = f.rid LEFT JOIN removed r ON r.event_id = f.event_id "
                f"AND r.is_replaced AND {_same('r', 'f')}"
            )
            since = {name: f"least(coalesce(r.{name}, $now::TIMESTAMP), $now::TIMESTAMP)" for name in _SINCE}
        self._run(
            f"INSERT INTO {EVENTS} BY NAME SELECT $site AS site, f.month, {content}, "
            f"{', '.join(f'{sql} AS {name}' for name, sql in since.items())}, false AS is_context, "
            "NULL::TIMESTAMP AS gone_at, $now::TIMESTAMP AS extracted_at "
            f"FROM {self._first()} f SEMI JOIN due_now d ON d.part = f.part AND d.month = f.month {winners}"
        )
        for month, rows in self._numbers().items():
            if added := rows - before.get(month, 0):
                counts = self.out.counts[month]
                counts.rows_new = max(added - counts.rows_changed, 0)
                self.out.events.add(month)

    def _numbers(self) -> dict[date, int]:
        found = self._run(f"SELECT month, count(*) FROM {EVENTS} WHERE site = $site AND {_IN_MONTHS} GROUP BY month")
        return dict(found)

    def _find_rejects(self) -> None:
        """`old_rejects`, what was rejected of parts that were read again, and `new_rejects`, what is in its place."""
        self._run(f"SET VARIABLE newest = DATE '{max(self.params['months'])}'")
        self._keep("old_rejects", f"SELECT * FROM {REJECTS} r WHERE {_OWN_REJECTS}")
        place = "f.reader, f.source_file, f.source_row, f.event_id, f.ts"
        judged = (
            f"SELECT coalesce(f.month, getvariable('newest')) AS month, {place}, f.reason, f.row, NULL AS content "
            f"FROM {self._staged('e.reason IS NOT NULL')} f WHERE {_due('f')} OR (f.month IS NULL AND f.changed)"
        )
        cleared = (
            f"SELECT f.month, {place}, 'cleared_time', f.row, NULL "
            f"FROM {self._staged('e.reason IS NULL AND e.cleared')} f WHERE {_due('f')}"
        )
        lost = f"{_GOOD} AND e.rowid IN (SELECT rid FROM staged.lost)" if self.is_first else _GOOD
        is_winner = "(w.rid = f.rid OR w.is_stored AND w.source_file = f.source_file AND w.source_row = f.source_row)"
        beaten = (
            f"SELECT f.month, {place}, NULL, {_said('f')}, md5({_said('f')}) FROM {self._staged(lost)} f "
            f"WHERE {_due('f')} AND NOT EXISTS (SELECT 1 FROM won w WHERE w.event_id = f.event_id AND {is_winner})"
        )
        moved = (
            f"SELECT r.month, {place.replace('f.', 'r.')}, NULL, {_said('r')}, md5({_said('r')}) FROM removed r "
            "WHERE NOT r.is_replaced AND NOT r.is_gone"
        )
        self._keep("new_rejects", f"{judged} UNION ALL {cleared} UNION ALL {beaten} UNION ALL {moved}")

    def _reject(self) -> None:
        """Replace what is rejected of parts that were read again, and add what is of months that are due now."""
        self._run(f"DELETE FROM {REJECTS} r WHERE {_OWN_REJECTS}")
        self._run(
            f"INSERT INTO {REJECTS} BY NAME SELECT $site AS site, n.*, "
            "least(coalesce(o.ingested_at, $now::TIMESTAMP), $now::TIMESTAMP) AS ingested_at, false AS is_context, "
            "NULL::TIMESTAMP AS gone_at, $now::TIMESTAMP AS extracted_at, "
            "least(coalesce(o.seen_from, $now::TIMESTAMP), $now::TIMESTAMP) AS seen_from "
            "FROM (SELECT * REPLACE (coalesce(reason, 'superseded') AS reason) FROM new_rejects) n LEFT JOIN "
            "(SELECT DISTINCT ON (source_file, source_row, row) * FROM old_rejects) o "
            "ON o.source_file = n.source_file AND o.source_row = n.source_row AND o.row IS NOT DISTINCT FROM n.row"
        )

    def _name_reasons(self) -> set[date]:
        """Say of rows that lost whether they are equal to the one that counts now; the months where that changed."""
        read = "" if self.is_first else "AND event_id IN (SELECT event_id FROM won)"
        self._keep(
            "beaten_ids", f"SELECT DISTINCT event_id FROM {REJECTS} WHERE site = $site AND content IS NOT NULL {read}"
        )
        if not self._run("SELECT 1 FROM beaten_ids LIMIT 1"):
            return set()
        self._keep(
            "kept",
            f"SELECT w.event_id, md5({_said('f')}) AS content FROM won w JOIN {self._first()} f ON f.rid = w.rid "
            "WHERE w.event_id IN (FROM beaten_ids) UNION ALL "
            f"SELECT w.event_id, md5({_said('s')}) FROM won w JOIN met s ON s.event_id = w.event_id AND "
            "s.source_file = w.source_file AND s.source_row = w.source_row WHERE w.is_stored "
            "AND w.event_id IN (FROM beaten_ids)",
        )
        reason = "CASE WHEN r.content = k.content THEN 'duplicate' ELSE 'superseded' END"
        is_beaten = "r.site = $site AND r.event_id = k.event_id AND r.content IS NOT NULL"
        is_other = f"{is_beaten} AND r.reason IS DISTINCT FROM {reason}"
        months = {month for (month,) in self._run(f"SELECT DISTINCT month FROM {REJECTS} r, kept k WHERE {is_other}")}
        if months:
            self._run(f"UPDATE {REJECTS} r SET reason = {reason} FROM kept k WHERE {is_other}")
        return months

    def _find_changed_rejects(self, before: Mapping[date, object], renamed: Collection[date]) -> None:
        """Months whose rejected rows are others now; of months without old or new ones those `renamed`."""
        after = self._signs()
        self.out.rejects |= {month for month in {*before, *after} if before.get(month) != after.get(month)}
        replaced = self._run("SELECT month FROM old_rejects UNION SELECT month FROM new_rejects")
        self.out.rejects |= set(renamed) - {month for (month,) in replaced}

    def _signs(self) -> dict[date, object]:
        """Number and hash of the rejected rows of each month that has old or new ones."""
        parts = ", ".join(f'r."{name}"' for name in ("source_file", "source_row", "reason", "row", "event_id", "ts"))
        found = self._run(
            f"SELECT month, count(*), sum(hash({parts})) FROM {REJECTS} r WHERE site = $site AND month IN "
            "(SELECT month FROM old_rejects UNION SELECT month FROM new_rejects) GROUP BY month"
        )
        return {month: signs for month, *signs in found}

    def _mark_gone(self) -> None:
        """Mark stored rows that their source no longer has, and that no other one has."""
        gone = f"SELECT month, event_id, source_file FROM going WHERE gone_at IS NULL AND {_IN_MONTHS}"
        found = self._run(f"SELECT month, count(*) FROM ({gone}) GROUP BY month")
        if found:
            self._run(
                f"UPDATE {EVENTS} s SET gone_at = $now::TIMESTAMP FROM ({gone}) g WHERE s.site = $site AND "
                "s.month = g.month AND s.event_id = g.event_id AND s.source_file = g.source_file"
            )
            self.out.events |= {month for month, _ in found}

    def _count(self) -> None:
        found = self._run(
            f"SELECT month, count(*), count(gone_at) FROM {EVENTS} WHERE site = $site AND "
            "month IN (SELECT unnest($window::DATE[])) GROUP BY month"
        )
        for month, rows, gone in found:
            self.out.counts[month].rows, self.out.counts[month].rows_gone = rows, gone


def _due(alias: str) -> str:
    """Whether a row's month is one that its part is to be stored in now."""
    return f"({alias}.part, {alias}.month) IN (SELECT (part, month) FROM due_now)"
