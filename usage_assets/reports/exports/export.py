"""Exporting the months of a site: files per month, and once per run the DuckDB snapshot and the database, if any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice

import polars as pl

from usage_assets.core import settings
from usage_assets.core.locks import file_lock
from usage_assets.core.months import Window
from usage_assets.reports.exports import database, frames, reading
from usage_assets.reports.exports.files import site_paths, write_month
from usage_assets.reports.exports.snapshot import write_snapshot
from usage_assets.reports.exports.tables import USAGE_LONG, USAGE_WIDE, ExportTable
from usage_assets.sites.base import Site
from usage_assets.specs.kind import Kind
from usage_assets.timelines.usage import Scope
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.readiness import blocked_months, extracted_at

_MONTHS_AT_ONCE = 12


@dataclass
class Exported:
    """Result of an export: rows per table and month, and why blocked months were left as they were.

    `left_out` says per month which node types are in no sum, by resource.
    """

    blocked: dict[date, str]
    rows: dict[str, dict[date, int]] = field(default_factory=dict)
    in_database: dict[str, int] = field(default_factory=dict)
    target: str | None = None
    left_out: dict[date, list[str]] = field(default_factory=dict)


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
    lock = settings.data_dir() / ".locks" / "export.lock"
    with file_lock(lock, f"exports of {window}", wait_seconds=settings.lock_wait_seconds()):
        write_snapshot([(site.key, month) for month in window.months])
        if out.target is not None and any(out.rows.values()):
            files = {table: site_paths(table, site.key) for table in tables}
            written = {table: {month: files[table][month] for month in out.rows[table.name]} for table in tables}
            loads = [database.Load(table, written[table], files[table]) for table in tables]
            out.in_database = database.load(site.key, loads)
    return out


def make(
    table: ExportTable, scope: Scope, site: Site, usage: reading.SiteUsage, extracted: Mapping[date, datetime]
) -> pl.DataFrame:
    """The rows of one table, with the month that each belongs to."""
    added = usage.added.lazy()
    if table is USAGE_WIDE:
        rows = frames.wide(added, usage.active.lazy(), scope, extracted)
    elif table is USAGE_LONG:
        rows = frames.long(added, scope)
    else:
        has = set(reading.PARITY_METRICS) <= set(scope.counted)
        daily = usage.daily.lazy() if has else usage.daily.clear().lazy()
        rows = frames.parity(daily, site=site.key, extracted=extracted)
    return rows.collect()
