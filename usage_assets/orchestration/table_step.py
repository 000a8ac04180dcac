"""Assets that are one table made of other tables: a declaration each (specs/asset.py), a step per stage."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

import dagster as dg

from usage_assets.core import settings
from usage_assets.core.months import Window
from usage_assets.facts.tables import REJECTS
from usage_assets.orchestration.partitions import run_window
from usage_assets.orchestration.ui_metadata import (
    BACKFILL,
    alone_at_site,
    asset_key,
    asset_spec,
    month_metadata,
    previews,
    rows_per_month,
    show_month,
    since_first_month,
    site_of,
)
from usage_assets.reports.render import write_file
from usage_assets.sites.base import Site
from usage_assets.specs.asset import Built, TableAsset
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Warehouse, Writer
from usage_assets.warehouse.bookkeeping import ACCOUNTS
from usage_assets.warehouse.readiness import blocked_months, extracted_at


def table_assets(
    kind: Kind, sites: Mapping[str, Site], warehouse: Warehouse, partitions: dg.MultiPartitionsDefinition
) -> list[dg.AssetsDefinition]:
    """The table assets of a kind, one subsettable step per stage."""
    stages = dict.fromkeys(table.stage for table in kind.tables)
    return [_stage(kind, stage, sites, warehouse, partitions) for stage in stages]


def _stage(
    kind: Kind,
    stage: str,
    sites: Mapping[str, Site],
    warehouse: Warehouse,
    partitions: dg.MultiPartitionsDefinition,
) -> dg.AssetsDefinition:
    tables = {asset_key(kind.name, stage, table.name): table for table in kind.tables if table.stage == stage}
    specs = [
        asset_spec(
            kind.name,
            stage,
            table.name,
            description=table.description or table.table.description,
            partitions=partitions,
            table=table.table,
            deps=[asset_key(kind.name, *name.split("/")) for name in table.after],
        )
        for table in tables.values()
    ]

    @dg.multi_asset(name=f"{kind.name}_{stage}_tables", specs=specs, can_subset=True, backfill_policy=BACKFILL)
    def build(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        window = run_window(context)
        site = site_of(sites, window)
        keys = [key for key in tables if key in context.selected_asset_keys]
        chosen = [tables[key] for key in keys]
        window = since_first_month(context, site, window, keys)
        if not window.months:
            yield from (dg.MaterializeResult(asset_key=key) for key in keys)
            return
        for family in families(chosen):
            what = family[0].table.qualified if len(family) == 1 else f"{stage} tables"
            with alone_at_site(context, warehouse, window, what):
                built = build_family(kind, site, window, warehouse, tables=family, run_id=context.run.run_id)
            for table, shown in zip(family, built, strict=True):
                key = asset_key(kind.name, stage, table.name)
                for month in window.months:
                    show_month(context, key, site.key, month, shown[month])
                yield dg.MaterializeResult(asset_key=key)

    return build


def families(tables: Sequence[TableAsset]) -> list[list[TableAsset]]:
    """Tables that are made of one read of the same inputs stand together, each other by itself."""
    out: dict[Any, list[TableAsset]] = {}
    for table in tables:
        out.setdefault((table.read, table.after, table.applies), []).append(table)
    return list(out.values())


Shown = dict[date, dict[str, Any]]
"""What to show of each month of a table."""


def build_window(
    kind: Kind, site: Site, window: Window, warehouse: Warehouse, *, table: TableAsset, run_id: str
) -> Shown:
    """Make one table of a window and write it in one transaction."""
    (shown,) = build_family(kind, site, window, warehouse, tables=[table], run_id=run_id)
    return shown


def build_family(
    kind: Kind, site: Site, window: Window, warehouse: Warehouse, *, tables: Sequence[TableAsset], run_id: str
) -> list[Shown]:
    """Make tables that share their inputs, read once, and write them in one transaction.

    Of a kind whose facts fill the memory, so many months at a time.
    """
    parts = [
        _build_part(kind, site, part, warehouse, tables=tables, run_id=run_id)
        for part in window.parts(kind.table_months_at_once)
    ]
    return [
        {month: metadata for months in of_table for month, metadata in months.items()}
        for of_table in zip(*parts, strict=True)
    ]


def _build_part(
    kind: Kind, site: Site, window: Window, warehouse: Warehouse, *, tables: Sequence[TableAsset], run_id: str
) -> list[Shown]:
    blocked: dict[date, str] = {}
    extracted: Mapping[date, datetime] = {}
    made = [Built(table.table.empty()) for table in tables]
    if tables[0].applies(site):
        with warehouse.read() as reader:
            blocked = blocked_months(reader, site, window.months, kind.upstream(site, tables[0].after))
            todo = [month for month in window.months if month not in blocked]
            extracted = extracted_at(reader, site, todo, kind.tables_of(site))
            read = tables[0].read(reader, site, todo) if todo else None
        if todo:
            made = [table.make(site, todo, read, extracted) for table in tables]
    with warehouse.write(f"{', '.join(table.name for table in tables)} of {window}") as writer:
        stored = [
            _store(writer, kind, window, table, rows, blocked=blocked, run_id=run_id)
            for table, rows in zip(tables, made, strict=True)
        ]
    out = []
    for rows, (shown, refused) in zip(made, stored, strict=True):
        for month, files in rows.files.items():
            if month not in refused:
                shown[month] |= _write_files(files)
        out.append(shown)
    return out


def _store(
    writer: Writer,
    kind: Kind,
    window: Window,
    table: TableAsset,
    made: Built,
    *,
    blocked: Mapping[date, str],
    run_id: str,
) -> tuple[Shown, dict[date, str]]:
    """Write a table: what to show of its months, and those kept with the reason."""
    refused = _write(writer, kind, table, made, window=window, blocked=blocked, run_id=run_id)
    rows = rows_per_month(writer, table.table, window, table.owned)
    few = previews(writer, table.table, window, _where(table.owned))
    shown = {month: month_metadata(rows[month], refused.get(month), preview=few.get(month)) for month in window.months}
    return shown, refused


def _write_files(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Write the pages of a month; how many, and a link to the last one that a browser shows."""
    for name, content in files.items():
        write_file(settings.plots_dir() / name, content)
    out: dict[str, Any] = {"files_written": len(files)}
    pages = sorted(name for name in files if name.endswith(".html"))
    if pages:
        out["page"] = dg.MetadataValue.url(f"{settings.plots_url()}/{quote(pages[-1])}")
        out["path"] = dg.MetadataValue.path(str(settings.plots_dir() / pages[-1]))
    return out


