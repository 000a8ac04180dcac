"""Reports of a GPU pool from its facts: prints its own figures.

    python -m bench.gpu_report [FOLDER]                 a day, a week and a month, each in a process; and the assets
    python -m bench.gpu_report [FOLDER] --only daily    one report
    python -m bench.gpu_report [FOLDER] --only assets   all reports of the pool's year, then again with nothing changed

FOLDER (default data/bench/gpu_year) is that of bench.gpu_year, which is run first where it has not been.
"""

import os
import resource
import shutil
import sys
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

import duckdb
import typer

from bench.arguments import Folder, Only, require_part
from bench.gpu_year import END, SITE, START
from bench.measure import run
from usage_assets.core.months import month_of, months_between
from usage_assets.kinds.htcondor.reports import assets
from usage_assets.kinds.htcondor.reports.mailing import built_report
from usage_assets.kinds.htcondor.reports.period import NAMES, newest
from usage_assets.kinds.htcondor.reports.render import as_html, as_text
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.reports.render import write_file
from usage_assets.warehouse import Warehouse

_LIMITS = {"daily": "1 s", "weekly": "1 s", "monthly": "2 s", "assets": "40 s"}


def _site() -> HTCondorSite:
    said = {"kind": "htcondor", "key": SITE, "name": "Made", "snapshots": "nowhere", "timezone": "America/Chicago"}
    return HTCondorSite.model_validate(said | {"first_month": f"{START:%Y-%m}"})


def one(folder: Path, name: str) -> None:
    """One report, from the warehouse to its page and its text."""
    site = _site()
    report = next(each for each in NAMES if each == name)
    begun, cpu = time.perf_counter(), time.process_time()
    with Warehouse(folder / "data" / "warehouse.duckdb").read() as reader:
        found = built_report(reader, site, newest(report, END, site.reports, site.timezone))
    counted = time.perf_counter()
    page, text = as_html(found), as_text(found)
    print(
        f"{name}: {found.metadata.runs:,} runs -> a page of {len(page) / 1e3:.0f} kB, a text of {len(text) / 1e3:.0f} "
        f"kB: {time.perf_counter() - begun:.2f} s wall (of it the page and the text "
        f"{time.perf_counter() - counted:.2f}), {time.process_time() - cpu:.2f} s CPU, peak "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )


def every(folder: Path) -> None:
    """What the three assets do over a year in one run: read, make, write files; then the same with nothing new."""
    copy = folder / "reports"  # the year's own warehouse is left as it is
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    shutil.copyfile(folder / "data" / "warehouse.duckdb", copy / "warehouse.duckdb")
    os.environ["USAGE_DATA"] = str(copy)
    site, warehouse = _site(), Warehouse(copy / "warehouse.duckdb")
    months = months_between(START.date(), month_of((END - timedelta(days=1)).date()))
    with duckdb.connect(str(warehouse.path)) as con:
        con.execute("DROP TABLE IF EXISTS reports.gpu_reports")
    for what in ("first", "again"):
        for name in NAMES:
            begun = time.perf_counter()
            with warehouse.read() as reader:
                due = assets.read_due(name, reader, site, months)
            done = partial(assets.make_reports, site, months, due, {})()
            files = [each for found in done.files.values() for each in found.items()]
            for path, content in files:
                write_file(copy / "plots" / path, content)
            with warehouse.write("bench") as writer:
                asset = f"htcondor/reports/{name}_report"
                writer.replace(
                    assets.GPU_REPORTS,
                    done.rows,
                    site=SITE,
                    months=months,
                    asset=asset,
                    run_id="bench",
                    owned={"report": (name,)},
                )
            seconds = time.perf_counter() - begun
            print(f"{what}, {name}: {done.rows.height} reports, {len(files)} files written: {seconds:.2f} s wall")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def main(folder: Folder = Path("data/bench/gpu_year"), only: Only = None) -> None:
    """All of it, each in a process of its own."""
    if only is not None:
        part = require_part(only, (*NAMES, "assets"))
        every(folder) if part == "assets" else one(folder, part)
        return
    if not (folder / "data" / "warehouse.duckdb").exists():
        print(run([sys.executable, "-m", "bench.gpu_year", str(folder)]).output, end="", flush=True)
    for each in (*NAMES, "assets"):
        done = run([sys.executable, "-m", "bench.gpu_report", str(folder), "--only", each])
        print(done.line(f"{each}, with start-up", _LIMITS[each]))
        print(done.output, end="", flush=True)


if __name__ == "__main__":
    typer.run(main)
