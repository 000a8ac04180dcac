"""raw.gpu_state: a slot and one GPU of it at a poll, as the collector wrote it."""

from collections.abc import Iterable
from pathlib import Path

from usage_assets.core.errors import SourceError
from usage_assets.schema import Column, Type
from usage_assets.specs.raw_table import Dated, RawTable

TIME = "timestamp"
REQUIRED = (TIME, "Name", "Machine", "AssignedGPUs", "State")
"""Columns without which a file holds no snapshots."""
COPIES = "copies"
TEXT_LIMIT = 1000


def _of(name: str, column: str, type_: Type, description: str, unit: str = "", *, personal: bool = False) -> Column:
    return Column(name, type_, description, unit, f"gpu_state.{column}", personal=personal)


OWN = (
    _of(
        "slot", "Name", Type.TEXT, "Slot: slot1@host, a dynamic one slot1_3@host; backfill and interactive in its name"
    ),
    _of("machine", "Machine", Type.TEXT, "Host name, with its domain"),
    _of("gpu", "AssignedGPUs", Type.TEXT, "Id of one GPU of the slot; unique within its machine only"),
    _of("available_gpus", "AvailableGPUs", Type.TEXT, "Ids of all GPUs that the slot has or offers"),
    _of("state", "State", Type.TEXT, "Claimed, Unclaimed, Drained, Owner, Matched, Preempting ..."),
    _of("device", "GPUs_DeviceName", Type.TEXT, "Model of the GPU; null now and then"),
    _of("memory_mb", "GPUs_GlobalMemoryMb", Type.INT, "Memory of the GPU", "MiB"),
    _of("prioritized_projects", "PrioritizedProjects", Type.TEXT, "Whose jobs come first there; blank = nobody's"),
    _of("average_usage", "GPUsAverageUsage", Type.FLOAT, "Use of the slot's GPUs, added up over them", "GPUs"),
    _of("remote_owner", "RemoteOwner", Type.TEXT, "Whose job holds the slot", personal=True),
    _of("global_job_id", "GlobalJobId", Type.TEXT, "The job that holds the slot"),
    _of("prevent_jobs_reason", "PreventJobsReason", Type.TEXT, "Why the machine takes no new jobs; null where it does"),
    _of("disk", "Disk", Type.INT, "Free disk of the slot", "KiB"),
)
"""Columns of the files, by the names that the table has for them."""
SOURCE = {column.name: column.source.removeprefix("gpu_state.") for column in OWN}

GPU_STATE = RawTable(
    database="gpu",
    source="state",
    description="Snapshots of a GPU pool: a row per poll, slot and GPU of the slot. A GPU may stand in several rows of "
    "a poll. Texts of more than 1,000 characters are cut, their hash at the end.",
    key=(),
    columns=(
        Column("poll_at", Type.INSTANT, "When the pool was asked", source=f"gpu_state.{TIME}", nullable=False),
        Column(
            "local_at",
            Type.INSTANT,
            "The same on the pool's wall clock, as the file has it",
            "local time",
            f"gpu_state.{TIME}",
            nullable=False,
        ),
        *OWN,
        Column(COPIES, Type.INT, "How often the files hold this very row", "rows", "counted", nullable=False),
    ),
    months=Dated("poll_at"),
)
TABLES = (GPU_STATE,)
CONTENT = tuple(name for name in GPU_STATE.table.names[2:] if name in {*SOURCE, "poll_at", "local_at", COPIES})


def require_columns(names: Iterable[str], source: Path) -> None:
    """SourceError where a file lacks a column without which its rows mean nothing."""
    have = {name.lower() for name in names}
    lacks = [name for name in REQUIRED if name.lower() not in have]
    if lacks:
        msg = f"{source}: holds no snapshots of GPUs: it has no column {', '.join(lacks)}"
        raise SourceError(msg)
