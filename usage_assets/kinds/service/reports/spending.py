"""Spending against limits, as assets: alerts of thresholds that were crossed, and the status of each scope.

Limits are judged, not enforced: a gateway may read `reports.spending_status`.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import partial

from usage_assets.core import clock
from usage_assets.core.months import Window, next_month
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.raw.legacy_json import imported_limits
from usage_assets.kinds.service.reports.charges import CHARGES, drop_charges, has_limits, keep_charges, limits_of
from usage_assets.kinds.service.reports.spending_tables import NOTICES, SPENDING_ALERTS, SPENDING_STATUS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.pricing.alerts import alerts_query
from usage_assets.pricing.status import status_query, status_since
from usage_assets.schema import Table
from usage_assets.specs.asset import Asset, Extracted
from usage_assets.specs.check import Check
from usage_assets.specs.finding import GOOD, Finding, few
from usage_assets.warehouse import Query, Reader, Writer, bound
from usage_assets.warehouse.bookkeeping import DUMPS

_FACTS = "facts/service_requests"
_LISTED = ("user", "team", "model", "provider", "site")
"""Scope types of which scopes without a limit are listed: pairs would be too many."""
_NEWS = timedelta(days=3)
"""So long after it was first found a crossing is told; what alerts have told they do not tell again."""
_TICK = timedelta(microseconds=1)


def _columns(table: Table) -> str:
    names = ", ".join(f'"{name}"' for name in table.names[2:])
    return f"$site AS site, $month::DATE AS month, {names}"


def select_alerts(writer: Writer, site: ServiceSite, month: date, extracted: Extracted) -> Iterator[Query]:
    """The thresholds crossed in a month; periods that began before it are counted from their start."""
    del extracted
    start, end = _span(month)
    limits = limits_of(site, imported_limits(writer, site))
    keep_charges(writer, site, limits, limits.charges_since(start), end)
    found = alerts_query(writer.con, CHARGES, limits, end)
    crossed = f"({found}) WHERE crossed_at >= $start AND crossed_at < $end"
    columns = _columns(SPENDING_ALERTS)
    yield Query(f"SELECT {columns} FROM {crossed}", {"site": site.key, "month": month, "start": start, "end": end})
    _note_first_found(writer, site.key, month, crossed, {"start": start, "end": end})
    drop_charges(writer)


def _note_first_found(writer: Writer, site: str, month: date, crossed: str, params: dict[str, datetime]) -> None:
    """Add the crossings that no run found before to serving.notices."""
    writer.ensure(NOTICES)
    ends = '(SELECT DISTINCT "window", label, period_start, period_end FROM spending_periods)'
    has_periods = writer.con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'spending_periods'").fetchall()
    join = f'LEFT JOIN {ends} p ON p."window" = c."window" AND p.label = c.period AND p.period_start = c.period_start'
    until = "coalesce(p.period_end, c.crossed_at)" if has_periods else "c.crossed_at"
    writer.con.execute(
        f"INSERT INTO {NOTICES.qualified} BY NAME SELECT $site AS site, $month::DATE AS month, c.id, $now AS found_at, "
        f"any_value({until}) AS open_until FROM (SELECT * FROM {crossed}) c {join if has_periods else ''} "
        f"ANTI JOIN (SELECT id FROM {NOTICES.qualified} WHERE site = $site) n ON n.id = c.id GROUP BY c.id",
        bound({"site": site, "month": month, "now": clock.naive_utc_now(), **params}),
    ).fetchall()


def select_status(writer: Writer, site: ServiceSite, month: date, extracted: Extracted) -> Iterator[Query]:
    """The status of every scope when the month was last read, or at its end."""
    _, end = _span(month)
    read_at = extracted.get(month, end)
    as_of = min(read_at, end - _TICK)
    limits = limits_of(site, imported_limits(writer, site))
    keep_charges(writer, site, limits, status_since(limits, as_of), as_of)
    found = status_query(writer.con, CHARGES, limits, as_of, listed=_LISTED)
    yield Query(f"SELECT {_columns(SPENDING_STATUS)} FROM ({found})", {"site": site.key, "month": month})
    drop_charges(writer)


def _span(month: date) -> tuple[datetime, datetime]:
    return datetime.combine(month, datetime.min.time()), datetime.combine(next_month(month), datetime.min.time())


def crossed(reader: Reader, site: ServiceSite, window: Window) -> dict[date, Finding]:
    """How many thresholds were crossed; those that are news, each as a notice.

    News are crossings of periods that were still open when the site was first read: a first import of history tells
    nothing of what is long over.
    """
    out = dict.fromkeys(window.months, GOOD)
    if not (reader.has(SPENDING_ALERTS) and reader.has(NOTICES) and reader.has(DUMPS)):
        return out
    found = reader.sql(
        f'SELECT a.month, a.scope_type, a.scope_id, a."window", a.period, a.threshold, a.crossed_at, a.spent, '
        "a.amount, a.id, coalesce(n.found_at >= $since AND n.open_until > "
        f"(SELECT min(extracted_at) FROM {DUMPS.qualified} WHERE site = $site), false) AS is_news "
        f"FROM {SPENDING_ALERTS.qualified} a LEFT JOIN {NOTICES.qualified} n ON n.site = a.site AND n.id = a.id "
        "WHERE a.site = $site AND a.month IN (SELECT unnest($months::DATE[])) ORDER BY a.crossed_at, a.id",
        {"site": site.key, "months": list(window.months), "since": clock.naive_utc_now() - _NEWS},
    )
    for (month,), rows in found.partition_by("month", as_dict=True).items():
        news = {row["id"]: _sentence(row, site.currency) for row in rows.filter("is_news").iter_rows(named=True)}
        text = f"{rows.height} threshold(s) crossed, {len(news)} of them since {_NEWS.days} days"
        out[month] = Finding(True, text, {"crossed": rows.height}, notices=news)
    return out


def _sentence(row: dict, currency: str) -> str:
    share = f"{float(row['threshold']):.6g}"
    return (
        f"{row['scope_type']} {row['scope_id']} has spent {row['spent']:.4f} of {row['amount']:.2f} {currency} per "
        f"{row['window']} ({row['period']}): {share} of it since {row['crossed_at']:%Y-%m-%d %H:%M} UTC"
    )


def known_requests(reader: Reader, site: ServiceSite, window: Window) -> dict[date, Finding]:
    """Every alert names a request of the facts and its deciding event."""
    out = dict.fromkeys(window.months, GOOD)
    if not (reader.has(SPENDING_ALERTS) and reader.has(SERVICE_REQUESTS)):
        return out
    found = reader.sql(
        f"SELECT a.month, a.request_id FROM {SPENDING_ALERTS.qualified} a ANTI JOIN {SERVICE_REQUESTS.qualified} f "
        "USING (site, month, request_id, event_id) WHERE a.site = $site "
        "AND a.month IN (SELECT unnest($months::DATE[])) ORDER BY ALL",
        {"site": site.key, "months": list(window.months)},
    )
    for (month,), rows in found.partition_by("month", as_dict=True).items():
        names = rows["request_id"].to_list()
        out[month] = Finding(False, f"{len(names)} alert(s) whose request is not in the facts: {few(names)}")
    return out


_asset = partial(Asset, stage="reports", after=(_FACTS,), applies=has_limits, months_before=1)

SPENDING_ASSETS: tuple[Asset, ...] = (
    _asset(
        name=SPENDING_ALERTS.name,
        table=SPENDING_ALERTS,
        select=select_alerts,
        checks=(
            Check("crossed", "Thresholds of limits that were crossed; each is told once by the channels of alerts.",
                  crossed, "WARN", per_run="with thresholds crossed"),
            Check("alerted_requests", "Every alert names a request of the facts.", known_requests,
                  per_run="with alerts of unknown requests"),
        ),
    ),
    _asset(name=SPENDING_STATUS.name, table=SPENDING_STATUS, select=select_status),
)  # fmt: skip
"""What the kind lists among its reports."""
