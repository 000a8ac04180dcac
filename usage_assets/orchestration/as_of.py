"""As of: raw rows as they were stored at an instant, and facts and timelines made of them anew, in a file of its own.

The warehouse is only read. What its raw tables hold and the versions in `evidence` together are every state there was:
a version was stored at T where seen_from <= T < seen_to. The same builders as of every night make the rest, with
today's rules and site file, so a difference comes from the source alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from pathlib import Path

import duckdb
import polars as pl

from usage_assets.core.disk import remove
from usage_assets.core.errors import EvidenceError, WarehouseError
from usage_assets.core.file_faults import advice
from usage_assets.core.months import Window
from usage_assets.kinds import kind_of
from usage_assets.orchestration.build import build_assets
from usage_assets.schema import Table
from usage_assets.sites.base import Site
from usage_assets.specs.kind import Kind
from usage_assets.specs.raw_table import EXTRACTED_AT, GONE_AT, SEEN_FROM, SEEN_TO, RawTable
from usage_assets.timelines.assets import assets_of
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Reader, Warehouse, Writer, bound, staging
from usage_assets.warehouse.bookkeeping import DUMPS

STAGES = ("facts", "timelines")
_RUN = "as-of"
_YEARS = 2
"""Calendar years that are built at once, as by a backfill."""


@dataclass(frozen=True)
class AsOf:
    """A site as it was believed to be at an instant.

    `months` were rebuilt. `never` had not been read by then, `partly` not all of their raw tables: what depends on
    those named waits.
    """

    path: Path
    at: datetime
    months: tuple[date, ...]
    never: tuple[date, ...]
    partly: Mapping[date, tuple[str, ...]]


def rebuild(site: Site, at: datetime, months: Sequence[date], source: Warehouse, path: Path) -> AsOf:
    """Make the file `path` of the site's months as of `at` (UTC, by the clock of the source); replaces an older one.

    EvidenceError where none of the months had been read by then, WarehouseError where the file can't be made.
    """
    kind = kind_of(site)
    part = path.with_name(f".{path.name}.part")
    scratch = path.with_name(f".{path.name}.raw")
    remove(part)
    target = Warehouse(part)
    try:
        with staging(scratch) as con:
            with source.beside(con) as there:
                read = stage_rows(con, kind, site, at, months) if there else {}
            con.close()
            chosen = sorted({month for each in read.values() for month in each})
            if not chosen:
                raise EvidenceError(_nothing(site, at, source))
            with target.write(f"as of {at}") as writer:
                _store(writer, scratch, kind, site, read)
        for window in _windows(site, chosen):
            assets = [asset for asset in assets_of(kind) if asset.stage in STAGES]
            build_assets(kind, site, window, target, assets, run_id=_RUN)
        remove(path)
        part.replace(path)
    except duckdb.Error as error:
        msg = (
            f"site {site.key}: the file as of {at:%Y-%m-%d %H:%M:%S} could not be made ({error}); the warehouse is "
            f"untouched. What to do: {advice(error, path.parent)}, or ask for fewer months"
        )
        raise WarehouseError(msg) from error
    finally:
        remove(part)
    wanted = {raw.name for raw in kind.tables_of(site)}
    lacks = {month: tuple(sorted(name for name in wanted if month not in read.get(name, ()))) for month in chosen}
    return AsOf(
        path,
        at,
        tuple(chosen),
        tuple(month for month in months if month not in chosen),
        {month: names for month, names in lacks.items() if names},
    )


def stage_rows(
    con: duckdb.DuckDBPyConnection, kind: Kind, site: Site, at: datetime, months: Sequence[date]
) -> dict[str, tuple[date, ...]]:
    """Copy the raw rows stored at an instant from the attached warehouse to `out_<raw name>`, the dumps to `dumps`.

    Returns the months of each raw table that had been read by then.
    """
    params = {"site": site.key, "at": at, "months": list(months)}
    if not _there(con, DUMPS):
        return {}
    con.execute(
        f"CREATE TABLE dumps AS SELECT * FROM stored.{DUMPS.qualified} "
        "WHERE site = $site AND month IN (SELECT unnest($months::DATE[])) AND extracted_at <= $at::TIMESTAMP",
        bound(params),
    ).fetchall()
    read: dict[str, tuple[date, ...]] = {}
    for raw in kind.raw_tables:
        found = con.execute("SELECT DISTINCT month FROM dumps WHERE table_name = ? ORDER BY 1", [raw.name]).fetchall()
        if found and _there(con, raw.table):
            read[raw.name] = tuple(month for (month,) in found)
            _stage_table(con, raw, params | {"months": list(read[raw.name])})
    return read


def _stage_table(con: duckdb.DuckDBPyConnection, raw: RawTable, params: dict[str, object]) -> None:
    """The rows of one table; `gone_at` and `extracted_at` are what they were then."""
    names = ", ".join(f'"{name}"' for name in raw.table.names)
    scope = "site = $site AND month IN (SELECT unnest($months::DATE[]))"
    since = f"{SEEN_FROM.name} <= $at::TIMESTAMP"
    versions = f"SELECT {names} FROM stored.{raw.table.qualified} WHERE {scope} AND {since}"
    replaced = _there(con, raw.versions)
    if replaced:
        versions += (
            f" UNION ALL SELECT {names} FROM stored.{raw.versions.qualified} "
            f"WHERE {scope} AND {since} AND {SEEN_TO.name} > $at::TIMESTAMP"
        )
    was_gone = f"v.{GONE_AT.name} <= $at::TIMESTAMP"
    con.execute(
        f"CREATE TABLE out_{raw.name} AS SELECT v.* REPLACE ("
        f"CASE WHEN {was_gone} THEN v.{GONE_AT.name} END AS {GONE_AT.name}, "
        f"CASE WHEN {was_gone} THEN v.{EXTRACTED_AT.name} ELSE d.latest END AS {EXTRACTED_AT.name}) "
        f"FROM ({versions}) v JOIN (SELECT month, max(extracted_at) AS latest FROM dumps WHERE table_name = $table "
        "GROUP BY month) d USING (month)",
        bound(params | {"table": raw.name}),
    ).fetchall()
    if replaced and raw.key:  # where a clock was set back two versions may cover an instant: the younger one counts
        key = ", ".join(f'"{name}"' for name in ("month", *raw.key))
        same = " AND ".join(f'o."{name}" = y."{name}"' for name in ("month", *raw.key))
        con.execute(
            f"DELETE FROM out_{raw.name} o USING (SELECT {key}, max({SEEN_FROM.name}) AS since FROM out_{raw.name} "
            f"GROUP BY ALL HAVING count(*) > 1) y WHERE {same} AND o.{SEEN_FROM.name} < y.since"
        ).fetchall()


def _there(con: duckdb.DuckDBPyConnection, table: Table) -> bool:
    found = con.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'stored' AND schema_name = ? AND table_name = ?",
        [table.stage, table.name],
    ).fetchall()
    return bool(found[0][0])


def _store(writer: Writer, scratch: Path, kind: Kind, site: Site, read: Mapping[str, Sequence[date]]) -> None:
    writer.attach(scratch)
    writer.ensure(DUMPS)
    writer.con.execute(f"INSERT INTO {DUMPS.qualified} BY NAME SELECT * FROM staged.dumps").fetchall()
    for raw in kind.raw_tables:
        if raw.name in read:
            writer.replace(
                raw.table,
                f"staged.out_{raw.name}",
                site=site.key,
                months=read[raw.name],
                asset=kind.asset("raw", raw.name),
                run_id=_RUN,
            )


def _windows(site: Site, months: Sequence[date]) -> list[Window]:
    """The months as windows without holes, of two calendar years at most."""

    def run(at: tuple[int, date]) -> tuple[int, int]:
        place, month = at  # months without a hole are all equally far from their places
        return month.year // _YEARS, 12 * month.year + month.month - place

    return [Window(site.key, tuple(month for _, month in part)) for _, part in groupby(enumerate(months), run)]


def _nothing(site: Site, at: datetime, source: Warehouse) -> str:
    first = None
    with source.read() as reader:
        if reader.has(DUMPS):
            sql = f"SELECT min(extracted_at) FROM {DUMPS.qualified} WHERE site = $site"
            first = reader.sql(sql, {"site": site.key}).item()
    known = f"its first dump known is of {first:%Y-%m-%d %H:%M:%S}" if first else "it was never read"
    return (
        f"site {site.key}: no month asked for had been read by {at:%Y-%m-%d %H:%M:%S} UTC; {known}. "
        f"usage-assets dumps --site {site.key} lists them"
    )


def hours(reader: Reader, site: str, months: Sequence[date]) -> pl.DataFrame:
    """Hours of each metric and resource of a site in some months (columns metric, resource, hours)."""
    if not reader.has(USAGE):
        return pl.DataFrame(schema={"metric": pl.String(), "resource": pl.String(), "hours": pl.Float64()})
    return reader.sql(
        f"SELECT metric, resource, sum(hours) AS hours FROM {USAGE.qualified} WHERE site = $site "
        "AND month IN (SELECT unnest($months::DATE[])) AND collector_type = 'current' "
        "GROUP BY metric, resource HAVING sum(hours) IS NOT NULL",
        {"site": site, "months": list(months)},
    )
