"""What a dump did, per raw table and month, and the record of all dumps in serving.dumps."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from usage_assets.core.months import Window
from usage_assets.schema import Violation
from usage_assets.sources.sql.evidence import Counts
from usage_assets.specs.raw_table import RawTable
from usage_assets.warehouse import Reader, Writer
from usage_assets.warehouse.bookkeeping import DUMPS


@dataclass(kw_only=True)
class TableMonth(Counts):
    """What a dump did to a table-month. A refused month kept its old rows."""

    table: RawTable
    month: date
    extracted_at: datetime
    note: str | None = None
    refused: tuple[Violation, ...] = ()


@dataclass(frozen=True)
class DumpResult:
    """What a dump did. `extracted_at` is the earliest clock of the servers that it read.

    `warnings` say what an operator should mend at the servers though they were read.
    """

    window: Window
    extracted_at: datetime
    months: tuple[TableMonth, ...]
    warnings: tuple[str, ...] = ()


def line(window: Window, name: str, counts: Mapping[date, Counts], note: str | None) -> str:
    """One line of the log on a table."""
    found = counts.values()
    parts = [f"{sum(c.rows for c in found)} row(s) in {len(window.months)} month(s)"]
    sums = {change: sum(getattr(c, f"rows_{change}") for c in found) for change in ("new", "changed", "moved", "gone")}
    parts += [f"{number} {change}" for change, number in sums.items() if number]
    return f"{window}: {name}: {', '.join([*parts, *([note] if note else [])])}"


def record(writer: Writer, site: str, items: Iterable[TableMonth], run_id: str) -> None:
    """Append what a dump did to the record.

    A dump of the same instant is replaced, and so is one of a later instant: its clock has been set back since, and
    the latest in the record must be the last that was made.
    """
    more = {"site": site, "run_id": run_id}
    rows = [vars(item) | more | {"table_name": item.table.name} for item in items if not item.refused]
    if not rows:
        return
    writer.ensure(DUMPS)
    writer.con.register("dumped", pl.DataFrame(rows, schema=DUMPS.polars_schema).to_arrow())
    of_same = "o.site = n.site AND o.month = n.month AND o.table_name = n.table_name"
    writer.con.execute(
        f"CREATE OR REPLACE TEMP TABLE ahead AS SELECT o.month, o.table_name, max(o.extracted_at) AS latest "
        f"FROM {DUMPS.qualified} o JOIN dumped n ON {of_same} AND o.extracted_at >= n.extracted_at GROUP BY ALL"
    ).fetchall()
    writer.con.execute(
        f"DELETE FROM {DUMPS.qualified} o USING dumped n WHERE {of_same} AND o.extracted_at >= n.extracted_at"
    ).fetchall()
    writer.con.execute(
        f"INSERT INTO {DUMPS.qualified} BY NAME SELECT n.* REPLACE (CASE WHEN a.latest > n.extracted_at THEN "
        "concat_ws('; ', n.note, 'the clock of the source went back: the dump before said ' || a.latest) "
        "ELSE n.note END AS note) FROM dumped n LEFT JOIN ahead a USING (month, table_name)"
    ).fetchall()
    writer.con.unregister("dumped")


def dumps(
    reader: Reader, site: str, *, months: Collection[date] | None = None, table: str | None = None
) -> pl.DataFrame:
    """Every dump of a site's table-months, oldest first: the columns of serving.dumps and two more.

    `is_latest` is true of each table-month's last dump; `shrank` is by how many rows less the source gave than it did
    to the dump before, null where it gave no less.
    """
    held = "rows - rows_gone"
    lost = f"lag({held}) OVER dump - ({held})"
    if not reader.has(DUMPS):
        return DUMPS.empty().with_columns(is_latest=pl.lit(None, pl.Boolean), shrank=pl.lit(None, pl.Int64))
    conditions, params = ["site = $site"], dict[str, object](site=site)
    if months is not None:
        conditions.append("month IN (SELECT unnest($months::DATE[]))")
        params["months"] = sorted(months)
    if table is not None:
        conditions.append("table_name = $table")
        params["table"] = table
    return reader.sql(
        f"SELECT *, lead(extracted_at) OVER dump IS NULL AS is_latest, "
        f"CASE WHEN {lost} > 0 THEN {lost} END AS shrank FROM {DUMPS.qualified} WHERE {' AND '.join(conditions)} "
        "WINDOW dump AS (PARTITION BY month, table_name ORDER BY extracted_at) "
        "ORDER BY extracted_at, table_name, month",
        params,
    )


def last_dumps(reader: Reader, site: str) -> dict[str, datetime]:
    """When each raw table of a site was last read, by its name."""
    if not reader.has(DUMPS):
        return {}
    found = reader.sql(
        f"SELECT table_name, max(extracted_at) FROM {DUMPS.qualified} WHERE site = $site GROUP BY table_name",
        {"site": site},
    )
    return dict(found.iter_rows())
