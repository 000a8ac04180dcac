"""Tables of a LiteLLM proxy: what is asked of the database, a UTC day at a time, and where it is staged."""

from calendar import monthrange
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import duckdb
import sqlalchemy as sa

from usage_assets.core.errors import SourceError
from usage_assets.kinds.service.raw.litellm_rows import DAILY_SPEND, SPEND_LOGS, staged
from usage_assets.schema import Type
from usage_assets.sites.sql import SqlSite
from usage_assets.sources.sql.access import grant_for
from usage_assets.sources.sql.reflection import Found, find_tables
from usage_assets.sources.sql.servers import Server, open_servers
from usage_assets.sources.sql.stage import parse_instant, text_table
from usage_assets.sources.sql.statements import Side, as_text, columns_of, side_of
from usage_assets.specs.raw_table import RawTable

_BATCH = "litellm_batch"
_MONEY_PLACES = Decimal("0.0001")


def tables_of(source_table: str) -> tuple[RawTable, RawTable]:
    """The log, under the name that it has at the source, and the sums per day."""
    return replace(SPEND_LOGS, source=source_table), DAILY_SPEND


@dataclass(frozen=True)
class DayTotals:
    """What a table has of a UTC day; cost in USD to four places."""

    requests: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)


@dataclass(frozen=True)
class SpendTables:
    """The log and the sums of one connection; the sums may not be there."""

    server: Server
    logs: Found
    sums: Found

    def bounds(self) -> tuple[date, date] | None:
        """First and last day that the log has rows of; None where it has none."""
        side = _side(self.logs)
        start, source = _column(side, "startTime")
        limits = [
            as_text(self.server.dialect, pick(start), source, Type.INSTANT) for pick in (sa.func.min, sa.func.max)
        ]
        first, last = map(
            parse_instant, self.server.rows(sa.select(*limits).select_from(side.clause), _where(self.logs))[0]
        )
        return None if first is None or last is None else (first.date(), last.date())

    def has_binary_costs(self, found: Found) -> bool:
        """Whether costs are binary floats, whose shortest decimal text is meant."""
        column = found.column("spend")
        return column is not None and any(word in column.type.lower() for word in ("double", "real", "float"))

    def days_of_sums(self) -> set[date]:
        """Days that have sums."""
        if self.sums.relation is None:
            return set()
        side = _side(self.sums)
        rows = self.server.rows(sa.select(side["date"]).select_from(side.clause).distinct(), _where(self.sums))
        found = [parse_instant(f"{text} 00:00:00") for (text,) in rows]
        return {at.date() for at in found if at is not None}

    def stage(self, con: duckdb.DuckDBPyConnection, found: Found, day: date, table: str) -> int:
        """Copy a day's rows to a table of texts, in batches, in the order of start and id; how many there were."""
        con.execute(staged(found.raw, table)).fetchall()
        side = _side(found)
        names = [column.name for column in found.raw.columns]
        statement = (
            sa.select(*columns_of(found, side, names))
            .select_from(side.clause)
            .where(self._of_days(found, side, day, day))
            .order_by(*(side[name] for name in (found.raw.months.column, *found.raw.key)))  # type: ignore[union-attr]
        )
        count = 0
        for batch in self.server.stream(statement, _where(found)):
            con.register(_BATCH, text_table(batch, names))
            con.execute(f"INSERT INTO {table} BY NAME FROM {_BATCH}").fetchall()
            con.unregister(_BATCH)
            count += len(batch)
        return count

    def per_day(self, found: Found, first: date, last: date) -> Mapping[date, DayTotals]:
        """Totals of each day from first to last that has rows."""
        side = _side(found)
        column = found.raw.months.column  # type: ignore[union-attr]
        day = sa.func.substr(as_text(self.server.dialect, *_column(side, column), Type.INSTANT), 1, 10).label("day")
        is_log = found is self.logs
        tokens = side["total_tokens"] if is_log else side["prompt_tokens"] + side["completion_tokens"]
        requests = sa.func.count() if is_log else sa.func.sum(side["api_requests"])
        statement = (
            sa.select(day, requests, sa.func.sum(tokens), sa.func.sum(side["spend"]))
            .select_from(side.clause)
            .where(self._of_days(found, side, first, last))
            .group_by(sa.text("1"))
        )
        rows = self.server.rows(statement, _where(found))
        return {
            date.fromisoformat(str(day)): DayTotals(int(requests or 0), int(tokens or 0), _money(spend))
            for day, requests, tokens, spend in rows
        }

    def _of_days(self, found: Found, side: Side, first: date, last: date) -> sa.ColumnElement[bool]:
        """Rows from the first day's begin to the last one's end, so that an index of the time serves."""
        column, source = _column(side, found.raw.months.column)  # type: ignore[union-attr]
        bounds: list[Any] = [sa.literal(day.isoformat()) for day in (first, last + timedelta(days=1))]
        if source.is_temporal and self.server.dialect == "postgresql":
            bounds = [sa.cast(bound, sa.TIMESTAMP()) for bound in bounds]
        return sa.and_(column >= bounds[0], column < bounds[1])


@contextmanager
def open_tables(site: SqlSite, logs: RawTable, sums: RawTable) -> Iterator[SpendTables]:
    """The tables of a proxy in one snapshot for the block; SourceError where its log can't be read."""
    with open_servers(site) as servers:
        found = find_tables(servers, (logs, sums))
        there = found[logs.name]
        if there.relation is None or there.server is None:
            give = f"; an administrator may {grant_for(site, logs, logs.source)}" if there.denied else ""
            msg = f"site {site.key}: {there.note}{give or '; check the URL and the table of the source'}"
            raise SourceError(msg)
        yield SpendTables(there.server, there, found[sums.name])


def _side(found: Found) -> Side:
    assert found.relation is not None
    return side_of(found, found.relation, "t")


def _column(side: Side, name: str) -> tuple[sa.ColumnElement[Any], Any]:
    there = side.column(name)
    if there is None:
        msg = f"the source has no column {name}, by which its rows are asked for"
        raise SourceError(msg)
    return there


def _where(found: Found) -> str:
    assert found.relation is not None
    return found.relation.where


def _money(value: object) -> Decimal:
    try:
        return Decimal(str(value or 0)).quantize(_MONEY_PLACES)
    except InvalidOperation:
        return Decimal(0)


def days_between(first: date, last: date, months: Collection[date]) -> set[date]:
    """Days from first to last that lie in the months."""
    days = (
        month + timedelta(days=number) for month in months for number in range(monthrange(month.year, month.month)[1])
    )
    return {day for day in days if first <= day <= last}


def is_whole(day: date, now: datetime, late: timedelta) -> bool:
    """Whether no more rows of a day are expected."""
    return day < (now - late).date()
