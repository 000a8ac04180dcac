"""`usage-assets status`, `check-site` and `grants`: they read, and change nothing."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import polars as pl
from rich.table import Table

from usage_assets.cli.console import FAILED, OK, console
from usage_assets.core.clock import naive_utc_now
from usage_assets.core.errors import SiteError
from usage_assets.core.months import ranges
from usage_assets.kinds import KINDS, kind_of
from usage_assets.reports.coverage.judge import assets_of, judged
from usage_assets.reports.tables import STATUSES
from usage_assets.sites.base import Site
from usage_assets.specs.access_report import TableAccess
from usage_assets.warehouse import Warehouse


def show_status(sites: Mapping[str, Site]) -> None:
    """A table per site: months built of each asset, those missing, stale or refused, and the last dump."""
    with Warehouse.default().read() as reader:
        rows = judged(reader, KINDS, sites, naive_utc_now())
    for site in sites.values():
        console.print(_status(rows.filter(pl.col("site") == site.key), site))
        console.print()


def _status(rows: pl.DataFrame, site: Site) -> Table:
    """The site's rows of coverage, a line per asset."""
    kind = kind_of(site)
    title = f"{site.name} ({site.key}), {kind.name}, since {site.first_month:%Y-%m}"
    table = table_of_lines(title, "asset", "months", "first", "last", "missing", "stale", "refused", "last dump (UTC)")
    for asset in assets_of(kind, site):
        own = rows.filter(pl.col("asset") == asset)
        months = {status: own.filter(pl.col("status") == status)["month"].to_list() for status in STATUSES}
        good = sorted([*months["ok"], *months["stale"]])
        refused = sorted([*months["refused"], *months["waits"]])
        last = own["extracted_at"].max() if asset.split("/")[1] == "raw" else None
        table.add_row(
            asset.removeprefix(f"{kind.name}/"),
            f"{len(good)}/{own.height - len(months['known_gap'])}",
            *(f"{month:%Y-%m}" for month in (good[0], good[-1])) if good else ("", ""),
            *map(ranges, (months["missing"], months["stale"], refused)),
            f"{last:%Y-%m-%d %H:%M}" if isinstance(last, datetime) else "",
            style="red" if refused else "yellow" if months["stale"] else None,
        )
    return table


def show_access(site: Site) -> int:
    """A table of what the account finds at each source table; FAILED when something is there but not granted.

    Also what the files hold that the site's file names; FAILED when one has a fault.
    """
    kind = kind_of(site)
    access = kind.check_site(site, kind.raw_tables)
    lines = table_of_lines(f"{site.name} ({site.key})", "source", "state", "rows", "first", "last", numbers=["rows"])
    colours = {"missing": "yellow", "not granted": "red", "unreadable": "red", "no database": "dim"}
    remarks: dict[str, list[str]] = {}
    for table in access.tables:
        rows = "" if table.rows is None else f"{table.rows:,}"
        span = [f"{at:%Y-%m-%d}" if at else "" for at in (table.first_at, table.last_at)]
        lines.add_row(table.source, table.state, rows, *span, style=colours.get(table.state))
        if table.note and table.state != "no database":
            remarks.setdefault(table.note, []).append(table.source)
    console.print(lines)
    for server in access.servers:
        if server.transport:
            console.print(f"- {server.label}: {server.transport}")
        for warning in server.warnings:
            console.print(f"- WARNING: {warning}")
    for remark, sources in remarks.items():
        # most remarks name their table; one that does not is printed once for all tables
        names_them = all(source in remark for source in sources)
        console.print(f"- {remark}" if names_them else f"- {', '.join(sources)}: {remark}")
    for remark in access.remarks:
        console.print(f"- {remark}")
    broken = None
    try:
        for line in kind.check_files(site):
            console.print(f"- {line}")
    except SiteError as error:
        broken = "a file that the site's file names has a fault"
        console.print(f"- {error}")
    is_ready, text = verdict(site, access.tables, broken)
    console.print(text, style="green" if is_ready else "red")
    return OK if is_ready else FAILED


def verdict(site: Site, found: Sequence[TableAccess], broken: str | None = None) -> tuple[bool, str]:
    """Whether the site can be built, and what to do next; `broken` is what is wrong beside its tables."""
    states = Counter(table.state for table in found)
    denied = [table.source for table in found if table.state == "not granted"]
    unreadable = [table.source for table in found if table.state == "unreadable"]
    again = f"then run usage-assets check-site {site.key} again"
    faults = []
    if denied:
        faults.append(f"{few(denied)} not granted: have the lines of usage-assets grants {site.key} run there")
    if unreadable:
        faults.append(f"{few(unreadable)} can't be read: see the lines above")
    if broken:
        faults.append(f"{broken}: mend it")
    if not states["found"] and not faults:
        faults.append(f"none of the tables is there: look at what the file of {site.key} names as its source")
    if faults:
        return False, f"NOT READY: {'; '.join(faults)}; {again}."
    counts = {"missing": states["missing"], "without a column": sum(bool(table.columns_missing) for table in found)}
    lacking = ", ".join(f"{label}: {number}" for label, number in counts.items() if number)
    normal = f" ({lacking}; that is normal where a release or a service does not have them)" if lacking else ""
    return True, (
        f"READY: of the tables, readable: {states['found']}{normal}. Next: usage-assets backfill "
        f"--site {site.key} --from {site.first_month:%Y-%m} --to {naive_utc_now():%Y-%m}"
    )


def few(names: Sequence[str], shown: int = 3) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def table_of_lines(title: str, *columns: str, numbers: Collection[str] = ()) -> Table:
    """A table whose cells stay on one line, also where the output is a file; `numbers` stand to the right."""
    table = Table(title=title, title_justify="left", min_width=len(title))
    for column in columns:
        table.add_column(column, no_wrap=True, justify="right" if column in numbers else "left")
    return table


def show_grants(site: Site) -> None:
    """The SQL, to be read before it is run."""
    kind = kind_of(site)
    console.print(kind.grants(site, kind.raw_tables))
