"""What a usage report is made of: sums of the tables, judgements on them, and where they come from.

Sums of seconds are made in decimals: those of floats depend on the order of the rows, and reports of the same rows
must be the same to the last byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from usage_assets.core.errors import UsageError
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.raw.tables import KEPT_REASONS, NONE, REASONS, REJECTED_EVENTS, USAGE_EVENTS
from usage_assets.kinds.service.reports.judged import judged
from usage_assets.kinds.service.reports.period import Period
from usage_assets.kinds.service.tables.declarations import SERVICE_TEAM_DAILY, SERVICE_USER_DAILY, SERVICE_USER_MONTHLY
from usage_assets.schema import Table
from usage_assets.sites.base import Site
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import VERSIONS
from usage_assets.warehouse.readiness import extracted_at

_COUNTS = (
    "requests", "succeeded", "failed", "cancelled", "unfinished", "input_tokens", "output_tokens", "cached_tokens",
    "cost_unrated_requests", "latency_n",
)  # fmt: skip
_SECONDS = ("busy_seconds", "latency_sum_s")
_SUMS = ", ".join(
    [f"coalesce(sum({name}), 0)::BIGINT AS {name}" for name in _COUNTS]
    + [f"coalesce(sum({name}::DECIMAL(38,6)), 0)::DOUBLE AS {name}" for name in _SECONDS]
    + ["coalesce(sum(cost), 0)::DECIMAL(38,12) AS cost", "min(first_ts) AS first_ts", "max(last_ts) AS last_ts"]
)
_OF_DAYS = "site = $site AND month BETWEEN $first AND $last AND date >= $start AND date < $end"
_ENDED = "coalesce(ended_at, submitted_at)"
_OF_FACTS = (
    f"site = $site AND month BETWEEN $first AND $last AND {_ENDED} >= $start::TIMESTAMP AND {_ENDED} < $end::TIMESTAMP"
)
_OF_MONTHS = "site = $site AND month BETWEEN $first AND $last"
_TIMED = "FILTER (final_state = 'succeeded' AND duration_s IS NOT NULL)"


def _distinct(column: str, where: str = "true") -> str:
    return f"count(DISTINCT {column}) FILTER ({column} <> '{NONE}' AND {where})"


@dataclass(frozen=True)
class _Level:
    """A table of a report: what its rows are by, of which table, and which distinct things are counted of it."""

    column: str
    table: Table = SERVICE_USER_DAILY
    counted: tuple[tuple[str, str], ...] = ()
    """Name and column of `table`."""
    counted_of_facts: tuple[tuple[str, str], ...] = (("sessions", "session_id"),)

    @property
    def query(self) -> str:
        """Sums of the days, and what has to be made of the requests: percentiles and distinct counts."""
        # a day in which requests were only in progress has a row without requests
        counts = "".join(f", {_distinct(column, 'requests > 0')} AS {name}" for name, column in self.counted)
        facts = ", ".join(f"{_distinct(column)} AS {name}" for name, column in self.counted_of_facts)
        names = ", ".join(name for name, _ in (*self.counted, *self.counted_of_facts))
        column = self.column
        return f"""
WITH sums AS (
  SELECT {column} AS id, {_SUMS}{counts} FROM {self.table.qualified} WHERE {_OF_DAYS} GROUP BY ALL
), measured AS (
  SELECT coalesce({column}, '{NONE}') AS id, {facts},
         quantile_cont(lead_s + duration_s, 0.5) {_TIMED} AS latency_p50_s,
         quantile_cont(lead_s + duration_s, 0.95) {_TIMED} AS latency_p95_s
  FROM {SERVICE_REQUESTS.qualified} WHERE {_OF_FACTS} GROUP BY ALL
)
SELECT sums.id, {", ".join(_COUNTS[:-2])}, cost, cost_unrated_requests, busy_seconds, latency_n,
       round(latency_sum_s / nullif(latency_n, 0), 6) AS latency_mean_s, latency_p50_s, latency_p95_s, {names},
       first_ts, last_ts
FROM sums LEFT JOIN measured USING (id) ORDER BY cost DESC, requests DESC, id
"""


_USERS, _MODELS, _PROVIDERS = ("users", "user_id"), ("models", "model_id"), ("providers", "provider")
_SESSIONS = ("sessions", "session_id")
_LEVELS: dict[str, _Level] = {
    "totals": _Level("'all'", counted=(_USERS, _MODELS, _PROVIDERS)),
    "users": _Level("user_id", counted=(_MODELS,)),
    "models": _Level("model_id", counted=(_USERS,)),
    "providers": _Level("provider", counted=(_USERS, _MODELS)),
    "teams": _Level("team_id", SERVICE_TEAM_DAILY, (_MODELS,), (_USERS, _SESSIONS)),
}
_ID = {"totals": None, "users": "user_id", "models": "model_id", "providers": "provider", "teams": "team_id"}
_DAYS = f"""
SELECT date, {_SUMS}, {_distinct("user_id", "requests > 0")} AS users
FROM {SERVICE_USER_DAILY.qualified} WHERE {_OF_DAYS} GROUP BY ALL ORDER BY date
"""
_LEGACY = f"""
SELECT coalesce(sum(requests), 0)::BIGINT AS requests FROM {SERVICE_USER_DAILY.qualified}
WHERE {_OF_DAYS} AND source = 'legacy'
"""
_LEGACY_MONTHS = f"""
SELECT coalesce(sum(requests), 0)::BIGINT AS requests FROM {SERVICE_USER_MONTHLY.qualified}
WHERE {_OF_MONTHS} AND source = 'legacy'
"""
_REJECTED = f"""
SELECT reason, count(*) AS events FROM {REJECTED_EVENTS.table.qualified}
WHERE {_OF_MONTHS} AND NOT is_context GROUP BY ALL
"""
_UNKNOWN = f"""
SELECT coalesce(sum(requests) FILTER (cost_source = 'unrated'), 0)::BIGINT AS unrated,
       coalesce(sum(requests) FILTER (cost_source = 'unconverted'), 0)::BIGINT AS unconverted
