"""Removing old runs from Dagster's storage, with everything that is kept of them."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import dagster as dg

from usage_assets.orchestration.dagster_private import RunsTable, RunTagsTable, SqlRunStorage
from usage_assets.orchestration.event_storage import SteadySqliteEventLogStorage
from usage_assets.orchestration.run_status import FINISHED

_AT_ONCE = 500
T = TypeVar("T")


def prune(instance: dg.DagsterInstance, before: datetime) -> tuple[int, int]:
    """Remove the finished runs that last changed before an instant; how many were removed, and how many old ones kept.

    Those that hold the latest materialization of an asset, or of a month of it, stay: the UI shows them. A killed
    pruning leaves runs whole or without events, and the next one ends it.
    """
    old = instance.get_run_records(dg.RunsFilter(statuses=FINISHED, updated_before=before))
    kept = latest_runs(instance)
    gone = [record.dagster_run.run_id for record in old if record.dagster_run.run_id not in kept]
    for some in _batches(gone):
        _remove(instance, some)
    if isinstance(instance.event_log_storage, SteadySqliteEventLogStorage):
        _remove_orphans(instance, instance.event_log_storage, before)
    return len(gone), len(old) - len(gone)


def latest_runs(instance: dg.DagsterInstance) -> set[str]:
    """The runs that hold the latest materialization of some asset, or of some partition of it."""
    assets = instance.all_asset_keys()
    entries = (record.asset_entry for record in instance.get_asset_records(assets))
    records = (entry.last_materialization_record for entry in entries)
    out = {record.run_id for record in records if record is not None}
    for asset in assets:
        latest = instance.event_log_storage.get_latest_storage_id_by_partition(
            asset, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        for some in _batches(list(latest.values())):
            wanted = dg.AssetRecordsFilter(asset_key=asset, storage_ids=some)
            out |= {record.run_id for record in instance.fetch_materializations(wanted, limit=len(some)).records}
    return out


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


def _remove(instance: dg.DagsterInstance, runs: Sequence[str]) -> None:
    """Remove events, what the runs printed, then the runs themselves: what is half removed is found again."""
    events, records = instance.event_log_storage, instance.run_storage
    if isinstance(events, SteadySqliteEventLogStorage):
        events.forget(runs)
    else:
        for run in runs:
            events.delete_events(run)
    for run in runs:
        with suppress(OSError, NotImplementedError):  # a log that can't be removed keeps no run
            instance.compute_log_manager.delete_logs(prefix=[run])
    if isinstance(records, SqlRunStorage):
        with records.connect() as connection:  # Dagster's own way takes a transaction per run, and leaves the tags
            connection.execute(RunTagsTable.delete().where(RunTagsTable.c.run_id.in_(runs)))
            connection.execute(RunsTable.delete().where(RunsTable.c.run_id.in_(runs)))
    else:
        for run in runs:
            records.delete_run(run)


def _remove_orphans(instance: dg.DagsterInstance, events: SteadySqliteEventLogStorage, before: datetime) -> None:
    """Remove the files of runs that earlier releases pruned: Dagster empties them and leaves them."""
    known = set(instance.get_run_ids())
    files = (path for path in events.folder.glob("*.db") if len(path.stem) == 36)  # a run's id; not the index
    for some in _batches([path.stem for path in files if path.stem not in known and _older(path, before)]):
        events.forget(some)


def _older(path: Path, before: datetime) -> bool:
    with suppress(OSError):
        return path.stat().st_mtime < before.timestamp()
    return False
