"""`usage-assets demo`: make the demo sites' databases, build their last months, say where the plots are."""

from datetime import UTC, date, datetime

import typer
from rich.console import Console

from usage_assets import settings
from usage_assets.cli.backfill import plan, run
from usage_assets.demo.make import SITES, make_site
from usage_assets.partitions import month_of, months_between
from usage_assets.sites import load_sites, utc_now


def run_demo(months: int, console: Console) -> int:
    """Make and build; the exit code."""
    sites = {name: site for name, site in load_sites().items() if name in SITES}
    if not sites:
        raise typer.BadParameter(f"there is no demo site among the site files: {', '.join(SITES)}")
    now = utc_now()
    for name in sites:
        folder = settings.data_dir() / "demo" / name
        counts = make_site(name, folder, until=datetime.combine(now.date(), datetime.min.time(), tzinfo=UTC))
        console.print(f"{name}: {sum(counts.values()):,} rows in {len(counts)} tables made in {folder}", markup=False)
    last = month_of(now.date())
    first = max(months_between(date(2016, 1, 1), last)[-months:][0], date(2016, 1, 1))
    code = run(sites, plan(sites, first, last, today=now.date()), purge_known=False, in_process=False)
    console.print("\nPlots:")
    for name in sites:
        for plot in (f"{name}/{name}_stack.html", f"{name}/{last:%Y-%m}/usage_stack.html"):
            path = settings.plots_dir() / plot
            if path.is_file():
                console.print(f"  {path}", markup=False)
    console.print("make ui shows them beside their assets; there every month since 2016 can be built.")
    return code
