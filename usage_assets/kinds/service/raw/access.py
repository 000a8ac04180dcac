"""Findings of `check-site` and `doctor` on the sources of a service: files, columns, events, and what they lack."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb

from usage_assets.core import clock
from usage_assets.core.errors import SourceError
from usage_assets.core.months import month_of
from usage_assets.kinds.service.raw.reader import BLANK, Part, PartError, Reader
from usage_assets.kinds.service.raw.rules import judged
from usage_assets.kinds.service.raw.sources import readers_of
from usage_assets.kinds.service.raw.tables import OUTCOMES, USAGE_EVENTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.specs.access_report import ServerAccess, SiteAccess, TableAccess
from usage_assets.specs.raw_table import RawTable
from usage_assets.warehouse.connections import in_memory

SAMPLE = 100_000
"""Rows of a file that are looked at."""
MOST_FILES = 12
"""Files of a source that are looked at, the last ones by name."""


def check_site(site: ServiceSite, tables: Sequence[RawTable], *, count: bool = True) -> SiteAccess:
    """What the last files of each source hold, in a sample of rows; without `count` only the last one is opened."""
    del tables
    servers: list[ServerAccess] = []
    remarks: list[str] = []
    found: list[TableAccess] = []
    for label, reader in readers_of(site):
        parts = reader.parts([month_of(clock.naive_utc_now().date())])
        where = f"{label or '1/'} {reader.name}"
        servers.append(ServerAccess(f"{where}: {len(parts)} part(s)", "", ()))
        if count:
            reached, said = reader.reached()
            servers += reached
            remarks += said
        if not parts:
            found.append(TableAccess(USAGE_EVENTS.name, where, "missing", note="there is nothing to read yet"))
        looked = parts[-MOST_FILES:] if count else parts[-1:]
        found += [_part(site, reader, part, f"{label}{part.name}") for part in looked]
    return SiteAccess(tuple(servers), tuple(found), tuple(remarks))


def _part(site: ServiceSite, reader: Reader, part: Part, name: str) -> TableAccess:
    try:
        with tempfile.TemporaryDirectory() as folder, in_memory(Path(folder), keeps_order=True) as con:
            return _sampled(con, site, reader, part, name)
    except (PartError, SourceError, duckdb.Error) as error:
        return TableAccess(USAGE_EVENTS.name, name, "unreadable", note=" ".join(str(error).split())[:500])


def _sampled(con: duckdb.DuckDBPyConnection, site: ServiceSite, reader: Reader, part: Part, name: str) -> TableAccess:
    with reader.rows(con, part) as rows:
        columns = con.sql(f"SELECT * FROM ({rows}) LIMIT 0").columns
        sample = f"SELECT * FROM ({rows}) LIMIT {SAMPLE}"
        sql = judged(site, sample, columns, time_of=reader.time_of)
        con.execute(f"CREATE TABLE sampled AS SELECT * FROM ({sql}) WHERE reason IS DISTINCT FROM '{BLANK}'").fetchall()
    mapped, unmapped = reader.describe(con, part)
    outcomes = ", ".join(f"'{name}'" for name in OUTCOMES)
    ((number, first, last, costs, users, ends),) = con.execute(
        "SELECT count(*), min(ts), max(ts), count(cost), count(user_id), "
        f"count(*) FILTER (WHERE event_type IN ({outcomes})) FROM sampled WHERE reason IS NULL"
    ).fetchall()
    reasons = con.execute("SELECT reason, count(*) FROM sampled WHERE reason IS NOT NULL GROUP BY ALL ORDER BY 1")
    notes = [f"{count} {reason}" for reason, count in reasons.fetchall()]
    lacks = [what for what, there in (("cost", costs), ("user", users), ("outcome", ends)) if number and not there]
    notes += [f"no row says its {' or '.join(lacks)}"] if lacks else []
    notes += [f"mapped: {', '.join(mapped)}"] if mapped else []
    notes += [f"not mapped: {', '.join(unmapped)}"] if unmapped else []
    return TableAccess(USAGE_EVENTS.name, name, "found", number, first, last, (), "; ".join(notes) or None)


def grants(site: ServiceSite, tables: Sequence[RawTable]) -> str:
    """What an administrator gives the accounts that read; files need none."""
    del tables
    given = [text for _, reader in readers_of(site) if (text := reader.grants())]
    return "\n".join(given) or "-- sources are files: the process must be able to read them, and needs nothing else\n"
