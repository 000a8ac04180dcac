"""Assets that are one table made of other tables: a declaration each (`kinds.TableAsset`), a step per stage."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg
import polars as pl

from usage_assets.facts.tables import REJECTS
from usage_assets.gates import closed_months, extracted_at
from usage_assets.kinds import Kind, Made, TableAsset
from usage_assets.partitions import Window, window_of
from usage_assets.presentation import (
    BACKFILL,
    asset_key,
    asset_spec,
    month_metadata,
    preview,
    readable_errors,
    rows_per_month,
    show_month,
)
from usage_assets.serving import ACCOUNTS
from usage_assets.sites import Site
from usage_assets.warehouse import Warehouse, Writer


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
        window = window_of(context.partition_keys)
        site = sites[window.site]
        for key, table in tables.items():
            if key not in context.selected_asset_keys:
                continue
            with readable_errors(window, table.table.qualified), warehouse.site(site.key, f"{table.name} of {window}"):
                shown, rows = build_window(kind, site, window, warehouse, table=table, run_id=context.run.run_id)
            for month in window.months:
                show_month(context, key, site.key, month, shown[month])
            yield dg.MaterializeResult(asset_key=key, metadata={"preview": rows} if rows else {})

    return build


def build_window(
    kind: Kind, site: Site, window: Window, warehouse: Warehouse, *, table: TableAsset, run_id: str
) -> tuple[dict[date, dict[str, Any]], dg.MetadataValue | None]:
    """Make one table of a window and write it in one transaction; what to show of each month, and a few rows."""
    closed: dict[date, str] = {}
    extracted: Mapping[date, datetime] = {}
    made = Made(table.table.empty())
    if table.applies(site):
        with warehouse.read() as reader:
            closed = closed_months(reader, site, window.months, kind.gates(site, table.after))
            todo = [month for month in window.months if month not in closed]
            extracted = extracted_at(reader, site, todo, kind.tables_of(site))
            read = table.read(reader, site, todo) if todo else None
        if todo:
            made = table.make(site, todo, read, extracted)
    with warehouse.write(f"{table.name} of {window}") as writer:
        refused = _write(writer, kind, table, made, window=window, closed=closed, run_id=run_id)
        rows = rows_per_month(writer, table.table, window, table.owned)
        shown = {month: month_metadata(rows[month], refused.get(month)) for month in window.months}
        first = preview(writer, table.table, window, _where(table.owned))
    if table.publish is not None and table.applies(site):
        written = [month for month in window.months if month not in refused]
        parts = {month: made.rows.filter(pl.col("month") == month) for month in written}
        for month, more in table.publish(site, parts, extracted).items():
            shown[month] |= more
    return shown, first


def _write(
    writer: Writer,
    kind: Kind,
    table: TableAsset,
    made: Made,
    *,
    window: Window,
    closed: Mapping[date, str],
    run_id: str,
) -> dict[date, str]:
    """Rows, rejects and accounts of a month are written together or not at all; the months kept, with the reason."""
    asset = kind.asset(table.stage, table.name)
    refused = dict(closed)
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
            closed=refused,
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
