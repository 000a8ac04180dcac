"""What is asked of exported files: shape, key, every bucket there, capacities in order, parts that add up."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import partial
from itertools import pairwise

import polars as pl

from usage_assets.checks.readiness import expected
from usage_assets.core.months import Window
from usage_assets.reports.exports.files import read_files, read_month, site_paths
from usage_assets.reports.exports.frames import filled_columns
from usage_assets.reports.exports.tables import PARITY, USAGE_WIDE, ExportTable
from usage_assets.sites.base import Site
from usage_assets.specs.check import Check
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Reader
from usage_assets.warehouse.readiness import blocked_months

ORDER = ("total", "reservable", "committed", "occupied_reserved")
_ROOM = 1e-6
_PARTS = ("maint_hours", "reserved_hours", "used_hours", "idle_hours")


def checks_of(kind: Kind, table: ExportTable) -> list[Check]:
    """The checks of a table."""
    shape = "Columns have their names, order and types, and the key is unique."
    every = "Every month since the site's first one is there, and no bucket is missing between first and last."
    descending = "Total >= reservable >= committed >= occupied_reserved >= 0 where they are known."
    out = [
        Check("contract", shape, partial(contract, table), per_run="of another shape"),
        Check("coverage", every, partial(coverage, kind, table), per_run="not covered"),
    ]
    if table is USAGE_WIDE:
        copied, look = "No column is filled with another one.", partial(filled, kind)
        out += [
            Check("order", descending, partial(order, table), "WARN", "out of order"),
            Check("filled", copied, look, "WARN", "with filled columns", of_now=True),
        ]
    if table is PARITY:
        sums = "The four parts add up to total."
        out.append(Check("parity", sums, partial(parity, table), per_run="that do not add up"))
    return out


def contract(table: ExportTable, reader: Reader, site: Site, window: Window) -> dict[date, Finding]:
    """Columns as declared, in order; no key twice."""
    del reader
    out = dict.fromkeys(window.months, GOOD)
    for month, rows in _rows(table, site, window):
        doubled = rows.height - rows.n_unique(list(table.key)) if set(table.key) <= set(rows.columns) else 0
        if rows.schema != table.polars_schema:
            out[month] = Finding(False, f"columns {dict(rows.schema)}, not {dict(table.polars_schema)}")
        elif doubled:
            out[month] = Finding(False, f"{doubled} row(s) share their key with another", {"rows": doubled})
    return out


def coverage(kind: Kind, table: ExportTable, reader: Reader, site: Site, window: Window) -> dict[date, Finding]:
    """A file per month, and no bucket missing between the site's first row and its last."""
    blocked = blocked_months(reader, site, window.months, [kind.asset("timelines", "usage")])
    paths = site_paths(table, site.key)
    out = dict.fromkeys(window.months, GOOD)
    width = timedelta(days=1) if table is PARITY else timedelta(minutes=kind.usage_scope(site).bucket_minutes)
    files = [paths[month] for month in _around(list(paths), window)]
    times = read_files(table, files, [table.time])[table.time].unique().sort()
    gaps = (
        times.to_frame("at").with_columns(before=pl.col("at").shift(1)).filter(pl.col("at") - pl.col("before") > width)
    )
    for month in window.months:
        if month in blocked and expected(site, month):
            out[month] = Finding(False, f"not exported: {blocked[month]}")
        elif month not in paths and expected(site, month):
            out[month] = Finding(False, "there is no file")
    for at, before in gaps.iter_rows():
        month = (before + width).date().replace(day=1)
        if month in out and out[month].passed:
            text = f"nothing between {before:%Y-%m-%d %H:%M} and {at:%Y-%m-%d %H:%M}"
            out[month] = Finding(False, text, {"buckets_missing": int((at - before) / width) - 1})
    return out


def _around(months: Sequence[date], window: Window) -> list[date]:
    """Of the sorted months those of the window, and the nearest on either side: what is missing may begin there."""
    before = [month for month in months if month < window.months[0]]
    after = [month for month in months if month > window.months[-1]]
    return [*before[-1:], *months[len(before) : len(months) - len(after)], *after[:1]]


def order(table: ExportTable, reader: Reader, site: Site, window: Window) -> dict[date, Finding]:
    """Each capacity is at most the one before it, the last not negative."""
    del reader
    out = dict.fromkeys(window.months, GOOD)
    for month, rows in _rows(table, site, window):
        faults = []
        for wide, narrow in pairwise(ORDER):
            over = rows.filter(pl.col(narrow) > pl.col(wide) + _ROOM)
            if not over.is_empty():
                worst = over.select((pl.col(narrow) - pl.col(wide)).max()).item()
                days = over["time"].dt.date().n_unique()
                faults.append(f"{narrow} exceeds {wide} on {days} day(s), at most by {worst:.6g}")
        below = rows.filter(pl.min_horizontal(ORDER) < -_ROOM).height
        faults += [f"{below} row(s) below 0"] * bool(below)
        if faults:
            out[month] = Finding(False, "; ".join(faults))
    return out


def filled(kind: Kind, reader: Reader, site: Site, window: Window) -> dict[date, Finding]:
    """What stands in a column that the site does not count; a copy of another column is pointed out."""
    del reader
    columns = filled_columns(kind.usage_scope(site).counted)
    copies = [name for name, why in columns.items() if "copy" in why]
    text = "; ".join(f"{name}: {why}" for name, why in columns.items())
    last = Finding(not copies, text, {"filled": ", ".join(columns)} if columns else {})
    return dict.fromkeys(window.months, GOOD) | {window.months[-1]: last}


def parity(table: ExportTable, reader: Reader, site: Site, window: Window) -> dict[date, Finding]:
    """The four parts of a day's hours add up to its total."""
    del reader
    out = dict.fromkeys(window.months, GOOD)
    for month, rows in _rows(table, site, window):
        parts = sum((pl.col(name) for name in _PARTS), pl.lit(0))
        bad = rows.filter(parts != pl.col("total_hours"))
        if not bad.is_empty():
            text = f"{bad.height} row(s) whose parts are not their total, for example {bad.row(0)}"
            out[month] = Finding(False, text, {"rows": bad.height})
    return out


def _rows(table: ExportTable, site: Site, window: Window) -> Iterator[tuple[date, pl.DataFrame]]:
    """The months of the window that have a file, with its rows."""
    paths = site_paths(table, site.key)
    return ((month, read_month(table, paths[month])) for month in window.months if month in paths)
