"""A year of a made GPU pool of full size through Dagster: snapshots to facts, timelines, tables and pages.

python -m bench.gpu_year [FOLDER]

Makes the pool's files in FOLDER (default data/bench/gpu_year; kept), and builds them anew each time.
"""

import json
import shutil
import sys
from datetime import datetime
from pathlib import Path

import typer

from bench.arguments import Folder, Only, require_part
from bench.full_rebuild import steps
from bench.measure import run

SITE = "pool"
START, END = datetime(2025, 1, 1), datetime(2026, 1, 1)


def make(folder: Path) -> None:
    """The files of twelve local months, each in its own."""
    from usage_assets.demo.htcondor.pool import make_pool  # noqa: PLC0415 - keeps the process that measures small

    made = make_pool(folder, START, END, timezone="America/Chicago")
    (folder / "hosted.txt").write_text("\n".join(made.hosted) + "\n", encoding="utf-8")
    (folder / "masked.json").write_text(json.dumps(dict.fromkeys(made.masked, "tests")), encoding="utf-8")
    print(f"{len(made.hosts)} machines, {len(made.files)} files")


def main(folder: Folder = Path("data/bench/gpu_year"), only: Only = None) -> None:
    """Print what the backfill costs, and its steps; with `--only pool` make the pool's files alone."""
    pool = folder / "pool"
    if only is not None:
        require_part(only, ("pool",))
        make(pool)
        return
    if not pool.exists():
        print(run([sys.executable, "-m", "bench.gpu_year", str(folder), "--only", "pool"]).output, end="", flush=True)
    data, home, sites = (folder / name for name in ("data", "home", "sites"))
    for each in (data, home, sites):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir(parents=True)
    lines = ["kind: htcondor", "name: Pool", "first_month: 2025-01", "timezone: America/Chicago", f"snapshots: {pool}"]
    lines += [f"{key}: {{file: {pool}/{file}}}" for key, file in (("hosted", "hosted.txt"), ("masked", "masked.json"))]
    (sites / f"{SITE}.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "usage_assets", "backfill", "--in-process", "--site", SITE]
    env = {"USAGE_SITES": str(sites), "USAGE_DATA": str(data), "DAGSTER_HOME": str(home)}
    done = run([*command, "--from", "2025-01", "--to", "2025-12"], **env)
    print(done.line("a year of a pool of 532 GPUs through Dagster", "120 s"))
    for name, (_, seconds) in steps(home).items():
        print(f"    {name:<40} {seconds:8.1f} s")


if __name__ == "__main__":
    typer.run(main)
