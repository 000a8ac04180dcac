"""Evidence is never lost: what a dump found is merged with what earlier dumps stored, per table and month.

A stored row that the dump did not return is asked for at the source by its key. Still there: its dates moved, so it
leaves the month; if they did not, the read was short and nothing is stored. Absent: it stays, marked `gone_at`.
Returned again: the fresh row has no `gone_at`.

A row that the dump finds as it is stored keeps its `seen_from`. Versions that it replaces (changed, moved, context no
more or now, returned) go to `evidence.<raw name>` in the transaction that replaces them. A row that becomes gone or
stays so is no new version: `gone_at` itself says what was believed when.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import duckdb

from usage_assets.core.errors import EvidenceError, SourceError
from usage_assets.core.months import Window
from usage_assets.sources.sql.months import assign_months, ended, life_of, undated
from usage_assets.sources.sql.reflection import Found
from usage_assets.sources.sql.stage import Stage
from usage_assets.sources.sql.statements import Step
from usage_assets.specs.raw_table import (
    EXTRACTED_AT,
    GONE_AT,
    HELD_AS_DELETED,
    IS_CONTEXT,
    SEEN_FROM,
    SEEN_TO,
    RawTable,
)
from usage_assets.warehouse import Writer, bound

SHRINK_FRACTION = 0.2
SHRINK_ROWS = 20
Root = tuple[RawTable, str]
"""A table of rows that satellites belong to, and its column that names them."""


@dataclass
class Counts:
    """What a dump did to a table-month."""

    rows: int = 0
    rows_new: int = 0
    rows_changed: int = 0
    rows_moved: int = 0
    rows_gone: int = 0
    zero_dates: int = 0
    undated: int = 0
    """Rows that are held as deleted without a date, in the month in which they end by what stands in for it."""
    versions: int = 0
    """Versions that it replaced; more than changed and moved where rows returned or became context."""


@dataclass
class Merge:
    """A table that was read and is merged with what is stored of it.

    `steps` and `roots` lead from its rows to those that they belong to; `counts` say per month what is done, `alive`
    how many rows stored before were not gone, None where none are stored.
    """

    found: Found
    extracted_at: datetime
    note: str | None
    steps: Sequence[Step]
    roots: Sequence[Root]
    counts: dict[date, Counts] = field(default_factory=dict)
    alive: dict[date, int] | None = None

    @property
    def raw(self) -> RawTable:
        """The declaration of the table."""
        return self.found.raw


def assemble(con: duckdb.DuckDBPyConnection, item: Merge, site: str) -> None:
    """Write `out_<raw name>`: the rows that the dump holds for each month, in the shape of the warehouse's table."""
    raw = item.raw
    key = ", ".join(f'"{name}"' for name in raw.key)
    special = {
        "site": "$site",
        "month": "m.month",
        IS_CONTEXT.name: "m.is_context",
        GONE_AT.name: "CAST(NULL AS TIMESTAMP)",
        EXTRACTED_AT.name: "$extracted_at::TIMESTAMP",
        SEEN_FROM.name: "$extracted_at::TIMESTAMP",
    }
    columns = ", ".join(f'{special.get(name, f"s.{chr(34)}{name}{chr(34)}")} AS "{name}"' for name in raw.table.names)
    con.execute(
        f"CREATE OR REPLACE TABLE out_{raw.name} AS SELECT {columns} "
        f"FROM s_{raw.name} s JOIN m_{raw.name} m USING ({key}) WHERE NOT s._skip",
        {"site": site, "extracted_at": item.extracted_at},
    ).fetchall()


