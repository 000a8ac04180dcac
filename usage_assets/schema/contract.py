"""The contract of a table, as SQL over a relation that is about to be written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from usage_assets.core.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    import duckdb

    from usage_assets.schema.table import Table

SAMPLE_ROWS = 3


@dataclass(frozen=True)
class Violation:
    """Rows of one month that break one rule of the table's declaration; with a count of 0 a reason from elsewhere."""

    month: date
    rule: str
    count: int
    sample: list[dict[str, Any]] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.count:  # a reason from outside the rows, a sentence by itself
            return self.rule
        return f"{self.month:%Y-%m}: {self.rule} broken by {self.count} row(s), for example {self.sample[:1]}"


def require_columns(table: Table, found: Iterable[tuple[str, str]]) -> None:
    """Raise unless the relation has exactly the declared columns with the declared types."""
    have = dict(found)
    want = {column.name: str(column.type) for column in table.columns}
    missing = sorted(set(want) - set(have))
    extra = sorted(set(have) - set(want))
    wrong = [f"{name} is {have[name]}, not {want[name]}" for name in want if name in have and have[name] != want[name]]
    if missing or extra or wrong:
        msg = (
            f"table {table.qualified}: columns missing {missing}, not declared {extra}, of another type {wrong}; "
            "mend the declaration or the function that makes the frame"
        )
        raise ContractError(msg)


def violations(con: duckdb.DuckDBPyConnection, relation: str, table: Table) -> list[Violation]:
    """Every rule that some month of `relation` breaks: nulls in required columns, doubled keys, the table's rules."""
    required = [f'"{column.name}" IS NOT NULL' for column in table.columns if not column.nullable]
    conditions = [("required columns are filled", " AND ".join(required))]
    conditions += [(rule.name, rule.condition) for rule in table.rules]
    found = _broken(con, relation, table, conditions)
    if table.key:
        found += _doubled(con, relation, table)
    return found


def _broken(
    con: duckdb.DuckDBPyConnection, relation: str, table: Table, conditions: list[tuple[str, str]]
) -> list[Violation]:
    """One pass that counts every condition, then samples only of those that are broken."""
    counts = ", ".join(f"count(*) FILTER (WHERE ({sql}) IS FALSE) AS c{i}" for i, (_, sql) in enumerate(conditions))
    rows = con.sql(f"SELECT month, {counts} FROM {relation} GROUP BY month ORDER BY month").fetchall()
    out = []
    for month, *numbers in rows:
        for (name, sql), number in zip(conditions, numbers, strict=True):
            if number:
                where = f"({sql}) IS FALSE AND month IS NOT DISTINCT FROM {_date(month)}"
                out.append(Violation(month, name, number, _sample(con, relation, table, where)))
    return out


def _doubled(con: duckdb.DuckDBPyConnection, relation: str, table: Table) -> list[Violation]:
    key = ", ".join(f'"{name}"' for name in table.unique_key)
    # hashes first: comparing wide text keys of millions of rows would cost ten times as much memory
    candidates = con.sql(
        f"SELECT DISTINCT month FROM (SELECT month, hash({key}) AS h FROM {relation}) GROUP BY month, h "
        "HAVING count(*) > 1 ORDER BY month"
    ).fetchall()
    out = []
    for (month,) in candidates:
        doubled = (
            f"SELECT {key}, count(*) AS n FROM {relation} WHERE month = {_date(month)} GROUP BY {key} HAVING n > 1"
        )
        number = con.sql(f"SELECT coalesce(sum(n - 1), 0)::BIGINT FROM ({doubled})").fetchall()[0][0]
        if number:
            rows = con.sql(f"{doubled} LIMIT {SAMPLE_ROWS}")
            sample = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
            out.append(Violation(month, f"unique key ({', '.join(table.unique_key)})", number, sample))
    return out


def _sample(con: duckdb.DuckDBPyConnection, relation: str, table: Table, where: str) -> list[dict[str, Any]]:
    names = ", ".join(f'"{name}"' for name in table.names)
    rows = con.sql(f"SELECT {names} FROM {relation} WHERE {where} LIMIT {SAMPLE_ROWS}")
    return [dict(zip(table.names, row, strict=True)) for row in rows.fetchall()]


def _date(month: date | None) -> str:
    return "NULL" if month is None else f"DATE '{month.isoformat()}'"
