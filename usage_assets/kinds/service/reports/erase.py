"""Erasing one person from what is stored of a service: the rows stay, under a token in place of the person.

Sums are kept to the last digit. What several erased persons did is one row where the key asks for one; percentiles and
sessions of such a row are found again in the facts.
"""

from collections.abc import Iterable

from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.raw.legacy_tables import (
    LEGACY_COUNTS,
    LEGACY_FILES,
    LEGACY_LIMITS,
    LEGACY_USAGE,
    SERVICE_USER,
)
from usage_assets.kinds.service.raw.tables import REJECTED_EVENTS, USAGE_EVENTS
from usage_assets.kinds.service.reports.spending_tables import SPENDING_ALERTS, SPENDING_STATUS
from usage_assets.kinds.service.tables.declarations import (
    ADDITIVE,
    SERVICE_USER_DAILY,
    SERVICE_USER_MONTHLY,
    SERVICE_USES,
)
from usage_assets.kinds.service.tables.grouping import LATENCY, added, known
from usage_assets.schema import Table
from usage_assets.warehouse import Writer

ERASED = "(erased)"
"""What stands in place of a person."""
_OWN = "site = $site AND user_id = $user"
_BOTH = "site = $site AND user_id IN ($user, $erased)"
# session and text of a request may name the person again, parameters may hold what was asked
_EVENTS = "UPDATE {table} SET user_id = $erased, parameters = NULL WHERE " + _OWN
_REJECTS = """
UPDATE {table} SET "row" = json_merge_patch("row"::JSON, json_object('user_id', $erased, 'parameters', NULL))::VARCHAR
WHERE site = $site AND json_valid("row") AND json_extract_string("row", '$.user_id') = $user
"""
_FACTS = f"UPDATE {SERVICE_REQUESTS.qualified} SET user_id = $erased WHERE {_OWN}"
_SCOPES = """
DELETE FROM {table} WHERE site = $site AND (
  (scope_type = 'user' AND scope_id = $user)
  OR (starts_with(scope_type, 'user_') AND json_valid(scope_id) AND json_extract_string(scope_id, '$[0]') = $user)
)
"""
# of one row its own percentiles, of several none: they are found again where the facts are there
_MERGED = """
SELECT {keys}, $erased AS user_id, {added}, sum(sessions)::BIGINT AS sessions, source,
  min(first_ts) AS first_ts, max(last_ts) AS last_ts,
  CASE WHEN count(latency_p50_s) = 1 THEN max(latency_p50_s) END AS latency_p50_s,
  CASE WHEN count(latency_p95_s) = 1 THEN max(latency_p95_s) END AS latency_p95_s
FROM {table} WHERE {both} GROUP BY {keys}, source
"""
_AGAIN = """
UPDATE {table} t SET latency_p50_s = f.percentiles_us[1] / 1e6, latency_p95_s = f.percentiles_us[2] / 1e6,
  sessions = f.sessions
FROM (
  SELECT {keys}, quantile_cont(latency_us, [0.5, 0.95]) AS percentiles_us, count(DISTINCT session) AS sessions FROM (
    SELECT site, month, coalesce(ended_at, submitted_at)::DATE AS date, model_id, provider, {session} AS session,
      {latency} AS latency_us FROM {facts} WHERE site = $site AND user_id = $erased
  ) GROUP BY {keys}
) f WHERE t.user_id = $erased AND t.source = 'events' AND {same}
"""
_OF_USER = "DELETE FROM {table} WHERE " + _OWN
_FILES = """
UPDATE {table} SET file = $erased WHERE site = $site
  AND (list_contains(string_split(file, '/'), $user) OR ends_with(file, 'user_' || $user || '.json'))
"""
_LEGACY = """
SELECT {keys}, $erased AS user_id, {sums}{more} FROM {table} WHERE {both} GROUP BY {keys}
"""
_USES = f"""
SELECT site, month, 'user' AS kind, $erased AS id, min(first_submitted_at) AS first_submitted_at,
  max(last_ended_at) AS last_ended_at, sum(requests)::BIGINT AS requests
FROM {SERVICE_USES.qualified} WHERE site = $site AND kind = 'user' AND id IN ($user, $erased) GROUP BY site, month
"""


