"""The export assets of a kind: three tables as files, in a DuckDB snapshot and, where one is named, in a database.

Files are written per month, snapshot and database once per run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import Any

import dagster as dg
import polars as pl

from usage_assets.core import settings
from usage_assets.core.locks import file_lock
from usage_assets.core.months import Window
from usage_assets.orchestration.partitions import run_window
from usage_assets.orchestration.ui_metadata import (
    BACKFILL,
    asset_key,
    asset_spec,
    month_preview,
    readable_errors,
    show_month,
    since_first_month,
    site_of,
)
from usage_assets.orchestration.verdict import RunCheck, tell
from usage_assets.reports.exports import checks, database, frames, reading
from usage_assets.reports.exports.files import month_path, site_paths, write_month
from usage_assets.reports.exports.snapshot import snapshot_path, write_snapshot
from usage_assets.reports.exports.tables import EXPORTS, PARITY, USAGE_LONG, USAGE_WIDE, ExportTable
from usage_assets.sites.base import Site
from usage_assets.specs.kind import Kind
from usage_assets.timelines.usage import Scope
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.readiness import blocked_months, extracted_at

_MONTHS_AT_ONCE = 12
_PREVIEW_ROWS = 5


@dataclass
class Exported:
    """What a run exported: rows per table and month, and the months left as they were with the reason.

    `left_out` says per month which node types are in no sum, by resource.
    """

    blocked: dict[date, str]
    rows: dict[str, dict[date, int]] = field(default_factory=dict)
    in_database: dict[str, int] = field(default_factory=dict)
    target: str | None = None
    left_out: dict[date, list[str]] = field(default_factory=dict)


def export_assets(
    kind: Kind, sites: Mapping[str, Site], warehouse: Warehouse, partitions: dg.MultiPartitionsDefinition
) -> dg.AssetsDefinition:
    """The exports of a kind as one subsettable step."""
    usage = asset_key(kind.name, "timelines", "usage")
    tables = {asset_key(kind.name, "reports", name): table for name, table in EXPORTS.items()}
    specs = [
        asset_spec(
            kind.name,
            "reports",
            table.name,
            description=table.description,
            partitions=partitions,
            deps=[usage],
            kinds=("parquet", "csv", "duckdb"),
        ).merge_attributes(metadata={"dagster/column_schema": _columns(table)})
        for table in EXPORTS.values()
    ]
    check_specs = [
        dg.AssetCheckSpec(check.name, asset=key, description=check.description, blocking=False)
        for key, table in tables.items()
        for check in checks.of(table)
    ]

    @dg.multi_asset(
        name=f"{kind.name}_exports", specs=specs, check_specs=check_specs, can_subset=True, backfill_policy=BACKFILL
    )
    def export(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        window = run_window(context)
        site = site_of(sites, window)
        chosen = {key: table for key, table in tables.items() if key in context.selected_asset_keys}
        window = since_first_month(context, site, window, chosen)
        done = Exported({})
        with readable_errors(window, "exports"):
            if window.months:
                done = export_window(kind, site, window, warehouse, tables=list(chosen.values()))
        scope = kind.usage_scope(site)
        for key, table in chosen.items():
            for month in window.months:
                show_month(context, key, site.key, month, _shown(table, site, month, done))
            shown = _of_run(table, scope, done) if window.months else {}
            yield dg.MaterializeResult(asset_key=key, metadata=shown)
        checked = [
            RunCheck(
                key,
                check.name,
                check.evaluate(table, site, window, scope, done.blocked) if window.months else {},
                check.failing,
                check.warn,
                check.of_now,
            )
            for key, table in chosen.items()
            for check in checks.of(table)
            if dg.AssetCheckKey(key, check.name) in context.selected_asset_check_keys
        ]
        yield from tell(warehouse, sites, window, context.run.run_id, checked)

    return export


def export_window(
    kind: Kind, site: Site, window: Window, warehouse: Warehouse, *, tables: Sequence[ExportTable]
) -> Exported:
    """Export the months of a window whose usage is good."""
    with warehouse.site(site.key, f"exports of {window}"):
        with warehouse.read() as reader:
            blocked = blocked_months(reader, site, window.months, [kind.asset("timelines", "usage")])
            extracted = extracted_at(reader, site, window.months, kind.tables_of(site))
        out = Exported(blocked, {table.name: {} for table in tables}, target=database.target())
        todo = iter([month for month in window.months if month not in blocked])
        while some := list(islice(todo, _MONTHS_AT_ONCE)):  # a history of hourly buckets at once would take gigabytes
            with warehouse.read() as reader:
                usage = reading.read(reader, site, some, kind.usage_scope(site).metrics)
            for month, resource, types in usage.left_out.iter_rows():
                out.left_out.setdefault(month, []).append(f"{resource}: {types}")
            for table in tables:
                rows = make(table, kind.usage_scope(site), site, usage, extracted)
                parts = {key[0]: part for key, part in rows.partition_by("month", as_dict=True).items()}
                for month in some:
                    part = parts.get(month, rows.clear())
                    write_month(table, site.key, month, part)
                    out.rows[table.name][month] = part.height
    with file_lock(
        settings.data_dir() / ".locks" / "export.lock",
        f"exports of {window}",
        wait_seconds=settings.lock_wait_seconds(),
    ):
        write_snapshot([(site.key, month) for month in window.months])
        if out.target is not None and any(out.rows.values()):
            loads = [
                database.Load(
                    table,
                    {month: month_path(table, site.key, month) for month in out.rows[table.name]},
                    site_paths(table, site.key),
                )
                for table in tables
            ]
            out.in_database = database.load(site.key, loads)
    return out


def make(
    table: ExportTable, scope: Scope, site: Site, usage: reading.SiteUsage, extracted: Mapping[date, datetime]
) -> pl.DataFrame:
    """The rows of one table, with the month that each belongs to."""
    added = usage.added.lazy()
    if table is USAGE_WIDE:
        rows = frames.wide(
            added,
            usage.active.lazy(),
            site=site.key,
            counted=scope.counted,
            minutes=scope.bucket_minutes,
            extracted=extracted,
        )
    elif table is USAGE_LONG:
        rows = frames.long(added, scope)
    else:
        has = set(reading.PARITY_METRICS) <= set(scope.counted)
        daily = usage.daily.lazy() if has else usage.daily.clear().lazy()
        rows = frames.parity(daily, site=site.key, extracted=extracted)
    return rows.collect()


def _columns(table: ExportTable) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                str(column.type),
                f"{column.description} [{column.unit}]",
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in table.columns
        ],
        constraints=dg.TableConstraints(other=[f"unique ({', '.join(table.key)})"]),
    )


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