def compare(con: duckdb.DuckDBPyConnection, item: Merge, window: Window, *, is_stored: bool) -> None:
    """Count what the dump holds of each month, and compare it with the attached warehouse where one `is_stored`.

    Rows that are stored as they were read keep their `seen_from`; stored rows that the dump missed go to `v_<raw name>`
    and versions that it replaces to `e_<raw name>`.
    """
    raw, life = item.raw, life_of(item.raw)
    key = ", ".join(f'"{name}"' for name in raw.key)
    ends_here = f"{undated(raw, life)} AND date_trunc('month', {ended(raw, life)}) = m.month"
    found = con.execute(
        f"SELECT m.month, count(*), sum(s._odd)::BIGINT, count(*) FILTER (WHERE {ends_here}) "
        f"FROM s_{raw.name} s JOIN m_{raw.name} m USING ({key}) WHERE NOT s._skip GROUP BY m.month"
    ).fetchall()
    item.counts = counts = {
        month: Counts(rows=rows, rows_new=rows, zero_dates=zero, undated=lacking)
        for month, rows, zero, lacking in found
    }
    if not is_stored:
        return
    con.execute(f"DROP TABLE IF EXISTS e_{raw.name}").fetchall()  # of an earlier comparison of this dump
    stored = f"stored.{raw.table.qualified}"
    there = con.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'stored' AND schema_name = ? AND table_name = ?",
        [raw.table.stage, raw.name],
    ).fetchall()[0][0]
    if not there:
        return
    scope = "t.site = $site AND t.month IN (SELECT unnest($months::DATE[]))"
    params = bound({"site": window.site, "months": list(window.months)})
    now = {"now": item.extracted_at}
    alive = dict(
        con.execute(
            f"SELECT t.month, count(*) FILTER (WHERE t.gone_at IS NULL) FROM {stored} t WHERE {scope} GROUP BY t.month",
            params,
        ).fetchall()
    )
    if not alive:
        return
    item.alive = alive
    same = " AND ".join(f'o."{name}" = t."{name}"' for name in ("month", *raw.key))
    changed = " OR ".join(_differs(c.name) for c in raw.columns)
    replaced = f"({changed} OR o.is_context <> t.is_context OR t.gone_at IS NOT NULL)"
    con.execute(
        f"CREATE OR REPLACE TABLE v_{raw.name} AS SELECT t.* FROM {stored} t ANTI JOIN out_{raw.name} o ON {same} "
        f"WHERE {scope}",
        params,
    ).fetchall()
    matched = versions = 0
    for month, both, differ, other in con.execute(
        f"SELECT t.month, count(*), count(*) FILTER (WHERE {changed}), count(*) FILTER (WHERE {replaced}) "
        f"FROM {stored} t JOIN out_{raw.name} o ON {same} WHERE {scope} GROUP BY t.month",
        params,
    ).fetchall():
        counts[month].rows_new -= both
        counts[month].rows_changed = differ
        counts[month].versions = other
        matched += both
        versions += other
    if matched > versions:
        con.execute(  # a clock that went back must not make a row younger than the dump that saw it
            f"UPDATE out_{raw.name} AS o SET seen_from = least(t.seen_from, $now::TIMESTAMP) FROM {stored} t "
            f"WHERE {scope} AND {same} AND NOT {replaced}",
            params | now,
        ).fetchall()
    if versions:
        _replace(con, raw, f"{stored} t JOIN out_{raw.name} o ON {same} WHERE {scope} AND {replaced}", params | now)


def _differs(name: str) -> str:
    """SQL: whether a column of a fresh row (o) and a stored one (t) differ.

    What was stored before the mark of deletion was read along says nothing of it: live rows are no new versions.
    """
    if name == HELD_AS_DELETED.name:
        return "coalesce(o.deleted, false) <> coalesce(t.deleted, false)"
    return f'o."{name}" IS DISTINCT FROM t."{name}"'


def _replace(con: duckdb.DuckDBPyConnection, raw: RawTable, rows: str, params: dict[str, Any]) -> None:
    """Add stored rows, as `t`, to the versions that this dump replaces."""
    seen = f"least(t.{SEEN_FROM.name}, $now::TIMESTAMP) AS {SEEN_FROM.name}"  # after a clock that went back, too
    select = f"SELECT t.* REPLACE ({seen}), $now::TIMESTAMP AS {SEEN_TO.name} FROM {rows}"
    con.execute(f"CREATE TABLE IF NOT EXISTS e_{raw.name} AS {select} LIMIT 0", params).fetchall()
    con.execute(f"INSERT INTO e_{raw.name} BY NAME {select}", params).fetchall()


def keep_versions(writer: Writer, raw: RawTable, months: Sequence[date]) -> None:
    """Append the versions of these months that the dump of the attached staging database replaces."""
    writer.ensure(raw.versions)
    names = ", ".join(f'"{name}"' for name in raw.versions.names)
    writer.con.execute(
        f"INSERT INTO {raw.versions.qualified} BY NAME SELECT {names} FROM staged.e_{raw.name} "
        "WHERE month IN (SELECT unnest($months::DATE[]))",
        bound({"months": list(months)}),
    ).fetchall()