def _write(
    writer: Writer,
    kind: Kind,
    table: TableAsset,
    made: Built,
    *,
    window: Window,
    blocked: Mapping[date, str],
    run_id: str,
) -> dict[date, str]:
    """Rows, rejects and accounts of a month are written together or not at all; the months kept, with the reason."""
    asset = kind.asset(table.stage, table.name)
    refused = dict(blocked)
    frames = [(table.table, made.rows, table.owned)]
    if table.rejects_of:
        frames.insert(0, (REJECTS, REJECTS.empty() if made.rejects is None else made.rejects, _of(table.rejects_of)))
    for declared, frame, _ in frames if len(frames) > 1 else ():
        for month, broken in writer.refused(declared, frame).items():
            refused.setdefault(month, "; ".join(map(str, broken)))
    for declared, frame, owned in frames:
        replaced = writer.replace(
            declared,
            frame,
            site=window.site,
            months=window.months,
            asset=asset,
            run_id=run_id,
            owned=owned,
            blocked=refused,
        )
        for month, broken in replaced.refused.items():
            refused.setdefault(month, "; ".join(map(str, broken)))
    if made.accounts is not None:
        good = [month for month in window.months if month not in refused]
        writer.ensure(ACCOUNTS)
        writer.delete(ACCOUNTS, site=window.site, months=good, owned={"asset": [asset]})
        writer.put(ACCOUNTS, made.accounts.filter(made.accounts["month"].is_in(good)))
    for view in table.views:
        writer.con.execute(view).fetchall()
    return refused


def _of(metrics: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return {"metric": tuple(metrics)}


def _where(owned: Mapping[str, tuple[str, ...]]) -> str:
    """The owned part as a condition; names and values come from declarations, not from people."""
    parts = [f"{column} IN ({', '.join(repr(value) for value in values)})" for column, values in owned.items()]
    return " AND ".join(parts)
