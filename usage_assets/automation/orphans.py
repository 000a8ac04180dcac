"""Runs whose process is gone: a killed one stays STARTED for ever, and keeps its place in the queue from others.

A run of the backfill command carries the host, the boot and the process that it lives in. One that the daemon launched
is given the same by a sensor: the code server reports a run that is killed, but not those that are killed with it, by
the machine's memory or the end of its power. Every start of the command, and the sensor, report a run as failed when
its process is no more.
"""

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
from dagster._core.events import EngineEventData  # private: what says which process a run lives in
from dagster._core.storage.tags import GRPC_INFO_TAG  # private: which code server holds a run

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


def name_processes(instance: dg.DagsterInstance) -> None:
    """Tag each run that a code server of this machine has started with its process, once.

    For the code server's own sensor only: elsewhere, as in another container, its processes are not to be seen.
    """
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        run = record.dagster_run
        if PID in run.tags or not json.loads(run.tags.get(GRPC_INFO_TAG, "{}")).get("socket"):
            continue
        pid = _pid_of(instance, run.run_id)
        if pid is not None:
            instance.add_run_tags(run.run_id, process_tags(pid))


def report_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report as failed every unfinished run whose process is gone; their ids."""
    dead = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED, tags={HOST: socket.gethostname()})):
        run = record.dagster_run
        if is_gone(run.tags):
            ended = instance.get_run_by_id(run.run_id)
            if ended is None or ended.is_finished:
                continue  # since it was asked for
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
        description="Reports runs as failed when their process was killed.",
    )
    def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        name_processes(context.instance)
        dead = report_dead_runs(context.instance)
        return dg.SkipReason(f"reported as failed: {', '.join(dead)}" if dead else "no run whose process is gone")

    return dead_runs


def _pid_of(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process that a run said it lives in; None before it did."""
    for entry in reversed(instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)):
        told = entry.dagster_event.event_specific_data if entry.dagster_event else None
        value = told.metadata.get("pid") if isinstance(told, EngineEventData) else None
        if value is not None and str(value.value).isdigit():
            return int(str(value.value))
    return None


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
