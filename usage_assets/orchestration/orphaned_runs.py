"""Runs whose process is gone: a killed one stays STARTED for ever, and keeps its place in the queue from others.

A run of the backfill command carries the host, the boot and the process that it lives in. One that the daemon launched
is given the same by a sensor: the code server reports a run that is killed, but not those that are killed with it, by
the machine's memory or the end of its power. Every start of the command, and the sensor, report a run as failed when
its process is no more.
"""

import json
import os
import socket
from pathlib import Path

import dagster as dg

from usage_assets.orchestration.dagster_private import GRPC_INFO_TAG, EngineEventData
from usage_assets.orchestration.run_status import BEGUN

PROCESS = ".dagster/usage_process"
"""Tag with the process that a run lives in; Dagster shows no tag of this prefix."""
_EARLIER = {"host": "usage/host", "boot": "usage/boot_id", "pid": "usage/pid", "since": "usage/pid_since"}
"""Tags that said the same before, in plain sight."""


def process_tag(run_id: str, pid: int | None = None) -> dict[str, str]:
    """The tag that names the process of a run beyond doubt: a pid alone is used again.

    It names the run too: one that is started again from the UI takes over the tags of the first.
    """
    pid = os.getpid() if pid is None else pid
    process = {"host": socket.gethostname(), "boot": _boot_id(), "pid": str(pid), "since": _since(pid) or ""}
    return {PROCESS: json.dumps({"run": run_id, **process})}


def process_of(run: dg.DagsterRun) -> dict[str, str]:
    """Host, boot, pid and start of the process that a run's tags name; empty where they name none."""
    if PROCESS in run.tags:
        try:
            named = json.loads(run.tags[PROCESS])
        except ValueError:
            return {}
        return named if isinstance(named, dict) and named.get("run") == run.run_id else {}
    if run.parent_run_id is not None:  # these tags are its parent's
        return {}
    return {name: run.tags[tag] for name, tag in _EARLIER.items() if tag in run.tags}


def is_gone(run: dg.DagsterRun) -> bool:
    """Whether a run's process is no more; false for other hosts and for runs that name none."""
    process = process_of(run)
    if process.get("host") != socket.gethostname() or not process.get("pid", "").isdigit():
        return False
    if process.get("boot") != _boot_id():
        return True
    pid = int(process["pid"])
    since = _since(pid)
    if since is not None:
        return since != process.get("since")
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
        if process_of(run) or not json.loads(run.tags.get(GRPC_INFO_TAG, "{}")).get("socket"):
            continue
        pid = _pid_of(instance, run.run_id)
        if pid is not None:
            instance.add_run_tags(run.run_id, process_tag(run.run_id, pid))


def report_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report as failed every unfinished run whose process is gone; their ids."""
    dead = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=BEGUN)):
        run = record.dagster_run
        if is_gone(run):
            ended = instance.get_run_by_id(run.run_id)
            if ended is None or ended.is_finished:
                continue  # since it was asked for
            process = process_of(run)
            instance.report_run_failed(
                run, f"The process of this run ({process['pid']} on {process['host']}) was killed; start it again."
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
