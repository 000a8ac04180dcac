"""The sensor that publishes: once after runs have ended, not once per run, and only where something has changed."""

import json
import time
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb

from usage_assets.core import settings
from usage_assets.core.clock import naive_utc_now
from usage_assets.core.errors import SnapshotError, UsageError
from usage_assets.orchestration.run_status import UNFINISHED
from usage_assets.serving.pointer import Pointer, read_pointer
from usage_assets.serving.state_hash import state_hash
from usage_assets.warehouse import Warehouse

JOB = "publish"
PATIENCE = timedelta(minutes=10)
"""How long runs that follow each other hold up what is published; their own months are held back then."""
RETRY_SECONDS = 600
"""A publishing that failed is tried again that often."""
_WAIT_SECONDS = 2.0


def publish_sensor(warehouse: Warehouse) -> dg.SensorDefinition:
    """Asks for a run of job publish where the warehouse differs from what is published and no run is under way."""

    @dg.sensor(
        name="publish",
        job_name=JOB,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Publishes what runs have written, once they have ended: at most one publishing at a time.",
    )
    def publish(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        waits = busy(context.instance, _published(settings.published_dir()), naive_utc_now())
        if waits:
            return dg.SkipReason(waits)
        try:
            mark, cursor = current_mark(warehouse, context.cursor)
        except (UsageError, duckdb.Error) as error:
            return dg.SkipReason(f"the warehouse can't be read now, the next tick tries again: {error}")
        context.update_cursor(cursor)
        published = _published(settings.published_dir())
        if mark is None:
            return dg.SkipReason("there is no warehouse yet")
        if published is not None and published.mark == mark:
            return dg.SkipReason(f"generation {published.generation} is what the warehouse holds")
        # a key asks once: where the publishing fails, the next period of time is another key
        return dg.RunRequest(run_key=f"{mark}@{int(time.time() // RETRY_SECONDS)}", tags={"usage/trigger": "publish"})

    return publish


def busy(instance: dg.DagsterInstance, published: Pointer | None, now: datetime) -> str | None:
    """Why nothing is published now, in words: a publishing is under way, or runs are and readers can still wait."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    own = [run for run in runs if run.job_name == JOB]
    if own:
        return f"run {own[0].run_id[:8]} publishes"
    if runs and published is not None and now - published.written_at < PATIENCE:
        return f"{len(runs)} run(s) are under way"
    return None


def current_mark(warehouse: Warehouse, cursor: str | None) -> tuple[str | None, str]:
    """The warehouse's mark and the cursor to keep; the file is opened only where it is not the one of the cursor."""
    seen = json.loads(cursor) if cursor else {}
    try:
        found = warehouse.path.stat()
    except FileNotFoundError:
        return None, "{}"
    file = [found.st_ino, found.st_mtime_ns, found.st_size]
    if seen.get("file") == file:
        return seen["mark"], json.dumps(seen)
    with warehouse.read(wait_seconds=_WAIT_SECONDS) as reader:
        mark = state_hash(reader)
    return mark, json.dumps({"file": file, "mark": mark})


def _published(folder: Path) -> Pointer | None:
    try:
        return read_pointer(folder)
    except SnapshotError:
        return None
