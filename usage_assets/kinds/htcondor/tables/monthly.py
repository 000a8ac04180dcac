"""The tables of a pool by UTC month, as the reports stage stores them, and their assets `htcondor/reports/gpu_*`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from functools import partial

import polars as pl

from usage_assets.core.months import next_month
from usage_assets.kinds.htcondor.pool.rules import Pool, PoolSite
from usage_assets.kinds.htcondor.tables import (
    allocation,
    backfill,
    declarations,
    draining,
    hosts,
    performance,
    series,
    users,
)
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.options import Result
from usage_assets.kinds.htcondor.tables.reading import read_facts
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets.schema import Table
from usage_assets.specs.asset import Asset, Built
from usage_assets.warehouse import Reader

Build = Callable[[Cube, Facts], pl.DataFrame]


def _grouped(**results: Result) -> pl.DataFrame:
    """Several tables as one; `grouping` says which."""
    frames = [one.frame.select(pl.lit(name).alias("grouping"), pl.all()) for name, one in results.items()]
    return pl.concat(frames, how="diagonal")


def _allocation(cube: Cube, _: Facts) -> pl.DataFrame:
    return _grouped(
        **{"class": allocation.allocation_by_class(cube)},
        device=allocation.allocation_by_device(cube),
        memory=allocation.allocation_by_memory(cube),
        open_tier=allocation.open_tiers(cube),
    )


def _users(cube: Cube, _: Facts) -> pl.DataFrame:
    of_model = {f"model {cube.options.model}": users.model_users(cube)}
    return _grouped(all=users.user_hours(cube), backfill=users.backfill_users(cube), **of_model)


def _usage(cube: Cube, facts: Facts) -> pl.DataFrame:
    usage = facts.usage_in(cube.observed.window)
    by_class = {"class": performance.performance_usage(cube, usage)}
    return _grouped(**by_class, device=performance.performance_by_device(cube, usage))


def _evictions(cube: Cube, _: Facts) -> pl.DataFrame:
    return _grouped(user=backfill.evictions_by_user(cube), machine=backfill.evictions_by_machine(cube))


_BUILDS: dict[str, Build] = {
    "gpu_allocation": _allocation,
    "gpu_days": lambda cube, _: series.calendar_series(cube, "day").frame.rename({"coverage": "day_coverage"}),
    "gpu_users": _users,
    "gpu_usage": _usage,
    "gpu_hosts": lambda cube, _: hosts.host_table(cube).frame,
    "gpu_categories": lambda cube, _: hosts.machine_categories(cube).frame,
    "gpu_never_active": lambda cube, _: hosts.never_active(cube).frame,
    "gpu_unused": lambda cube, _: hosts.unused_gpus(cube, None).frame,
    "gpu_draining": lambda cube, _: draining.draining_episodes(cube).frame,
    "gpu_refusing": lambda cube, _: draining.refusing_hosts(cube).frame,
    "gpu_excluded": lambda cube, _: hosts.excluded_hosts(cube).frame,
    "gpu_spells": lambda cube, _: backfill.spell_lengths(cube).frame,
    "gpu_evictions": _evictions,
}


class Months:
    """The facts of some UTC months, each reduced to its cube once for all tables that are made of it."""

    def __init__(self, facts: Mapping[date, Facts]) -> None:
        self._facts = facts
        self._cubes: dict[date, tuple[Cube, Facts]] = {}

    def cube(self, pool: Pool, month: date, extracted: datetime | None) -> tuple[Cube, Facts]:
        """The cube of a month up to its extraction, and the facts that it is of."""
        if month not in self._cubes:
            self._cubes[month] = month_cube(pool, month, self._facts[month], extracted)
        return self._cubes[month]


def read_months(reader: Reader, site: PoolSite, months: Sequence[date]) -> Months:
    """The facts of some UTC months."""
    zone = site.pool().timezone
    return Months({month: read_facts(reader, site.key, month_window(month, zone)) for month in months})


def month_window(month: date, timezone: str, extracted: datetime | None = None) -> Window:
    """A UTC month, up to its extraction where that comes before its end."""
    start, end = (datetime.combine(day, time()) for day in (month, next_month(month)))
    return Window(start, min(end, extracted) if extracted is not None and extracted > start else end, timezone)


def month_cube(pool: Pool, month: date, facts: Facts, extracted: datetime | None = None) -> tuple[Cube, Facts]:
    """The cube of a month up to its extraction, or of all of it where polls are later; and the facts of that time."""
    window = month_window(month, pool.timezone, extracted)
    newest = facts.polls["poll_at"].max()
    if isinstance(newest, datetime) and newest >= window.end:
        window = month_window(month, pool.timezone)
    if facts.covers is not None:
        facts = replace(facts, covers=window)
    return Cube.of(facts, pool, window), facts


def table_rows(name: str, site: str, month: date, cube: Cube, facts: Facts) -> pl.DataFrame:
    """Rows of one table of one month, as the table declares them."""
    table, observed = declarations.BY_NAME[name], cube.observed
    frame = _BUILDS[name](cube, facts).with_columns(
        site=pl.lit(site),
        month=pl.lit(month),
        window_polls=pl.lit(observed.count),
        intervals=pl.lit(observed.intervals),
        expected=pl.lit(observed.expected),
        coverage=pl.lit(observed.coverage),
    )
    missing = [pl.lit(None).alias(column) for column in table.names if column not in frame.columns]
    return frame.with_columns(missing).select(table.names).cast(dict(table.polars_schema))  # type: ignore[arg-type]


def month_tables(
    pool: Pool, site: str, month: date, facts: Facts, extracted: datetime | None = None
) -> dict[str, pl.DataFrame]:
    """Rows of every table of one month."""
    cube, observed = month_cube(pool, month, facts, extracted)
    return {name: table_rows(name, site, month, cube, observed) for name in _BUILDS}


def make(name: str, site: PoolSite, months: Sequence[date], facts: Months, extracted: Mapping[date, datetime]) -> Built:
    """The rows of one table of some months."""
    pool, table = site.pool(), declarations.BY_NAME[name]
    cubes = {month: facts.cube(pool, month, extracted.get(month)) for month in months}
    return Built(pl.concat([table.empty(), *(table_rows(name, site.key, month, *cubes[month]) for month in months)]))


def _asset(table: Table) -> Asset:
    return Asset(
        stage=table.stage,
        name=table.name,
        table=table,
        after=("facts/gpu_runs", "facts/gpu_polls", "facts/gpu_performance"),
        read=read_months,  # one function, not one each: tables that share it are made of one read
        make=partial(make, table.name),
        months_at_once=6,
    )


TABLE_ASSETS: tuple[Asset, ...] = tuple(map(_asset, declarations.TABLES))
"""What the kind lists among its tables."""
