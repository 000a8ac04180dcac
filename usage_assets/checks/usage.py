"""What the checks of usage ask: every bucket there, hours conserved, nothing negative, capacities in order."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise

from usage_assets.checks.readiness import coverage, touches_gap
from usage_assets.core.months import Window, next_month
from usage_assets.facts.tables import INTERVALS, RESOURCE_NAMES
from usage_assets.sites.base import Site
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.specs.kind import Kind
from usage_assets.timelines.metrics import COVERAGE, DERIVED
from usage_assets.timelines.observed import ends
from usage_assets.timelines.tables import USAGE, USAGE_STEPS
from usage_assets.warehouse import Reader
from usage_assets.warehouse.readiness import extracted_at

CAPACITY_ORDER = ("total", "reservable", "committed", "occupied_reservation")
"""From the widest to the narrowest: each is at most the one before it."""
OVERCOMMITTED = ("nodes", "vcpus", "memory_mb", "disk_gb")
"""Resources of which shared machines may give more than they have; vcpus_overcommit counts what they may give."""
HOURS_TOLERANCE = 1e-9
_VALUE_TOLERANCE = 1e-6

_WINDOW = "site = $site AND month IN (SELECT unnest($months::DATE[]))"
# rows of another collector are checked by the asset that owns them
_CURRENT = f"{_WINDOW} AND collector_type = 'current'"
_RESOURCES = ", ".join(RESOURCE_NAMES)

_CONSERVATION = f"""
WITH facts AS (
  UNPIVOT (
    SELECT month, metric, node_type, epoch(end_at - start_at) / 3600 AS span, {_RESOURCES}
    FROM {INTERVALS.qualified} WHERE {_WINDOW}
  ) ON {_RESOURCES} INTO NAME resource VALUE amount
), expected AS (
  SELECT month, metric, node_type, resource, sum(span * amount) AS hours FROM facts GROUP BY ALL
), unseen AS (
  SELECT DISTINCT month, timestamp FROM {USAGE.qualified} WHERE {_CURRENT} AND metric = '{COVERAGE}' AND value = 0
), found AS (
  SELECT u.month, u.metric, u.node_type, u.resource, sum(u.hours) AS hours,
         count(*) FILTER (WHERE u.hours IS NULL AND n.month IS NULL) AS unknown
  FROM {USAGE.qualified} u LEFT JOIN unseen n ON u.month = n.month AND u.timestamp = n.timestamp
  WHERE u.site = $site AND u.month IN (SELECT unnest($months::DATE[])) AND u.collector_type = 'current'
  AND u.metric NOT IN (SELECT unnest($derived::VARCHAR[]))
  GROUP BY ALL
)
SELECT coalesce(f.month, e.month) AS month, coalesce(f.metric, e.metric) AS metric,
       coalesce(f.node_type, e.node_type) AS node_type, coalesce(f.resource, e.resource) AS resource,
       f.hours AS usage_hours, coalesce(e.hours, 0) AS fact_hours, f.unknown
FROM found f FULL JOIN (SELECT * FROM expected WHERE metric NOT IN (SELECT unnest($derived::VARCHAR[]))) e
USING (month, metric, node_type, resource)
"""

# machines that servers hold parts of, or that give more vCPUs than they have
_SHARED = f"""
SELECT DISTINCT node_type FROM {INTERVALS.qualified}
WHERE {_WINDOW} AND ((nodes > 0 AND nodes < 1) OR vcpus_overcommit > vcpus)
"""
_COMPARABLE = (
    "NOT (list_contains($shared::VARCHAR[], node_type) AND list_contains($overcommitted::VARCHAR[], resource))"
)
_NEGATIVE = f"""
SELECT month, count(*) AS n, min(value) AS worst, arg_min(metric, value) AS metric,
       count(DISTINCT timestamp::DATE) AS days
