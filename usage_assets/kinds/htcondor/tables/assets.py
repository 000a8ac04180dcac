"""Assets of a pool's tables by UTC month: `htcondor/reports/gpu_*`. What makes them is imported when it is called."""

from functools import partial

from usage_assets.kinds.htcondor.tables.declarations import TABLES
from usage_assets.schema import Table
from usage_assets.specs.asset import TableAsset, later

_READ = later("kinds.htcondor.tables.monthly", "read_months")
"""One function, not one each: tables that share it are made of one read."""


def _asset(table: Table) -> TableAsset:
    return TableAsset(
        stage=table.stage,
        name=table.name,
        table=table,
        after=("facts/gpu_runs", "facts/gpu_polls", "facts/gpu_performance"),
        read=_READ,
        make=partial(later("kinds.htcondor.tables.monthly", "make"), table.name),
    )


TABLE_ASSETS: tuple[TableAsset, ...] = tuple(map(_asset, TABLES))
"""What the kind lists among its tables."""
