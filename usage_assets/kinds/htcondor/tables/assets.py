"""Assets of a pool's tables by UTC month: `htcondor/reports/gpu_*`."""

from functools import partial

from usage_assets.kinds.htcondor.tables import monthly
from usage_assets.kinds.htcondor.tables.declarations import TABLES
from usage_assets.schema import Table
from usage_assets.specs.asset import Asset


def _asset(table: Table) -> Asset:
    return Asset(
        stage=table.stage,
        name=table.name,
        table=table,
        after=("facts/gpu_runs", "facts/gpu_polls", "facts/gpu_performance"),
        read=monthly.read_months,  # one function, not one each: tables that share it are made of one read
        make=partial(monthly.make, table.name),
        months_at_once=6,
    )


TABLE_ASSETS: tuple[Asset, ...] = tuple(map(_asset, TABLES))
"""What the kind lists among its tables."""
