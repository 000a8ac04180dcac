"""Runs whose process is gone: a killed backfill stays STARTED for ever and would hold back others.

An in-process run carries the host, the boot and the process that it lives in. Every start of the backfill command, and
a sensor, report such runs as failed when that process is no more.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

HOST, BOOT, PID, SINCE = "usage/host", "usage/boot_id", "usage/pid", "usage/pid_since"
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def process_tags(pid: int | None = None) -> dict[str, str]:
    """Tags that name a process of this machine beyond doubt: a pid alone is used again."""
    pid = os.getpid() if pid is None else pid
    return {HOST: socket.gethostname(), BOOT: _boot_id(), PID: str(pid), SINCE: _since(pid) or ""}


def is_gone(tags: Mapping[str, str]) -> bool:
    """Whether the process that the tags name is no more; false for other hosts and for runs without such tags."""
    if tags.get(HOST) != socket.gethostname() or not tags.get(PID, "").isdigit():
        return False
    if tags.get(BOOT) != _boot_id():
        return True
    pid = int(tags[PID])
    since = _since(pid)
    if since is not None:
        return since != tags.get(SINCE)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return Path("/proc/self/stat").exists()


def report_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report as failed every unfinished in-process run whose process is gone; their ids."""
    dead = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED, tags={HOST: socket.gethostname()})):
        run = record.dagster_run
        if is_gone(run.tags):
            instance.report_run_failed(
                run, f"The process of this run ({run.tags[PID]} on {run.tags[HOST]}) was killed; start it again."
            )
            dead.append(run.run_id)
    return dead


def orphan_sensor() -> dg.SensorDefinition:
    """The same, by itself."""

    @dg.sensor(
        name="dead_runs",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports in-process runs as failed when their process was killed.",
    )
    def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        dead = report_dead_runs(context.instance)
        return dg.SkipReason(f"reported as failed: {', '.join(dead)}" if dead else "no run whose process is gone")

    return dead_runs


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def _since(pid: int) -> str | None:
    """When a process started, in ticks since the boot; None where the process or /proc is not there."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else fields[19]
