"""Checks of requests: is each in one month only, is its outcome known, is its cost."""

from datetime import date, datetime, timedelta

from usage_assets.core.months import Window, next_month, ranges
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.raw.tables import EVENT_FILES, TABLES, USAGE_EVENTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.specs.check import Check, warning
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import VERSIONS
from usage_assets.warehouse.readiness import extracted_at

UNRATED_SHARE = 0.01
"""A month fails when the cost of a larger share of its succeeded requests is not known."""
LATEST = timedelta(days=1)
"""Requests this old should have an outcome."""
_OWN = f"FROM {SERVICE_REQUESTS.qualified} WHERE site = $site AND month IN (SELECT unnest($months::DATE[]))"
# an id that is its event's own is never another request's, so of two rows with one id one at least is not so
_TWICE = f"""
WITH named AS (
    SELECT month, hash(request_id) AS h, request_id <> event_id AS is_shared FROM {SERVICE_REQUESTS.qualified}
    WHERE site = $site
), own AS (SELECT h, is_shared, month FROM named WHERE month IN (SELECT unnest($months::DATE[]))
), suspect AS (
    SELECT DISTINCT o.h FROM own o JOIN named n ON n.h = o.h AND n.month <> o.month WHERE o.is_shared OR n.is_shared
)
SELECT r.month, count(*) AS n, min(r.request_id) AS example, min(other.month) AS other_month
FROM {SERVICE_REQUESTS.qualified} r JOIN {SERVICE_REQUESTS.qualified} other
ON other.site = r.site AND other.request_id = r.request_id AND other.month <> r.month
WHERE r.site = $site AND r.month IN (SELECT unnest($months::DATE[])) AND hash(r.request_id) IN (SELECT h FROM suspect)
AND hash(other.request_id) IN (SELECT h FROM suspect)
GROUP BY r.month
"""

# month, parts: a part that was read again for another month has another fingerprint there
LATE = f"""
SELECT f.month, count(*) AS parts FROM (
    SELECT *, arg_max(fingerprint, read_at) OVER (PARTITION BY source_file) AS newest
    FROM {EVENT_FILES.qualified} WHERE site = $site
) f JOIN {VERSIONS.qualified} v ON v.site = f.site AND v.month = f.month AND v.asset = $asset
WHERE NOT f.merged OR f.fingerprint <> f.newest GROUP BY f.month ORDER BY f.month
"""


def request_id_unique(reader: Reader, site: ServiceSite, window: Window) -> dict[date, Finding]:  # noqa: ARG001
    """Requests that another month has too: their id was used again a month later or more."""
    out = dict.fromkeys(window.months, GOOD)
    if _has_shared_ids(reader, window):
        for month, count, example, other in reader.sql(_TWICE, _scope(window)).iter_rows():
            text = (
                f"{count} request_id(s) are in another month too, for example {example!r} in {other:%Y-%m}: the source "
                "used them again; give each request an id of its own (mapping of its source)"
            )
            out[month] = Finding(False, text, {"requests": count})
    return out


def outcome_known(reader: Reader, site: ServiceSite, window: Window) -> dict[date, Finding]:
    """Requests without an outcome a day after they were asked for."""
    out = dict.fromkeys(window.months, GOOD)
    if not reader.has(SERVICE_REQUESTS):
        return out
    read = extracted_at(reader, site, window.months, TABLES)
    for month in window.months:
        end = datetime.combine(next_month(month), datetime.min.time())
        until = min(read.get(month, end), end + LATEST) - LATEST
        found = reader.sql(
            f"SELECT count(*) FILTER (WHERE final_state = 'unfinished' AND submitted_at < $until), count(*) {_OWN}",
            _scope(window) | {"months": [month], "until": until},
        )
        for late, every in found.iter_rows():
            text = f"{late} of {every} requests were asked for more than a day ago and have no outcome"
            out[month] = Finding(not late, text if late else "", {"unfinished": late, "requests": every})
    return out


def cost_known(reader: Reader, site: ServiceSite, window: Window) -> dict[date, Finding]:
    """Share of succeeded requests whose cost is not known, of sites with rates or with stated costs."""
    out = dict.fromkeys(window.months, GOOD)
    if not reader.has(SERVICE_REQUESTS):
        return out
    found = reader.sql(
        "SELECT month, coalesce(sum(requests), 0)::BIGINT, coalesce(sum(requests) FILTER (WHERE cost IS NULL), 0)"
        f"::BIGINT, bool_or(stated_cost IS NOT NULL) {_OWN} AND final_state = 'succeeded' GROUP BY month",
        _scope(window),
    )
    for month, succeeded, unknown, is_stated in found.iter_rows():
        share = unknown / succeeded
        bad = share >= UNRATED_SHARE and (is_stated or site.rates is not None)
        text = f"the cost of {unknown} of {succeeded} succeeded requests is not known ({share:.1%}): no rate applies"
        out[month] = Finding(not bad, text if bad else "", {"succeeded": succeeded, "unknown": unknown})
    return out


def late_events(reader: Reader, site: ServiceSite, window: Window) -> dict[date, Finding]:
    """Months that were stored before rows of theirs came: said once for the site, as it is now."""
    out = {window.months[-1]: GOOD}
    if not reader.has(EVENT_FILES):
        return out
    asset = f"{site.kind}/raw/{USAGE_EVENTS.name}"
    found = reader.sql(LATE, {"site": site.key, "asset": asset})
    if not found.is_empty():
        months = [month for month, *_ in found.iter_rows()]
        text = (
            f"{found['parts'].sum()} file(s) or ranges have newer rows of {ranges(months)} than are stored; run "
            f"usage-assets backfill --site {site.key} --from {months[0]:%Y-%m} --to {months[-1]:%Y-%m}"
        )
        out[window.months[-1]] = Finding(False, text, {"months": len(months)})
    return out


def _has_shared_ids(reader: Reader, window: Window) -> bool:
    if not reader.has(SERVICE_REQUESTS):
        return False
    sql = f"SELECT 1 FROM {SERVICE_REQUESTS.qualified} WHERE site = $site AND request_id <> event_id LIMIT 1"
    return not reader.sql(sql, {"site": window.site}).is_empty()


def _scope(window: Window) -> dict[str, object]:
    return {"site": window.site, "months": list(window.months)}


REQUEST_CHECKS: tuple[Check, ...] = (
    Check(
        "late_events",
        "No month was stored before rows of it came.",
        late_events,
        "WARN",
        per_run="with rows that wait to be stored",
        of_now=True,
    ),
    Check(
        "request_id_unique",
        "No request lies in two months.",
        request_id_unique,
        per_run="with requests that lie in another month too",
    ),
    warning(
        "outcome_known",
        outcome_known,
        "All requests that are older than a day have an outcome.",
        "with old requests without an outcome",
    ),
    warning(
        "cost_known",
        cost_known,
        f"The cost of succeeded requests is known, but for less than {UNRATED_SHARE:.0%}.",
        "with requests of unknown cost",
    ),
)
