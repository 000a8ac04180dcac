"""`usage-assets demo`: make the demo sites' sources, build their last months, say where the plots are."""

from datetime import UTC, date, datetime

import typer
from rich.console import Console

from usage_assets import settings
from usage_assets.cli.backfill import plan, run
from usage_assets.demo.make import DEMOS, POOLS, make_site
from usage_assets.partitions import month_of, months_between
from usage_assets.sites import load_book, utc_now

_POOL_MONTHS = 12
"""Of a pool the last year at most: a month of it is half a million rows."""

_PAGES = (("stack",), ("usage_stack",))
_POOL_PAGES = (("stack", "gpu_weekly"), ("usage_stack", "gpu_classes", "gpu_heatmap", "gpu_user_hours"))
"""The plots that are named: of the whole history, and of the last month."""


def run_demo(months: int, console: Console) -> int:
    """Make and build; the exit code."""
    sites = {name: site for name, site in load_book().items() if name in DEMOS}
    if not sites:
        raise typer.BadParameter(f"there is no demo site among the site files: {', '.join(DEMOS)}")
    now = utc_now()
    for name in sites:
        folder = settings.data_dir() / "demo" / name
        until = now if name in POOLS else datetime.combine(now.date(), datetime.min.time())
        counts = make_site(name, folder, until=until.replace(tzinfo=UTC))
        what = "files" if name in POOLS else "tables"
        console.print(f"{name}: {sum(counts.values()):,} rows in {len(counts)} {what} made in {folder}", markup=False)
    last = month_of(now.date())
    first = max(months_between(date(2016, 1, 1), last)[-months:][0], date(2016, 1, 1))
    windows = plan({name: site for name, site in sites.items() if name not in POOLS}, first, last, today=now.date())
    year = max(first, months_between(date(2016, 1, 1), last)[-_POOL_MONTHS:][0])
    windows += plan({name: site for name, site in sites.items() if name in POOLS}, year, last, today=now.date())
    code = run(sites, windows, purge_known=False, in_process=False)
    console.print("\nPlots:")
    for name in sites:
        whole, monthly = _POOL_PAGES if name in POOLS else _PAGES
        pages = [f"{name}_{page}" for page in whole] + [f"{last:%Y-%m}/{page}" for page in monthly]
        for page in pages:
            path = settings.plots_dir() / name / f"{page}.html"
            if path.is_file():
                console.print(f"  {path}", markup=False)
    console.print(
        "make ui shows them beside their assets; there every month since each site's first one can be built. Until "
        "they are, the check complete of usage/reports/coverage fails and names them."
    )
    return code
