"""Publish a warehouse of about 1 GB: how long readers' next generation takes, and how long writers wait for it.

    python -m bench.publish [FOLDER] [MEGABYTES]

The warehouse is made of rows that do not compress, 120 months of four sites, in FOLDER (default data/bench/publish),
and is removed afterwards. Twelve site-months fail a check, so their rows are taken from the generation before.
"""

import shutil
import time
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from bench.arguments import Folder
from usage_assets.checks.record import Evaluated, record
from usage_assets.core.months import months_between
from usage_assets.schema import Column, Table, Type
from usage_assets.serving import read
from usage_assets.serving.publish import Publication, publish
from usage_assets.specs.finding import Finding
from usage_assets.warehouse import Warehouse

BOUND_SECONDS = 5
MONTHS = months_between(date(2016, 1, 1), date(2025, 12, 1))
SITES = ("a", "b", "c", "d")
ROW_BYTES = 26
TABLE = Table(
    name="made",
    stage="facts",
    description="Rows of noise.",
    columns=(Column("n", Type.INT, "n", "rows"), *(Column(f"h{i}", Type.INT, "h", "noise") for i in range(3))),
)
ASSET = "openstack/facts/made"


def make(warehouse: Warehouse, megabytes: int) -> None:
    """Fill the warehouse."""
    rows = int(megabytes * 1e6 / ROW_BYTES / len(SITES) / len(MONTHS))
    for site in SITES:
        with warehouse.write("bench") as writer:
            writer.ensure(TABLE)
            writer.con.execute(
                "CREATE OR REPLACE TEMP TABLE incoming AS SELECT $site AS site, m.month, r.n, hash(m.month, r.n) "
                "// 2 AS h0, hash(r.n, m.month, 1) // 2 AS h1, hash(r.n, m.month, 2) // 2 AS h2 "
                "FROM (SELECT unnest($months::DATE[]) AS month) m, range($rows) r(n)",
                {"site": site, "months": list(MONTHS), "rows": rows},
            ).fetchall()
            writer.con.execute(f"INSERT INTO {TABLE.qualified} BY NAME SELECT * FROM incoming").fetchall()
            writer.record_readiness(ASSET, site, MONTHS, {}, "run")


def fail(warehouse: Warehouse, months: int) -> None:
    """Have a check of severity ERROR fail in the last months of a site."""
    bad = dict.fromkeys(MONTHS[-months:], Finding(False, "it does not add up"))
    record(warehouse, "a", list(bad), f"run {months}", [Evaluated(ASSET, "conservation", "ERROR", bad)])


def line(what: str, made: Publication) -> str:
    """One line of the report."""
    size = made.pointer.bytes / 1e6
    return f"{what:<60} {made.seconds:8.2f} s for {size:.0f} MB   (bound: {BOUND_SECONDS} s for 1,000 MB)"


def main(folder: Folder = Path("data/bench/publish"), megabytes: Annotated[int, typer.Argument(min=1)] = 1000) -> None:
    """Make the warehouse, publish it twice, read it."""
    shutil.rmtree(folder, ignore_errors=True)
    warehouse = Warehouse(folder / "warehouse.duckdb")
    make(warehouse, megabytes)
    try:
        print(line("publishing for the first time", publish(warehouse, folder / "published")))
        fail(warehouse, 12)
        made = publish(warehouse, folder / "published")
        print(line(f"publishing with {len(made.held)} site-months held back", made))
        began = time.perf_counter()
        publish(warehouse, folder / "published")
        print(f"{'publishing where nothing has changed':<60} {time.perf_counter() - began:8.2f} s")
        began = time.perf_counter()
        with read.open(folder / "published") as reader:
            rows = reader.table(TABLE.qualified, site="b", months=("2025-12", "2025-12")).height
        print(f"{f'opening it and reading a month of {rows:,} rows':<60} {time.perf_counter() - began:8.2f} s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    typer.run(main)
