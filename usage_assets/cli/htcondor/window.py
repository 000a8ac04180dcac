"""The pool and the window that a command of `usage-assets gpu` is asked about; errors name what there is instead."""

import difflib
from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl
import typer

from usage_assets.cli.console import chosen_sites
from usage_assets.cli.htcondor.request import Request
from usage_assets.cli.output import reading
from usage_assets.core.errors import UsageError
from usage_assets.core.text import printable
from usage_assets.kinds.htcondor.facts.tables import GPU_POLLS
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.htcondor.tables.cube import Cube, matching
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.options import Options
from usage_assets.kinds.htcondor.tables.reading import newest_end, newest_poll, read_facts
from usage_assets.kinds.htcondor.tables.window import Window, to_local, to_utc
from usage_assets.warehouse import Reader

_DAY_HOURS = 24.0


def one_pool(name: str | None) -> HTCondorSite:
    """The GPU pool of that key, or the only one."""
    pools = _pools(None if name is None else [name])
    if len(pools) == 1:
        return pools[0]
    if name is not None:
        msg = f"site {name} is no GPU pool; there are: {', '.join(pool.key for pool in _pools(None)) or 'none'}"
    elif pools:
        msg = f"name one of the GPU pools: {', '.join(pool.key for pool in pools)}"
    else:
        msg = "no site is a GPU pool (kind: htcondor)"
    raise typer.BadParameter(msg, param_hint="--site")


def _pools(names: list[str] | None) -> list[HTCondorSite]:
    return [site for site in chosen_sites(names).values() if isinstance(site, HTCondorSite)]


def instant(text: str, hint: str, timezone: str) -> datetime:
    """A time by the pool's clocks, or with an offset, as naive UTC; `hint` is the option that it comes from."""
    try:
        return to_utc(datetime.fromisoformat(text), timezone)
    except (ValueError, OverflowError):
        msg = f"{text!r} is no time; write it as 2026-03-01T06:00, by the pool's clocks, or with an offset (…+01:00)"
        raise typer.BadParameter(msg, param_hint=hint) from None


def window_of(reader: Reader, site: HTCondorSite, request: Request) -> Window:
    """The window asked for; an error where no stored poll can lie in it."""
    zone = site.timezone
    newest = newest_poll(reader, site.key)
    if request.start is not None and request.hours_back is not None and request.end is not None:
        raise typer.BadParameter("two of --start, --end and --hours-back say the window", param_hint="--hours-back")
    end = None if request.end is None else instant(request.end, "--end", zone)
    last = newest_end(reader, site.key, newest, site.counted_minutes)
    if request.start is not None:
        start = instant(request.start, "--start", zone)
        if end is None:
            end = last if request.hours_back is None else start + timedelta(hours=request.hours_back)
        window = Window(start, end, zone)
    else:
        window = Window.back(request.hours_back or _DAY_HOURS, end or last, zone)
    require_stored(reader, site, window, newest)
    return window


def require_stored(reader: Reader, site: HTCondorSite, window: Window, newest: datetime) -> None:
    """An error where a window lies outside of what is stored."""
    query = f"SELECT min(poll_at) FROM {GPU_POLLS.qualified} WHERE site = $site"
    first: datetime = reader.sql(query, {"site": site.key}).item()
    if window.end <= first or window.start > newest:
        stored, asked = (
            " to ".join(shown(at, site.timezone) for at in span)
            for span in ((first, newest), (window.start, window.end))
        )
        msg = f"site {site.key} has polls from {stored} ({site.timezone}), none from {asked}; choose another window"
        raise UsageError(msg)


def read_cube(request: Request, options: Options) -> tuple[HTCondorSite, Cube]:
    """The pool, and the cube of the window asked for; an error where a host that is asked for is not in it."""
    site = one_pool(request.site)
    with reading(published=request.published) as reader:
        window = window_of(reader, site, request)
        facts = read_facts(reader, site.key, window)
    require_hosts(facts, window, options)
    return site, Cube.of(facts, site.pool(), window, options)


def require_hosts(facts: Facts, window: Window, options: Options) -> None:
    """An error with near names where a host that is asked for is not in the window."""
    if options.hosts:
        machines = facts.coded_in(window).kinds["machine"].cast(pl.String()).unique().sort().to_list()
        require_machines(machines, options.hosts)


def require_model(known: Sequence[str], model: str) -> None:
    """An error with near names where no GPU has that display name."""
    if model not in known:
        msg = f"no GPU of that time is called {printable(model)}; there are: {_near(model, sorted(known))}"
        raise UsageError(msg)


def require_machines(machines: Sequence[str], hosts: Sequence[str]) -> None:
    """An error with near names where one of the hosts, names or patterns, matches none of the machines."""
    for host in hosts:
        if not matching(machines, host):
            msg = f"no machine of that time is called {printable(host)}; near names: {_near(host, machines)}"
            raise UsageError(msg)


def _near(name: str, known: Sequence[str]) -> str:
    low = {one.lower(): one for one in known}
    short = {one.split(".")[0]: one for one in low}
    found = difflib.get_close_matches(name.lower(), [*low, *short], 5, 0.5)
    near = dict.fromkeys(low.get(one) or low[short[one]] for one in found)
    return ", ".join(printable(one) for one in (near or list(known)[:5])) or "none"


def shown(at: datetime, timezone: str) -> str:
    """An instant by the pool's clocks."""
    return f"{to_local(at, timezone):%Y-%m-%d %H:%M}"
