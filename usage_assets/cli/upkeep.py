"""`usage-assets prune` and `compact`: keep Dagster's storage and the warehouse file small."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from rich.console import Console

from usage_assets.cli.home import dagster_home
from usage_assets.warehouse import Warehouse

_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def prune_runs(keep_days: int, console: Console) -> None:
    """Remove finished runs older than that, but for those that hold the latest materialization of a month."""
    dagster_home()
    before = datetime.now(tz=UTC) - timedelta(days=keep_days)
    with dg.DagsterInstance.get() as instance:
        old = instance.get_run_records(dg.RunsFilter(statuses=_FINISHED, updated_before=before))
        kept = latest_runs(instance)
        gone = [record.dagster_run.run_id for record in old if record.dagster_run.run_id not in kept]
        for run_id in gone:
            instance.delete_run(run_id)
    console.print(f"{len(gone)} run(s) removed, {len(old) - len(gone)} old one(s) kept: their months have no newer run")


def latest_runs(instance: dg.DagsterInstance) -> set[str]:
    """The runs that hold the latest materialization of some partition of some asset."""
    out: set[str] = set()
    for asset in instance.all_asset_keys():
        latest = instance.event_log_storage.get_latest_storage_id_by_partition(
            asset, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        ids = list(latest.values())
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            found = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=asset, storage_ids=part), limit=len(part)
            )
            out |= {record.run_id for record in found.records}
    return out


def compact_warehouse(console: Console) -> None:
    """Rewrite the warehouse file."""
    before, after = Warehouse.default().compact()
    console.print(f"warehouse: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after")
