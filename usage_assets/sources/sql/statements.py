"""SELECT statements: explicit columns as text, filtered generously at the server by the month rule.

The server's filter lets through every row that could touch the run's months, whatever is wrong with its dates; the
exact rule is applied later, in months.py. So one day of slack costs nothing, and a date that is none counts as null.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from usage_assets.core.months import Window
from usage_assets.schema import Type
from usage_assets.sources.sql.reflection import Found, Relation, SourceColumn
from usage_assets.sources.sql.tls import MYSQL
from usage_assets.specs.raw_table import Dated, Life, Machine, Satellite, ServerLife

_SLACK = timedelta(days=1)
OWN_LIFE = Life(("deleted_at",))

Expression = sa.ColumnElement[Any]
Lookup = Callable[[str], tuple[Expression, SourceColumn] | None]


def as_text(dialect: str, column: Expression, source: SourceColumn, wanted: Type) -> Expression:
    """The column as text, so that no driver's conversion can fail or differ."""
    if dialect == "sqlite" and wanted is Type.FLOAT:
        exact = sa.func.printf("%!.17g", column)
        return sa.case((sa.func.typeof(column) == "real", exact), else_=sa.cast(column, sa.String))
    if dialect != "sqlite" and source.is_text:
        return column
    return sa.cast(column, sa.String)


def is_date(dialect: str, column: Expression, source: SourceColumn) -> Expression:
    """True where the value is certainly a date that we would read alike; false, never null, elsewhere."""
    if dialect == "sqlite":
        head = sa.func.substr(column, 1, 19)
        # the modifier makes SQLite compute the date: without one it takes 2020-02-31 as it stands
        instant = sa.func.datetime(head, "+0 days").is_not_distinct_from(sa.func.replace(head, "T", " "))
        day = sa.func.date(column, "+0 days").is_not_distinct_from(column)
        return sa.and_(column.is_not(None), sa.or_(instant, day))
    if not source.is_temporal:
        return sa.false()
    if dialect in MYSQL:  # null for 0000-00-00, 2026-00-00, 2026-02-31
        return sa.func.timestampadd(sa.text("SECOND"), 0, column).is_not(None)
    return sa.and_(column.is_not(None), sa.func.isfinite(column))


@dataclass(frozen=True)
class Side:
    """A table, or live and archived tables as one, on one side of a join, under the declared names."""

    clause: sa.FromClause
    column: Lookup

    def __getitem__(self, name: str) -> Expression:
        found = self.column(name)
        return sa.null() if found is None else found[0]


def side_of(found: Found, relation: Relation, label: str) -> Side:
    """One table at the source."""
    table = relation.from_clause().alias(label)

    def column(name: str) -> tuple[Expression, SourceColumn] | None:
        source = found.column(name, relation)
        return None if source is None else (table.c[source.name], source)

    return Side(table, column)


def either_of(sides: Sequence[Side]) -> Lookup:
    """Of tables joined so that at most one of them has a row: the value of that one."""

    def column(name: str) -> tuple[Expression, SourceColumn] | None:
        known = [there for side in sides if (there := side.column(name)) is not None]
        if not known:
            return None
        value = known[0][0] if len(known) == 1 else sa.func.coalesce(*(value for value, _ in known))
        return value, known[0][1]

    return column


def not_live(found: Found, archived: Side) -> Expression:
    """True for an archived row whose key the live table does not have."""
    assert found.relation is not None
    live = side_of(found, found.relation, "live")
    same = [live[name] == archived[name] for name in found.raw.key]
    return ~sa.exists(sa.select(sa.literal_column("1")).select_from(live.clause).where(*same))


def equal(dialect: str, child: tuple[Expression, SourceColumn], parent: tuple[Expression, SourceColumn]) -> Expression:
    """Whether child = parent, also where the two databases compare text differently or hold the id in another type."""
    (value, source), (key, other) = child, parent
    if dialect == "postgresql" and source.is_text != other.is_text:
        return sa.cast(value, sa.String) == sa.cast(key, sa.String)
    if dialect in MYSQL and source.collation and other.collation and source.collation != other.collation:
        # convert the child's side: the index of the parent then still serves
        value = sa.collate(sa.func.convert(value.op("USING")(sa.text(str(other.charset)))), other.collation)
    return value == key


