"""Which months a staged row touches: section by section the month rule, over sets.

Each function writes `m_<raw name>`: the key, `month`, `is_context`; a row stands there once per month that holds it.
Instants are naive UTC, lives half-open; a row touches a month when it began before the month's end and has no end, or
one at or after the month's start.
"""

from collections.abc import Sequence
from datetime import date

import duckdb

from usage_assets.core.months import Window
from usage_assets.sources.sql.statements import OWN_LIFE
from usage_assets.specs.raw_table import HELD_AS_DELETED, Dated, Life, Machine, RawTable, Satellite, ServerLife, Whole
from usage_assets.warehouse import bound


def create_window(con: duckdb.DuckDBPyConnection, window: Window, first_month: date) -> None:
    """The table `months_of_run`: a row per month of the window with its bounds."""
    con.execute(
        "CREATE OR REPLACE TABLE months_of_run AS SELECT month, month::TIMESTAMP AS start_at, month + INTERVAL 1 MONTH "
        "AS end_at, month = $first AS is_first FROM (SELECT unnest($months::DATE[]) AS month)",
        bound({"first": first_month, "months": list(window.months)}),
    ).fetchall()


def born(raw: RawTable, life: Life, row: str = "s") -> str:
    """SQL of a row's birth: created_at, else its earliest other time, else null."""
    names = {column.name for column in raw.columns}
    others = [f'{row}."{name}"' for name in life.else_born if name in names]
    return f"coalesce({row}.created_at, least({', '.join(others)}))" if others else f"{row}.created_at"


def ended(raw: RawTable, life: Life, row: str = "s") -> str:
    """SQL of a row's end: the least of its ends, null while it is open.

    A row that is held as deleted without a date ends with what stands in for it. Of a server the staged table tells in
    `_terminated` when an event says that it was terminated.
    """
    names = {column.name for column in raw.columns}
    marked = HELD_AS_DELETED.name in names
    ends = [f'{row}."{name}"' for name in life.ends if name in names]
    if marked and isinstance(life, ServerLife):
        waits = f"{row}.deleted = false AND {row}.\"{life.state}\" = '{life.restored}'"
        ends = [f"CASE WHEN {waits} THEN NULL ELSE {end} END" if end.endswith('"deleted_at"') else end for end in ends]
    end = f"least({', '.join(ends)})" if ends else "CAST(NULL AS TIMESTAMP)"
    if life.ended_when is not None:
        status, values = life.ended_when
        listed = ", ".join(f"'{value}'" for value in values)
        return f'CASE WHEN {row}."{status}" IN ({listed}) THEN {end} END'
    if not marked:
        return end
    last = [f"{row}.updated_at", born(raw, life, row)]
    if isinstance(life, ServerLife):
        last.insert(0, f"least({row}.terminated_at, {row}._terminated)")
    instead = ", ".join([*ends, f"coalesce({', '.join(last)})"])
    return f"CASE WHEN {undated(raw, life, row)} THEN least({instead}) ELSE {end} END"


def undated(raw: RawTable, life: Life, row: str = "s") -> str:
    """SQL: whether a row is held as deleted though its deleted_at is no date; never null."""
    if HELD_AS_DELETED.name not in {column.name for column in raw.columns}:
        return "false"
    gone = f"{row}.deleted"
    if isinstance(life, ServerLife):
        gone = f"({row}.deleted OR ({row}.deleted IS NOT NULL AND {row}.\"{life.state}\" = '{life.gone}'))"
    return f"coalesce({gone} AND {row}.deleted_at IS NULL, false)"


def life_of(raw: RawTable) -> Life:
    """The life by which a row touches months, of a satellite its own."""
    return raw.months if isinstance(raw.months, Life) else OWN_LIFE


