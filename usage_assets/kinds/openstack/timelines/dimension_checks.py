"""Checks of the dimensions: hosts, projects and users add up to the site, days to their month."""

from collections.abc import Iterable, Mapping
from datetime import date

from usage_assets.core.months import Window
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.timelines.dimensions import daily_resources, slots
from usage_assets.kinds.openstack.timelines.scope import usage_scope
from usage_assets.schema import Table
from usage_assets.sites.base import Gap
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.timelines.dimension_tables import USAGE_BY_HOST, USAGE_BY_PROJECT, USAGE_BY_USER
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Reader

TOLERANCE = 1e-9
_WINDOW = "site = $site AND month IN (SELECT unnest($months::DATE[]))"
_COMPARE = """
WITH ours AS (
  SELECT month, {start} AS start_at, resource, {sums} FROM {table} WHERE {window} AND {where} GROUP BY ALL
), ours_long AS (
  UNPIVOT ours ON {slots} INTO NAME slot VALUE hours
), terms AS (
  SELECT month, date_trunc('{unit}', timestamp)::TIMESTAMP AS start_at, resource, {slot_of} AS slot, hours
  FROM {usage} WHERE {window} AND collector_type = 'current' AND {slot_of} IS NOT NULL
  AND resource IN (SELECT unnest($resources::VARCHAR[]))
), whole AS (
  SELECT month, start_at, resource, slot, sum(hours) AS hours FROM terms GROUP BY ALL HAVING sum(hours) IS NOT NULL
)
SELECT month, start_at, resource, slot, coalesce(o.hours, 0) AS ours, coalesce(w.hours, 0) AS whole
FROM ours_long o FULL JOIN whole w USING (month, start_at, resource, slot)
WHERE abs(coalesce(o.hours, 0) - coalesce(w.hours, 0)) > {tolerance} * greatest(1, abs(coalesce(w.hours, 0)))
  AND month IN (SELECT month FROM {usage} WHERE {window} AND collector_type = 'current')
  AND NOT ({gaps})
ORDER BY month, start_at, resource, slot
"""
_DAYS = f"""
WITH parts AS (
  SELECT month, period, node, node_type, resource, sum(total_hours) AS total, sum(reservable_hours) AS reservable,
         sum(committed_hours) AS committed, sum(occupied_hours) AS occupied
  FROM {USAGE_BY_HOST.qualified} WHERE {_WINDOW} AND resource IN (SELECT unnest($resources::VARCHAR[])) GROUP BY ALL
), long AS (
  UNPIVOT parts ON total, reservable, committed, occupied INTO NAME slot VALUE hours
)
SELECT month, node, resource, slot, d.hours AS days, m.hours AS whole
FROM (SELECT * FROM long WHERE period = 'month') m
LEFT JOIN (SELECT * FROM long WHERE period = 'day') d USING (month, node, node_type, resource, slot)
WHERE abs(coalesce(d.hours, 0) - m.hours) > {TOLERANCE} * greatest(1, abs(m.hours))
ORDER BY month, node
"""


def hosts_add_up(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """Hours of all hosts of a month are those of the site; so are those of a day."""
    found = _differences(reader, site, window, USAGE_BY_HOST, "period = 'month'")
    for month, more in _differences(reader, site, window, USAGE_BY_HOST, "period = 'day'", unit="day").items():
        found[month] = [*found.get(month, []), *more]
    return _findings(window, found, "the site has")


def projects_add_up(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """Hours of all projects of a month are those of the site."""
    return _findings(window, _differences(reader, site, window, USAGE_BY_PROJECT, "true"), "the site has")


def users_add_up(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """Hours of all users of a month are those of the site."""
    return _findings(window, _differences(reader, site, window, USAGE_BY_USER, "true"), "the site has")


def days_add_up(reader: Reader, site: OpenStackSite, window: Window) -> dict[date, Finding]:
    """The days of a host add up to its month."""
    found: dict[date, list[str]] = {}
    if reader.has(USAGE_BY_HOST):
        resources = list(daily_resources(usage_scope(site)))
        params = {"site": window.site, "months": list(window.months), "resources": resources}
        for month, node, resource, slot, days, whole in reader.sql(_DAYS, params).iter_rows():
            found.setdefault(month, []).append(f"{slot} {resource} of {node}: {days or 0.0:.6f} hours, {whole:.6f}")
    return _findings(window, found, "in its month")


def _differences(
    reader: Reader, site: OpenStackSite, window: Window, table: Table, where: str, *, unit: str = "month"
) -> dict[date, list[str]]:
    if not (reader.has(table) and reader.has(USAGE)):
        return {}
    scope = usage_scope(site)
    have = {name.removesuffix("_hours") for name in table.names if name.endswith("_hours")}
    terms = {slot: metrics for slot, metrics in slots(scope).items() if slot in have and metrics}
    cases = " ".join(
        f"WHEN metric IN ({', '.join(map(repr, metrics))}) THEN '{slot}'" for slot, metrics in terms.items()
    )
    query = _COMPARE.format(
        start="timestamp" if table is USAGE_BY_HOST else "month::TIMESTAMP",
        sums=", ".join(f"sum({slot}_hours) AS {slot}" for slot in terms),
        slots=", ".join(terms),
        table=table.qualified,
        usage=USAGE.qualified,
        window=_WINDOW,
        where=where,
        unit=unit,
        slot_of=f"CASE {cases} END",
        tolerance=TOLERANCE,
        gaps=_gaps(scope.gaps, terms, unit) or "false",
    )
    resources = list(scope.resources if unit == "month" else daily_resources(scope))
    out: dict[date, list[str]] = {}
    params = {"site": window.site, "months": list(window.months), "resources": resources}
    for month, start_at, resource, slot, ours, whole in reader.sql(query, params).iter_rows():
        day = "" if unit == "month" else f" on {start_at:%Y-%m-%d}"
        out.setdefault(month, []).append(f"{slot} {resource}{day}: {ours:.6f} hours added up, {whole:.6f}")
    return out


def _gaps(gaps: Mapping[str, tuple[Gap, ...]], terms: Mapping[str, Iterable[str]], unit: str) -> str:
    """The periods without values in a table because a term's source has a known gap there, as a condition."""
    found = {
        (slot, gap.start, gap.end) for slot, metrics in terms.items() for name in metrics for gap in gaps.get(name, ())
    }
    return " OR ".join(
        f"(slot = '{slot}' AND start_at < TIMESTAMP '{end}' AND start_at + INTERVAL 1 {unit} > TIMESTAMP '{start}')"
        for slot, start, end in sorted(found)
    )


def _findings(window: Window, found: Mapping[date, list[str]], against: str) -> dict[date, Finding]:
    out = dict.fromkeys(window.months, GOOD)
    for month, texts in found.items():
        text = "; ".join(f"{text} {against}" for text in texts[:3])
        out[month] = Finding(False, f"{len(texts)} sum(s) differ: {text}", {"sums": len(texts)})
    return out