@dataclass(frozen=True)
class Step:
    """One step of a satellite's path: its column here, the tables there, the column there."""

    here: str
    parents: tuple[Found, ...]
    there: str


class Filter:
    """Conditions by which a server leaves out rows that surely touch none of a run's months."""

    def __init__(self, window: Window) -> None:
        self._start = window.start_at - _SLACK
        self._end = window.end_at + _SLACK

    def _moment(self, dialect: str, *, start: bool) -> Expression:
        text = (self._start if start else self._end).strftime("%Y-%m-%d %H:%M:%S")
        return sa.cast(sa.literal(text), sa.TIMESTAMP()) if dialect == "postgresql" else sa.literal(text)

    def alive(self, dialect: str, column: Lookup, life: Life) -> Expression:
        """True for a row that may touch the window by its life: not surely over before it, nor surely born after it.

        The cheap comparison stands first, so that most rows never have their dates examined.
        """
        born = column("created_at")
        if born is None:
            return sa.true()
        parts = [sa.or_(born[0] < self._moment(dialect, start=False), sa.not_(is_date(dialect, *born)))]
        for name in life.ends:
            end = column(name)
            if end is None:
                continue
            over = sa.and_(end[0] < self._moment(dialect, start=True), is_date(dialect, *end))
            if life.ended_when is not None:
                status = column(life.ended_when[0])
                if status is None:
                    continue
                over = sa.and_(over, sa.func.coalesce(status[0], "").in_(life.ended_when[1]))
            state = column(life.state) if isinstance(life, ServerLife) and name == "deleted_at" else None
            if isinstance(life, ServerLife) and state is not None:
                over = sa.and_(over, sa.func.coalesce(state[0], "") != life.restored)
            parts.append(sa.not_(over))
        return sa.and_(*parts)

    def dated(self, dialect: str, column: Lookup, rule: Dated) -> Expression:
        """True for a row whose date may lie in the window."""
        day = column(rule.column)
        if day is None:
            return sa.true()
        inside = sa.and_(day[0] >= self._moment(dialect, start=True), day[0] < self._moment(dialect, start=False))
        return sa.or_(sa.not_(is_date(dialect, *day)), inside)

    def own(self, found: Found, side: Side) -> Expression:
        """The filter of a table that needs no other: true for machines and tables held whole, which are small."""
        rule, dialect = found.raw.months, found.dialect
        if isinstance(rule, Dated):
            return self.dated(dialect, side.column, rule)
        if isinstance(rule, Satellite):
            return self.alive(dialect, side.column, OWN_LIFE)
        if isinstance(rule, Life) and not isinstance(rule, Machine):
            return self.alive(dialect, side.column, rule)
        return sa.true()


def _texts(found: Found, side: Side, wanted: Iterable[tuple[str, Type]]) -> list[sa.Label[Any]]:
    """Columns as text, by name and declared type; null where this release has none."""
    known = [(name, side.column(name), kind) for name, kind in wanted]
    return [
        (sa.null() if there is None else as_text(found.dialect, *there, kind)).label(name)
        for name, there, kind in known
    ]


def columns_of(found: Found, side: Side, names: Sequence[str]) -> list[sa.Label[Any]]:
    """The declared columns as text, null where this release has none; then the flag by which rows are skipped."""
    types = {column.name: column.type for column in found.raw.columns}
    flags = _texts(found, side, [(found.raw.skip_flag, Type.BOOL)] if found.raw.skip_flag else [])
    own = _texts(found, side, [(name, types[name]) for name in names])
    return [*own, *(flag.element.label("_skip") for flag in flags)]


def plain(
    found: Found, relation: Relation, names: Sequence[str], only: Filter | None, *, keys: Sequence[str] | None = None
) -> sa.Select[Any]:
    """Rows of one table at the source, by its own filter where one is given; `keys` (as text) ask for these alone."""
    side = side_of(found, relation, "t")
    statement = sa.select(*columns_of(found, side, names)).select_from(side.clause)
    condition = sa.true() if only is None else only.own(found, side)
    if not isinstance(condition, sa.True_):
        statement = statement.where(condition)
    return _asked(statement, found, relation, side, keys)


