"""Assets of a pool's tables by UTC month: `htcondor/reports/gpu_*`. What makes them is imported when it is called."""

from functools import partial

from usage_assets.declared import TableAsset, later
from usage_assets.gpu.tables import TABLES
from usage_assets.schema import Table

_READ = later("gpu.monthly", "read_months")
"""One function, not one each: tables that share it are made of one read."""


def _asset(table: Table) -> TableAsset:
    return TableAsset(
        stage=table.stage,
        name=table.name,
        table=table,
        after=("facts/gpu_runs", "facts/gpu_polls", "facts/gpu_performance"),
        read=_READ,
        make=partial(later("gpu.monthly", "make"), table.name),
    )


TABLE_ASSETS: tuple[TableAsset, ...] = tuple(map(_asset, TABLES))
"""What the kind lists among its tables."""
