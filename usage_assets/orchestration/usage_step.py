"""The timeline assets of a kind: usage per bucket and its exact steps, written with their views at once."""

from collections.abc import Iterator, Mapping

import dagster as dg

from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS
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
from usage_assets.sites.base import Site
from usage_assets.specs.kind import Kind
from usage_assets.timelines import views
from usage_assets.timelines.tables import USAGE, USAGE_STEPS
from usage_assets.timelines.usage import build_usage
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.readiness import blocked_months, extracted_at

TABLES = {"usage": USAGE, "usage_steps": USAGE_STEPS}
OWNED = {"collector_type": ("current",)}
"""What these assets own of their tables; rows of other collectors stand beside theirs."""


def timeline_assets(
    kind: Kind, sites: Mapping[str, Site], warehouse: Warehouse, partitions: dg.MultiPartitionsDefinition
) -> dg.AssetsDefinition:
    """The timelines of a kind as one subsettable step."""
    tables = {asset_key(kind.name, "timelines", name): table for name, table in TABLES.items()}
    facts = [asset_key(kind.name, "facts", fact.name) for fact in kind.facts]
    specs = [
        asset_spec(
            kind.name, "timelines", name, description=table.description, partitions=partitions, table=table, deps=facts
        )
        for name, table in TABLES.items()
    ]

    @dg.multi_asset(name=f"{kind.name}_timelines", specs=specs, can_subset=True, backfill_policy=BACKFILL)
    def build(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        window = run_window(context)
        site = site_of(sites, window)
        keys = [key for key in tables if key in context.selected_asset_keys]
        chosen = [key.path[-1] for key in keys]
        window = since_first_month(context, site, window, keys)
        if not window.months:
            yield from (dg.MaterializeResult(asset_key=key) for key in keys)
            return
        with alone_at_site(context, warehouse, window, "timelines"):
            shown = build_window(kind, site, window, warehouse, chosen=chosen, run_id=context.run.run_id)
            with warehouse.read() as reader:
                few = {name: previews(reader, TABLES[name], window) for name in chosen}
        for key, name in zip(keys, chosen, strict=True):
            for month in window.months:
                rows = {"preview": few[name][month]} if month in few[name] else {}
                show_month(context, key, site.key, month, shown[name][month] | rows)
            yield dg.MaterializeResult(asset_key=key)

    return build


def build_window(
    kind: Kind, site: Site, window: Window, warehouse: Warehouse, *, chosen: list[str], run_id: str
) -> dict[str, dict]:
    """Make the usage of a window from its facts and write it in one transaction; by asset and month what to show."""
    with warehouse.read() as reader:
        inputs = [kind.asset("facts", fact.name) for fact in kind.facts]
        blocked = blocked_months(reader, site, window.months, inputs)
        todo = [month for month in window.months if month not in blocked]
        extracted = extracted_at(reader, site, todo, kind.tables_of(site))
        intervals = reader.frame(INTERVALS, site.key, todo)
        types = kind.node_types(reader, site, todo)
        observed = kind.observed(reader, site, todo)
    made = build_usage(kind.usage_scope(site), todo, intervals, extracted, types, observed=observed)
    frames = {"usage": made.usage, "usage_steps": made.steps}
    out: dict[str, dict] = {}
    with warehouse.write(f"timelines of {window}") as writer:
        for name in chosen:
            table = TABLES[name]
            replaced = writer.replace(
                table,
                frames[name],
                site=site.key,
                months=window.months,
                asset=kind.asset("timelines", name),
                run_id=run_id,
                owned=OWNED,
                blocked=blocked,
            )
            rows = rows_per_month(writer, table, window, OWNED)
            refused = {month: "; ".join(map(str, broken)) for month, broken in replaced.refused.items()}
            out[name] = {month: month_metadata(rows[month], refused.get(month)) for month in window.months}
        views.ensure(writer)
    return out
