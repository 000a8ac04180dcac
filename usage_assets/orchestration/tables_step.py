"""The steps that build tables of the warehouse from others: facts of a kind, its timelines, and its other tables."""

from collections.abc import Iterator, Sequence

import dagster as dg

from usage_assets.facts.assets import fact_assets
from usage_assets.orchestration.build import build_assets, families
from usage_assets.orchestration.column_lineage import column_lineage
from usage_assets.orchestration.step import Done, Run, Stage, step
from usage_assets.orchestration.ui_metadata import asset_key, asset_spec
from usage_assets.specs.asset import Asset
from usage_assets.timelines.assets import usage_assets


def table_steps(stage: Stage) -> list[dg.AssetsDefinition]:
    """Facts and usage timelines as one step each; of the other tables one step per stage."""
    tables = stage.kind.tables
    steps = {"facts": fact_assets(stage.kind), "timelines": usage_assets(stage.kind)} | {
        f"{name}_tables": tuple(asset for asset in tables if asset.stage == name)
        for name in dict.fromkeys(asset.stage for asset in tables)
    }
    return [_step(stage, name, assets) for name, assets in steps.items()]


def _step(stage: Stage, name: str, assets: Sequence[Asset]) -> dg.AssetsDefinition:
    kind = stage.kind
    by_key = {asset_key(kind.name, asset.stage, asset.name): asset for asset in assets}
    specs = [
        asset_spec(
            kind.name,
            asset.stage,
            asset.name,
            description=asset.description or asset.table.description,
            partitions=stage.partitions,
            table=asset.table,
            deps=[
                asset_key(kind.name, *path.split("/"))
                for path in dict.fromkeys((*asset.after, *asset.optional, *asset.shown_after))
            ],
        ).merge_attributes(metadata={"dagster/column_lineage": column_lineage(kind, asset)})
        for asset in assets
    ]

    def work(run: Run) -> Iterator[Done]:
        for family in families([by_key[key] for key in run.keys]):
            what = family[0].path if len(family) == 1 else name
            with run.warehouse.site(run.site.key, f"run {run.run_id[:8]}, {what} of {run.window}"):
                shown = build_assets(kind, run.site, run.window, run.warehouse, family, run_id=run.run_id)
            months = {asset_key(kind.name, *path.split("/")): found for path, found in shown.items()}
            yield Done(months.keys(), months)

    return step(stage, f"{kind.name}_{name}", name, specs, work)
