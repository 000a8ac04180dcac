"""Usage by host, project and user from the facts of a warehouse, writes apart; prints its own figures.

python -m bench.dimensions SITE FIRST LAST
"""

import resource
import time
from datetime import date

import typer

from usage_assets.core.months import months_between
from usage_assets.kinds.openstack.timelines.assets import DIMENSIONS
from usage_assets.kinds.site_files import load_sites
from usage_assets.warehouse import Warehouse


def main(key: str, first: str, last: str) -> None:
    """Compute the three tables year by year, as a backfill does; print rows, time and memory."""
    site = load_sites()[key]
    months = months_between(date.fromisoformat(f"{first}-01"), date.fromisoformat(f"{last}-01"))
    begun, cpu, rows = time.perf_counter(), time.process_time(), 0
    for year in sorted({month.year for month in months}):
        window = [month for month in months if month.year == year]
        for table in DIMENSIONS:
            assert callable(table.read)
            assert callable(table.make)
            with Warehouse.default().read() as reader:
                found = table.read(reader, site, window)
            rows += table.make(site, window, found, {}).rows.height
    print(
        f"{len(months)} month(s), {rows:,} rows: {time.perf_counter() - begun:.2f} s wall, "
        f"{time.process_time() - cpu:.2f} s CPU, "
        f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )


if __name__ == "__main__":
    typer.run(main)
