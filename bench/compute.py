"""Raw tables in the warehouse -> facts -> steps and daily usage, writes apart; prints its own figures.

python -m bench.compute SITE FIRST LAST [--at-once MONTHS] [--facts NAMES]

With --facts, names joined by commas such as occupied,active, it computes these and no usage.
"""

import resource
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import typer

from usage_assets.core.months import months_between
from usage_assets.kinds.openstack.facts import build_facts, read_inputs
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.timelines.scope import month_node_types, usage_scope
from usage_assets.kinds.site_files import load_sites
from usage_assets.timelines.usage import build_usage
from usage_assets.warehouse import Warehouse


def main(site_key: str, first: str, last: str, at_once: int = 20, facts: str = "") -> None:
    """Compute all months, so many at once that memory stays small, on both cores; print rows, time and memory."""
    site = load_sites()[site_key]
    assert isinstance(site, OpenStackSite)
    months = months_between(date.fromisoformat(f"{first}-01"), date.fromisoformat(f"{last}-01"))
    windows = [months[start : start + at_once] for start in range(0, len(months), at_once)]
    base = _peak_mb()
    begun, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(2) as pool:
        rows = sum(pool.map(lambda window: _rows(site, window, facts.split(",") if facts else []), windows))
    print(
        f"{len(months)} month(s), {rows:,} rows: {time.perf_counter() - begun:.2f} s wall, "
        f"{time.process_time() - cpu:.2f} s CPU, peak {_peak_mb():.0f} MB, of which {base:.0f} MB before the first row"
    )


def _rows(site: OpenStackSite, window: Sequence[date], only: Sequence[str]) -> int:
    with Warehouse.default().read() as reader:
        raw = read_inputs(reader, site, window)
    facts = build_facts(site, window, raw, {}, only or None)
    if only:
        return facts.intervals.height
    usage = build_usage(usage_scope(site), window, facts.intervals, {}, month_node_types(site, raw))
    return facts.intervals.height + usage.usage.height + usage.steps.height


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    typer.run(main)
