"""What `usage-assets gpu` shows: the facts of a window of a pool, reduced to tables."""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import polars as pl
import typer

from usage_assets.cli.console import month as month_of_text
from usage_assets.cli.htcondor.formats import require_format, show, side_by_side
from usage_assets.cli.htcondor.window import (
    Asked,
    instant,
    one_pool,
    options,
    read_window,
    reading,
    require_hosts,
    require_machines,
    require_model,
    require_stored,
    shown,
)
from usage_assets.kinds.htcondor.tables import analyse, moment, series
from usage_assets.kinds.htcondor.tables import users as user_tables
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.labels import LABELS
from usage_assets.kinds.htcondor.tables.options import Options, Result
from usage_assets.kinds.htcondor.tables.reading import newest_poll, read_facts, read_moment
from usage_assets.kinds.htcondor.tables.window import Window

__all__ = ["Asked", "options", "show_allocation", "show_model", "show_month", "show_series", "show_users"]
_MONTHLY = (
    "summary", "devices", "memory", "model_users", "backfill_users", "users", "never_active", "machine_categories",
    "draining", "refusing", "weekly", "performance", "excluded_hosts",
)  # fmt: skip
_SHOWN: dict[str, tuple[str, ...]] = {
    "jobs": ("machine", "gpu", "class", "user", "job"),
    "idle": ("machine", "gpu", "class", "is_refusing", "reason"),
    "other": ("machine", "gpu", "class", "is_drained", "is_refusing", "reason"),
}
"""What people are shown of the GPUs of a model; programs get all columns."""
_NEAR_POLLS = 2
"""A time farther from the nearest poll than so many poll intervals is not answered: nobody knows what was then."""


def show_allocation(asked: Asked, wanted: Options) -> None:
    """Classes, the summary, memory, and devices where asked for."""
    site = one_pool(asked.site)
    facts, window = read_window(asked, site, wanted)
    cube = Cube.of(facts, site.pool(), window, wanted)
    names = ["allocation", "memory"] if not wanted.group_by_device else ["devices", "memory"]
    results = {name: analyse.TABLES[name](cube) for name in ("summary", *names)}
    show(asked, site, results, cube, single=names[0])


def show_series(asked: Asked, wanted: Options) -> None:
    """A row per bucket."""
    site = one_pool(asked.site)
    facts, window = read_window(asked, site, wanted)
    cube = Cube.of(facts, site.pool(), window, wanted)
    found = series.time_series(cube)
    shown = replace(found, frame=side_by_side(found.frame, wanted)) if asked.format in {"text", "html"} else found
    show(asked, site, {"timeseries": shown}, cube, single="timeseries")


def show_users(asked: Asked, wanted: Options, *, model: str | None, backfill: bool) -> None:
    """GPU-hours by user."""
    site = one_pool(asked.site)
    facts, window = read_window(asked, site, wanted)
    cube = Cube.of(facts, site.pool(), window, wanted)
    if model is not None:
        require_model(cube.kinds["device"].cast(pl.String()).unique().to_list(), model)
    if backfill and model is not None:
        raise typer.BadParameter("choose one of --model and --backfill", param_hint="--backfill")
    if model is not None:
        name, found = "model_users", user_tables.model_users(cube, model)
    elif backfill:
        name, found = "backfill_users", user_tables.backfill_users(cube)
    else:
        name, found = "users", user_tables.user_hours(cube)
    show(asked, site, {name: found}, cube, single=name)


def show_month(asked: Asked, wanted: Options, *, month: str | None, table: str | None, model: str | None) -> None:
    """The tables of one local month."""
    site = one_pool(asked.site)
    wanted = replace(wanted, model=model or site.reports.model)
    if table is not None and table not in analyse.TABLES:
        near = ", ".join(difflib.get_close_matches(table, analyse.TABLES, 3)) or ", ".join(analyse.TABLES)
        raise typer.BadParameter(f"no table is called {table!r}; there are: {near}", param_hint="--table")
    with reading(asked) as reader:
        newest = newest_poll(reader, site.key)
        if month is None:
            window = Window.month_before(newest, site.timezone)
        else:
            window = Window.of("month", month_of_text(month, "--month"), site.timezone)
        require_stored(reader, site, window, newest)
        facts = read_facts(reader, site.key, window)
    require_hosts(facts, window, wanted)
    cube = Cube.of(facts, site.pool(), window, wanted)
    found = analyse.all_tables(facts, cube)
    names = _MONTHLY if table is None else (table,)
    show(asked, site, {name: found[name] for name in names}, cube, single=table)


def show_model(asked: Asked, wanted: Options, *, at: str, model: str | None) -> None:
    """What the nearest poll saw of one model, or of all."""
    site = one_pool(asked.site)
    pool = site.pool()
    when = instant(at, "--at", site.timezone)
    with reading(asked) as reader:
        newest_poll(reader, site.key)
        facts = read_moment(reader, site.key, when, _NEAR_POLLS * timedelta(minutes=site.poll_minutes))
    everything = moment.models_at(facts, pool, when)
    if wanted.hosts:
        assert facts.runs is not None
        require_machines(facts.runs.select("machine").unique().collect()["machine"].to_list(), wanted.hosts)
    if model is None:
        found: Mapping[str, pl.DataFrame] = {"models": moment.models_at(facts, pool, when, wanted).frame}
    else:
        require_model(everything.frame["device"].to_list(), model)
        tables = moment.analyse_model(facts, pool, model, when, wanted).tables
        found = {"model" if name == "summary" else name: frame for name, frame in tables.items()}
    if require_format(asked.format) in {"text", "html"}:
        found = {
            name: frame.select(_SHOWN[name]).with_columns(pl.col("class").replace(LABELS)) if name in _SHOWN else frame
            for name, frame in found.items()
        }
    poll = everything.poll_at
    near = Window(poll, poll + timedelta(microseconds=1), site.timezone)
    cube = Cube.of(Facts.of(*_three(facts)), pool, near, wanted)
    about = cube.metadata()
    asked_at, polled_at = (shown(instant_, site.timezone) for instant_ in (when, poll))
    off = f"{site.timezone}; {everything.minutes_off:+.1f} minutes"
    lines = [f"Asked for {asked_at}, answered by the poll of {polled_at} ({off})"]
    results = {name: Result(frame, about) for name, frame in found.items()}
    show(asked, site, results, cube, single="models" if model is None else "jobs", lines=lines)


def _three(facts: Facts) -> tuple[pl.LazyFrame, pl.DataFrame, pl.LazyFrame]:
    assert facts.runs is not None
    assert facts.performance is not None
    return facts.runs, facts.polls, facts.performance
