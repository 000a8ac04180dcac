"""`usage-assets status`, `check-site` and `grants`: looking, without changing anything."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl
from rich.table import Table

from usage_assets.cli.console import FAILED, OK, console
from usage_assets.core.clock import naive_utc_now
from usage_assets.core.errors import SiteError
from usage_assets.core.months import ranges
from usage_assets.kinds import KINDS, kind_of
from usage_assets.reports.coverage.reading import assets_of, judged
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
    shown = table_of_lines(title, "asset", "months", "first", "last", "missing", "stale", "refused", "last dump (UTC)")
    for asset in assets_of(kind, site):
        own = rows.filter(pl.col("asset") == asset)
        months = {status: own.filter(pl.col("status") == status)["month"].to_list() for status in STATUSES}
        good = sorted([*months["ok"], *months["stale"]])
        refused = sorted([*months["refused"], *months["waits"]])
        last = own["extracted_at"].max() if asset.split("/")[1] == "raw" else None
        shown.add_row(
            asset.removeprefix(f"{kind.name}/"),
            f"{len(good)}/{own.height - len(months['known_gap'])}",
            f"{good[0]:%Y-%m}" if good else "",
            f"{good[-1]:%Y-%m}" if good else "",
            ranges(months["missing"]),
            ranges(months["stale"]),
            ranges(refused),
            f"{last:%Y-%m-%d %H:%M}" if isinstance(last, datetime) else "",
            style="red" if refused else "yellow" if months["stale"] else None,
        )
    return shown


def show_access(site: Site) -> int:
    """A table of what the account finds at each source table; FAILED when something is there but not granted.

    Also what the files hold that the site's file names; FAILED when one has a fault.
    """
    access = kind_of(site).check_site(site, kind_of(site).raw_tables)
    found = access.tables
    shown = table_of_lines(f"{site.name} ({site.key})", "source", "state", "rows", "first", "last")
    shown.columns[2].justify = "right"
    colours = {"found": None, "missing": "yellow", "not granted": "red", "unreadable": "red", "no database": "dim"}
    remarks: dict[str, list[str]] = {}
    for one in found:
        shown.add_row(
            one.source,
            one.state,
            "" if one.rows is None else f"{one.rows:,}",
            f"{one.first_at:%Y-%m-%d}" if one.first_at else "",
            f"{one.last_at:%Y-%m-%d}" if one.last_at else "",
            style=colours.get(one.state),
        )
        if one.note and one.state != "no database":
            remarks.setdefault(one.note, []).append(one.source)
    console.print(shown)
    for server in access.servers:
        if server.transport:
            console.print(f"- {server.label}: {server.transport}")
        for warning in server.warnings:
            console.print(f"- WARNING: {warning}")
    for remark, sources in remarks.items():
        # most remarks name their table; one that does not is said once for all tables
        named = all(source in remark for source in sources)
        console.print(f"- {remark}" if named else f"- {', '.join(sources)}: {remark}")
    for remark in access.remarks:
        console.print(f"- {remark}")
    broken = None
    try:
        for line in kind_of(site).check_files(site):
            console.print(f"- {line}")
    except SiteError as error:
        broken = "a file that the site's file names has a fault"
        console.print(f"- {error}")
    is_ready, said = verdict(site, found, broken)
    console.print(said, style="green" if is_ready else "red")
    return OK if is_ready else FAILED


def verdict(site: Site, found: Sequence[TableAccess], broken: str | None = None) -> tuple[bool, str]:
    """Whether the site can be built, and what to do next; `broken` says what is wrong beside its tables."""
    states = Counter(one.state for one in found)
    denied = [one.source for one in found if one.state == "not granted"]
    unreadable = [one.source for one in found if one.state == "unreadable"]
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
    short = sum(bool(one.columns_missing) for one in found)
    lacking = [
        f"{what}: {number}" for what, number in (("missing", states["missing"]), ("without a column", short)) if number
    ]
    normal = f" ({', '.join(lacking)}; that is normal where a release or a service does not have them)"
    return True, (
        f"READY: of the tables, readable: {states['found']}{normal if lacking else ''}. Next: usage-assets backfill "
        f"--site {site.key} --from {site.first_month:%Y-%m} --to {naive_utc_now():%Y-%m}"
    )


def few(names: Sequence[str], shown: int = 3) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def table_of_lines(title: str, *columns: str) -> Table:
    """A table whose cells stay on one line, also where the output is a file."""
    table = Table(title=title, title_justify="left", min_width=len(title))
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def show_grants(site: Site) -> None:
    """The SQL, to be read before it is run."""
    console.print(kind_of(site).grants(site, kind_of(site).raw_tables))
