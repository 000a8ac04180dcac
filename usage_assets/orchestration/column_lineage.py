"""Column lineage: of which columns of its inputs each column of an asset is made, from raw tables to timelines."""

import dagster as dg

from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.specs.asset import Asset
from usage_assets.specs.kind import Kind
from usage_assets.timelines.assets import assets_of

_OF_EVERY_ROW = {"site", "month"}


def column_lineage(kind: Kind, asset: Asset) -> dg.TableColumnLineage:
    """Columns with the same name in an input, and those that the asset declares as `derived`."""
    tables = {f"raw/{raw.name}": raw.table for raw in kind.raw_tables} | {
        one.path: one.table for one in assets_of(kind)
    }
    inputs = [path for path in dict.fromkeys((*asset.after, *asset.optional)) if path in tables]
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for column in asset.table.names:
        found = dict.fromkeys(tuple(name.rsplit(".", 1)) for name in asset.derived.get(column, ()))
        found |= dict.fromkeys((path, column) for path in inputs if column in tables[path].names)
        if found and column not in _OF_EVERY_ROW:
            deps[column] = [dg.TableColumnDep(asset_key(kind.name, *path.split("/")), name) for path, name in found]
    return dg.TableColumnLineage(deps)
