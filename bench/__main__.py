"""Every figure that the project promises, on made sites of full size.

    python -m bench [FOLDER]

Builds in FOLDER (default data/bench) and leaves it there, so that a second run only measures.
"""

import shutil
import sys
from pathlib import Path

import typer

from bench.arguments import Folder
from bench.full_rebuild import make_sources, write_sites
from bench.measure import run

SITE = "full_size"
FIRST, LAST = "2016-01", "2026-10"
_PYTHON = [sys.executable, "-m"]


def main(folder: Folder = Path("data/bench")) -> None:
    """Print one line per figure, with the bound that it must keep."""
    sites, sources = folder / "sites", folder / "sources"
    sites.mkdir(parents=True, exist_ok=True)
    make_sources(sources)
    write_sites(sites, sources, [SITE])
    whole, year = folder / "whole", folder / "year"
    env = {"USAGE_SITES": str(sites), "USAGE_DATA": str(whole), "DAGSTER_HOME": str(folder / "dagster")}

    if not (whole / "warehouse.duckdb").exists():
        shutil.rmtree(folder / "dagster", ignore_errors=True)
        (folder / "dagster").mkdir()
        backfill = [*_PYTHON, "usage_assets", "backfill", "--site", SITE, "--from", FIRST, "--to", LAST]
        print(
            run(backfill, **env).line("backfill of 130 months through Dagster from SQLite", "180 s, 2 GB"), flush=True
        )
    if not (year / "warehouse.duckdb").exists():
        run([*_PYTHON, "bench.full_size", "last-year", str(whole), str(year)])

    compute = [*_PYTHON, "bench.compute", SITE]
    print("compute, writes apart (bound: 3 s, 600 MB):", run([*compute, FIRST, LAST], **env).output, end="", flush=True)
    dimensions = run([*_PYTHON, "bench.dimensions", SITE, FIRST, LAST], **env).output
    print("usage by host, project and user (bound: 15 s CPU):", dimensions, end="", flush=True)
    for facts in ("occupied", "occupied,active"):
        alone = run([*compute, FIRST, LAST, "--facts", facts], **env).output
        print(f"facts {facts} (bound: 3 s more with active):", alone, end="", flush=True)
    one = [*compute, LAST, LAST]
    print("one month after 130 stored (bound: 0.5 s):", run(one, **env).output, end="", flush=True)
    print("one month after 12 stored:", run(one, **env | {"USAGE_DATA": str(year)}).output, end="", flush=True)
    leases = run([*_PYTHON, "bench.leadtime", SITE, FIRST, LAST], **env)
    print(leases.line("leases of 130 months with projected lead times", "60 s, 2 GB"), flush=True)
    print(leases.output, end="", flush=True)
    plots = [*_PYTHON, "bench.plots", SITE, "2024-08", FIRST, LAST]
    print("drawing:\n" + run(plots, **env).output, end="", flush=True)
    print(run([*_PYTHON, "bench.pull_events"]).output, end="", flush=True)
    print(run([*_PYTHON, "bench.alerts"]).output, end="", flush=True)
    print(run([*_PYTHON, "bench.publish", str(folder / "publish")]).output, end="", flush=True)
    print(run([*_PYTHON, "bench.gpu_raw", str(folder / "gpu")]).output, end="", flush=True)
    for what in ("gpu_year", "gpu_facts", "gpu_tables", "gpu_report"):
        print(run([*_PYTHON, f"bench.{what}", str(folder / "gpu_year")]).output, end="", flush=True)
    print(run([*_PYTHON, "bench.service", str(folder / "service")]).output, end="", flush=True)
    demo = {"USAGE_DATA": str(folder / "demo"), "DAGSTER_HOME": str(folder / "demo_dagster"), "USAGE_SITES": "sites"}
    for scratch in ("demo", "demo_dagster"):
        shutil.rmtree(folder / scratch, ignore_errors=True)
        (folder / scratch).mkdir()
    print(run([*_PYTHON, "bench.full_rebuild", str(folder)]).output, end="", flush=True)
    print(run([*_PYTHON, "bench.nightly", str(folder)]).output, end="", flush=True)
    print(run([*_PYTHON, "usage_assets", "demo"], **demo).line("make demo after installation", "120 s"), flush=True)


if __name__ == "__main__":
    typer.run(main)
