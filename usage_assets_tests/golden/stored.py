"""A golden site in a warehouse, from its raw rows on, as the steps of the assets build it but without Dagster."""

from collections.abc import Sequence
from datetime import date, datetime

from usage_assets.core.months import Window
from usage_assets.facts.assets import fact_assets
from usage_assets.kinds import KINDS
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.build import build_assets
from usage_assets.timelines.assets import usage_assets
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
    build_assets(kind, site, window, warehouse, fact_assets(kind), run_id="golden")
    if timelines:
        build_assets(kind, site, window, warehouse, usage_assets(kind), run_id="golden")
    declared = {table.path: table for table in kind.tables}
    for path in tables:
        shown = build_assets(kind, site, window, warehouse, [declared[path]], run_id="golden")[path]
        assert {each["status"] for each in shown.values()} == {"written"}, shown
    return window
