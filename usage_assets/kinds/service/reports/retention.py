"""Retention: which months of a service are old enough to go, what keeps them back, and their removal.

By default nothing is removed. A month may go once the month after it ended so many days before an instant, as its
neighbour is made of it until then; and only after what is made of it is there and was checked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Protocol

import polars as pl

from usage_assets.core import clock
from usage_assets.core.months import month_of, months_between, next_month
from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.raw.tables import TABLES
from usage_assets.kinds.service.reports.retention_tables import RETENTION_LOG, gone_months
from usage_assets.kinds.service.site.model import Retention
from usage_assets.kinds.service.tables.declarations import (
    SERVICE_MODEL_DAILY,
    SERVICE_TEAM_DAILY,
    SERVICE_TEAM_MONTHLY,
    SERVICE_USER_DAILY,
    SERVICE_USER_MONTHLY,
)
from usage_assets.schema import Table, Type
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Reader, Writer
from usage_assets.warehouse.bookkeeping import CHECKED, FAILED_CHECKS, GATES, VERSIONS

_KIND = "service"


class KeptSite(Protocol):
    """What retention needs of a site's file."""

    @property
    def key(self) -> str:
        """Stem of its file."""

    @property
    def first_month(self) -> date:
        """First month that it has."""

    @property
    def retention(self) -> Retention:
        """After how many days months may be removed."""


@dataclass(frozen=True)
class Part:
    """Rows that go together: those of an asset, in its table and in the evidence of it."""

    asset: str
    tables: tuple[Table, ...]
    owned: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The asset as bookkeeping names it."""
        return f"{_KIND}/{self.asset}"


_AGGREGATES = (SERVICE_USER_DAILY, SERVICE_USER_MONTHLY, SERVICE_TEAM_DAILY, SERVICE_TEAM_MONTHLY, SERVICE_MODEL_DAILY)
_METRICS = ("running", "queued", "loaded")
LEVELS: Mapping[str, tuple[Part, ...]] = {
    "raw_events_days": tuple(Part(f"raw/{raw.name}", (raw.table, raw.versions)) for raw in TABLES),
    "facts_days": (
        Part(f"facts/{SERVICE_REQUESTS.name}", (SERVICE_REQUESTS,)),
        *(Part(f"facts/{metric}", (INTERVALS,), {"metric": metric}) for metric in _METRICS),
    ),
    "aggregates_days": tuple(Part(f"timelines/{table.name}", (table,)) for table in _AGGREGATES),
}
"""What each option of a site's file speaks of, in the order in which it goes."""


@dataclass(frozen=True)
class Planned:
    """Rows of a month that are old enough to go."""

    part: Part
    month: date
    rows: int
    bytes: int
    version: int | None
    days: int
    kept_because: str | None
    """What keeps them back; none where they may go."""


def plan(reader: Reader, kind: Kind, site: KeptSite, as_of: datetime) -> list[Planned]:
    """What would go, and what is old enough but kept back with the reason; nothing is changed.

    Raw events come first, months in order; what is gone already is not listed.
    """
    out = []
    gone = gone_months(reader, site.key)
    for option, level in LEVELS.items():
        days = getattr(site.retention, option)
        made = made_of(kind, site, [part.asset for part in level]) if option != "aggregates_days" else []
        for month in _old_months(site, as_of, days) if days is not None else ():
            parts = [part for part in level if month not in gone.get(part.asset, ())]
            why = _kept_because(reader, site, made, month, gone) if parts else None
            held = [(part, _held(reader, site.key, part, month)) for part in parts]
            out += [Planned(part, month, *found, days, why) for part, found in held if found[0]]
    return out


def apply(writer: Writer, kind: Kind, site: KeptSite, as_of: datetime) -> list[Planned]:
    """Remove what may go, within the writer's transaction, and log it; what was removed."""
    removed = [planned for planned in plan(writer, kind, site, as_of) if planned.kept_because is None]
    if not removed:
        return []
    now = clock.naive_utc_now()
    writer.ensure(RETENTION_LOG)
    for planned in removed:
        owned = {name: [value] for name, value in planned.part.owned.items()}
        for table in planned.part.tables:
            if writer.has(table):
                writer.delete(table, site=site.key, months=[planned.month], owned=owned)
        _raise_version(writer, site.key, planned)
    rows = [
        (site.key, one.month, one.part.asset, one.rows, one.bytes, one.version, one.days, as_of, now) for one in removed
    ]
    writer.put(RETENTION_LOG, pl.DataFrame(rows, RETENTION_LOG.polars_schema, orient="row"))
    return removed


def made_of(kind: Kind, site: KeptSite, assets: Sequence[str]) -> list[str]:
    """The assets of a site that are made of some, `<stage>/<name>`, themselves or by others in between."""
    known, out = set(assets), list[str]()
    while found := [
        path
        for path, asset in kind.declared.items()
        if path not in known and asset.applies(site) and known.intersection((*asset.after, *asset.optional))
    ]:
        known.update(found)
        out += found
    return out


