"""Every table of a GPU pool's year, and of its last day, from the facts in a warehouse: prints its own figures.

    python -m bench.gpu_tables [FOLDER]

FOLDER (default data/bench/gpu_year) is that of bench.gpu_year, which is run first where it has not been.
"""

import resource
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import typer

from bench.arguments import Folder, Only, require_part
from bench.gpu_year import END, SITE, START
from bench.measure import run
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.tables.analyse import TABLES, all_tables
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.reading import read_facts
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets.warehouse import Warehouse

_BOUNDS = {"year": "2 s, 1 GB", "day": "0.3 s"}


def tables(folder: Path, span: str) -> None:
    """Make every table of a window; print time and memory of each step."""
    end = datetime(END.year, END.month, END.day)
    window = Window(end - timedelta(days=1), end) if span == "day" else Window(START, end)
    base, begun, cpu = _peak_mb(), time.perf_counter(), time.process_time()
    with Warehouse(folder / "data" / "warehouse.duckdb").read() as reader:
        facts = read_facts(reader, SITE, window)
    read = time.perf_counter()
    cube = Cube.of(facts, Pool(timezone="America/Chicago"), window)
    reduced = time.perf_counter()
    results = all_tables(facts, cube)
    done = time.perf_counter()
    rows = sum(result.frame.height for result in results.values())
    print(
        f"all tables of a {span} of a GPU pool (bound: {_BOUNDS[span]}): {done - begun:.2f} s wall "
        f"(reading {read - begun:.2f}, cube {reduced - read:.2f}, tables {done - reduced:.2f}), "
        f"{time.process_time() - cpu:.2f} s CPU, peak {_peak_mb():.0f} MB, {base:.0f} MB of it before the first row\n"
        f"    {cube.metadata().runs:,} runs, {cube.kinds.height:,} kinds, {cube.observed.count:,} polls -> "
        f"{len(results)} tables of {len(TABLES) + 2}, {rows:,} rows"
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder: Folder = Path("data/bench/gpu_year"), only: Only = None) -> None:
    """Each window in a process of its own, so that its memory is its own."""
    if only is not None:
        tables(folder, require_part(only, tuple(_BOUNDS)))
        return
    if not (folder / "data" / "warehouse.duckdb").exists():
        print(run([sys.executable, "-m", "bench.gpu_year", str(folder)]).output, end="", flush=True)
    for span in _BOUNDS:
        print(run([sys.executable, "-m", "bench.gpu_tables", str(folder), "--only", span]).output, end="", flush=True)


if __name__ == "__main__":
    typer.run(main)
