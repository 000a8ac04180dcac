"""Raw tables in the warehouse -> facts.leases with projected lead times -> timelines.leadtime; prints its own figures.

python -m bench.leadtime SITE FIRST LAST [--at-once MONTHS]
"""

import resource
import time
from datetime import date

import typer

from usage_assets.core.months import months_between
from usage_assets.kinds.openstack.facts.leases import build_leases, read_leases
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.timelines.leadtime import leadtime
from usage_assets.kinds.site_files import load_sites
from usage_assets.warehouse import Warehouse


def main(key: str, first: str, last: str, at_once: int = 12) -> None:
    """Compute all months, so many at once as a run of a backfill does; print rows, time and memory."""
    site = load_sites()[key]
    assert isinstance(site, OpenStackSite)
    months = months_between(date.fromisoformat(f"{first}-01"), date.fromisoformat(f"{last}-01"))
    base = _peak_mb()
    begun, cpu = time.perf_counter(), time.process_time()
    leases = found = points = 0
    for start in range(0, len(months), at_once):
        window = months[start : start + at_once]
        with Warehouse.default().read() as reader:
            raw = read_leases(reader, site, window)
        rows = build_leases(site, window, raw, {}).rows
        leases += rows.height
        found += rows.height - rows["projected"].null_count()
        points += leadtime(rows).height
    print(
        f"{len(months)} month(s), {leases:,} leases, {found:,} projected, {points:,} points: "
        f"{time.perf_counter() - begun:.2f} s wall, "
        f"{time.process_time() - cpu:.2f} s CPU, peak {_peak_mb():.0f} MB, of which {base:.0f} MB before the first row"
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    typer.run(main)
