"""The raw assets of a kind: one step that reads every table of a site once and keeps it by month."""

from collections.abc import Iterator, Mapping

import dagster as dg

from usage_assets.checks.raw import raw_check_results, raw_check_specs
from usage_assets.kinds import Kind
from usage_assets.partitions import Window, window_of
from usage_assets.presentation import (
    BACKFILL,
    asset_key,
    asset_spec,
    month_metadata,
    preview,
    readable_errors,
    show_month,
)
from usage_assets.raw.dump import DumpResult, dump
from usage_assets.sites import Site
from usage_assets.warehouse import Warehouse

PURGE_TAG = "usage/purge_known"


class RawConfig(dg.Config):
    """What an operator may say about a dump."""

    purge_known: bool = False
    """The source was purged on purpose: rows that vanished are marked, however many they are."""


def raw_assets(
    kind: Kind, sites: Mapping[str, Site], warehouse: Warehouse, partitions: dg.MultiPartitionsDefinition
) -> dg.AssetsDefinition:
    """Every raw table of the kind as one subsettable step."""
    tables = {asset_key(kind.name, "raw", table.name): table for table in kind.raw_tables}
    specs = [
        asset_spec(
            kind.name, "raw", table.name, description=table.description, partitions=partitions, table=table.table,
            kinds=("duckdb", "sql"),
        )
        for table in kind.raw_tables
    ]  # fmt: skip

    @dg.multi_asset(
        name=f"{kind.name}_raw",
        specs=specs,
        check_specs=raw_check_specs(list(tables)),
        can_subset=True,
        backfill_policy=BACKFILL,
    )
    def raw(
        context: dg.AssetExecutionContext, config: RawConfig
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        window = window_of(context.partition_keys)
        site = sites[window.site]
        chosen = {key: table for key, table in tables.items() if key in context.selected_asset_keys}
        purge_known = config.purge_known or context.run.tags.get(PURGE_TAG) == "true"
        with readable_errors(window, "raw"):
            result = dump(
                site,
                window,
                warehouse,
                tables=list(chosen.values()),
                run_id=context.run.run_id,
                purge_known=purge_known,
                log=context.log.info,
            )
            show_dump(context, kind, window, result)
            with warehouse.read() as reader:
                previews = {key: preview(reader, table.table, window) for key, table in chosen.items()}
                checked = list(
                    raw_check_results(
                        reader, kind, site, window, tables=chosen, selected=context.selected_asset_check_keys
                    )
                )
        for key in chosen:
            shown = previews[key]
            yield dg.MaterializeResult(asset_key=key, metadata={} if shown is None else {"preview": shown})
        yield from checked

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
