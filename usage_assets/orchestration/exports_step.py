"""The export assets of a kind: three tables as files, in a DuckDB snapshot and, where one is named, in a database."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from usage_assets.orchestration.step import Done, Run, Stage, step
from usage_assets.orchestration.ui_metadata import column_schema, month_preview
from usage_assets.reports.exports import checks, database, frames, reading
from usage_assets.reports.exports.export import Exported, export_window
from usage_assets.reports.exports.files import month_path
from usage_assets.reports.exports.snapshot import snapshot_path
from usage_assets.reports.exports.tables import EXPORTS, PARITY, USAGE_WIDE, ExportTable
from usage_assets.sites.base import Site
from usage_assets.timelines.usage import Scope

_PREVIEW_ROWS = 5


def export_step(stage: Stage) -> dg.AssetsDefinition:
    """The exports of a kind as one subsettable step."""
    kind = stage.kind
    tables = {stage.key(f"reports/{name}"): table for name, table in EXPORTS.items()}
    specs = [
        stage.spec(
            f"reports/{table.name}",
            table.description,
            deps=["timelines/usage"],
            kinds=("parquet", "csv", "duckdb"),
            metadata={"dagster/column_schema": column_schema(table.columns, table.key)},
        )
        for table in EXPORTS.values()
    ]

    def work(run: Run) -> Iterator[Done]:
        chosen = {key: tables[key] for key in run.keys}
        done = export_window(kind, run.site, run.window, run.warehouse, tables=list(chosen.values()))
        scope = kind.usage_scope(run.site)
        months = {
            key: {month: _shown(table, run.site, month, done) for month in run.window.months}
            for key, table in chosen.items()
        }
        yield Done(run.keys, months, {key: _of_run(table, scope, done) for key, table in chosen.items()})

    asked = {key: checks.checks_of(kind, table) for key, table in tables.items()}
    return step(stage, "exports", specs, work, checks=asked)


def _shown(table: ExportTable, site: Site, month: date, done: Exported) -> dict[str, Any]:
    """Metadata of one month of one table."""
    if month in done.blocked:
        return {"status": "kept_old", "reason": done.blocked[month][:1000]}
    path = month_path(table, site.key, month)
    shown: dict[str, Any] = {
        "status": "written",
        "dagster/partition_row_count": done.rows[table.name][month],
        "path": dg.MetadataValue.path(str(path)),
    }
    if table is not PARITY and month in done.left_out:
        shown["node_types_left_out"] = "; ".join(done.left_out[month])[:1000]
    if done.rows[table.name][month]:
        shown["preview"] = month_preview(month, pl.read_parquet(path, n_rows=_PREVIEW_ROWS))
    return shown


def _of_run(table: ExportTable, scope: Scope, done: Exported) -> dict[str, Any]:
    """Metadata of a run: where the rows went, and what was filled."""
    out: dict[str, Any] = {
        "snapshot": dg.MetadataValue.path(str(snapshot_path())),
        "database": done.target or f"none: files only ({database.VARIABLE} is not set)",
    }
    if table.name in done.in_database:
        out["rows_in_database"] = done.in_database[table.name]
    if table is USAGE_WIDE:
        filled = frames.filled_columns(scope.counted)
        out["filled_columns"] = dg.MetadataValue.json(dict(filled))
    if table is PARITY and not set(reading.PARITY_METRICS) <= set(scope.counted):
        out["note"] = "the site does not count what the legacy counter had: no rows"
    return out