FROM {SERVICE_REQUESTS.qualified} WHERE {_OF_FACTS} AND final_state = 'succeeded'
"""
_INPUTS = f"""
SELECT asset, month, version, rows FROM {VERSIONS.qualified}
WHERE {_OF_MONTHS} AND asset IN (SELECT unnest($assets::VARCHAR[])) ORDER BY asset, month
"""
INPUTS = (
    "facts/service_requests", "timelines/service_user_daily", "timelines/legacy_user_daily",
    "timelines/legacy_user_monthly", "timelines/service_team_daily", "reports/spending_status",
    "reports/spending_alerts", "reports/model_profiles", "reports/recommendations",
)  # fmt: skip
"""Assets that a report is made of, beside the raw tables."""
_VERSIONED = [f"service/{path}" for path in (*INPUTS, "raw/usage_events", "raw/rejected_events")]


@dataclass(frozen=True)
class Inputs:
    """What a report is made of: its tables by name, when each month was read, and the versions of what was read."""

    tables: Mapping[str, pl.DataFrame]
    extracted: Mapping[date, datetime]
    versions: pl.DataFrame


def read_report(reader: Reader, site: Site, period: Period) -> Inputs:
    """Everything that the report of a period is made of; UsageError where nothing of the site was built yet."""
    if not all(map(reader.has, (SERVICE_REQUESTS, SERVICE_USER_DAILY, SERVICE_TEAM_DAILY))):
        msg = f"site {site.key}: nothing is built of {period.name} yet; run usage-assets backfill --site {site.key}"
        raise UsageError(msg)
    params = _params(site, period)
    tables = {name: _level(reader, name, params) for name in _LEVELS}
    tables["days"] = reader.sql(_DAYS, params).drop("latency_sum_s", "latency_n")
    tables |= judged(reader, params)
    tables["data_quality"] = _quality(reader, params, tables["totals"])
    months = _of_months(params)
    versions = reader.sql(_INPUTS, months | {"assets": _VERSIONED}) if reader.has(VERSIONS) else VERSIONS.empty()
    return Inputs(tables, extracted_at(reader, site, period.months, (USAGE_EVENTS,)), versions)


def _params(site: Site, period: Period) -> dict[str, Any]:
    months = {"first": period.months[0], "last": period.months[-1]}
    return {"site": site.key, "start": period.start, "end": period.end} | months


def _of_months(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: params[name] for name in ("site", "first", "last")}


def _level(reader: Reader, name: str, params: Mapping[str, Any]) -> pl.DataFrame:
    level, column = _LEVELS[name], _ID[name]
    found = reader.sql(level.query, params)
    return found.drop("id") if column is None else found.rename({"id": column})


def _quality(reader: Reader, params: Mapping[str, Any], totals: pl.DataFrame) -> pl.DataFrame:
    """category, reason, number, meaning: what is missing from the sums, or known less well."""
    found: dict[str, int] = {}
    if reader.has(REJECTED_EVENTS.table):
        found = dict(reader.sql(_REJECTED, _of_months(params)).iter_rows())
    rows = [
        ("cleared" if reason in KEPT_REASONS else "rejected", reason, number, REASONS.get(reason, ""))
        for reason, number in sorted(found.items())
    ]
    unrated, unconverted = reader.sql(_UNKNOWN, params).row(0)
    days = months = reader.sql(_LEGACY, params).item()
    if reader.has(SERVICE_USER_MONTHLY) and params["start"].day == params["end"].day == 1:
        months = reader.sql(_LEGACY_MONTHS, _of_months(params)).item()
    unfinished = int(totals["unfinished"].sum()) if totals.height else 0
    rows += [
        ("cost not known", "unrated", unrated, "succeeded requests that no rate applies to"),
        (
            "cost not known",
            "unconverted",
            unconverted,
            "succeeded requests without an exchange rate for their currency",
        ),
        ("outcome not known", "unfinished", unfinished, "requests without an outcome"),
        ("older tracker", "legacy", days, "requests that only an older tracker knows"),
        (
            "older tracker",
            "months only",
            months - days,
            "requests of whole months of which it knows no days; not in sums",
        ),
    ]
    schema = {"category": pl.String, "reason": pl.String, "number": pl.Int64, "meaning": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
