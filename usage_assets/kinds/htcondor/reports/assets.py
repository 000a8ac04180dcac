"""The reports that belong to a UTC month, as pages and as text, and their assets `htcondor/reports/<name>_report`.

A report is built again only where its facts, the site's rules or its form have changed: a year is some four hundred
reports, and a night changes a few.
"""

import hashlib
from collections.abc import ItemsView, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Protocol

import polars as pl

from usage_assets.core import clock, settings
from usage_assets.kinds.htcondor.facts.tables import GPU_POLLS, GPU_RUNS
from usage_assets.kinds.htcondor.pool.rules import Pool, PoolSite
from usage_assets.kinds.htcondor.reports.content import Report, report
from usage_assets.kinds.htcondor.reports.period import Name, Period, ending_in
from usage_assets.kinds.htcondor.reports.render import as_html, as_text, methodology
from usage_assets.kinds.htcondor.reports.tables import GPU_REPORTS
from usage_assets.kinds.htcondor.site.reports import Reports
from usage_assets.kinds.htcondor.tables.facts import KIND, Coded, Facts
from usage_assets.kinds.htcondor.tables.reading import read_facts
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets.specs.asset import Asset, Built
from usage_assets.warehouse import Reader

FORM = 2
"""Raise it when the content or the look of reports changes: all are built again."""

_ALWAYS = datetime(1, 1, 1)


class ReportedSite(PoolSite, Protocol):
    """What reports need of a site's file."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def reports(self) -> Reports:
        """What its operator wants of reports."""


@dataclass(frozen=True)
class Due:
    """A report of a month: with its facts where it is to be made, else with the row that is stored of it."""

    period: Period
    fingerprint: str
    facts: Facts | None = None
    row: Mapping[str, Any] | None = None


def stem(site: str, period: Period) -> str:
    """The files of a report, without their endings, below the folder of plots."""
    return f"{site}/gpu_reports/{period.report}/{period.name}"


def read_due(name: Name, reader: Reader, site: ReportedSite, months: Sequence[date]) -> dict[date, list[Due]]:
    """The reports that belong to some months and whose period is over, with the facts of those that changed.

    Days and weeks long before the newest poll are left as they are: a run over years makes no page that nobody reads.
    """
    pool, now = site.pool(), clock.naive_utc_now()
    seen = _seen(reader, site.key)
    periods = {
        month: [
            period
            for period in ending_in(name, month, site.reports, pool.timezone)
            # what the newest poll has not reached is not read yet; a day without polls before it was an outage
            if seen and period.window.end <= now and seen[0] < period.window.end and period.window.start <= seen[1]
        ]
        for month in months
    }
    horizon = seen[1] - timedelta(days=site.reports.days) if seen and name != "monthly" else _ALWAYS
    every = [period for found in periods.values() for period in found if period.window.end > horizon]
    prints = dict(zip(every, fingerprints(reader, site, every), strict=True))
    rows = reader.frame(GPU_REPORTS, site.key, where=f"report = '{name}'")
    stored = {(row["month"], row["name"]): row for row in rows.iter_rows(named=True)}
    out: dict[date, list[Due]] = {}
    for month, several in periods.items():
        kept = {
            period: Due(period, row["fingerprint"], row=row)
            for period in several
            if (row := stored.get((month, period.name))) is not None
            and prints.get(period) in {None, row["fingerprint"]}
            and _is_there(site.key, period)
        }
        facts = _facts(reader, site, [period for period in several if period in prints and period not in kept])
        due = kept | {period: Due(period, prints[period], found) for period, found in facts.items()}
        out[month] = [due[period] for period in several if period in due]
    return out


def _facts(reader: Reader, site: ReportedSite, periods: Sequence[Period]) -> dict[Period, Facts]:
    """The facts of periods that lie near each other: read at once, and what each period has of them."""
    if not periods:
        return {}
    start, end = min(each.window.start for each in periods), max(each.window.end for each in periods)
    whole = read_facts(reader, site.key, Window(start, end, periods[0].window.timezone))
    if whole.coded is None:
        return dict.fromkeys(periods, whole)
    out = {}
    for period in periods:
        window = period.window
        runs = whole.coded.runs.filter((pl.col("start_at") < window.end) & (pl.col("end_at") > window.start))
        kinds = whole.coded.kinds.join(runs.select("kind").unique(), on="kind", how="semi", maintain_order="left")
        # reports say nothing of performance
        out[period] = Facts(whole.polls, coded=Coded(kinds, runs), usage=whole.usage, covers=window)
    return out


def make_reports(
    site: ReportedSite,
    months: Sequence[date],
    due: Mapping[date, Sequence[Due]],
    extracted: Mapping[date, datetime],  # noqa: ARG001 - all table assets are made alike
) -> Built:
    """Rows of all reports of the months, and the files of those that are made anew."""
    pool = site.pool()
    rows: list[Mapping[str, Any]] = []
    files: dict[date, dict[str, bytes]] = {month: {} for month in months}
    for month, one in ((key, one) for key in months for one in due[key]):
        if one.row is not None:
            rows.append(one.row)
        elif one.facts is not None:
            built = report(one.facts, pool, one.period, site.reports, name=site.name)
            path = stem(site.key, one.period)
            files[month] |= {f"{path}.html": as_html(built).encode(), f"{path}.txt": as_text(built).encode()}
            rows.append(_row(site.key, month, built, one.fingerprint, path))
    return Built(pl.DataFrame(list(map(dict, rows)), schema=GPU_REPORTS.polars_schema, orient="row"), files=files)


def fingerprints(reader: Reader, site: ReportedSite, periods: Sequence[Period]) -> list[str]:
    """A hash per report of its facts, the rules and the way to show them."""
    if not periods or not (reader.has(GPU_RUNS) and reader.has(GPU_POLLS)):
        return ["" for _ in periods]
    starts, ends = ([getattr(period.window, edge) for period in periods] for edge in ("start", "end"))
    first, last = min(starts), max(ends)
    months = {"first": first.date().replace(day=1), "last": last.date().replace(day=1)}
    params: dict[str, Any] = {"site": site.key, "starts": starts, "ends": ends, **months}
    windows = (
        "WITH windows AS (SELECT row_number() OVER () AS number, * FROM "
        "(SELECT unnest($starts::TIMESTAMP[]) AS begins, unnest($ends::TIMESTAMP[]) AS ends)) "
    )
    of_site = "f.site = $site AND f.month BETWEEN $first AND $last"
    kind = ", ".join(f'f."{name}"' for name in KIND)
    # a run that goes on after the window is the same run within it
    runs = reader.sql(
        f"{windows} SELECT number, count(*) AS n, bit_xor(hash({kind}, greatest(f.start_at, begins), "
        f"least(f.end_at, ends))) AS h FROM windows JOIN {GPU_RUNS.qualified} f "
        f"ON f.start_at < ends AND f.end_at > begins WHERE {of_site} GROUP BY number",
        params,
    )
    polls = reader.sql(
        f"{windows} SELECT number, count(*) AS n, bit_xor(hash(f.poll_at)) AS h FROM windows "
        f"JOIN {GPU_POLLS.qualified} f ON f.poll_at >= begins AND f.poll_at < ends WHERE {of_site} GROUP BY number",
        params,
    )
    found = [{number: rest for number, *rest in frame.iter_rows()} for frame in (runs, polls)]
    rules = repr((FORM, site.name, _plain(site.pool()), site.reports, methodology(site.pool().bucket_minutes)))
    return [
        hashlib.sha256(repr((rules, period.window, [frame.get(number) for frame in found])).encode()).hexdigest()[:32]
        for number, period in enumerate(periods, start=1)
    ]


def _plain(pool: Pool) -> tuple[object, ...]:
    """The pool's rules in an order of their own: that of a set is another one in each process."""
    values = (getattr(pool, name) for name in Pool.__dataclass_fields__)
    values = (value.items() if isinstance(value, Mapping) else value for value in values)
    return tuple(sorted(value) if isinstance(value, (frozenset, ItemsView)) else value for value in values)


