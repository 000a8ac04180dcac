"""`usage-assets backfill`: plan the windows, build them by a daemon or in this process, and report the outcome."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import groupby
from types import FrameType

import typer

from usage_assets.cli.console import INTERRUPTED, errors
from usage_assets.cli.home import dagster_home
from usage_assets.cli.outcome import Outcome, report
from usage_assets.core.months import FIRST_MONTH, Window, month_of, months_between
from usage_assets.sites.base import Site

_YEARS = 2
"""Calendar years of a run: each reads the source once; with two years of a large site it takes 1.3 GB."""


def plan(sites: Mapping[str, Site], first: date, last: date, *, today: date) -> list[Window]:
    """The months to build, a window per site and two years; BadParameter says which months are allowed."""
    current = month_of(today)
    if first > last:
        raise typer.BadParameter(f"{first:%Y-%m} comes after --to {last:%Y-%m}", param_hint="--from")
    if last > current:
        raise typer.BadParameter(f"{last:%Y-%m} lies in the future; the last is {current:%Y-%m}", param_hint="--to")
    if first < FIRST_MONTH:
        raise typer.BadParameter(f"{first:%Y-%m} comes before {FIRST_MONTH:%Y-%m}", param_hint="--from")
    windows = []
    for key, site in sites.items():
        start = max(first, site.first_month)
        if start > last:
            msg = f"site {key} begins in {site.first_month:%Y-%m}, after --to {last:%Y-%m}"
            raise typer.BadParameter(msg, param_hint="--to")
        months = months_between(start, last)
        windows += [Window(key, tuple(part)) for _, part in groupby(months, key=lambda month: month.year // _YEARS)]
    return windows


def run(
    sites: Mapping[str, Site],
    windows: Sequence[Window],
    *,
    purge_known: bool = False,
    allow_missing: bool = False,
    in_process: bool = False,
) -> int:
    """Build the windows; the exit code."""
    try:
        with interrupts():
            from usage_assets.orchestration.raw_step import MISSING_TAG, PURGE_TAG

            flags = {PURGE_TAG: purge_known, MISSING_TAG: allow_missing}
            tags = {tag: "true" for tag, wanted in flags.items() if wanted} | {"usage/trigger": "command"}
            outcome = _build(sites, windows, tags, in_process=in_process)
    except KeyboardInterrupt:
        outcome = Outcome(interrupted=True)
    report(outcome)
    if outcome.interrupted:  # ends what still works in other threads, as a kill would
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)
    return outcome.code


def _build(
    sites: Mapping[str, Site], windows: Sequence[Window], tags: Mapping[str, str], *, in_process: bool
) -> Outcome:
    home = dagster_home()
    if in_process:
        errors.print("building in this process, as --in-process says")
    else:
        from usage_assets.cli.daemon import find_daemon, submit

        server, why_not = find_daemon(sites, windows, home=home)
        if server is not None:
            return submit(server, sites, windows, tags)
        errors.print(f"no daemon: {why_not}; building in this process")
    from usage_assets.cli.local import build

    return build(sites, windows, tags)


@contextmanager
def interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP do what SIGINT does, for the block; also where a shell had SIGINT ignored."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt),
        signal.SIGHUP: signal.signal(signal.SIGHUP, interrupt),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