def erase(writer: Writer, site: str, user: str) -> dict[str, int]:
    """Put the token in place of a user, within the writer's transaction; rows of the user, by table.

    Alerts, limits and the profile of the user are removed: they are about nobody else. Doing it again finds nothing.
    """
    work = _Erase(writer, site, user)
    changed: dict[str, int] = {}
    for raw, sql in ((USAGE_EVENTS, _EVENTS), (REJECTED_EVENTS, _REJECTS)):
        for table in (raw.table, raw.versions):
            changed[table.qualified] = work.run(table, sql)
    changed[SERVICE_REQUESTS.qualified] = work.run(SERVICE_REQUESTS, _FACTS)
    for table in (SERVICE_USER_DAILY, SERVICE_USER_MONTHLY):
        changed[table.qualified] = work.merge(table)
    changed[SERVICE_USES.qualified] = work.merge_uses()
    for table in (LEGACY_USAGE, LEGACY_COUNTS):
        changed[table.qualified] = work.merge_legacy(table)
    for table, sql in ((LEGACY_LIMITS, _OF_USER), (SERVICE_USER, _OF_USER), (LEGACY_FILES, _FILES)):
        changed[table.qualified] = work.run(table, sql)
    for table in (SPENDING_ALERTS, SPENDING_STATUS):
        changed[table.qualified] = work.run(table, _SCOPES)
    return {name: number for name, number in changed.items() if number}


class _Erase:
    def __init__(self, writer: Writer, site: str, user: str) -> None:
        self.writer = writer
        self.values = {"site": site, "user": user, "erased": ERASED}

    def run(self, table: Table, sql: str) -> int:
        """Rows that a statement on a table changed; none where the table is not there yet."""
        return self._run(sql.format(table=table.qualified)) if self.writer.has(table) else 0

    def merge(self, table: Table) -> int:
        """Put the user's sums into those of the token; rows that were the user's."""
        number = self._count(table, _OWN)
        if number:
            keys = [name for name in ("site", "month", "date", "model_id", "provider") if name in table.names]
            sums = ", ".join(added(column.name, column.type) for column in ADDITIVE)
            self._swap(
                table, _MERGED.format(keys=", ".join(keys), added=sums, table=table.qualified, both=_BOTH), _BOTH
            )
            if self.writer.has(SERVICE_REQUESTS):
                self._run(self._again(table, keys))
        return number

    def merge_uses(self) -> int:
        """Put the user's first and last uses into those of the token."""
        both = "site = $site AND kind = 'user' AND id IN ($user, $erased)"
        number = self._count(SERVICE_USES, "site = $site AND kind = 'user' AND id = $user")
        if number:
            self._swap(SERVICE_USES, _USES, both)
        return number

    def merge_legacy(self, table: Table) -> int:
        """Put the user's totals of an older tracker into those of the token; their files are named after users."""
        number = self._count(table, _OWN)
        if number:
            keys = [name for name in ("site", "month", "period", "date", "part", "name") if name in table.names]
            kept = (*keys, "user_id", "updated_at", "source_file")
            sums = ", ".join(added(one.name, one.type) for one in table.columns if one.name not in kept)
            more = ", max(updated_at) AS updated_at, $erased AS source_file" if "source_file" in table.names else ""
            rows = _LEGACY.format(keys=", ".join(keys), sums=sums, more=more, table=table.qualified, both=_BOTH)
            self._swap(table, rows, _BOTH)
        return number

    def _again(self, table: Table, keys: Iterable[str]) -> str:
        return _AGAIN.format(
            table=table.qualified,
            keys=", ".join(keys),
            session=known("session_id"),
            latency=LATENCY,
            facts=SERVICE_REQUESTS.qualified,
            same=" AND ".join(f"t.{key} = f.{key}" for key in keys),
        )

    def _swap(self, table: Table, rows: str, old: str) -> None:
        """Put the rows of a query in place of the old ones that it is made of."""
        self._run(f"CREATE OR REPLACE TEMP TABLE erased_rows AS {rows}")
        self._run(f"DELETE FROM {table.qualified} WHERE {old}")
        self._run(f"INSERT INTO {table.qualified} BY NAME FROM erased_rows")
        self._run("DROP TABLE erased_rows")

    def _count(self, table: Table, where: str) -> int:
        if not self.writer.has(table):
            return 0
        values = {name: value for name, value in self.values.items() if f"${name}" in where}
        return int(self.writer.sql(f"SELECT count(*) FROM {table.qualified} WHERE {where}", values).item())

    def _run(self, sql: str) -> int:
        values = {name: value for name, value in self.values.items() if f"${name}" in sql}
        found = self.writer.con.execute(sql, values).fetchall()
        return int(found[0][0]) if found and isinstance(found[0][0], int) else 0
