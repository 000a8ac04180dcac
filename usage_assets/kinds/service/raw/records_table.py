"""Reader `records` of a table of a database: read as a whole each time, of the columns that the mapping names only."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import sqlalchemy as sa

from usage_assets.core.errors import SiteError, SourceError
from usage_assets.kinds.service.raw.databases import sql_site
from usage_assets.kinds.service.raw.reader import Part
from usage_assets.kinds.service.raw.records import RecordsReader
from usage_assets.kinds.service.raw.values import identifier
from usage_assets.schema import Column, Type
from usage_assets.sites.sql import SqlSite
from usage_assets.sources.sql import access
from usage_assets.sources.sql.reflection import find_tables
from usage_assets.sources.sql.servers import open_servers
from usage_assets.sources.sql.stage import text_table
from usage_assets.sources.sql.statements import columns_of, side_of
from usage_assets.specs.raw_table import RawTable, Whole

_DATABASE, _STAGED, _BATCH = "records", "records_rows", "records_batch"


class RecordsTableReader(RecordsReader):
    """Rows of a table. Which of them have changed is not known before they are read."""

    @property
    def table(self) -> str:
        """The table's name, as the site's file or the preset has it."""
        found = self.source.table or (self.preset.table if self.preset is not None else None)
        if found is None:
            msg = f"site {self.site.key}: sources: preset {self.source.preset!r} names no table; add the table to read"
            raise SiteError(msg)
        return str(found)

    def parts(self, months: Collection[date]) -> Sequence[Part]:
        """The table."""
        del months
        return [Part(self.table, None)]

    @contextmanager
    def rows(self, con: duckdb.DuckDBPyConnection, part: Part) -> Iterator[str]:
        """The rows in the order of their times, so that those that come later change no earlier row's number."""
        del part
        self._stage(con)
        try:
            mapped = self._of_columns(con, _STAGED, identifies_all=True)
            columns = con.sql(f"SELECT * FROM ({mapped}) LIMIT 0").columns
            order = ", ".join([name for name in ("ts", "event_id") if name in columns] + ["identity"])
            yield f"SELECT *, row_number() OVER (ORDER BY {order}) AS source_row FROM ({mapped})"
        finally:
            con.execute(f"DROP TABLE IF EXISTS {_STAGED}").fetchall()

    def mended(self, part: Part, folder: Path) -> Part | None:
        """A table has no good part."""
        del part, folder
        return None

    def describe(self, con: duckdb.DuckDBPyConnection, part: Part) -> tuple[Sequence[str], Sequence[str]]:
        """Only what is mapped is asked of a database."""
        del con, part
        return self.heads(), ()

    def grants(self) -> str:
        """What an administrator gives the account: the columns that the mapping names."""
        return access.grants(self._site(), [self._raw()])

    def _site(self) -> SqlSite:
        return sql_site(self.site, self.source.url, _DATABASE)

    def _raw(self) -> RawTable:
        columns = tuple(Column(name, Type.FLOAT, "As it is at the source", "as it is") for name in self.heads())
        return RawTable(
            _DATABASE, self.table, "Rows of a source", columns=columns, months=Whole(), key=(), by_columns=True
        )

    def _stage(self, con: duckdb.DuckDBPyConnection) -> None:
        """Copy the table's columns as texts, in batches; SourceError where it is not there or not granted."""
        raw = self._raw()
        with open_servers(self._site()) as servers:
            found = find_tables(servers, [raw])[raw.name]
            relation, server = found.relation, found.server
            if relation is None or server is None:
                note = found.note or f"there is no table {self.table}"
                msg = f"site {self.site.key}: sources: {note}; look at url and table in the site's file"
                raise SourceError(msg)
            side = side_of(found, relation, "t")
            names = [name for name in self.heads() if found.column(name) is not None]
            declared = ", ".join(f"{identifier(name)} VARCHAR" for name in names)
            con.execute(f"CREATE OR REPLACE TABLE {_STAGED} ({declared})").fetchall()
            statement = sa.select(*columns_of(found, side, names)).select_from(side.clause)
            for batch in server.stream(statement, relation.where):
                con.register(_BATCH, text_table(batch, names))
                con.execute(f"INSERT INTO {_STAGED} BY NAME FROM {_BATCH}").fetchall()
                con.unregister(_BATCH)
