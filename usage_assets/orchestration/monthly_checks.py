"""Checks of facts, timelines and tables: one evaluation per month, shown beside that month in the UI.

Dagster's AssetCheckResult loses the partition in a run over a range of months (dagster#17005). The evaluation event
itself has room for it, and the UI's view of a partition also wants to know which materialization was checked. That
class is not public: a test holds what is relied on.
"""

from collections.abc import Iterable, Iterator

import dagster as dg

from usage_assets.checks.declared import checks_of
from usage_assets.core.clock import naive_utc_now
from usage_assets.orchestration.checks import Bound, check_spec, evaluated, fully_checked, now, recorded, result
from usage_assets.orchestration.dagster_private import AssetCheckEvaluationTargetMaterializationData as Target
from usage_assets.orchestration.finding_metadata import description, metadata
from usage_assets.orchestration.neighbours import with_unchecked
from usage_assets.orchestration.partitions import partition_key, run_window
from usage_assets.orchestration.resources import WarehouseResource
from usage_assets.orchestration.step import Stage
from usage_assets.orchestration.ui_metadata import readable_errors, site_of
from usage_assets.specs.check import Findings
from usage_assets.timelines.assets import assets_of


def monthly_checks(stage: Stage) -> dg.AssetChecksDefinition:
    """All checks of facts, timelines and tables of a kind, as one subsettable step after them."""
    kind = stage.kind
    bound = [Bound(stage.key(asset.path), check) for asset in assets_of(kind) for check in checks_of(kind, asset)]
    specs = {one: check_spec(one, None if one.check.per_run else stage.partitions) for one in bound}

    @dg.multi_asset_check(name=f"{kind.name}_checks", specs=list(specs.values()), can_subset=True)
    def evaluate(context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource) -> Iterator:
        store = warehouse.store()
        window = run_window(context.op_execution_context)
        site = site_of(stage.sites, window)
        window = window.since(site.first_month)
        chosen = [one for one in bound if one.key in context.selected_asset_check_keys]
        began = naive_utc_now()
        found: dict[Bound, Findings] = {one: {} for one in chosen}
        wide = window
        if window.months:
            with readable_errors(window, "checks"), store.read() as reader:
                wide = with_unchecked(reader, kind, window)
                found |= evaluated(reader, site, wide, chosen)
        keys = {month: str(partition_key(site.key, month)) for month in window.months}
        monthly = [one for one in chosen if not one.check.per_run]
        pointers = {asset: targets(context.instance, asset, keys.values()) for asset in {one.asset for one in monthly}}
        checked, run_id = fully_checked(bound, chosen) if window.months else (), context.run.run_id
        with recorded(store, stage.sites, wide, run_id, found, at=began, checked=checked) as standing:
            for one in chosen:
                if one.check.per_run:
                    yield result(one, window, found[one], standing[one.names])
        for one in monthly:
            fails = now(standing[one.names]) if standing[one.names] else ""
            # what fails comes last: the newest evaluation is the one that the UI shows of the check as a whole
            for month in sorted(keys, key=lambda month: (not found[one][month].passed, month)):
                finding = found[one][month]
                yield dg.AssetCheckEvaluation(
                    asset_key=one.asset,
                    check_name=one.check.name,
                    passed=finding.passed,
                    severity=dg.AssetCheckSeverity(one.check.severity),
                    description=description(site.key, month, finding, fails),
                    metadata=metadata(site.key, month, finding),
                    partition=keys[month],
                    target_materialization_data=pointers[one.asset].get(keys[month]),
                    blocking=False,
                )
            yield dg.Output(None, output_name=specs[one].get_python_identifier())  # its evaluations end here

    return evaluate


def targets(instance: dg.DagsterInstance, asset: dg.AssetKey, keys: Iterable[str]) -> dict[str, Target]:
    """The latest materialization of each partition that has one."""
    wanted = {str(key) for key in keys}
    latest = instance.event_log_storage.get_latest_storage_id_by_partition(
        asset, dg.DagsterEventType.ASSET_MATERIALIZATION, wanted
    )
    if not latest:
        return {}
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset, storage_ids=list(latest.values())), limit=len(latest)
    )
    return {
        str(record.partition_key): Target(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
        for record in found.records
    }