def keep(stage: Stage, item: Merge, site: str, *, purge_known: bool) -> None:
    """Settle the rows of `v_<raw name>`: moved ones leave, absent ones go to `out_<raw name>` with `gone_at`."""
    raw, con, counts, alive = item.raw, stage.con, item.counts, item.alive
    if alive is None:
        return
    missed = f"v_{raw.name}"
    number, open_rows = con.execute(
        f"SELECT count(*), count(*) FILTER (WHERE gone_at IS NULL) FROM {missed}"
    ).fetchall()[0]
    if not number:
        return
    if item.found.relation is None and open_rows and not purge_known:
        msg = (
            f"site {site}: {raw.name}: {item.found.note}, but {open_rows} row(s) of these months are stored; nothing "
            "was written. Mend the site's file or the grants; if it was removed for good, run once with purge_known"
        )
        raise SourceError(msg)
    _find_moved(stage, item, site)
    same = " AND ".join(f'v."{name}" = k."{name}"' for name in raw.key)
    left = 0
    for month, moved in con.execute(
        f"SELECT v.month, count(*) FROM {missed} v SEMI JOIN asked k ON {same} GROUP BY v.month"
    ).fetchall():
        counts.setdefault(month, Counts()).rows_moved = moved
        counts[month].versions += moved
        left += moved
    if left:
        here = " AND ".join(f't."{name}" = k."{name}"' for name in raw.key)
        _replace(con, raw, f"{missed} t SEMI JOIN asked k ON {here}", {"now": item.extracted_at})
    con.execute(
        f"CREATE OR REPLACE TABLE g_{raw.name} AS SELECT v.* FROM {missed} v ANTI JOIN asked k ON {same}"
    ).fetchall()
    for month, gone, fresh in con.execute(
        f"SELECT month, count(*), count(*) FILTER (WHERE gone_at IS NULL) FROM g_{raw.name} "
        "GROUP BY month ORDER BY month"
    ).fetchall():
        share = fresh / max(alive.get(month, 0), 1)
        if fresh > SHRINK_ROWS and share > SHRINK_FRACTION and not purge_known:
            msg = (
                f"site {site}: {raw.name} {month:%Y-%m}: {fresh} of {alive[month]} rows have vanished at the source at "
                "once; nothing was written. Check the URL and the source; if it was purged, run once with purge_known"
            )
            raise EvidenceError(msg)
        counts.setdefault(month, Counts()).rows_gone = gone
        counts[month].rows += gone
    con.execute(
        f"INSERT INTO out_{raw.name} BY NAME "
        f"SELECT * REPLACE (coalesce(gone_at, $now::TIMESTAMP) AS gone_at) FROM g_{raw.name}",
        {"now": item.extracted_at},
    ).fetchall()


def _find_moved(stage: Stage, item: Merge, site: str) -> None:
    """Write `asked`: which keys of the rows missed the source still has, live or archived.

    SourceError where such a row touches its month still: then the read was short, and the row did not move.
    """
    found, raw, con = item.found, item.raw, stage.con
    missed, key = f"v_{raw.name}", ", ".join(f'"{name}"' for name in raw.key)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE asked AS SELECT DISTINCT {key} FROM {missed} "
        f"SEMI JOIN s_{raw.name} USING ({key})"
    ).fetchall()
    if found.server is None or found.relation is None:
        return
    keys = [
        str(row[0])
        for row in con.execute(f"SELECT DISTINCT {key} FROM {missed} ANTI JOIN asked USING ({key})").fetchall()
    ]
    if not keys:
        return
    with stage.separate_schema():
        stage.read_again(found, item.steps, stage.columns(raw), keys)
        assign_months(con, raw, item.roots, ())
        con.execute(f"INSERT INTO asked SELECT {key} FROM s_{raw.name} SEMI JOIN {missed} USING ({key})").fetchall()
        short = con.execute(
            f"SELECT month, count(*) FROM {missed} JOIN m_{raw.name} m USING (month, {key}) "
            f"JOIN s_{raw.name} s USING ({key}) WHERE NOT m.is_context AND NOT s._skip GROUP BY month ORDER BY month"
        ).fetchall()
    if short:
        month, number = short[0]
        rest = f" (and rows of {len(short) - 1} more months)" if len(short) > 1 else ""
        msg = (
            f"site {site}: {raw.name} {month:%Y-%m}: {number:,} stored row(s){rest} were not read, but the source has "
            "them by their keys, and their dates lie in the month still: the read was short; nothing was stored. "
            "Something keeps rows back (a limit on rows at the server or a proxy, a view with a condition): lift it "
            "for this account, then run it again"
        )
        raise SourceError(msg)