def _seen(reader: Reader, site: str) -> tuple[datetime, datetime] | None:
    """The first and the newest poll of a pool."""
    if not reader.has(GPU_POLLS):
        return None
    query = f"SELECT min(poll_at), max(poll_at) FROM {GPU_POLLS.qualified} WHERE site = $site"
    first, newest = reader.sql(query, {"site": site}).row(0)
    return None if first is None else (first, newest)


def _is_there(site: str, period: Period) -> bool:
    return all((settings.plots_dir() / f"{stem(site, period)}.{end}").is_file() for end in ("html", "txt"))


def _row(site: str, month: date, built: Report, fingerprint: str, path: str) -> dict[str, Any]:
    about, period = built.metadata, built.period
    seen = ("polls", "first_poll", "last_poll", "intervals", "expected", "coverage")
    return {
        "site": site,
        "month": month,
        "report": period.report,
        "name": period.name,
        "subject": built.subject,
        "start_at": about.start,
        "end_at": about.end,
        "page": f"{path}.html",
        "fingerprint": fingerprint,
        **{name: getattr(about, name) for name in seen},
    }


_SAYS: dict[Name, str] = {
    "daily": "The daily reports of the 24 hours that end in the month",
    "weekly": "The weekly reports of the seven days that end in the month",
    "monthly": "The report of the local month",
}

REPORT_ASSETS: tuple[Asset, ...] = tuple(
    Asset(
        stage="reports",
        name=f"{name}_report",
        table=GPU_REPORTS,
        description=f"{says}, each as a page and as plain text; one that nothing has changed of stays as it is.",
        after=("facts/gpu_runs", "facts/gpu_polls", "facts/gpu_performance"),
        read=partial(read_due, name),
        make=make_reports,
        months_at_once=6,
        owned={"report": (name,)},
    )
    for name, says in _SAYS.items()
)
"""What the kind lists among its tables."""