def assign_months(
    con: duckdb.DuckDBPyConnection, raw: RawTable, roots: Sequence[tuple[RawTable, str]], namers: Sequence[str]
) -> None:
    """Write `m_<raw name>`: which months hold which rows.

    `roots` are the tables that hold the rows a satellite belongs to, with the column that names them; `namers` are
    relations (month, name) of rows that a machine's table holds because another row names them.
    """
    rule = raw.months
    key = ", ".join(f's."{name}"' for name in raw.key)
    if isinstance(rule, Satellite):
        body = f"{_of_root(raw, key, roots)} UNION ALL {_by_life(raw, OWN_LIFE, key, 's._root IS NULL')}"
    elif isinstance(rule, Machine):
        body = f"{_by_life(raw, rule, key)} UNION ALL {_context(raw, rule, key)}"
        for namer in namers:
            body += (
                f" UNION ALL SELECT {key}, n.month, true AS is_context FROM s_{raw.name} s "
                f"JOIN {namer} n ON n.name = CAST(s.{raw.key[0]} AS VARCHAR)"
            )
    elif isinstance(rule, Life):
        body = _by_life(raw, rule, key)
    elif isinstance(rule, Whole):
        body = f"SELECT {key}, w.month, false AS is_context FROM s_{raw.name} s CROSS JOIN months_of_run w"
    else:
        body = _by_date(raw, rule, key)
    plain_key = ", ".join(f'"{name}"' for name in raw.key)
    con.execute(
        f"CREATE OR REPLACE TABLE m_{raw.name} AS SELECT {plain_key}, month, bool_and(is_context) AS is_context "
        f"FROM ({body}) GROUP BY {plain_key}, month"
    ).fetchall()


def _by_life(raw: RawTable, life: Life, key: str, where: str = "true") -> str:
    return (
        f"SELECT {key}, w.month, false AS is_context FROM "
        f"(SELECT s.*, {born(raw, life)} AS _born, {ended(raw, life)} AS _end FROM s_{raw.name} s WHERE {where}) s "
        "JOIN months_of_run w ON (s._born < w.end_at AND coalesce(s._end, TIMESTAMP '9999-01-01') >= w.start_at) "
        f"UNION ALL SELECT {key}, w.month, false FROM s_{raw.name} s JOIN months_of_run w ON w.is_first "
        f"WHERE {born(raw, life)} IS NULL AND {where}"
    )


def _context(raw: RawTable, rule: Machine, key: str) -> str:
    """Per month and machine the last row that ended before it and the first that began after it.

    Of rows alike in their times the greatest id is held: the one that owns the time when the facts see them all.
    """
    host, last = f's."{rule.identity}"', raw.key[0]
    lives = (
        f"(SELECT s.*, {born(raw, rule)} AS _born, {ended(raw, rule)} AS _end FROM s_{raw.name} s "
        f"WHERE {host} IS NOT NULL AND NOT coalesce({ended(raw, rule)} <= {born(raw, rule)}, false)) s"
    )
    one = f"QUALIFY row_number() OVER (PARTITION BY w.month, {host} ORDER BY"
    return (
        f"(SELECT {key}, w.month, true AS is_context FROM {lives} JOIN months_of_run w ON s._end < w.start_at "
        f'{one} s._end DESC, s._born DESC, s."{last}" DESC) = 1) '
        f"UNION ALL (SELECT {key}, w.month, true FROM {lives} JOIN months_of_run w ON s._born >= w.end_at "
        f'{one} s._born, s."{last}" DESC) = 1)'
    )


def _of_root(raw: RawTable, key: str, roots: Sequence[tuple[RawTable, str]]) -> str:
    """The months of the row that a satellite belongs to."""
    parts = []
    for root, column in roots:
        same = " AND ".join(f'r."{name}" = m."{name}"' for name in root.key)
        parts.append(
            f'SELECT CAST(r."{column}" AS VARCHAR) AS root, m.month, m.is_context '
            f"FROM m_{root.name} m JOIN s_{root.name} r ON {same}"
        )
    return (
        f"SELECT {key}, r.month, r.is_context FROM s_{raw.name} s "
        f"JOIN ({' UNION ALL '.join(parts)}) r ON r.root = s._root"
    )


def _by_date(raw: RawTable, rule: Dated, key: str) -> str:
    day = f's."{rule.column}"'
    return (
        f"SELECT {key}, w.month, false AS is_context FROM s_{raw.name} s JOIN months_of_run w "
        f"ON ({day} >= w.start_at AND {day} < w.end_at) OR ({day} IS NULL AND w.is_first)"
    )
