"""Facts of a month of a full-size GPU pool, and one more poll of a running month; prints its own figures.

    python -m bench.gpu_facts [FOLDER]

FOLDER (default data/bench/gpu_year) is that of bench.gpu_year, which is run first where it has not been; a month of
its raw rows is put beside them as Parquet.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import typer

from bench.arguments import Folder, Only, require_part
from bench.gpu_year import SITE
from bench.measure import run
from usage_assets.core.months import Window
from usage_assets.facts.assets import fact_assets
from usage_assets.kinds import HTCONDOR
from usage_assets.kinds.htcondor.facts.build import MonthFacts, month_facts
from usage_assets.kinds.htcondor.facts.incremental import addition
from usage_assets.kinds.htcondor.facts.rows import COLUMNS, Polled, read_polled
from usage_assets.kinds.htcondor.raw.tables import GPU_STATE
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.site_files import load_site
from usage_assets.orchestration.build import build_assets
from usage_assets.warehouse import Reader, Warehouse

MONTH = date(2025, 10, 1)
_POLLS = 4  # the first one comes when the storage has a whole month to take in
_COLUMNS = ("site", "month", "poll_at", "local_at", "average_usage", *COLUMNS)


def main(folder: Folder = Path("data/bench/gpu_year"), only: Only = None) -> None:
    """Each figure in a process of its own, so that its memory is its own."""
    path = folder / "gpu_state.parquet"
    if only is not None:
        parts: dict[str, Callable[[Path], None]] = {"make": make, "month": month, "poll": poll, "step": step}
        parts[require_part(only, tuple(parts))](path)
        return
    if not (folder / "data" / "warehouse.duckdb").exists():
        print(run([sys.executable, "-m", "bench.gpu_year", str(folder)]).output, end="", flush=True)
    # made by a process of its own: the memory of this one would count as its children's
    for what in ("month", "poll", "step") if path.exists() else ("make", "month", "poll", "step"):
        print(run([sys.executable, "-m", "bench.gpu_facts", str(folder), "--only", what]).output, end="", flush=True)


def month(path: Path) -> None:
    """All facts of the month from its Parquet file."""
    begun, cpu = time.perf_counter(), time.process_time()
    facts = month_facts(_site(path).pool(), SITE, MONTH, _polled(path))
    rows = sum(frame.height for frame in (*facts.tables.values(), facts.intervals, facts.rejects))
    print(
        f"GPU facts of a month, {facts.rows_kept + facts.rows_rejected:,} raw rows, {rows:,} rows of facts "
        f"(bound: 4 s, 1 GB): {_since(begun, cpu)}, peak {_peak_mb():.0f} MB"
    )


def poll(path: Path) -> None:
    """The last poll added to all others of the month."""
    newest = duckdb.sql(f"SELECT max(poll_at) FROM '{path}'").fetchall()[0][0]
    stored = month_facts(_site(path).pool(), SITE, MONTH, _polled(path, f"poll_at < '{newest}'"))
    whole = month_facts(_site(path).pool(), SITE, MONTH, _polled(path))
    begun, cpu = time.perf_counter(), time.process_time()
    is_open, spans = pl.col("end_at") > stored.polls["poll_at"].max(), ("runs", "intervals", "rejects")
    tail = replace(
        stored,
        polls=stored.polls.filter(pl.col("poll_at") == pl.col("poll_at").max()),
        **{name: getattr(stored, name).filter(is_open) for name in spans},
    )
    added = addition(_site(path).pool(), SITE, MONTH, tail, _polled(path, f"poll_at = '{newest}'"))
    took = _since(begun, cpu)
    found = replace(
        added,
        performance=pl.concat([stored.performance, added.performance]),
        **{name: pl.concat([getattr(stored, name).filter(~is_open), getattr(added, name)]) for name in spans},
    )
    assert _sums(found) == _sums(whole), "one more poll gives other facts than the whole month"
    print(f"GPU facts, one more poll of a running month (bound: 0.3 s): {took}")


def step(path: Path) -> None:
    """The facts step of a warehouse, reading, checking and writing: a month but its last polls, then one by one."""
    site, window = _site(path), Window(SITE, (MONTH,))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        warehouse = Warehouse(Path(folder) / "warehouse.duckdb")
        found = duckdb.sql(f"SELECT DISTINCT poll_at FROM '{path}' ORDER BY poll_at DESC LIMIT {_POLLS}").fetchall()
        times = [at for (at,) in reversed(found)]
        for polls in (f"< '{times[0]}'", *(f"= '{at}'" for at in times)):
            _store(warehouse, path, f"poll_at {polls}")
            begun, cpu = time.perf_counter(), time.process_time()
            build_assets(HTCONDOR, site, window, warehouse, fact_assets(HTCONDOR), run_id="bench")
            what, bound = ("a month", "none") if polls[0] == "<" else ("one more poll of a running month", "0.5 s")
            took = _since(begun, cpu)
            print(f"GPU facts step, {what}, with its writes (bound: {bound}): {took}, peak {_peak_mb():.0f} MB")


def make(path: Path) -> None:
    """A month's raw rows as Parquet."""
    with Warehouse(path.parent / "data" / "warehouse.duckdb").read() as reader:
        reader.frame(GPU_STATE.table, SITE, [MONTH], columns=_COLUMNS).write_parquet(path)


def _site(path: Path) -> HTCondorSite:
    site = load_site(path.parent / "sites" / f"{SITE}.yaml")
    assert isinstance(site, HTCondorSite)
    return site


def _store(warehouse: Warehouse, path: Path, where: str) -> None:
    """Rows as the raw stage stores them."""
    now = "TIMESTAMP '2025-11-01'"
    with warehouse.write("raw rows") as writer:
        writer.ensure(GPU_STATE.table)
        writer.con.execute(
            f"INSERT INTO {GPU_STATE.table.qualified} BY NAME SELECT *, 1::BIGINT AS copies, false AS is_context, "
            f"{now} AS extracted_at, {now} AS seen_from FROM '{path}' WHERE {where}"
        ).fetchall()
        writer.record_readiness(HTCONDOR.asset("raw", GPU_STATE.name), SITE, [MONTH], {}, "bench")


def _polled(path: Path, where: str = "true") -> Polled:
    with duckdb.connect() as con:
        return read_polled(Reader(con), f"(SELECT * FROM '{path}' WHERE {where})", SITE, [MONTH])[MONTH]


def _sums(facts: MonthFacts) -> list[tuple]:
    runs = facts.runs.select(pl.len(), pl.col("polls").sum(), pl.col("end_at").dt.timestamp().sum())
    spans = facts.intervals.select(pl.len(), pl.col("end_at").dt.timestamp().sum())
    return [*runs.rows(), *spans.rows(), *facts.performance.select(pl.len(), pl.col("gpus").sum()).rows()]


def _since(begun: float, cpu: float) -> str:
    return f"{time.perf_counter() - begun:.2f} s wall, {time.process_time() - cpu:.2f} s CPU"


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    typer.run(main)
