"""Which pool and window `usage-assets gpu` is asked about; what is not there is said in a sentence."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import typer

from usage_assets.cli.console import chosen_sites
from usage_assets.core import settings
from usage_assets.core.errors import UsageError
from usage_assets.core.text import printable
from usage_assets.kinds.htcondor.facts.tables import GPU_POLLS
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.htcondor.tables.cube import matching
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.options import CLASS_SETS, Options
from usage_assets.kinds.htcondor.tables.reading import newest_end, newest_poll, read_facts
from usage_assets.kinds.htcondor.tables.window import Window, to_local, to_utc
from usage_assets.serving.pointer import read_pointer
from usage_assets.warehouse import Reader, Warehouse
from usage_assets.warehouse.connections import connect

_DAY_HOURS = 24.0


@dataclass(frozen=True)
class Asked:
    """Which pool and window, and how to show it."""

    site: str | None
    hours_back: float | None
    start: str | None
    end: str | None
    published: bool
    format: str
    output: Path | None

    @property
    def has_window(self) -> bool:
        """Whether a window of its own was asked for."""
        return any(value is not None for value in (self.hours_back, self.start, self.end))


def options(hosts_: Sequence[str] | None, classes: str, **more: object) -> Options:
    """What tables are asked for; wrong usage is told as such."""
    which = next((name for name in CLASS_SETS if name == classes), None)
    if which is None:
        raise typer.BadParameter(f"one of {', '.join(CLASS_SETS)}, not {classes!r}", param_hint="--classes")
    return Options(classes=which, hosts=tuple(hosts_ or ()), **more)  # type: ignore[arg-type]


def one_pool(name: str | None) -> HTCondorSite:
    """The GPU pool named, or the only one."""
    book = chosen_sites(None if name is None else [name])
    pools = {key: site for key, site in book.items() if isinstance(site, HTCondorSite)}
    if name is not None:
        site = book[name]
        if isinstance(site, HTCondorSite):
            return site
        others = [key for key, found in chosen_sites(None).items() if isinstance(found, HTCondorSite)]
        msg = f"site {name} is no GPU pool; there are: {', '.join(others) or 'none'}"
        raise typer.BadParameter(msg, param_hint="--site")
    if len(pools) == 1:
        return next(iter(pools.values()))
    msg = f"name one of the GPU pools: {', '.join(pools)}" if pools else "no site is a GPU pool (kind: htcondor)"
    raise typer.BadParameter(msg, param_hint="--site")


@contextmanager
def reading(asked: Asked) -> Iterator[Reader]:
    """The warehouse, or the newest published snapshot."""
    if not asked.published:
        with Warehouse.default().read() as reader:
            yield reader
        return
    folder = settings.published_dir()
    with connect(read_pointer(folder).path(folder), read_only=True) as con:
        yield Reader(con)


def instant(text: str, hint: str, timezone: str) -> datetime:
    """A time by the pool's clocks, or one that says its offset, as naive UTC."""
    try:
        return to_utc(datetime.fromisoformat(text), timezone)
    except (ValueError, OverflowError):
        msg = f"{text!r} is no time; write it as 2026-03-01T06:00, by the pool's clocks, or with an offset (…+01:00)"
        raise typer.BadParameter(msg, param_hint=hint) from None


def window_of(reader: Reader, site: HTCondorSite, asked: Asked) -> Window:
    """The window asked for; an error where no stored poll can lie in it."""
    zone = site.timezone
    newest = newest_poll(reader, site.key)
    if asked.start is not None and asked.hours_back is not None and asked.end is not None:
        raise typer.BadParameter("two of --start, --end and --hours-back say the window", param_hint="--hours-back")
    end = None if asked.end is None else instant(asked.end, "--end", zone)
    last = newest_end(reader, site.key, newest, site.counted_minutes)
    if asked.start is not None:
        start = instant(asked.start, "--start", zone)
        if end is None:
            end = last if asked.hours_back is None else start + timedelta(hours=asked.hours_back)
        window = Window(start, end, zone)
    else:
        window = Window.back(asked.hours_back or _DAY_HOURS, end or last, zone)
    require_stored(reader, site, window, newest)
    return window


def require_stored(reader: Reader, site: HTCondorSite, window: Window, newest: datetime) -> None:
    """An error where a window lies outside of what is stored."""
    query = f"SELECT min(poll_at) FROM {GPU_POLLS.qualified} WHERE site = $site"
    first: datetime = reader.sql(query, {"site": site.key}).item()
    if window.end <= first or window.start > newest:
        span = " to ".join(shown(at, site.timezone) for at in (first, newest))
        asked = f"{shown(window.start, site.timezone)} to {shown(window.end, site.timezone)}"
        msg = f"site {site.key} has polls from {span} ({site.timezone}), none from {asked}; choose another window"
        raise UsageError(msg)


def read_window(asked: Asked, site: HTCondorSite, wanted: Options) -> tuple[Facts, Window]:
    """The facts of the window asked for; the hosts asked for are in it."""
    with reading(asked) as reader:
        window = window_of(reader, site, asked)
        facts = read_facts(reader, site.key, window)
    require_hosts(facts, window, wanted)
    return facts, window


def require_hosts(facts: Facts, window: Window, wanted: Options) -> None:
    """An error with near names where a host that was asked for is not in the window."""
    if wanted.hosts:
        machines = facts.coded_in(window).kinds["machine"].cast(pl.String()).unique().sort().to_list()
        require_machines(machines, wanted.hosts)


def require_model(known: Sequence[str], model: str) -> None:
    """An error with near names where no GPU is called so."""
    if model not in known:
        near = _near(model, sorted(known))
        msg = f"no GPU of that time is called {printable(model)}; there are: {near}"
        raise UsageError(msg)


def require_machines(machines: Sequence[str], asked: Sequence[str]) -> None:
    """An error with near names where one of the hosts asked for is none of these machines."""
    for host in asked:
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
