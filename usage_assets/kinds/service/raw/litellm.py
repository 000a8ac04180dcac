"""The reader `litellm`: the log of a LiteLLM proxy in its database, a part per UTC day, or in files of its columns.

A day is read again while rows may still come late, then once more, and never after: what the proxy's retention deletes
stays stored. Sums that the proxy rolled up are compared with the log; in place of it they are read only where the
site's file says `rollups: fill`, of days that were never read and whose rows are gone.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb

from usage_assets.kinds.service.raw.databases import sql_site
from usage_assets.kinds.service.raw.files import fingerprint_of_rules, mended_copy, parts_below
from usage_assets.kinds.service.raw.litellm_files import file_rows
from usage_assets.kinds.service.raw.litellm_rows import DATABASE, daily_sums, requests
from usage_assets.kinds.service.raw.litellm_tables import (
    DayTotals,
    SpendTables,
    days_between,
    is_whole,
    open_tables,
    tables_of,
)
from usage_assets.kinds.service.raw.reader import Part, Reader
from usage_assets.kinds.service.site.sources import located
from usage_assets.sites.sql import SqlSite
from usage_assets.sources.sql import access
from usage_assets.specs.access_report import ServerAccess

LATE = timedelta(days=2)
"""Rows come minutes late, those of batches hours: a day that ended before is whole."""
COMPARED = timedelta(days=6)
"""How far back sums are compared with the log, from the last whole day."""
_ATTEMPTS = "each row is a request; the proxy logs each attempt at one, so that retries count as requests of their own"
_RULES = "1"  # another text reads every day again
_STAGED = "litellm_rows"


class LiteLLMReader(Reader):
    """Requests that a LiteLLM proxy logged: one row, one request."""

    name = "litellm"

    def parts(self, months: Collection[date]) -> Sequence[Part]:
        """A part per day of these months that the log spans; of a folder its files.

        A day that sums may fill has the same name: one that was read from the log is not read again.
        """
        path = located(self.source, self.site.key)
        if path is not None:
            rules = fingerprint_of_rules(self.site, self.source)
            return parts_below(path, self.source.pattern, rules, self.site.key)
        wanted = frozenset(months)
        with self._tables() as tables:
            bounds = tables.bounds()
            days = set() if bounds is None else days_between(*bounds, wanted)
            if self.source.rollups == "fill":
                days |= {day for day in tables.days_of_sums() if day.replace(day=1) in wanted}
            now = tables.server.now
        return [self._part(day, is_closed=is_whole(day, now, LATE)) for day in sorted(days)]

    def _part(self, day: date, *, is_closed: bool) -> Part:
        rules = f"whole day; rules {_RULES}; {self.source.user_from}"
        return Part(f"{self.source.table}/{day}", rules if is_closed else None, (day.replace(day=1),), day)

    @contextmanager
    def rows(self, con: duckdb.DuckDBPyConnection, part: Part) -> Iterator[str]:
        """The requests of a day or file; of a day that the log has none of its sums, where the site's file says so."""
        if isinstance(part.handle, Path):
            with file_rows(con, part) as rows:
                yield requests(rows, self.source.user_from, is_readable="is_readable")
            return
        with self._tables() as tables:
            count = tables.stage(con, tables.logs, part.handle, _STAGED)
            sql = requests(_STAGED, self.source.user_from, is_binary=tables.has_binary_costs(tables.logs))
            if not count and self.source.rollups == "fill" and tables.sums.relation is not None:
                tables.stage(con, tables.sums, part.handle, _STAGED)
                sql = daily_sums(_STAGED)
        try:
            yield sql
        finally:
            con.execute(f"DROP TABLE IF EXISTS {_STAGED}").fetchall()

    def mended(self, part: Part, folder: Path) -> Part | None:
        """The good lines of a text file."""
        if not isinstance(part.handle, Path) or part.handle.suffix == ".parquet":
            return None
        return replace(part, handle=mended_copy(part.handle, folder))

    @property
    def lists_all(self) -> bool:
        """Of a database not: retention deletes old days, as it should."""
        return self.source.url is None

    def grants(self) -> str:
        """What an administrator gives the account: the columns that are read, and no others; nothing for files."""
        return "" if self.source.url is None else access.grants(self._site(), tables_of(self.source.table))

    def reached(self) -> tuple[Sequence[ServerAccess], Sequence[str]]:
        """The server, and remarks: columns that its release lacks, and whole days whose sums differ from the log."""
        if self.source.url is None:
            return (), ()
        found = access.check_site(self._site(), tables_of(self.source.table), count=False)
        with self._tables() as tables:
            bounds, last = tables.bounds(), (tables.server.now - LATE).date() - timedelta(days=1)
        remarks = [f"{one.source}: {one.note}" for one in found.tables if one.note]
        if bounds is not None:
            remarks += self.compare(max(bounds[0] + timedelta(days=1), last - COMPARED), last)
        return found.servers, [*remarks, f"{self.source.table}: {_ATTEMPTS}"]

    def compare(self, first: date, last: date) -> list[str]:
        """Days from first to last whose sums differ from the log's, a sentence each; for check-site.

        Roll-ups lose rows: where both are there the log counts.
        """
        if self.source.url is None:
            return []
        with self._tables() as tables:
            if tables.sums.relation is None:
                return []
            ours = tables.per_day(tables.logs, first, last)
            theirs = tables.per_day(tables.sums, first, last)
        nothing = DayTotals()
        return [
            f"{day}: {self.source.table} has {_words(ours.get(day, nothing))}, {tables.sums.raw.source} "
            f"{_words(theirs.get(day, nothing))}; the log counts where it has the day"
            for day in sorted(ours.keys() | theirs.keys())
            if ours.get(day, nothing) != theirs.get(day, nothing)
        ]

    def _site(self) -> SqlSite:
        return sql_site(self.site, self.source.url, DATABASE)

    def _tables(self) -> AbstractContextManager[SpendTables]:
        return open_tables(self._site(), *tables_of(self.source.table))


def _words(totals: DayTotals) -> str:
    return f"{totals.requests:,} request(s), {totals.tokens:,} tokens and {totals.cost} USD"