FROM {USAGE.qualified} WHERE {_CURRENT} AND list_contains($derived::VARCHAR[], metric) = $is_derived
AND value < -{_VALUE_TOLERANCE} AND {_COMPARABLE} GROUP BY month
"""


def conservation(reader: Reader, site: Site, window: Window) -> dict[date, Finding]:
    """For each series of a month, the hours of its buckets are the resource-hours of its facts.

    Series with unknown buckets (a known gap, a resource that a row does not tell) have no sum to compare; a bucket in
    which the site was not seen at all has no hours in facts either.
    """
    out = dict.fromkeys(window.months, GOOD)
    if not (reader.has(USAGE) and reader.has(INTERVALS)):
        return out
    found = reader.sql(_CONSERVATION, _scope(window) | {"derived": list(DERIVED)})
    faults: dict[date, list[str]] = {}
    unknown = dict.fromkeys(window.months, 0)
    compared = dict.fromkeys(window.months, 0)
    for month, metric, node_type, resource, usage, facts, missing in found.iter_rows():
        if missing:
            unknown[month] += 1
            continue
        if usage is None and (touches_gap(site, month) or not facts):
            continue
        compared[month] += 1
        have = usage or 0.0
        if abs(have - facts) > HOURS_TOLERANCE * max(1.0, abs(facts)):
            faults.setdefault(month, []).append(
                f"{metric} {resource} of {node_type}: {have:.6f} resource-hours in usage, {facts:.6f} in facts"
            )
    for month in window.months:
        figures = {"series": compared[month], "series_unknown": unknown[month]}
        bad = faults.get(month, [])
        text = f"{len(bad)} of {compared[month]} series differ: {'; '.join(bad[:3])}" if bad else ""
        out[month] = Finding(not bad, text, figures)
    return out


def base_not_negative(reader: Reader, _site: Site, window: Window) -> dict[date, Finding]:
    """Counted metrics are never below zero."""
    return _negative(reader, window, "of a counted metric are negative", is_derived=False)


def order(reader: Reader, _site: Site, window: Window) -> dict[date, Finding]:
    """Total >= reservable >= committed >= occupied_reservation, and derived metrics are not negative.

    What breaks this is a finding about the data, with count, worst value and days. Of machines that servers share only
    those resources are compared that can't be overcommitted, and vCPUs with what they may give.
    """
    shared = _shared(reader, window)
    out = _negative(reader, window, "of a derived metric are negative", shared, is_derived=True)
    if not reader.has(USAGE):
        return out
    for wide, narrow in pairwise(CAPACITY_ORDER):
        found = reader.sql(
            f"SELECT w.month, count(*), max(n.value - w.value), count(DISTINCT w.timestamp::DATE) "
            f"FROM (SELECT * FROM {USAGE.qualified} WHERE {_CURRENT} AND metric = $wide) w "
            f"JOIN (SELECT * FROM {USAGE.qualified} WHERE {_CURRENT} AND metric = $narrow) n "
            "USING (month, timestamp, node_type, resource) "
            f"WHERE n.value > w.value + {_VALUE_TOLERANCE} AND {_COMPARABLE} GROUP BY w.month",
            _scope(window) | _limits(shared) | {"wide": wide, "narrow": narrow},
        )
        for month, count, worst, days in found.iter_rows():
            text = f"{count} value(s) of {narrow} exceed {wide} on {days} day(s), at most by {worst:.6g}"
            before = out[month]
            figures = {**before.figures, f"{narrow}_over_{wide}": worst, f"{narrow}_over_{wide}_days": days}
            out[month] = Finding(False, "; ".join(filter(None, (before.text, text))), figures)
    return out


def _shared(reader: Reader, window: Window) -> list[str]:
    """Node types whose machines servers share, or that may give more than they have."""
    return reader.sql(_SHARED, _scope(window))["node_type"].to_list() if reader.has(INTERVALS) else []


def _limits(shared: Sequence[str]) -> dict[str, object]:
    return {"shared": list(shared), "overcommitted": list(OVERCOMMITTED)}


def _negative(
    reader: Reader, window: Window, text: str, shared: Sequence[str] = (), *, is_derived: bool
) -> dict[date, Finding]:
    out = dict.fromkeys(window.months, GOOD)
    if reader.has(USAGE):
        params = _scope(window) | _limits(shared) | {"derived": list(DERIVED), "is_derived": is_derived}
        for month, count, worst, metric, days in reader.sql(_NEGATIVE, params).iter_rows():
            sentence = f"{count} value(s) {text}, on {days} day(s), at worst {metric} = {worst:.6g}"
            out[month] = Finding(False, sentence, {"count": count, "worst": worst, "days": days})
    return out


def buckets(kind: Kind, asset: str, reader: Reader, site: Site, window: Window) -> dict[date, Finding]:
    """Every bucket of the site's resolution up to the dump is there, from the site's first month on."""
    observed = kind.observed(reader, site, window.months)
    extracted = ends(extracted_at(reader, site, window.months, kind.tables_of(site)), observed)
    query = f"SELECT month, count(DISTINCT timestamp) FROM {USAGE.qualified} WHERE {_CURRENT} GROUP BY month"
    have = dict(reader.sql(query, _scope(window)).iter_rows()) if reader.has(USAGE) else {}
    width = timedelta(minutes=site.bucket_minutes)
    covered = coverage(asset, reader, site, window)
    out = dict(covered)
    for month, finding in covered.items():
        if not finding.passed or month < site.first_month or month not in extracted:
            continue
        start = datetime.combine(month, datetime.min.time())
        end = min(datetime.combine(next_month(month), datetime.min.time()), extracted[month])
        want = max(0, -((start - end) // width))
        if have.get(month, 0) != want:
            text = f"{have.get(month, 0)} of {want} buckets of {site.resolution}"
            if not have.get(month) and touches_gap(site, month):
                continue
            out[month] = Finding(False, text, {"buckets": have.get(month, 0), "buckets_wanted": want})
    return out


def month_starts(asset: str, reader: Reader, site: Site, window: Window) -> dict[date, Finding]:
    """Every series of the step function has a value at the month's start."""
    out = coverage(asset, reader, site, window)
    if not reader.has(USAGE_STEPS):
        return out
    found = reader.sql(
        f"SELECT month, count(*) FROM (SELECT month, min(timestamp) AS first FROM {USAGE_STEPS.qualified} "
        f"WHERE {_CURRENT} GROUP BY month, node_type, metric, resource) "
        "WHERE first <> month GROUP BY month",
        _scope(window),
    )
    for month, count in found.iter_rows():
        out[month] = Finding(False, f"{count} series without a value at the month's start", {"series": count})
    return out


def _scope(window: Window) -> dict[str, object]:
    return {"site": window.site, "months": list(window.months)}
