"""Checks of a service's usage timeline: does it hold all that the facts do."""

from datetime import date

from usage_assets.core.months import Window
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.specs.check import Check
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Reader

TOLERANCE = 1e-9
_WINDOW = "site = $site AND month IN (SELECT unnest($months::DATE[]))"
_BUSY = f"""
SELECT month, count(*), max(abs(seconds - 3600 * hours)) FROM (
    SELECT month, timestamp, node_type, max(value) FILTER (WHERE metric = 'busy') AS seconds,
        max(hours) FILTER (WHERE metric = 'running') AS hours
    FROM {USAGE.qualified} WHERE {_WINDOW} AND collector_type = 'current' AND metric IN ('busy', 'running') GROUP BY ALL
) WHERE abs(seconds - 3600 * hours) > $tolerance * greatest(1, abs(seconds)) GROUP BY month
"""
_FLOWS = f"""
WITH found AS (
    SELECT month, sum(value) FILTER (WHERE resource = 'requests') AS ended,
        sum(value) FILTER (WHERE metric = 'output_tokens') AS tokens, count(*) FILTER (WHERE value IS NULL) AS unknown
    FROM {USAGE.qualified} WHERE {_WINDOW} AND collector_type = 'current'
    AND metric IN ('succeeded', 'failed', 'cancelled', 'output_tokens') GROUP BY month
), expected AS (
    SELECT month, sum(requests) FILTER (WHERE ended_at IS NOT NULL) AS ended,
        sum(output_tokens) FILTER (WHERE ended_at IS NOT NULL) AS tokens
    FROM {SERVICE_REQUESTS.qualified} WHERE {_WINDOW} GROUP BY month
)
SELECT month, coalesce(f.ended, 0) - coalesce(e.ended, 0), coalesce(f.tokens, 0) - coalesce(e.tokens, 0)
FROM expected e LEFT JOIN found f USING (month)
WHERE coalesce(f.unknown, 0) = 0
AND (coalesce(f.ended, 0) <> coalesce(e.ended, 0) OR coalesce(f.tokens, 0) <> coalesce(e.tokens, 0))
"""


def busy_seconds(reader: Reader, site: ServiceSite, window: Window) -> dict[date, Finding]:  # noqa: ARG001
    """Busy seconds of a bucket are the mean of running times the bucket's length."""
    out = dict.fromkeys(window.months, GOOD)
    if reader.has(USAGE):
        for month, count, worst in reader.sql(_BUSY, _scope(window) | {"tolerance": TOLERANCE}).iter_rows():
            out[month] = Finding(False, f"{count} bucket(s) differ, at worst by {worst:.6f} s", {"buckets": count})
    return out


def flows_in_facts(reader: Reader, site: ServiceSite, window: Window) -> dict[date, Finding]:  # noqa: ARG001
    """Requests and output tokens of a month's buckets are those of its facts."""
    out = dict.fromkeys(window.months, GOOD)
    if reader.has(USAGE) and reader.has(SERVICE_REQUESTS):
        for month, requests, tokens in reader.sql(_FLOWS, _scope(window)).iter_rows():
            text = f"usage has {requests:+.0f} requests and {tokens:+.0f} output tokens beside the facts"
            out[month] = Finding(False, text, {"requests": requests, "output_tokens": tokens})
    return out


def _scope(window: Window) -> dict[str, object]:
    return {"site": window.site, "months": list(window.months)}


USAGE_CHECKS: tuple[Check, ...] = (
    Check("busy_seconds", "Busy seconds of a bucket are the mean of running times its length.", busy_seconds),
    Check("flows_in_facts", "Requests and tokens of all buckets are those of the facts.", flows_in_facts),
)
