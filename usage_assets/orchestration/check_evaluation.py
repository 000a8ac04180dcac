"""Check evaluations that keep their partition in a run over a range of months.

Dagster's AssetCheckResult loses the partition there (dagster#17005). The evaluation event itself has room for it, and
the UI's view of a partition also wants to know which materialization was checked. That class is not public: a
test holds what is relied on.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from usage_assets.orchestration.dagster_private import AssetCheckEvaluationTargetMaterializationData

Target = AssetCheckEvaluationTargetMaterializationData


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


def evaluation(
    spec: dg.AssetCheckSpec,
    partition: str,
    *,
    passed: bool,
    severity: dg.AssetCheckSeverity,
    target: Target | None,
    description: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetCheckEvaluation:
    """The evaluation of one check on one partition."""
    return dg.AssetCheckEvaluation(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=passed,
        severity=severity,
        description=description,
        metadata=metadata,
        partition=str(partition),
        target_materialization_data=target,
        blocking=False,
    )


def done(spec: dg.AssetCheckSpec) -> dg.Output[None]:
    """What ends a check whose evaluations were yielded one by one."""
    return dg.Output(None, output_name=spec.get_python_identifier())
