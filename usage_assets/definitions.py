"""The Dagster code location: `build_defs` assembles it fresh, `defs` is what the server loads.

What belongs here: assembly. What stays out: any rule, query or site.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from usage_assets.core import settings
from usage_assets.kinds import KINDS
from usage_assets.kinds.site_files import load_book
from usage_assets.orchestration.alert_collection import SiteFiles
from usage_assets.orchestration.alert_sensor import alert_sensor
from usage_assets.orchestration.coverage_step import GROUP, coverage_asset, coverage_schedule
from usage_assets.orchestration.exports_step import export_step
from usage_assets.orchestration.mail_sensor import letter_sensor
from usage_assets.orchestration.missed import Nightly
from usage_assets.orchestration.monthly_checks import monthly_checks
from usage_assets.orchestration.nightly import nightly_schedule
from usage_assets.orchestration.orphaned_runs import orphan_sensor
from usage_assets.orchestration.partitions import partitions
from usage_assets.orchestration.plots_step import plot_step
from usage_assets.orchestration.publish_sensor import JOB as PUBLISH
from usage_assets.orchestration.publish_sensor import publish_sensor
from usage_assets.orchestration.publish_step import published_asset
from usage_assets.orchestration.raw_step import raw_step
from usage_assets.orchestration.resources import PublishedResource, SettingsResource, WarehouseResource
from usage_assets.orchestration.step import Stage
from usage_assets.orchestration.tables_step import table_steps
from usage_assets.sites.base import Site
from usage_assets.sites.book import SiteBook
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Warehouse

FRESH_HOURS = 36
"""An asset is shown as stale when no run has written it for so many hours: a night was missed."""
_LOG = logging.getLogger("usage_assets")

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
    resources: Mapping[str, dg.ConfigurableResource] | None = None,
) -> dg.Definitions:
    """Assets, checks, one job per kind, and what runs by itself.

    Sites come from `USAGE_SITES` and the warehouse from `USAGE_DATA` unless given. A kind without sites has no assets.
    A site whose file has a fault keeps its partitions; a run of it fails with that fault, those of others go on.
    `resources` take the place of `warehouse`, `published` and `settings`.
    """
    book = load_book() if sites is None else SiteBook.of(sites)
    warehouse = Warehouse.default() if warehouse is None else warehouse
    parts = {
        kind.name: _of_kind(kind, book, warehouse, automation=automation)
        for kind in KINDS.values()
        if book.keys_of(kind.name)
    }
    if parts:
        parts["usage"] = _across_kinds(book, warehouse, automation=automation)
    if automation:
        nightlies = [
            Nightly.of(schedule, book.of_kind(kind))
            for kind, part in parts.items()
            for schedule in part.schedules or ()
            if isinstance(schedule, dg.ScheduleDefinition) and schedule.name == f"{kind}_nightly"
        ]
        sensors = [alert_sensor(nightlies, SiteFiles(book)), orphan_sensor()]
        parts["automation"] = dg.Definitions(sensors=sensors)
    shared = dg.Definitions(
        executor=dg.in_process_executor,
        resources={
            "warehouse": WarehouseResource.of(warehouse),
            "published": PublishedResource(folder=str(settings.published_dir())),
            "settings": SettingsResource.of_environment(),
            **(resources or {}),
        },
        loggers=loggers,
    )
    return dg.Definitions.merge(*parts.values(), shared)


def _of_kind(kind: Kind, book: SiteBook, warehouse: Warehouse, *, automation: bool) -> dg.Definitions:
    sites = book.of_kind(kind.name)
    months = partitions(book.keys_of(kind.name))
    stage = Stage(kind, sites, months, book)
    assets = [raw_step(stage), *table_steps(stage), plot_step(stage), export_step(stage)]
    keys = [key for asset in assets for key in asset.keys]
    job = dg.define_asset_job(
        kind.name,
        selection=dg.AssetSelection.assets(*keys),
        description=f"All assets of the sites of kind {kind.name} ({kind.label}) and their checks.",
        partitions_def=months,
    )
    return dg.Definitions(
        assets=_shown(assets, sites),
        asset_checks=[monthly_checks(stage)],
        jobs=[job],
        schedules=[nightly_schedule(kind, sites, warehouse)] if automation else [],
        sensors=[letter_sensor(kind, sites, warehouse)] if automation and kind.mails_reports else [],
    )


def _shown(assets: Sequence[dg.AssetsDefinition], sites: SiteBook) -> Sequence[Any]:
    """The assets with the owners that the files of their sites name, a policy of freshness, and links to their code."""
    owners = sorted({owner for site in sites.values() for owner in site.owners})
    # of a month too old the check `fresh` of coverage tells; this is for an asset that no run has written at all
    policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=FRESH_HOURS))
    changed = dg.map_asset_specs(lambda spec: spec.replace_attributes(owners=owners, freshness_policy=policy), assets)
    return dg.with_source_code_references(changed)


def _across_kinds(book: SiteBook, warehouse: Warehouse, *, automation: bool) -> dg.Definitions:
    """What is made of the sites of all kinds at once, and the job that makes it."""
    job = dg.define_asset_job(
        PUBLISH,
        selection=dg.AssetSelection.groups(GROUP),
        description="What is made of all sites at once, after their runs: coverage with its checks, and then the "
        "snapshot that readers open.",
    )
    kinds = [name for name in KINDS if book.keys_of(name)]
    return dg.Definitions(
        assets=_shown([coverage_asset(book), published_asset(kinds)], book),
        jobs=[job],
        schedules=[coverage_schedule(job.name)] if automation else [],
        sensors=[publish_sensor(warehouse)] if automation else [],
    )


def __getattr__(name: str) -> dg.Definitions:
    """`defs`, made when the server asks for it: importing this module reads no site file."""
    if name == "defs":
        book = load_book()
        for key, fault in book.faults.items():
            _LOG.warning("site %s is left out, its file has a fault: %s", key, fault)
        made = build_defs(book)
        globals()["defs"] = made
        return made
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
