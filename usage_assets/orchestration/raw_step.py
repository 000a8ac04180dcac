"""The raw assets of a kind: one step that reads every table of a site once and keeps it by month."""

from collections.abc import Iterator, Mapping

import dagster as dg

from usage_assets.core.clock import naive_utc_now
from usage_assets.core.months import Window
from usage_assets.orchestration.partitions import run_window
from usage_assets.orchestration.run_checks import raw_check_specs, raw_checks
from usage_assets.orchestration.ui_metadata import (
    BACKFILL,
    asset_key,
    asset_spec,
    month_metadata,
    previews,
    readable_errors,
    show_month,
    since_first_month,
    site_of,
)
from usage_assets.orchestration.verdict import tell
from usage_assets.sites.base import Site
from usage_assets.sources.record import DumpResult
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Warehouse

PURGE_TAG = "usage/purge_known"
MISSING_TAG = "usage/allow_missing"


class RawConfig(dg.Config):
    """What an operator may say about a dump."""

    purge_known: bool = False
    """The source was purged on purpose: rows that vanished are marked, however many they are."""
    allow_missing: bool = False
    """Columns were removed at the source on purpose: their values of rows that it still has become null."""


def raw_assets(
    kind: Kind, sites: Mapping[str, Site], warehouse: Warehouse, partitions: dg.MultiPartitionsDefinition
) -> dg.AssetsDefinition:
    """Every raw table of the kind as one subsettable step."""
    tables = {asset_key(kind.name, "raw", table.name): table for table in kind.raw_tables}
    specs = [
        asset_spec(
            kind.name, "raw", table.name, description=table.description, partitions=partitions, table=table.table,
            kinds=("duckdb", kind.source),
        )
        for table in kind.raw_tables
    ]  # fmt: skip

    @dg.multi_asset(
        name=f"{kind.name}_raw",
        specs=specs,
        check_specs=raw_check_specs(list(tables), access=kind.access),
        can_subset=True,
        backfill_policy=BACKFILL,
    )
    def raw(
        context: dg.AssetExecutionContext, config: RawConfig
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        window = run_window(context)
        site = site_of(sites, window)
        chosen = {key: table for key, table in tables.items() if key in context.selected_asset_keys}
        window = since_first_month(context, site, window, chosen)
        tags = context.run.tags
        with readable_errors(window, "raw"):
            result = DumpResult(window, naive_utc_now(), ())
            if window.months:
                result = kind.dump(
                    site,
                    window,
                    warehouse,
                    tables=list(chosen.values()),
                    run_id=context.run.run_id,
                    purge_known=config.purge_known or tags.get(PURGE_TAG) == "true",
                    allow_missing=config.allow_missing or tags.get(MISSING_TAG) == "true",
                    log=context.log.info,
                )
            show_dump(context, kind, window, result)
            began = naive_utc_now()
            with warehouse.read() as reader:
                few = {key: previews(reader, table.table, window) for key, table in chosen.items() if window.months}
                checks = list(
                    raw_checks(
                        reader,
                        kind,
                        site,
                        window,
                        tables=chosen,
                        selected=context.selected_asset_check_keys,
                        warnings=result.warnings,
                    )
                )
        for key in chosen:
            for month, rows in few.get(key, {}).items():
                show_month(context, key, site.key, month, {"preview": rows})
            yield dg.MaterializeResult(asset_key=key)
        whole = [
            kind.asset("raw", table.name)
            for key, table in chosen.items()
            if window.months and {"contract", "coverage"} <= {check.name for check in checks if check.asset == key}
        ]
        yield from tell(warehouse, sites, window, context.run.run_id, checks, at=began, checked=whole)

    return raw


def show_dump(context: dg.AssetExecutionContext, kind: Kind, window: Window, result: DumpResult) -> None:
    """Metadata of each table and month of a dump."""
    for found in result.months:
        facts = month_metadata(
            found.rows,
            "; ".join(map(str, found.refused)) or None,
            rows_new=found.rows_new,
            rows_changed=found.rows_changed,
            rows_moved=found.rows_moved,
            rows_gone=found.rows_gone,
            zero_dates=found.zero_dates,
            extracted_at=found.extracted_at.isoformat(sep=" ", timespec="seconds"),
            note=found.note,
        )
        show_month(context, asset_key(kind.name, "raw", found.table.name), window.site, found.month, facts)
