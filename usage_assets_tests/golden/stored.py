"""A golden site in a warehouse, from its raw rows on, as the steps of the assets build it but without Dagster."""

from collections.abc import Sequence
from datetime import date, datetime

from usage_assets.core.months import Window
from usage_assets.kinds import KINDS
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.facts_step import build_window as build_facts
from usage_assets.orchestration.table_step import build_window as build_table
from usage_assets.orchestration.usage_step import build_window as build_timelines
from usage_assets.warehouse import Warehouse
from usage_assets_tests.golden.builder import Rows
from usage_assets_tests.golden.stores import put_raw


def store(
    warehouse: Warehouse,
    rows: Rows,
    site: OpenStackSite,
    months: Sequence[date],
    *,
    extracted: datetime = datetime(2024, 6, 1),
    tables: Sequence[str] = (),
    timelines: bool = True,
) -> Window:
    """Raw rows, facts, usage where asked for, and the named table assets (`<stage>/<table>`, in the order given)."""
    kind = KINDS[site.kind]
    window = Window(site.key, tuple(months))
    put_raw(warehouse, rows, site, months, dict.fromkeys(months, extracted))
    build_facts(kind, site, window, warehouse, chosen=list(kind.facts), run_id="golden")
    if timelines:
        build_timelines(kind, site, window, warehouse, chosen=["usage", "usage_steps"], run_id="golden")
    made = {f"{table.stage}/{table.name}": table for table in kind.tables}
    for name in tables:
        shown = build_table(kind, site, window, warehouse, table=made[name], run_id="golden")
        assert {each["status"] for each in shown.values()} == {"written"}, shown
    return window
