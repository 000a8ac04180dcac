"""Everything anew: four sites of full size, 131 months each, through Dagster in one process.

    python -m bench.full_rebuild [FOLDER] [--profile] [--from YYYY-MM] [--to YYYY-MM] [--site SITE ...]

Makes the sites in FOLDER/sources (default data/bench; kept), and the warehouse and Dagster's storage in a temporary
folder beside them. Prints wall time, CPU time and peak memory of the backfill, the seconds of each step, and what lies
between the steps: the start of runs and the bookkeeping per asset and month. With --profile it prints where one process
spends its time instead, by cProfile.
"""

import argparse
import cProfile
import os
import pstats
import sqlite3
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import date
from pathlib import Path
from typing import Any, get_args

from bench.measure import run

FIRST, LAST = "2016-01", "2026-11"
BOUND_S, BOUND_MB = 600, 3_000
SCHEMAS: dict[str, tuple[str, ...]] = {
    "full_size": ("nova", "nova_api", "nova_cell0", "blazar", "keystone", "chameleon_usage"),
    "full_uc": ("nova", "nova_api", "nova_cell0", "blazar", "keystone", "chameleon_usage"),
    "full_kvm": ("nova", "nova_api", "nova_cell0", "blazar", "keystone"),
    "full_edge": ("blazar", "zun", "keystone"),
}
_MAINTENANCE = ("full_size", "full_uc")


