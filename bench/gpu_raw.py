"""Raw rows of a made GPU pool: a month of 2.6 M rows read for the first time, then again, then one poll more.

python -m bench.gpu_raw [FOLDER] [.parquet | .db]
"""

import resource
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from bench.arguments import Folder, Only, require_part
from bench.measure import run
from usage_assets.core import clock
from usage_assets.core.months import Window
from usage_assets.demo.htcondor.pool import make_pool
from usage_assets.kinds.htcondor.raw.dump import dump
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.warehouse import Warehouse

MONTH = date(2025, 10, 1)
ZONE = "America/Chicago"
START, END = datetime(2025, 10, 1, 5), datetime(2025, 11, 1, 5)
RUNNING = datetime(2025, 10, 31, 12)
CUT = datetime(2025, 10, 30, 18)


def main(
    folder: Folder = Path("data/bench/gpu"),
    suffix: Annotated[str, typer.Argument(help=".parquet or .db")] = ".parquet",
    only: Only = None,
) -> None:
    """Make the month in FOLDER unless it is there, and read it in a process of its own."""
    made = folder / suffix.strip(".")
    if only is not None:
        require_part(only, ("read",))
        read(made, suffix)
        return
    if not made.exists():
        make_pool(made, START, END, suffix=suffix, timezone=ZONE)
    print(run([sys.executable, "-m", "bench.gpu_raw", str(folder), suffix, "--only", "read"]).output, end="")


def read(made: Path, suffix: str) -> None:
    """Read the month as it is when it is over, then as a running one to which a poll is added."""
    scratch = made.parent / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    source = scratch / "pool"
    shutil.copytree(made, source)
    (file,) = source.glob(f"gpu_state_*{suffix}")
    site = HTCondorSite.model_validate(
        {"kind": "htcondor", "key": "pool", "name": "Pool", "snapshots": str(source), "timezone": ZONE,
         "first_month": "2025-10"}
    )  # fmt: skip
    warehouse = Warehouse(scratch / "data" / "warehouse.duckdb")
    base = _peak()
    _timed("a month, for the first time (bound: 3 s)", lambda: _dump(site, warehouse))
    print(f"  peak {_peak():.0f} MB, of which {base:.0f} MB before the first row")
    _timed("the same again, its file unchanged", lambda: _dump(site, warehouse))
    size = warehouse.path.stat().st_size / 1e6
    print(f"warehouse {size:.0f} MB")
    _go_on(site, Warehouse(scratch / "running" / "warehouse.duckdb"), file)


def _go_on(site: HTCondorSite, warehouse: Warehouse, file: Path) -> None:
    """The month as if it were running: without its last days, then a poll more, and another."""
    clock.naive_utc_now = lambda: RUNNING
    rows = pl.read_parquet(file) if file.suffix == ".parquet" else pl.DataFrame()
    later = _cut(file, rows)
    _timed("a running month, for the first time", lambda: _dump(site, warehouse))
    for at in later:
        if file.suffix == ".parquet":
            rows.filter(pl.col("timestamp") <= at).write_parquet(file)
        else:
            _sql(file, "INSERT INTO gpu_state SELECT * FROM later WHERE timestamp = ?", at)
        _timed("one poll more (bound: 0.3 s)", lambda: _dump(site, warehouse))


def _cut(file: Path, rows: pl.DataFrame) -> list[Any]:
    """Take the polls since CUT out of the file; the first three of them."""
    if file.suffix == ".parquet":
        rows.filter(pl.col("timestamp") < CUT).write_parquet(file)
        return rows.filter(pl.col("timestamp") >= CUT)["timestamp"].unique().sort()[:3].to_list()
    _sql(file, "CREATE TABLE later AS SELECT * FROM gpu_state WHERE timestamp >= ?", str(CUT))
    _sql(file, "DELETE FROM gpu_state WHERE timestamp >= ?", str(CUT))
    return [at for (at,) in _sql(file, "SELECT DISTINCT timestamp FROM later ORDER BY 1 LIMIT ?", 3)]


def _sql(file: Path, statement: str, value: object) -> list[Any]:
    with closing(sqlite3.connect(file)) as con:
        found = con.execute(statement, (value,)).fetchall()
        con.commit()
        return found


def _dump(site: HTCondorSite, warehouse: Warehouse) -> str:
    (done,) = dump(site, Window("pool", (MONTH,)), warehouse, run_id="bench").months
    said = f"{done.rows:,} rows, {done.rows_new:,} new, {done.rows_changed:,} changed"
    return "; ".join([said, *([done.note] if done.note else []), *map(str, done.refused)])


def _timed(what: str, does: Callable[[], str]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    said = does()
    print(f"{what}: {time.perf_counter() - wall:.2f} s wall, {time.process_time() - cpu:.2f} s CPU; {said}", flush=True)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    typer.run(main)
