"""What `usage-assets gpu` shows: the facts of a window of a pool, reduced to tables."""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import typer

from usage_assets.cli.htcondor.formats import show, side_by_side
from usage_assets.cli.htcondor.request import Request
from usage_assets.cli.htcondor.window import (
    instant,
    one_pool,
    read_cube,
    require_hosts,
    require_machines,
    require_model,
    require_stored,
    shown,
)
from usage_assets.cli.output import reading
from usage_assets.kinds.htcondor.tables import analyse, moment, series
from usage_assets.kinds.htcondor.tables import users as user_tables
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.labels import LABELS
from usage_assets.kinds.htcondor.tables.options import Options, Result
from usage_assets.kinds.htcondor.tables.reading import newest_poll, read_facts, read_moment
from usage_assets.kinds.htcondor.tables.window import Window

_MONTHLY = (
    "summary", "devices", "memory", "model_users", "backfill_users", "users", "never_active", "machine_categories",
    "draining", "refusing", "weekly", "performance", "excluded_hosts",
)  # fmt: skip
_SHOWN: dict[str, tuple[str, ...]] = {
    "jobs": ("machine", "gpu", "class", "user", "job"),
    "idle": ("machine", "gpu", "class", "is_refusing", "reason"),
    "other": ("machine", "gpu", "class", "is_drained", "is_refusing", "reason"),
}
"""Columns of the GPUs of a model in text and HTML; JSON and CSV have all."""
_NEAR_POLLS = 2
"""A time farther from the nearest poll than so many poll intervals is an error: its state is unknown."""


def show_allocation(request: Request, options: Options) -> None:
    """Classes, the summary, memory, and devices where asked for."""
    site, cube = read_cube(request, options)
    names = ["devices" if options.group_by_device else "allocation", "memory"]
    results = {name: analyse.TABLES[name](cube) for name in ("summary", *names)}
    show(request, site, results, cube, single=names[0])


def show_series(request: Request, options: Options) -> None:
    """A row per bucket."""
    site, cube = read_cube(request, options)
    found = series.time_series(cube)
    if request.format in {"text", "html"}:
        found = replace(found, frame=side_by_side(found.frame, options))
    show(request, site, {"timeseries": found}, cube, single="timeseries")


def show_users(request: Request, options: Options, *, model: str | None, backfill: bool) -> None:
    """GPU-hours by user."""
    if backfill and model is not None:
        raise typer.BadParameter("choose one of --model and --backfill", param_hint="--backfill")
    site, cube = read_cube(request, options)
    if model is not None:
        require_model(cube.kinds["device"].cast(pl.String()).unique().to_list(), model)
        name, found = "model_users", user_tables.model_users(cube, model)
    elif backfill:
        name, found = "backfill_users", user_tables.backfill_users(cube)
    else:
        name, found = "users", user_tables.user_hours(cube)
    show(request, site, {name: found}, cube, single=name)


def show_month(request: Request, options: Options, *, month: date | None, table: str | None, model: str | None) -> None:
    """The tables of one local month."""
    site = one_pool(request.site)
    options = replace(options, model=model or site.reports.model)
    if table is not None and table not in analyse.TABLES:
        near = ", ".join(difflib.get_close_matches(table, analyse.TABLES, 3)) or ", ".join(analyse.TABLES)
        raise typer.BadParameter(f"no table is called {table!r}; there are: {near}", param_hint="--table")
    with reading(published=request.published) as reader:
        newest = newest_poll(reader, site.key)
        zone = site.timezone
        window = Window.month_before(newest, zone) if month is None else Window.of("month", month, zone)
        require_stored(reader, site, window, newest)
        facts = read_facts(reader, site.key, window)
    require_hosts(facts, window, options)
    cube = Cube.of(facts, site.pool(), window, options)
    found = analyse.all_tables(facts, cube)
    show(request, site, {name: found[name] for name in ([table] if table else _MONTHLY)}, cube, single=table)


def show_model(request: Request, options: Options, *, at: str, model: str | None) -> None:
    """What the nearest poll saw of one model, or of all."""
    site = one_pool(request.site)
    pool = site.pool()
    when = instant(at, "--at", site.timezone)
    with reading(published=request.published) as reader:
        newest_poll(reader, site.key)
        facts = read_moment(reader, site.key, when, _NEAR_POLLS * timedelta(minutes=site.poll_minutes))
    assert facts.runs is not None
    assert facts.performance is not None
    everything = moment.models_at(facts, pool, when)
    if options.hosts:
        require_machines(facts.runs.select("machine").unique().collect()["machine"].to_list(), options.hosts)
    if model is None:
        found: Mapping[str, pl.DataFrame] = {"models": moment.models_at(facts, pool, when, options).frame}
    else:
        require_model(everything.frame["device"].to_list(), model)
        tables = moment.analyse_model(facts, pool, model, when, options).tables
        found = {"model" if name == "summary" else name: frame for name, frame in tables.items()}
    if request.format in {"text", "html"}:
        found = {
            name: frame.select(_SHOWN[name]).with_columns(pl.col("class").replace(LABELS)) if name in _SHOWN else frame
            for name, frame in found.items()
        }
    poll = everything.poll_at
    window = Window(poll, poll + timedelta(microseconds=1), site.timezone)
    cube = Cube.of(Facts.of(facts.runs, facts.polls, facts.performance), pool, window, options)
    metadata = cube.metadata()
    asked_at, polled_at = (shown(each, site.timezone) for each in (when, poll))
    off = f"{site.timezone}; {everything.minutes_off:+.1f} minutes"
    lines = [f"Asked for {asked_at}, answered by the poll of {polled_at} ({off})"]
    results = {name: Result(frame, metadata) for name, frame in found.items()}
    show(request, site, results, cube, single="models" if model is None else "jobs", lines=lines)
