"""One call from facts to all tables that a report of a window needs. Functions 19 and 20."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from usage_assets.core.errors import UsageError
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.tables import allocation, backfill, draining, hosts, performance, series, users
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.options import MODES, Metadata, Mode, Options, Result
from usage_assets.kinds.htcondor.tables.window import Window, default_end

Build = Callable[[Cube], Result]

ALLOCATION: dict[str, Build] = {
    "summary": allocation.allocation_summary,
    "allocation": allocation.allocation_by_class,
    "cluster": allocation.cluster_totals,
    "open_tiers": allocation.open_tiers,
}
DEVICES: dict[str, Build] = {"devices": allocation.allocation_by_device}
SECTIONS: dict[str, Build] = {
    "memory": allocation.allocation_by_memory,
    "model_users": users.model_users,
    "backfill_users": users.backfill_users,
    "users": users.user_hours,
    "never_active": hosts.never_active,
    "machine_categories": hosts.machine_categories,
    "hosts": hosts.host_table,
    "unused_gpus": hosts.unused_gpus,
    "draining": draining.draining_by_host,
    "draining_episodes": draining.draining_episodes,
    "refusing": draining.refusing_hosts,
    "excluded_hosts": hosts.excluded_hosts,
}
BACKFILL: dict[str, Build] = {
    "spell_lengths": backfill.spell_lengths,
    "evictions_by_user": backfill.evictions_by_user,
    "evictions_by_machine": backfill.evictions_by_machine,
}
SERIES: dict[str, Build] = {"timeseries": series.time_series}
TABLES: dict[str, Build] = {**ALLOCATION, **DEVICES, **SECTIONS, **BACKFILL, **SERIES, "weekly": series.weekly_trend}
"""Every table of a cube, by name, in the order in which reports show them; performance needs its own facts."""


@dataclass(frozen=True)
class Analysis:
    """The tables of one window by name, its metadata, and how long they took."""

    mode: Mode
    results: Mapping[str, Result]
    metadata: Metadata
    seconds: float

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self.results[name].frame


def default_window(facts: Facts, pool: Pool, hours: float = 24, end: datetime | None = None) -> Window:
    """So many hours back from a naive UTC instant; from the newest poll, exclusive, where none is given."""
    polls = facts.polls["poll_at"]
    newest = polls.max()
    if end is None and isinstance(newest, datetime):
        before = polls.filter(polls < newest).max()
        end = default_end(newest, before if isinstance(before, datetime) else None, pool.bucket_minutes)
    if end is None:
        msg = "the pool has no poll: read its snapshots first"
        raise UsageError(msg)
    return Window.back(hours, end, pool.timezone)


def analyse(
    facts: Facts, pool: Pool, window: Window, options: Options | None = None, mode: Mode = "allocation"
) -> Analysis:
    """The tables of a mode. Function 19.

    allocation: classes, summary, cluster totals, tiers, performance, and by device where the options ask for it;
    timeseries: the series and the cluster totals; monthly: every table, of the local month before the one in which
    the window ends.
    """
    if mode not in MODES:
        msg = f"mode is one of {', '.join(MODES)}, not {mode!r}"
        raise UsageError(msg)
    if mode == "monthly":
        return monthly_summary(facts, pool, window.end, options)
    begun = time.perf_counter()
    cube = Cube.of(facts, pool, window, options)
    if mode == "timeseries":
        results = {name: build(cube) for name, build in (SERIES | {"cluster": ALLOCATION["cluster"]}).items()}
    else:
        wanted = ALLOCATION | (DEVICES if cube.options.group_by_device else {})
        results = {name: build(cube) for name, build in wanted.items()} | _performance(facts, cube)
    return Analysis(mode, results, cube.metadata(), time.perf_counter() - begun)


def monthly_summary(facts: Facts, pool: Pool, end: datetime, options: Options | None = None) -> Analysis:
    """Every table of the local calendar month before the one in which a naive UTC instant lies. Function 20.

    Each table is of the month itself, with the month's coverage.
    """
    begun = time.perf_counter()
    cube = Cube.of(facts, pool, Window.month_before(end, pool.timezone), options)
    return Analysis("monthly", all_tables(facts, cube), cube.metadata(), time.perf_counter() - begun)


def all_tables(facts: Facts, cube: Cube) -> dict[str, Result]:
    """Every table of a window."""
    # first what several tables share, both at once: each keeps one processor busy
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda name: getattr(cube, name), ("backfill", "levels")))
    return {name: build(cube) for name, build in TABLES.items()} | _performance(facts, cube)


def _performance(facts: Facts, cube: Cube) -> dict[str, Result]:
    usage = facts.usage_in(cube.observed.window)
    return {
        "performance": performance.performance_usage(cube, usage),
        "performance_by_device": performance.performance_by_device(cube, usage),
    }
