"""Checks of sums: days hold what the facts hold, months what their days hold, teams and models what users hold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from usage_assets.core.months import Window
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.tables.declarations import ADDITIVE, SERVICE_USER_DAILY
from usage_assets.kinds.service.tables.grouping import added
from usage_assets.schema import Column, Table, Type
from usage_assets.specs.check import Check
from usage_assets.specs.finding import GOOD, Finding, few
from usage_assets.warehouse import Reader

_TOLERANCE = 1e-9
"""Relative tolerance of seconds, which are floats; counts, tokens and money have to be equal."""
_SEEN = "site = $site AND month IN (SELECT unnest($months::DATE[]))"
_OF_FACTS = f"""
SELECT month, sum(requests) AS requests, coalesce(sum(cost), 0)::DECIMAL(38,12) AS cost
FROM {SERVICE_REQUESTS.qualified} WHERE {_SEEN} GROUP BY month
"""
_OF_ROWS = """
SELECT {by}, {sums} FROM {table} WHERE {seen}{events} GROUP BY {by}
"""
_DIFFERENCES = """
WITH ours AS ({ours}), theirs AS ({theirs})
SELECT {by}, {columns} FROM ours FULL JOIN theirs USING ({by}) WHERE {differs} ORDER BY {by}
"""


def facts_add_up(table: Table, column: str, reader: Reader, _site: object, window: Window) -> dict[date, Finding]:
    """`column` (requests or cost) of a month's days is that of its facts, exactly."""
    if not (reader.has(table) and reader.has(SERVICE_REQUESTS)):
        return dict.fromkeys(window.months, GOOD)
    columns = [one for one in ADDITIVE if one.name == column]
    found = _differences(reader, window, (_sums(table, columns, ["month"]), _OF_FACTS), columns, ["month"])
    return _findings(window, found, "the days", "the facts")


@dataclass(frozen=True)
class Compared:
    """Two tables whose additive columns are to agree."""

    table: Table
    other: Table
    by: tuple[str, ...]
    """Columns by which both are summed."""
    what: tuple[str, str]
    """How a text names the two."""

    def find(self, reader: Reader, _site: object, window: Window) -> dict[date, Finding]:
        """Every additive column of the one is that of the other."""
        if not (reader.has(self.table) and reader.has(self.other)):
            return dict.fromkeys(window.months, GOOD)
        pair = _sums(self.table, ADDITIVE, self.by), _sums(self.other, ADDITIVE, self.by)
        return _findings(window, _differences(reader, window, pair, ADDITIVE, self.by), *self.what)


def _sums(table: Table, columns: Iterable[Column], by: Sequence[str]) -> str:
    events = " AND source = 'events'" if "source" in table.names else ""
    sums = ", ".join(added(column.name, column.type) for column in columns)
    return _OF_ROWS.format(by=", ".join(by), sums=sums, table=table.qualified, seen=_SEEN, events=events)


def _differences(
    reader: Reader, window: Window, pair: tuple[str, str], columns: Sequence[Column], by: Sequence[str]
) -> dict[date, list[str]]:
    """By month a text for each sum in which two queries differ."""
    pairs = ", ".join(
        f"coalesce(ours.{one.name}, 0) AS ours_{one.name}, coalesce(theirs.{one.name}, 0) AS theirs_{one.name}"
        for one in columns
    )
    differs = {one.name: _differs(one) for one in columns}
    sql = _DIFFERENCES.format(
        ours=pair[0], theirs=pair[1], by=", ".join(by), columns=pairs, differs=" OR ".join(differs.values())
    )
    out: dict[date, list[str]] = {}
    rows = reader.sql(sql, {"site": window.site, "months": list(window.months)})
    for row in rows.iter_rows(named=True):
        of = " ".join(str(row[name]) for name in by if name != "month")
        for name in differs:
            mine, other = row[f"ours_{name}"], row[f"theirs_{name}"]
            if mine != other and not (isinstance(mine, float) and _close(mine, other)):
                out.setdefault(row["month"], []).append(f"{name}{f' of {of}' if of else ''}: {mine}, {other}")
    return out


def _differs(column: Column) -> str:
    ours, theirs = f"coalesce(ours.{column.name}, 0)", f"coalesce(theirs.{column.name}, 0)"
    if column.type is Type.FLOAT:
        return f"abs({ours} - {theirs}) > {_TOLERANCE} * greatest(1, abs({theirs}))"
    return f"{ours} <> {theirs}"


def _close(mine: float, other: float) -> bool:
    return abs(mine - other) <= _TOLERANCE * max(1.0, abs(other))


def _findings(window: Window, found: dict[date, list[str]], ours: str, theirs: str) -> dict[date, Finding]:
    return {
        month: Finding(False, f"{ours} and {theirs} differ: {few(texts)}", {"differences": len(texts)})
        if (texts := found.get(month))
        else GOOD
        for month in window.months
    }


def of_facts(table: Table) -> tuple[Check, ...]:
    """Requests and cost of a table by day are those of the facts."""
    return (
        Check(
            "requests_in_facts",
            "The requests of all days are those of the facts.",
            partial(facts_add_up, table, "requests"),
            per_run="whose days do not have the requests of the facts",
        ),
        Check(
            "cost_in_facts",
            "The cost of all days is that of the facts, to the last digit.",
            partial(facts_add_up, table, "cost"),
            per_run="whose days do not have the cost of the facts",
        ),
    )


def of_days(table: Table, daily: Table, who: str) -> Check:
    """Every additive column of a month is the sum of its days."""
    by = ("month", who, "model_id", "provider")
    return Check(
        "days_in_month",
        "Every additive column of the month is the sum of its days.",
        Compared(table, daily, by, ("the month", "its days")).find,
        per_run="that are not the sums of their days",
    )


def of_users(table: Table, what: str) -> Check:
    """Every additive column of a table is, per day, model and provider, that of the sums by user."""
    return Check(
        "same_as_users",
        f"The sums of all {what} are those of all users, per day, model and provider.",
        Compared(table, SERVICE_USER_DAILY, ("month", "date", "model_id", "provider"), (what, "users")).find,
        per_run=f"whose {what} do not add up to their users",
    )
