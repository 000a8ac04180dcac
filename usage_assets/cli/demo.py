"""`usage-assets demo`: make the sources of the demo sites, build their last months, name the plots."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date
from pathlib import Path

import typer

import usage_assets
from usage_assets.cli.backfill import interrupts, plan, run
from usage_assets.cli.console import INTERRUPTED, console, errors
from usage_assets.cli.outcome import INTERRUPTION
from usage_assets.core import settings
from usage_assets.core.clock import naive_utc_now
from usage_assets.core.errors import UsageError
from usage_assets.core.months import month_of, months_between
from usage_assets.demo.make import DEMOS, POOLS, SERVICES, make_site
from usage_assets.kinds.site_files import load_book
from usage_assets.sites.base import Site
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import FAILED_CHECKS

_SHORT_MONTHS = 12
"""Months of a pool or a service at most: one of a pool is half a million rows."""
_BY_WEIGHT = ("demo_metal", "demo_pool", "demo_kvm", "demo_service", "demo_edge")
"""The demo sites, the one that takes longest first."""

_PAGES = (("stack",), ("usage_stack",))
_POOL_PAGES = (("stack", "gpu_weekly"), ("usage_stack", "gpu_classes", "gpu_heatmap", "gpu_user_hours"))
_SERVICE_PAGES = (("service_history",), ("service_models", "service_users", "service_load", "service_spending"))
_OF_FILES = {**dict.fromkeys(POOLS, _POOL_PAGES), **dict.fromkeys(SERVICES, _SERVICE_PAGES)}
"""The plots to name: of the whole history, and of the last month."""


def run_demo(months: int, only: Collection[str]) -> int:
    """Make and build; all sites in two processes, those of `only` in this one; the exit code."""
    unknown = sorted(set(only) - set(DEMOS))
    if unknown:
        raise typer.BadParameter(f"no demo site {', '.join(unknown)}; there are {', '.join(DEMOS)}")
    bring_site_files()
    sites = {name: site for name, site in load_book().items() if name in DEMOS and (not only or name in only)}
    missing = sorted(set(only) - set(sites))
    if missing or not sites:
        msg = (
            f"{settings.sites_dir()} holds other sites and no {', '.join(missing or DEMOS)}; set USAGE_SITES to an "
            "empty folder for the demo, and USAGE_DATA and DAGSTER_HOME too"
        )
        raise UsageError(msg)
    shares = [list(sites)] if only else shared_out(sites, os.cpu_count() or 1)
    code = _build_beside(shares, months) if len(shares) > 1 else _build(sites, months)
    if not only and code != INTERRUPTED:
        _say_warnings()
        _name_plots(sites)
    return code


def bring_site_files() -> None:
    """Put the demo's site files into the folder of site files where that holds no site yet, or is not there."""
    folder = settings.sites_dir()
    if folder.is_dir() and any(folder.glob("*.yaml")):
        return
    package = Path(usage_assets.__file__).parent
    shipped = next((at for at in (package / "demo_sites", package.parent / "sites") if at.is_dir()), None)
    if shipped is None:
        msg = f"the demo's site files are missing from {package}; install usage-assets anew"
        raise UsageError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(shipped.glob("demo_*")):
        shutil.copyfile(path, folder / path.name)
    console.print(f"the demo's site files are in {folder}")


def shared_out(sites: Iterable[str], processors: int) -> list[list[str]]:
    """The sites in at most two shares that take about as long: two processes keep two processors busy."""
    ordered = sorted(sites, key=_BY_WEIGHT.index)
    if processors == 1 or len(ordered) == 1:
        return [ordered]
    return [ordered[0::4] + ordered[3::4], ordered[1::4] + ordered[2::4]]


def _build(sites: Mapping[str, Site], months: int) -> int:
    now = naive_utc_now()
    for name in sites:
        folder = settings.data_dir() / "demo" / name
        console.print(f"{name}: making its source ...")
        counts = make_site(name, folder, until=now.replace(tzinfo=UTC))
        holds = f"{len(counts)} {'files' if name in _OF_FILES else 'tables'}"
        console.print(f"{name}: created {sum(counts.values()):,} rows in {holds} under {folder}")
    every = months_between(date(2016, 1, 1), month_of(now.date()))
    windows = []
    for name, site in sites.items():
        count = min(months, _SHORT_MONTHS) if name in _OF_FILES else months
        windows += plan({name: site}, every[-count:][0], every[-1], today=now.date())
    return run(sites, windows)


def _build_beside(shares: Sequence[Sequence[str]], months: int) -> int:
    """Each share by a process of its own, whose lines are passed on; the worst exit code."""
    from usage_assets.cli.home import make_home

    make_home()
    processes = []
    for share in shares:
        chosen = [part for name in share for part in ("--site", name)]
        processes.append(
            subprocess.Popen(  # noqa: S603 - our own
                [sys.executable, "-m", "usage_assets", "demo", "--months", str(months), *chosen],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,  # a terminal's Ctrl-C reaches this process alone, which interrupts them once
            )
        )
    interrupted = threading.Event()
    with ThreadPoolExecutor(len(processes)) as readers:
        try:
            with interrupts():
                for process in processes:
                    readers.submit(_pass_on, process, interrupted)
                while any(process.poll() is None for process in processes):
                    time.sleep(0.2)  # a signal may reach another thread: look up now and then
        except KeyboardInterrupt:
            interrupted.set()
            for process in processes:
                process.send_signal(signal.SIGINT)
        codes = [process.wait() for process in processes]
    if interrupted.is_set():
        errors.print(INTERRUPTION)
        return INTERRUPTED
    return max(abs(code) for code in codes)


def _pass_on(process: subprocess.Popen[str], interrupted: threading.Event) -> None:
    """Pass on the lines of a process until all are interrupted."""
    assert process.stdout is not None
    for line in process.stdout:
        if not interrupted.is_set():
            console.print(line.rstrip("\n"))


def _say_warnings() -> None:
    """Say whether all checks that fail at the demo sites were planted; name those that were not."""
    from usage_assets.demo.planted import unplanted

    with Warehouse.default().read() as reader:
        if not reader.has(FAILED_CHECKS):
            return
        failed = reader.sql(
            "SELECT DISTINCT site, check_name, strftime(month, '%Y-%m') AS month "
            f"FROM {FAILED_CHECKS.qualified} WHERE site IN (SELECT unnest($sites::VARCHAR[])) ORDER BY ALL",
            {"sites": list(DEMOS)},
        ).rows()
    others = list(unplanted(failed, naive_utc_now().date()))
    for site, check, month in others:
        console.print(f"not planted: {check} of {site} in {month}; please report it", style="yellow")
    if failed and not others:
        console.print(f'All {len(failed)} warnings are planted: see "What the demo warns of" in the README.')


def _name_plots(sites: Iterable[str]) -> None:
    last = month_of(naive_utc_now().date())
    console.print("\nPlots:")
    for name in sites:
        whole, monthly = _OF_FILES.get(name, _PAGES)
        for page in [f"{name}_{page}" for page in whole] + [f"{last:%Y-%m}/{page}" for page in monthly]:
            path = settings.plots_dir() / name / f"{page}.html"
            if path.is_file():
                console.print(f"  {path}")
    console.print(
        "make ui shows them beside their assets; there every month since each site's first one can be built. Until "
        "they are, the check complete of usage/reports/coverage fails and names them."
    )
