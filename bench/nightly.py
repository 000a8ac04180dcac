"""A night of four sites of full size, as it really runs: the schedule fires in a daemon, every run is a process.

    python -m bench.nightly [FOLDER]

Builds a warehouse of 130 months and one of 12 in FOLDER (default data/bench; kept), then lets a daemon run two nights
on each, in an order that favours none: what a machine has read before is faster. All that is stored is published before
a night begins. Wall time is that from the first run's request to the end of the last one, and to the publishing that
follows it within half a minute; processor time and memory (proportional set sizes, added up) are those of the daemon's
children.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.arguments import Folder
from bench.full_rebuild import SCHEMAS, make_sources, write_sites
from bench.measure import Measured, run

if TYPE_CHECKING:
    import dagster as dg

ROOT = Path(__file__).parents[1]
LAST = "2026-10"
STORED = {130: "2016-01", 12: "2025-11"}
"""Months stored before the night, and the first of them."""
NIGHTS = (130, 12, 12, 130)
BOUND = "60 s, 2 GB"
_EVERY_S = 1.0  # the sizes of a browser are dear to ask for
_LIMIT_S = 900
_FIRES_S = 90  # how late the first run may be requested
_TICKS = os.sysconf("SC_CLK_TCK")


class Family:
    """The processes below one, watched: their processor time and the most memory that they held together."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._cpu: dict[tuple[int, str], float] = {}
        self.peak_mb = 0.0

    @property
    def cpu_s(self) -> float:
        """Seconds of all that were seen, also of those that have ended."""
        return sum(self._cpu.values())

    def look(self) -> None:
        """One look; what a process does after its last is lost."""
        memory = 0.0
        for pid in self._below():
            try:
                stat = _stat(pid)
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            except OSError:
                continue
            self._cpu[pid, stat[19]] = (int(stat[11]) + int(stat[12])) / _TICKS
            memory += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        self.peak_mb = max(self.peak_mb, memory / 1024)

    def _below(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
                except OSError:
                    continue
        out, waiting = [], [self._parent]
        while waiting:
            found = children.get(waiting.pop(), [])
            out += found
            waiting += found
        return out


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process, from its state on."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return text.rpartition(")")[2].split()


def prepare(folder: Path) -> None:
    """The sources, and a warehouse per history."""
    make_sources(folder / "sources")
    for months, first in STORED.items():
        at = _home(folder, months)
        if (at / "ready").exists():
            continue
        shutil.rmtree(at, ignore_errors=True)
        for each in ("data", "home", "sites"):
            (at / each).mkdir(parents=True)
        write_sites(at / "sites", folder / "sources")
        shutil.copyfile(ROOT / "dagster.yaml", at / "home" / "dagster.yaml")
        chosen = [part for site in SCHEMAS for part in ("--site", site)]
        command = [sys.executable, "-m", "usage_assets", "backfill", "--in-process", *chosen, "--from", first]
        done = run([*command, "--to", LAST], **_environment(at))
        print(done.line(f"backfill of 4 sites, {months} months", "none"), flush=True)
        (at / "ready").touch()


def night(folder: Path, months: int) -> tuple[float, float]:
    """Let a night run and print what it cost; seconds of its runs, and processor time with all else."""
    at = _home(folder, months)
    published = run([sys.executable, "-m", "usage_assets", "publish"], **_environment(at))
    print("    before it: " + published.output.splitlines()[0])
    fires = datetime.now(tz=UTC) + timedelta(seconds=100 - datetime.now(tz=UTC).second)
    os.environ["DAGSTER_HOME"] = str(at / "home")
    import dagster as dg  # noqa: PLC0415 - reads DAGSTER_HOME

    begun = datetime.now(tz=UTC)
    with _daemon(at, f"{fires.minute} {fires.hour} * * *") as daemon, dg.DagsterInstance.get() as instance:
        family, before = Family(daemon.pid), 0.0
        ends = time.monotonic() + _LIMIT_S
        while time.monotonic() < ends:
            family.look()
            records = instance.get_run_records(dg.RunsFilter(created_after=begun))
            if not records:
                before = family.cpu_s  # the daemon's own start
                if datetime.now(tz=UTC) > fires + timedelta(seconds=_FIRES_S):
                    sys.exit(f"the schedule did not fire: the daemon was too slow to start; see {at / 'daemon.log'}")
            nightly = [record for record in records if record.dagster_run.tags.get("usage/trigger") == "nightly"]
            if len(nightly) == len(SCHEMAS) and all(record.end_time for record in records) and _published(at):
                break
            time.sleep(_EVERY_S)
        else:
            sys.exit(f"no end of the night after {_LIMIT_S} s; see {at / 'daemon.log'}")
    failed = [
        record.dagster_run.run_id for record in records if record.dagster_run.status != dg.DagsterRunStatus.SUCCESS
    ]
    if failed:
        sys.exit(f"failed: {failed}")
    asked = min(record.create_timestamp.timestamp() for record in nightly)  # a first publishing may have come before
    built, read = (max(record.end_time or 0 for record in each) - asked for each in (nightly, records))
    cpu = family.cpu_s - before
    line = Measured(built, cpu, family.peak_mb, "").line(f"night of 4 sites, {months} months stored", BOUND)
    print(f"{line}; readers have it after {read:.2f} s", flush=True)
    for record in sorted(records, key=lambda one: one.start_time or 0):
        print(f"    {_who(record):<20} {_took(record):8.2f} s in its process")
    return sum(map(_took, nightly)), cpu


def _who(record: "dg.RunRecord") -> str:
    return record.dagster_run.tags.get("usage/site", record.dagster_run.job_name)


def _took(record: "dg.RunRecord") -> float:
    return (record.end_time or 0) - (record.start_time or 0)


def _published(at: Path) -> bool:
    """Whether readers have all that the runs wrote, be it from a publishing after them or between their ends."""
    current, warehouse = at / "data" / "published" / "CURRENT", at / "data" / "warehouse.duckdb"
    return current.exists() and current.stat().st_mtime >= warehouse.stat().st_mtime


def _home(folder: Path, months: int) -> Path:
    return folder / f"nightly_{months}"


def _environment(at: Path) -> dict[str, str]:
    return {
        "USAGE_SITES": str(at / "sites"),
        "USAGE_DATA": str(at / "data"),
        "DAGSTER_HOME": str(at / "home"),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "PYTHONPATH": str(ROOT),
    }


@contextmanager
def _daemon(at: Path, cron: str) -> Iterator[subprocess.Popen]:
    command = [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", str(ROOT / "workspace.yaml")]
    environment = os.environ | _environment(at) | {"USAGE_NIGHTLY_CRON": cron, "USAGE_TIMEZONE": "UTC"}
    with (at / "daemon.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=at, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def main(folder: Folder = Path("data/bench")) -> None:
    """The nights, and how much dearer the long history makes one."""
    prepare(folder)
    nights = [(months, *night(folder, months)) for months in NIGHTS]
    for number, what in enumerate(("seconds of their runs", "CPU, with the publishing of all that is stored"), start=1):
        long, short = (sum(one[number] for one in nights if one[0] == months) for months in STORED)
        print(f"nights with 130 stored months against 12: {long / short:.2f} x {what} (bound of their runs: 1.2 x)")


if __name__ == "__main__":
    typer.run(main)
