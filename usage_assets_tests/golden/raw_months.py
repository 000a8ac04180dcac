"""Which rows a month of a raw table holds: the month rule row by row, so that facts can be tested without the dump."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

from usage_assets.kinds.openstack.raw.tables import BY_NAME, TABLES
from usage_assets.specs.raw_table import Dated, Life, Machine, Satellite, ServerLife, Whole
from usage_assets_tests.golden.builder import ZERO, Month, Row, Rows, midnight, next_month


def instant(row: Row, column: str) -> datetime | None:
    """An instant of a row; a zero date is none."""
    value = row.get(column)
    return value if isinstance(value, datetime) else None


def least(values: Iterable[datetime | None]) -> datetime | None:
    """The earliest of those that are known."""
    return min((value for value in values if value is not None), default=None)


def born_at(row: Row, others: Iterable[str]) -> datetime | None:
    """created_at, else the earliest other time of the row."""
    return instant(row, "created_at") or least(instant(row, name) for name in others)


def is_undated(row: Row) -> bool:
    """Whether a row is held as deleted, by its mark or as a server by its state, and no date says since when.

    A mark that is null was never read along: then dates alone count.
    """
    if row.get("deleted") is None or instant(row, "deleted_at") is not None:
        return False
    return bool(row["deleted"]) or row.get("vm_state") == "deleted"


def deletion(row: Row, terminations: Iterable[datetime | None] = ()) -> datetime | None:
    """When a row was deleted; for one without a date what stands in for it, null where nothing does."""
    if is_undated(row):
        return least([instant(row, "terminated_at"), *terminations]) or instant(row, "updated_at")
    if row.get("deleted") is False and row.get("vm_state") == "soft-delete":
        return None  # it waits to be restored, and stands there still
    return instant(row, "deleted_at")


def life_of(
    rule: Life, row: Row, terminations: Iterable[datetime | None] = ()
) -> tuple[datetime | None, datetime | None]:
    """When a row began and ended; a gone row ended at the latest when it was missed.

    One that is held as deleted, nobody knows since when, touches the month of its birth only.
    """
    ends = rule.ends
    if rule.ended_when is not None and row[rule.ended_when[0]] not in rule.ended_when[1]:
        ends = ()
    born, deleted = born_at(row, rule.else_born), deletion(row, terminations)
    found = [deleted if name == "deleted_at" else instant(row, name) for name in ends]
    if is_undated(row) and deleted is None:
        found.append(born)
    return born, least([*found, instant(row, "gone_at")])


def _touches(born: datetime | None, ended: datetime | None, month: Month, first: Month) -> bool:
    if born is None:
        return month == first
    return born < midnight(next_month(month)) and (ended is None or ended >= midnight(month))


@dataclass
class _Held:
    """Rows of one month: by table, and for each whether it is only context."""

    rows: Rows
    month: Month
    first: Month
    known: dict[str, dict[int, bool]] = field(default_factory=dict)

    def of(self, name: str) -> dict[int, bool]:
        """Position of each row that the month holds -> is_context."""
        if name not in self.known:
            self.known[name] = self._find(name)
        return self.known[name]

    def _find(self, name: str) -> dict[int, bool]:
        table, rows = BY_NAME[name], self.rows.tables[name]
        rule = table.months
        seen = {i: row for i, row in enumerate(rows) if not row["hidden"]}
        if isinstance(rule, Whole):
            return dict.fromkeys(seen, False)
        if isinstance(rule, Dated):
            return {i: False for i, row in seen.items() if row[rule.column].replace(day=1) == self.month}
        if isinstance(rule, Satellite):
            held = {i: self._belongs(row, rule) for i, row in seen.items()}
            return {i: is_context for i, is_context in held.items() if is_context is not None}
        ended = self._terminations() if isinstance(rule, ServerLife) else {}
        lives = {i: life_of(rule, row, ended.get(str(row.get("uuid")), ())) for i, row in seen.items()}
        own = {i: False for i, life in lives.items() if _touches(*life, self.month, self.first)}
        return own | self._context(rule, seen, own) if isinstance(rule, Machine) else own

    def _terminations(self) -> dict[str, list[datetime | None]]:
        """By server, when it was terminated, as its successful steps say."""
        servers = {row["id"]: row["instance_uuid"] for row in self.rows.tables["nova_instance_actions"]}
        out: dict[str, list[datetime | None]] = {}
        for row in self.rows.tables["nova_instance_actions_events"]:
            if row["event"] == "compute_terminate_instance" and row["result"] == "Success":
                out.setdefault(servers[row["action_id"]], []).append(row["start_time"])
        return out

    def _belongs(self, row: Row, rule: Satellite) -> bool | None:
        """is_context of the row that this one belongs to; null where the month holds neither."""
        here, parents = row, {}
        for column, name, key in rule.path:
            # servers that never got a host live in another database, beside the others
            for beside in (name, *(table.name for table in TABLES if table.extends == name)):
                rows = self.rows.tables[beside]
                found = [i for i, other in enumerate(rows) if other[key] == here[column] is not None]
                if found:
                    break
            else:
                own = life_of(Life(("deleted_at",)), row)
                return False if _touches(*own, self.month, self.first) else None
            here, parents = rows[found[0]], {i: c for i, c in self.of(beside).items() if i in found}
        return all(parents.values()) if parents else None

    def _context(self, rule: Machine, seen: dict[int, Row], own: dict[int, bool]) -> dict[int, bool]:
        names: dict[str, list[tuple[int, datetime, datetime | None]]] = {}
        for i, row in seen.items():
            born, ended = life_of(rule, row)
            if row[rule.identity] is not None and born is not None and (ended is None or ended > born):
                names.setdefault(row[rule.identity], []).append((i, born, ended))
        start, end = midnight(self.month), midnight(next_month(self.month))
        context: set[int] = set()
        for lives in names.values():
            before = [
                (ended, born, seen[i]["id"], i) for i, born, ended in lives if ended is not None and ended < start
            ]
            after = [(born, i) for i, born, _ in lives if born >= end]
            context |= {max(before)[-1]} if before else set()
            first = [i for born, i in after if born == min(after)[0]]
            context |= {max(first, key=lambda i: seen[i]["id"])} if first else set()
        if rule.named_by is not None:
            name, column = rule.named_by
            named = {self.rows.tables[name][i][column] for i in self.of(name)}
            context |= {i for i, row in seen.items() if row["id"] in named}
        return {i: True for i in context if i not in own}


def month_rows(rows: Rows, month: Month, first_month: Month = date(2016, 1, 1)) -> dict[str, list[Row]]:
    """The raw rows of one month by raw table, each with `is_context`; zero dates are null."""
    held = _Held(rows, month, first_month)
    out: dict[str, list[Row]] = {}
    for table in TABLES:
        mine = held.of(table.name)
        names = [column.name for column in table.columns] + ["gone_at"]
        out[table.name] = [
            {name: None if row[name] == ZERO else row[name] for name in names} | {"is_context": mine[i]}
            for i, row in enumerate(rows.tables[table.name])
            if i in mine
        ]
    return out
