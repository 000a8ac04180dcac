"""Holding back: a snapshot has the last good rows of a site-month that fails a check of severity ERROR.

A site-month is held back from its earliest failing stage on (raw < facts < timelines < reports): every table of that
stage and of those after it, and what the bookkeeping says of them, is as in the snapshot before. Not that table alone,
because stages are made of each other and are to add up: a new timeline beside old facts, or new facts of one asset
beside old ones of another, would be numbers that no run ever found. What fails in reports holds back reports only. Rows
that were not checked yet count as failing: their run goes on or was killed, and if they were published now, they would
be what a failed check falls back to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import polars as pl

from usage_assets.serving.state_hash import unchecked
from usage_assets.warehouse import Reader, Writer
from usage_assets.warehouse.bookkeeping import FAILED_CHECKS, HELD_BACK

STAGES = ("raw", "facts", "timelines", "reports")
_RANK_OF_SCHEMA = {"raw": 0, "evidence": 0, "facts": 1, "timelines": 2, "reports": 3}
_OF_NOW = ("serving.failed_checks", "serving.held_back", "reports.coverage")
"""Tables that speak of the warehouse as it is, whatever the snapshot holds of it."""
_MOST_REASONS = 3
_TEXT = 200


@dataclass(frozen=True)
class Held:
    """A site-month whose rows are those of an earlier generation, from a stage on, and why."""

    site: str
    month: date
    stage: str
    since_generation: int
    reason: str


def find_held(reader: Reader, generation: int, before: Sequence[Held] = ()) -> list[Held]:
    """What a generation is to hold back; `before` is what the one before it did."""
    faults: list[tuple[str, date, str, str]] = []
    if reader.has(FAILED_CHECKS):
        found = reader.sql(
            f"SELECT site, month, asset, check_name, text FROM {FAILED_CHECKS.qualified} WHERE severity = 'ERROR' "
            "AND asset NOT LIKE 'usage/%' ORDER BY ALL"
        )
        faults += [(*key, f"{check}: {text[:_TEXT]}") for *key, check, text in found.iter_rows()]
    faults += [(*key, "was not checked since it was written") for key in unchecked(reader)]
    why: dict[tuple[str, date], dict[str, list[str]]] = {}
    for site, month, asset, text in faults:
        stage = asset.partition("/")[2].partition("/")[0]
        if stage in STAGES:
            why.setdefault((site, month), {}).setdefault(stage, []).append(f"{asset} {text}")
    since = {(held.site, held.month): held.since_generation for held in before}
    return [
        Held(site, month, stage, since.get((site, month), generation), _reason(stages[stage]))
        for (site, month), stages in sorted(why.items())
        for stage in [min(stages, key=STAGES.index)]
    ]


def held_in(reader: Reader) -> list[Held]:
    """What a snapshot holds back."""
    names = ["site", "month", "stage", "since_generation", "reason"]
    frame = reader.frame(HELD_BACK, columns=names)
    return sorted((Held(*row) for row in frame.iter_rows()), key=lambda held: (held.site, held.month))


def hold_back(writer: Writer, held: Sequence[Held]) -> None:
    """Give the held site-months the rows of database `previous`, where one is attached, and write down which.

    Raises duckdb.Error; nothing is committed here.
    """
    writer.ensure(HELD_BACK)
    writer.con.execute(f"DELETE FROM {HELD_BACK.qualified}").fetchall()
    if not held:
        return
    rows = [(one.site, one.month, one.stage, one.since_generation, one.reason) for one in held]
    writer.put(HELD_BACK, pl.DataFrame(rows, schema=HELD_BACK.polars_schema, orient="row"))
    ranks = ", ".join(f"('{stage}', {rank})" for rank, stage in enumerate(STAGES))
    writer.con.execute(
        f"CREATE TEMP TABLE held AS SELECT site, month, rank FROM {HELD_BACK.qualified} "
        f"JOIN (VALUES {ranks}) AS ranks(stage, rank) USING (stage)"
    ).fetchall()
    previous = dict(_tables(writer.con, "previous"))
    sites = sorted({one.site for one in held})
    for name, columns in list(_tables(writer.con)):
        rank = _rank(name, columns)
        if rank is None:
            continue
        common = ", ".join(f't."{column}"' for column in columns if column in previous.get(name, ()))
        for site in sites:
            months = sorted({one.month for one in held if one.site == site})
            # the range lets the storage skip the months outside it; without it each table is read as a whole
            condition = (
                "t.site = $site AND t.month BETWEEN $first AND $last AND EXISTS "
                f"(SELECT 1 FROM held h WHERE h.site = $site AND h.month = t.month AND h.rank <= {rank})"
            )
            params = {"site": site, "first": months[0], "last": months[-1]}
            writer.con.execute(f"DELETE FROM {name} t WHERE {condition}", params).fetchall()
            if common:
                writer.con.execute(
                    f"INSERT INTO {name} BY NAME SELECT {common} FROM previous.{name} t WHERE {condition}", params
                ).fetchall()
    writer.con.execute("DROP TABLE held").fetchall()


def _tables(con: duckdb.DuckDBPyConnection, database: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """Tables by site and month of the open database, or of an attached one, with their columns."""
    here = "current_database()" if database is None else f"'{database}'"
    found = con.execute(
        "SELECT schema_name || '.' || c.table_name, list(c.column_name ORDER BY c.column_index) "
        "FROM duckdb_columns() c JOIN duckdb_tables() t USING (database_name, schema_name, table_oid) "
        f"WHERE database_name = {here} AND NOT c.internal GROUP BY ALL"
    ).fetchall()
    return ((name, columns) for name, columns in found if {"site", "month"} <= set(columns))


def _rank(name: str, columns: Sequence[str]) -> str | None:
    """The stage of a table's rows as an SQL expression; none for tables that are left as they are."""
    schema = name.partition(".")[0]
    if name in _OF_NOW:
        return None
    if schema in _RANK_OF_SCHEMA:
        return str(_RANK_OF_SCHEMA[schema])
    if schema != "serving":
        return None
    if "asset" in columns:
        cases = " ".join(f"WHEN '{stage}' THEN {rank}" for rank, stage in enumerate(STAGES))
        return f"CASE split_part(t.asset, '/', 2) {cases} ELSE -1 END"
    return str(_RANK_OF_SCHEMA["raw"]) if "table_name" in columns else None


def _reason(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - _MOST_REASONS} more" if len(texts) > _MOST_REASONS else ""
    return "; ".join(texts[:_MOST_REASONS]) + more
