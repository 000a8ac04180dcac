"""`usage-assets status`, `check-site` and `grants`: looking, without changing anything."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from rich.console import Console
from rich.table import Table

from usage_assets.cli.app import FAILED, OK
from usage_assets.errors import SiteError
from usage_assets.kinds import Kind, kind_of
from usage_assets.partitions import month_of, months_between
from usage_assets.serving import DUMPS, GATES
from usage_assets.sites import Site, utc_now
from usage_assets.warehouse import Reader, Warehouse


def show_status(sites: Mapping[str, Site], console: Console) -> None:
    """A table per site: months built of each asset, those missing or refused, and the last dump."""
    with Warehouse.default().read() as reader:
        for site in sites.values():
            console.print(_coverage(reader, site))
            console.print()


def _coverage(reader: Reader, site: Site) -> Table:
    kind = kind_of(site)
    wanted = set(months_between(site.first_month, month_of(utc_now().date())))
    gates: dict[str, dict[date, tuple[bool, str | None]]] = {}
    for row in reader.frame(GATES, site.key).iter_rows(named=True):
        gates.setdefault(row["asset"], {})[row["month"]] = (row["ok"], row["reason"])
    dumps: dict[str, datetime] = {}
    for row in reader.frame(DUMPS, site.key).iter_rows(named=True):
        name = kind.asset("raw", row["table_name"])
        dumps[name] = max(row["extracted_at"], dumps.get(name, row["extracted_at"]))
    title = f"{site.name} ({site.key}), {kind.name}, since {site.first_month:%Y-%m}"
    shown = _table(title, "asset", "months", "first", "last", "missing", "refused", "last dump (UTC)")
    for asset in _assets(kind, site):
        found = gates.get(asset, {})
        good = sorted(month for month, (ok, _) in found.items() if ok)
        refused = sorted(month for month, (ok, _) in found.items() if not ok)
        missing = sorted(wanted - set(found))
        shown.add_row(
            asset.removeprefix(f"{kind.name}/"),
            f"{len(set(good) & wanted)}/{len(wanted)}",
            f"{good[0]:%Y-%m}" if good else "",
            f"{good[-1]:%Y-%m}" if good else "",
            ranges(missing),
            ranges(refused),
            f"{dumps[asset]:%Y-%m-%d %H:%M}" if asset in dumps else "",
            style="red" if refused else None,
        )
    return shown


def _assets(kind: Kind, site: Site) -> list[str]:
    return [
        *(kind.asset("raw", table.name) for table in kind.tables_of(site)),
        *(kind.asset("facts", fact.name) for fact in kind.facts),
        *(kind.asset("timelines", name) for name in ("usage", "usage_steps")),
        *(kind.asset(table.stage, table.name) for table in kind.tables if table.applies(site)),
    ]


def ranges(months: Sequence[date]) -> str:
    """Months in order as ranges: `2016-01..2018-12, 2020-05`."""
    out: list[list[date]] = []
    for month in months:
        if out and months_between(out[-1][1], month)[1:] == (month,):
            out[-1][1] = month
        else:
            out.append([month, month])
    texts = [f"{first:%Y-%m}" if first == last else f"{first:%Y-%m}..{last:%Y-%m}" for first, last in out]
    return ", ".join(texts[:4]) + (f" and {len(texts) - 4} more" if len(texts) > 4 else "")


def show_access(site: Site, console: Console) -> int:
    """A table of what the account finds at each source table; FAILED when something is there but not granted.

    Also what the files hold that the site's file names; FAILED when one has a fault.
    """
    from usage_assets.raw.access import check_site

    found = check_site(site, kind_of(site).raw_tables)
    shown = _table(f"{site.name} ({site.key})", "source", "state", "rows", "first", "last")
    shown.columns[2].justify = "right"
    colours = {"found": None, "missing": "yellow", "not granted": "red", "no database": "dim"}
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
        for remark in filter(None, (one.warning, one.note if one.state != "no database" else None)):
            remarks.setdefault(remark, []).append(one.source)
    console.print(shown)
    for remark, sources in remarks.items():
        # most remarks name their table; one that does not is said once for all tables
        named = all(source in remark for source in sources)
        console.print(f"- {remark}" if named else f"- {', '.join(sources)}: {remark}", markup=False)
    try:
        for line in kind_of(site).check_files(site):
            console.print(f"- {line}", markup=False, soft_wrap=True)
    except SiteError as error:
        console.print(f"- {error}", markup=False, soft_wrap=True)
        return FAILED
    return FAILED if any(one.state == "not granted" for one in found) else OK


def _table(title: str, *columns: str) -> Table:
    """A table whose cells stay on one line, also where the output is a file."""
    table = Table(title=title, title_justify="left", min_width=len(title))
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def show_grants(site: Site, console: Console) -> None:
    """The SQL, to be read before it is run."""
    from usage_assets.raw.access import grants

    console.print(grants(site, kind_of(site).raw_tables), markup=False, highlight=False)