def with_parents(
    found: Found,
    relation: Relation,
    names: Sequence[str],
    steps: Sequence[Step],
    only: Filter | None,
    *,
    keys: Sequence[str] | None = None,
) -> sa.Select[Any]:
    """Rows of a satellite with the key of the row that they belong to in `_root`: null where a step is missing."""
    dialect = found.dialect
    side = side_of(found, relation, "t")
    joined: sa.FromClause = side.clause
    here = side.column
    life = steps[-1].parents[0].raw.months
    assert isinstance(life, Life)
    for number, step in enumerate(steps):
        relations = [(parent, relation) for parent in step.parents for relation in parent.relations]
        sides: list[Side] = []
        # one join per table, each by its own index: a union of live and archived rows has none
        for parent, relation_there in relations:
            there = side_of(parent, relation_there, f"p{number}_{len(sides)}")
            child, parent_key = here(step.here), there.column(step.there)
            assert child is not None
            assert parent_key is not None
            earlier = [other[step.there].is_(None) for other in sides]
            joined = joined.outerjoin(there.clause, sa.and_(equal(dialect, child, parent_key), *earlier))
            sides.append(there)
        here = either_of(sides)
    root, source = here(steps[-1].there) or (sa.null(), SourceColumn("", "text"))
    statement = sa.select(
        *columns_of(found, side, names), as_text(dialect, root, source, Type.TEXT).label("_root")
    ).select_from(joined)
    if only is not None:
        orphan = sa.and_(root.is_(None), only.alive(dialect, side.column, OWN_LIFE))
        living = sa.true() if isinstance(life, Machine) else only.alive(dialect, here, life)
        statement = statement.where(sa.or_(orphan, sa.and_(root.is_not(None), living)))
    return _asked(statement, found, relation, side, keys)


def terminations(
    steps: Found, requests: Found, step: Relation, request: Relation, *, named: str, uuids: Sequence[str]
) -> sa.Select[Any] | None:
    """Server and start of each successful step of this name on these servers; None where the source lacks a column."""
    dialect = steps.dialect
    here, there = side_of(steps, step, "e"), side_of(requests, request, "a")
    action, request_id = here.column("action_id"), there.column("id")
    server, start = there.column("instance_uuid"), here.column("start_time")
    if action is None or request_id is None or server is None or start is None:
        return None
    return (
        sa.select(
            as_text(dialect, *server, Type.TEXT).label("uuid"),
            as_text(dialect, *start, Type.INSTANT).label("start_time"),
        )
        .select_from(here.clause.join(there.clause, equal(dialect, action, request_id)))
        .where(here["event"] == named, here["result"] == "Success", server[0].in_(list(uuids)))
    )


def _asked(
    statement: sa.Select[Any], found: Found, relation: Relation, side: Side, keys: Sequence[str] | None
) -> sa.Select[Any]:
    """The statement for these keys alone, where any are given; of an archive without the rows that are live too."""
    if keys is not None:
        statement = statement.where(_among(found, side, keys))
    return statement.where(not_live(found, side)) if relation is found.shadow else statement


def links(found: Found, relation: Relation, names: Sequence[str]) -> sa.Select[Any]:
    """The columns by which a parent is found, of all its rows."""
    side = side_of(found, relation, "t")
    return sa.select(*_texts(found, side, [(name, Type.TEXT) for name in names])).select_from(side.clause)


def doubled_keys(found: Found, relation: Relation) -> sa.Select[Any]:
    """How many rows share their key with an earlier one: only a table without primary key has any."""
    side = side_of(found, relation, "t")
    keys = [side[name] for name in found.raw.key]
    groups = sa.select(sa.func.count().label("n")).select_from(side.clause).group_by(*keys)
    doubled = groups.having(sa.func.count() > 1).subquery("doubled")
    return sa.select(sa.cast(sa.func.coalesce(sa.func.sum(doubled.c.n - 1), 0), sa.Integer))


def _among(found: Found, side: Side, keys: Sequence[str]) -> Expression:
    there = side.column(found.raw.key[0])
    assert there is not None
    value, source = there
    if source.is_text or found.dialect == "sqlite":
        return value.in_(list(keys))
    if all(key.lstrip("-").isdigit() for key in keys):
        return value.in_([int(key) for key in keys])  # so that the server can use its index
    return sa.cast(value, sa.String).in_(list(keys))
