"""What is at work in an installation: processes, the daemon, runs that have not ended."""

import os
from pathlib import Path

import dagster as dg

from usage_assets.core import clock
from usage_assets.operations.places import RUNS
from usage_assets.orchestration.orphaned_runs import is_gone
from usage_assets.orchestration.run_status import BEGUN

BEAT_SECONDS = 45.0
"""Age of a heartbeat up to which its daemon counts as running; it sends one every 30 s."""


def in_the_way(home: Path, *, unfinished_runs: bool) -> list[str]:
    """Why the storage of a DAGSTER_HOME can't be replaced now, one sentence each; none where it can."""
    found = [f"process {pid} ({name}) has files of {home} open" for pid, name in users_of(home)]
    if not (home / RUNS).is_file():
        return found
    with instance_of(home) as instance:
        newest = max((beat.timestamp for beat in instance.get_daemon_heartbeats().values()), default=0.0)
        ago = clock.utc_now().timestamp() - newest
        if ago < BEAT_SECONDS:
            wait = f"if it has ended since, wait {BEAT_SECONDS:.0f} s"
            found.append(f"a Dagster daemon was at work {max(ago, 0):.0f} s ago ({wait})")
        begun = instance.get_runs(dg.RunsFilter(statuses=BEGUN)) if unfinished_runs else []
        found += [
            f"run {run.run_id[:8]} has not ended ({run.status.value.lower()})" for run in begun if not is_gone(run)
        ]
    return found


def instance_of(home: Path) -> dg.DagsterInstance:
    """The instance of a DAGSTER_HOME, by its dagster.yaml."""
    os.environ["DAGSTER_HOME"] = str(home)  # what Dagster, and our storage of its events, go by
    return dg.DagsterInstance.get()


def users_of(home: Path) -> list[tuple[int, str]]:
    """Other processes, as far as this user may see them, that have files of a folder open: their ids and names."""
    out = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            opened = any(handle.readlink().is_relative_to(home) for handle in (process / "fd").iterdir())
            name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip() if opened else ""
        except OSError:
            continue  # ended meanwhile, or of another user
        if opened:
            out.append((int(process.name), name))
    return sorted(out)
