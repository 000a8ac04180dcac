"""The steps that build tables of the warehouse from others: facts of a kind, its timelines, and its other tables."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from usage_assets.facts.assets import fact_assets
from usage_assets.orchestration.build import build_assets, families
from usage_assets.orchestration.step import Done, Run, Stage, step
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.schema import Table
from usage_assets.specs.asset import Asset
from usage_assets.specs.kind import Kind
from usage_assets.timelines.assets import assets_of, usage_assets

_OF_EVERY_ROW = {"site", "month"}


def table_steps(stage: Stage) -> list[dg.AssetsDefinition]:
    """Facts and usage timelines as one step each; of the other tables one step per stage."""
    tables = stage.kind.tables
    steps = {"facts": fact_assets(stage.kind), "timelines": usage_assets(stage.kind)} | {
        f"{name}_tables": tuple(asset for asset in tables if asset.stage == name)
        for name in dict.fromkeys(asset.stage for asset in tables)
    }
    declared = {f"raw/{raw.name}": raw.table for raw in stage.kind.raw_tables}
    declared |= {asset.path: asset.table for asset in assets_of(stage.kind)}
    return [_step(stage, name, assets, declared) for name, assets in steps.items()]


def _step(stage: Stage, name: str, assets: Sequence[Asset], tables: Mapping[str, Table]) -> dg.AssetsDefinition:
    kind = stage.kind
    by_key = {stage.key(asset.path): asset for asset in assets}
    specs = [
        stage.spec(
            asset.path,
            asset.description or asset.table.description,
            table=asset.table,
            deps=dict.fromkeys((*asset.after, *asset.optional, *asset.shown_after)),
            metadata={"dagster/column_lineage": column_lineage(kind, asset, tables)},
        )
        for asset in assets
    ]

    def work(run: Run) -> Iterator[Done]:
        for family in families([by_key[key] for key in run.keys]):
            what = family[0].path if len(family) == 1 else name
            with run.warehouse.site(run.site.key, f"run {run.run_id[:8]}, {what} of {run.window}"):
                shown = build_assets(kind, run.site, run.window, run.warehouse, family, run_id=run.run_id)
            months = {stage.key(path): found for path, found in shown.items()}
            yield Done(months.keys(), months)

    return step(stage, name, specs, work)


def column_lineage(kind: Kind, asset: Asset, tables: Mapping[str, Table]) -> dg.TableColumnLineage:
    """Of which columns of its inputs each column of an asset is made, from raw tables to timelines.

    Columns with the same name in an input, and those that the asset declares as `derived`; `tables` are those of the
    kind by path.
    """
    inputs = [path for path in dict.fromkeys((*asset.after, *asset.optional)) if path in tables]
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for column in asset.table.names:
        found = dict.fromkeys(tuple(name.rsplit(".", 1)) for name in asset.derived.get(column, ()))
        found |= dict.fromkeys((path, column) for path in inputs if column in tables[path].names)
        if found and column not in _OF_EVERY_ROW:
            deps[column] = [dg.TableColumnDep(asset_key(kind.name, *path.split("/")), name) for path, name in found]
    return dg.TableColumnLineage(deps)
