"""Monthly: the tables of a pool by UTC month, as the reports stage stores them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

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
from usage_assets.kinds.htcondor.tables.reading import read_facts
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets.schema import Table
from usage_assets.specs.asset import Built
from usage_assets.warehouse import Reader

Build = Callable[[Cube, Facts], pl.DataFrame]


def _grouped(**frames: pl.DataFrame) -> pl.DataFrame:
    """Several tables as one; `grouping` says which."""
    named = [frame.select(pl.lit(name).alias("grouping"), pl.all()) for name, frame in frames.items()]
    return pl.concat(named, how="diagonal")


def _allocation(cube: Cube, _: Facts) -> pl.DataFrame:
    return _grouped(
        **{
            "class": allocation.allocation_by_class(cube).frame,
            "device": allocation.allocation_by_device(cube).frame,
            "memory": allocation.allocation_by_memory(cube).frame,
            "open_tier": allocation.open_tiers(cube).frame,
        }
    )


def _days(cube: Cube, _: Facts) -> pl.DataFrame:
    return series.calendar_series(cube, "day").frame.rename({"coverage": "day_coverage"})


def _users(cube: Cube, _: Facts) -> pl.DataFrame:
    return _grouped(
        all=users.user_hours(cube).frame,
        backfill=users.backfill_users(cube).frame,
        **{f"model {cube.options.model}": users.model_users(cube).frame},
    )


def _usage(cube: Cube, facts: Facts) -> pl.DataFrame:
    usage = facts.usage_in(cube.observed.window)
    by_class, by_device = performance.performance_usage(cube, usage), performance.performance_by_device(cube, usage)
    return _grouped(**{"class": by_class.frame, "device": by_device.frame})


def _evictions(cube: Cube, _: Facts) -> pl.DataFrame:
    return _grouped(user=backfill.evictions_by_user(cube).frame, machine=backfill.evictions_by_machine(cube).frame)


_BUILDS: dict[str, tuple[Table, Build]] = {
    table.name: (table, build)
    for table, build in (
        (declarations.GPU_ALLOCATION, _allocation),
        (declarations.GPU_DAYS, _days),
        (declarations.GPU_USERS, _users),
        (declarations.GPU_USAGE, _usage),
        (declarations.GPU_HOSTS, lambda cube, _: hosts.host_table(cube).frame),
        (declarations.GPU_CATEGORIES, lambda cube, _: hosts.machine_categories(cube).frame),
        (declarations.GPU_NEVER_ACTIVE, lambda cube, _: hosts.never_active(cube).frame),
        (declarations.GPU_UNUSED, lambda cube, _: hosts.unused_gpus(cube, None).frame),
        (declarations.GPU_DRAINING, lambda cube, _: draining.draining_episodes(cube).frame),
        (declarations.GPU_REFUSING, lambda cube, _: draining.refusing_hosts(cube).frame),
        (declarations.GPU_EXCLUDED, lambda cube, _: hosts.excluded_hosts(cube).frame),
        (declarations.GPU_SPELLS, lambda cube, _: backfill.spell_lengths(cube).frame),
        (declarations.GPU_EVICTIONS, _evictions),
    )
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
    start, after = datetime(month.year, month.month, 1), next_month(month)
    end = datetime(after.year, after.month, 1)
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
    table, build = _BUILDS[name]
    observed = cube.observed
    coverage = {
        "window_polls": observed.count,
        "intervals": observed.intervals,
        "expected": observed.expected,
        "coverage": observed.coverage,
    }
    frame = build(cube, facts).with_columns(
        site=pl.lit(site), month=pl.lit(month), **{key: pl.lit(value) for key, value in coverage.items()}
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
    pool, table = site.pool(), _BUILDS[name][0]
    cubes = {month: facts.cube(pool, month, extracted.get(month)) for month in months}
    return Built(pl.concat([table.empty(), *(table_rows(name, site.key, month, *cubes[month]) for month in months)]))
