"""LiteLLM's tables made on any server, and what the reader makes of them."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import sqlalchemy as sa

from usage_assets.kinds.service.raw.litellm import LiteLLMReader
from usage_assets.kinds.service.raw.reader import Part
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets_tests.unit.kinds.service.raw.litellm_rows import COLUMNS, SUMS_COLUMNS

LOGS, SUMS = "LiteLLM_SpendLogs", "LiteLLM_DailyUserSpend"
MARCH = date(2026, 3, 1)


def make_table(
    engine: sa.Engine, name: str, rows: Iterable[Mapping[str, Any]], *, without: Collection[str] = ()
) -> None:
    """A table as the proxy's schema has it, of these rows; `without` columns that an older release lacks."""
    columns = COLUMNS if name == LOGS else SUMS_COLUMNS
    kept = {column: kind for column, kind in columns.items() if column not in without}
    quote = engine.dialect.identifier_preparer.quote_identifier
    key = "request_id" if name == LOGS else "id"
    kinds = {column: _kind(engine, kind) for column, kind in kept.items()}
    with engine.begin() as con:
        listed = ", ".join(f"{quote(column)} {kind}" for column, kind in kinds.items())
        con.exec_driver_sql(f"CREATE TABLE {quote(name)} ({listed}, PRIMARY KEY ({quote(key)}))")
        for row in rows:
            add(con, name, {column: value for column, value in row.items() if column in kept})


def _kind(engine: sa.Engine, kind: str) -> str:
    if engine.dialect.name != "mysql":
        return kind
    if kind.startswith("TEXT NOT NULL"):
        return "VARCHAR(190) NOT NULL DEFAULT ''"
    return kind.replace("JSONB", "JSON").replace("TIMESTAMP(3)", "DATETIME(3)").split(" DEFAULT")[0]


def add(con: sa.Connection, name: str, row: Mapping[str, Any]) -> None:
    """Insert one row; texts of JSON and times are the server's to read."""
    quote = con.dialect.identifier_preparer.quote_identifier
    casts = {"JSONB": "CAST(:{} AS JSONB)", "TIMES": "CAST(:{} AS TIMESTAMP)"}
    kinds = COLUMNS if name == LOGS else SUMS_COLUMNS
    is_postgres = con.dialect.name == "postgresql"
    values = [(casts.get(kinds[c][:5], ":{}") if is_postgres else ":{}").format(f"v_{c}") for c in row]
    sql = f"INSERT INTO {quote(name)} ({', '.join(map(quote, row))}) VALUES ({', '.join(values)})"
    con.execute(sa.text(sql), {f"v_{column}": value for column, value in row.items()})


def sqlite_engine(path: Path) -> sa.Engine:
    """An SQLite file in place of the proxy's server."""
    return sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)


def reader_of(url: str | None, **source: Any) -> LiteLLMReader:
    """The reader of a site whose only source is the database, or without one the files below `path`."""
    said = {"reader": "litellm", "url": url, **source}
    site = ServiceSite.model_validate(
        {"kind": "service", "key": "here", "name": "Here", "first_month": "2025-01", "sources": [said]}
    )
    return LiteLLMReader(site, site.sources[0])


def events(reader: LiteLLMReader, part: Part) -> list[dict[str, Any]]:
    """The rows of a part in the order of their numbers."""
    con = duckdb.connect()
    with reader.rows(con, part) as sql:
        rows = con.sql(f"SELECT * FROM ({sql}) ORDER BY source_row").pl()
    return rows.to_dicts()