def write_sites(folder: Path, sources: Path, sites: Iterable[str] = SCHEMAS) -> None:
    """Site files with what this release of the package knows of the sources."""
    from usage_assets.demo.openstack.rows import MAINTENANCE_PROJECT  # noqa: PLC0415 - keeps the process that measures small
    from usage_assets.kinds.openstack.site.model import Database, OpenStackSite  # noqa: PLC0415 - keeps the process that measures small

    known = get_args(Database)
    for name in sites:
        urls = [f"  {one}: sqlite:///{sources}/{name}/{one}.db" for one in SCHEMAS[name] if one in known]
        lines = ["kind: openstack", f"name: {name}", "first_month: 2016-01", "databases:", *urls]
        if name in _MAINTENANCE and "maintenance" in OpenStackSite.model_fields:
            lines.append(f"maintenance: {{projects: ['{MAINTENANCE_PROJECT}'], lease_name: '^maint-of-'}}")
        (folder / f"{name}.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_sources(sources: Path, sites: Iterable[str] = SCHEMAS) -> None:
    """Make those sites that are not there yet, each in a process of its own."""
    for name in sites:
        if not (sources / name).is_dir():
            command = [sys.executable, "-m", "bench.full_size", "make", str(sources / name), name]
            print(f"making {name}:", run(command).output, end="", flush=True)


def steps(home: Path) -> dict[str, tuple[int, float]]:
    """Step -> how often it ran and its seconds in all, from Dagster's own events."""
    os.environ["DAGSTER_HOME"] = str(home)
    import dagster as dg  # noqa: PLC0415 - keeps the process that measures small

    out: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    with dg.DagsterInstance.get() as instance:
        for record in instance.get_run_records():
            for step in instance.get_run_step_stats(record.dagster_run.run_id):
                if step.start_time and step.end_time:
                    count, seconds = out[step.step_key]
                    out[step.step_key] = count + 1, seconds + step.end_time - step.start_time
    return dict(sorted(out.items(), key=lambda item: -item[1][1]))


def stored(data: Path, home: Path) -> str:
    """Sizes of what was written, and how many materializations and check evaluations Dagster keeps."""
    files = [file for file in data.rglob("*") if file.is_file()]
    plots = sum(file.suffix == ".html" for file in files)
    events = 0
    for file in home.rglob("*.db"):
        with sqlite3.connect(file) as con:
            tables = {name for (name,) in con.execute("SELECT name FROM sqlite_master")}
            events += con.execute("SELECT count(*) FROM event_logs").fetchone()[0] if "event_logs" in tables else 0
    megabytes = sum(file.stat().st_size for file in (data / "warehouse.duckdb", *home.rglob("*.db"))) / 1e6
    return f"{plots} plots, {events:,} events, warehouse and Dagster's storage {megabytes:.0f} MB"


def measure(folder: Path, first: str, last: str, sites: Sequence[str]) -> None:
    """Rebuild everything and print what it cost."""
    sources = folder / "sources"
    make_sources(sources, sites)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        data, home, files = (Path(scratch) / name for name in ("data", "home", "sites"))
        for each in (data, home, files):
            each.mkdir()
        write_sites(files, sources, sites)
        env = {"USAGE_SITES": str(files), "USAGE_DATA": str(data), "DAGSTER_HOME": str(home)}
        chosen = [part for name in sites for part in ("--site", name)]
        command = [sys.executable, "-m", "usage_assets", "backfill", "--in-process", *chosen, "--from", first]
        done = run([*command, "--to", last], **env)
        months = (int(last[:4]) - int(first[:4])) * 12 + int(last[5:]) - int(first[5:]) + 1
        print(done.line(f"rebuild of {len(sites)} sites x {months} months", f"{BOUND_S} s, {BOUND_MB:,} MB"))
        spent = steps(home)
        for name, (count, seconds) in spent.items():
            print(f"    {name:<50} {seconds:8.1f} s in {count} step(s)")
        between = done.wall_s - sum(seconds for _, seconds in spent.values())
        print(f"    {'between steps: start, runs, events':<50} {between:8.1f} s")
        print(f"    {stored(data, home)}")
        print("    " + "\n    ".join(line for line in done.output.splitlines() if line.startswith(("WARN", "ERROR"))))


class _Inline:
    """Runs at once in this thread what the command line gives to a thread of its own: cProfile sees one thread."""

    def __init__(self, **_: object) -> None:
        pass

    def submit(self, work: Callable[..., Any], **arguments: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        done.set_result(work(**arguments))
        return done


def profile(folder: Path, first: str, last: str, sites: Sequence[str]) -> None:
    """Print the functions that took longest, by their own time and with what they call."""
    make_sources(folder / "sources", sites)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        files = Path(scratch) / "sites"
        files.mkdir()
        write_sites(files, folder / "sources", sites)
        os.environ |= {"USAGE_SITES": str(files), "USAGE_DATA": f"{scratch}/data", "DAGSTER_HOME": f"{scratch}/home"}
        from usage_assets.cli import backfill, local  # noqa: PLC0415 - keeps the process that measures small
        from usage_assets.core.clock import naive_utc_now  # noqa: PLC0415 - keeps the process that measures small
        from usage_assets.kinds.site_files import load_sites  # noqa: PLC0415 - keeps the process that measures small

        local.ThreadPoolExecutor = _Inline  # type: ignore[assignment,misc]
        months = [date.fromisoformat(f"{month}-01") for month in (first, last)]
        windows = backfill.plan(load_sites(), *months, today=naive_utc_now().date())
        profiler = cProfile.Profile()
        profiler.runcall(backfill.run, load_sites(), windows, in_process=True)
        stats = pstats.Stats(profiler)
        stats.sort_stats("cumulative").print_stats(r"usage_assets|dagster/_core/(storage|execution|instance)", 70)
        stats.sort_stats("tottime").print_stats(45)


def main() -> None:
    """Measure, or profile."""
    parser = argparse.ArgumentParser(prog="python -m bench.full_rebuild")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data/bench"))
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--from", dest="first", default=FIRST)
    parser.add_argument("--to", dest="last", default=LAST)
    parser.add_argument("--site", action="append", choices=list(SCHEMAS))
    args = parser.parse_args()
    act = profile if args.profile else measure
    act(args.folder.resolve(), args.first, args.last, args.site or list(SCHEMAS))


if __name__ == "__main__":
    main()
