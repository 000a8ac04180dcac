"""The Dagster code location: `build_defs` assembles it fresh, `defs` is what the server loads.

What belongs here: assembly. What stays out: any rule, query or site.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import dagster as dg

from usage_assets.automation.alerts import alert_sensors
from usage_assets.automation.nightly import nightly_schedule
from usage_assets.automation.orphans import orphan_sensor
from usage_assets.checks.monthly import monthly_checks
from usage_assets.facts.assets import fact_assets
from usage_assets.kinds import KINDS, Kind
from usage_assets.partitions import partitions
from usage_assets.raw.assets import raw_assets
from usage_assets.reports.assets import report_assets
from usage_assets.reports.exports.assets import export_assets
from usage_assets.sites import Site, load_sites
from usage_assets.table_assets import table_assets
from usage_assets.timelines.assets import timeline_assets
from usage_assets.warehouse import Warehouse

# backfill_policy and partitioned checks are used on purpose: the first is what makes a range one run, the second what
# makes a failed month visible as that month
for _category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=_category)


def build_defs(
    sites: Mapping[str, Site] | None = None,
    warehouse: Warehouse | None = None,
    *,
    automation: bool = True,
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """Assets, checks, one job per kind, and what runs by itself.

    Sites come from `USAGE_SITES` and the warehouse from `USAGE_DATA` unless given. A kind without sites has no assets.
    """
    sites = load_sites() if sites is None else sites
    warehouse = Warehouse.default() if warehouse is None else warehouse
    parts: list[dg.Definitions] = []
    for kind in KINDS.values():
        own = {key: site for key, site in sites.items() if site.kind == kind.name}
        if own:
            parts.append(_of_kind(kind, own, warehouse, everywhere=sites, automation=automation))
    if automation:
        parts.append(dg.Definitions(sensors=[*alert_sensors(), orphan_sensor()]))
    shared: dict[str, Any] = {"executor": dg.in_process_executor}
    if loggers:
        shared["loggers"] = dict(loggers)
    return dg.Definitions.merge(*parts, dg.Definitions(**shared))


def _of_kind(
    kind: Kind, sites: Mapping[str, Site], warehouse: Warehouse, *, everywhere: Mapping[str, Site], automation: bool
) -> dg.Definitions:
    months = partitions(list(sites))
    assets = [make(kind, sites, warehouse, months) for make in (raw_assets, fact_assets, timeline_assets)]
    assets += [report_assets(kind, sites, warehouse, months, everywhere), export_assets(kind, sites, warehouse, months)]
    assets += table_assets(kind, sites, warehouse, months)
    keys = [key for asset in assets for key in asset.keys]
    job = dg.define_asset_job(
        kind.name,
        selection=dg.AssetSelection.assets(*keys),
        description=f"All assets of the sites of kind {kind.name} ({kind.label}) and their checks.",
        partitions_def=months,
    )
    return dg.Definitions(
        assets=dg.with_source_code_references(assets),
        asset_checks=[monthly_checks(kind, sites, warehouse, months)],
        jobs=[job],
        schedules=[nightly_schedule(kind, sites, warehouse)] if automation else [],
    )


def __getattr__(name: str) -> dg.Definitions:
    """`defs`, made when the server asks for it: importing this module reads no site file."""
    if name == "defs":
        made = build_defs()
        globals()["defs"] = made
        return made
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