def _old_months(site: KeptSite, as_of: datetime, days: int) -> Sequence[date]:
    """The months after which another month ended at least so many days before an instant."""
    last = as_of - timedelta(days=days)
    return [
        month
        for month in months_between(site.first_month, month_of(last.date()))
        if datetime.combine(next_month(next_month(month)), time()) <= last
    ]


def _kept_because(
    reader: Reader, site: KeptSite, made: Sequence[str], month: date, gone: Mapping[str, set[date]]
) -> str | None:
    """The first asset that is not there, or not found good; an asset that retention removed was."""
    before = month_of(month - timedelta(days=1))
    near = [each for each in (before, month, next_month(month)) if each >= month_of(site.first_month)]
    states = {(row["asset"], row["month"]): row for row in _states(reader, site.key, made, near)}
    for each in near:
        for asset in made:
            state = states.get((f"{_KIND}/{asset}", each))
            if each in gone.get(asset, ()):
                continue
            if state is None or not state["ok"]:
                return f"{asset} of {each:%Y-%m} is not built"
            if not state["checked"]:
                return f"{asset} of {each:%Y-%m} was not checked since it was written"
            if state["failed"]:
                return f"{asset} of {each:%Y-%m} fails its check {state['failed']}"
    return None


def _states(reader: Reader, site: str, assets: Iterable[str], months: Sequence[date]) -> Iterable[dict[str, object]]:
    """asset, month, ok, checked, failed: what bookkeeping knows of assets."""
    if not all(reader.has(table) for table in (GATES, VERSIONS, CHECKED)):
        return []
    failed = (
        f"SELECT site, month, asset, min(check_name) AS failed FROM {FAILED_CHECKS.qualified} "
        "WHERE severity = 'ERROR' GROUP BY ALL"
        if reader.has(FAILED_CHECKS)
        else f"SELECT site, month, asset, NULL AS failed FROM {GATES.qualified} WHERE false"
    )
    return reader.sql(
        "SELECT g.asset, g.month, g.ok, f.failed, coalesce(c.run_id = v.run_id OR c.checked_at >= v.written_at, false) "
        f"AS checked FROM {GATES.qualified} g LEFT JOIN {VERSIONS.qualified} v USING (site, month, asset) "
        f"LEFT JOIN {CHECKED.qualified} c USING (site, month, asset) LEFT JOIN ({failed}) f USING (site, month, asset) "
        "WHERE g.site = $site AND g.month IN (SELECT unnest($months::DATE[])) "
        "AND g.asset IN (SELECT unnest($assets::VARCHAR[]))",
        {"site": site, "months": list(months), "assets": [f"{_KIND}/{asset}" for asset in assets] or [""]},
    ).iter_rows(named=True)


def _held(reader: Reader, site: str, part: Part, month: date) -> tuple[int, int, int | None]:
    """Rows of a part in a month, bytes of their values, and their version."""
    found = [_size(reader, table, site, month, part.owned) for table in part.tables if reader.has(table)]
    rows, size = (sum(one[at] for one in found) for at in (0, 1))
    if not rows or not reader.has(VERSIONS):
        return rows, size, None
    sql = f"SELECT max(version) FROM {VERSIONS.qualified} WHERE site = $site AND month = $month AND asset = $asset"
    return rows, size, reader.sql(sql, {"site": site, "month": month, "asset": part.name}).item()


def _size(reader: Reader, table: Table, site: str, month: date, owned: Mapping[str, str]) -> tuple[int, int]:
    """Rows of a month, and bytes of their values."""
    texts = [column.name for column in table.columns if column.type in {Type.TEXT, Type.AMOUNTS}]
    widths = {Type.MONEY: 16, Type.BOOL: 1, Type.DATE: 4}
    fixed = sum(widths.get(column.type, 8) for column in table.columns if column.name not in texts)
    lengths = " + ".join(f'coalesce(strlen("{name}"::VARCHAR), 0)' for name in texts) or "0"
    where = "".join(f' AND "{name}" = ${name}' for name in owned)
    sql = (
        f"SELECT count(*), (coalesce(sum({lengths}), 0) + {fixed} * count(*))::BIGINT FROM {table.qualified} "
        f"WHERE site = $site AND month = $month{where}"
    )
    rows, size = reader.sql(sql, {"site": site, "month": month, **owned}).row(0)
    return rows, size


def _raise_version(writer: Writer, site: str, planned: Planned) -> None:
    """Say that the month changed, so that it is published; not that it was written: its neighbours stay as they are."""
    if writer.has(VERSIONS):
        writer.con.execute(
            f"UPDATE {VERSIONS.qualified} SET version = version + 1, rows = 0 "
            "WHERE site = $site AND month = $month AND asset = $asset",
            {"site": site, "month": planned.month, "asset": planned.part.name},
        ).fetchall()
