"""The grid of a month's usage timeline: its buckets and models, as temporary tables of the warehouse's connection."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from usage_assets.core.months import next_month
from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.service.facts.events import used
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.raw.tables import NONE, USAGE_EVENTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.specs.asset import Extracted
from usage_assets.warehouse import Writer, bound

BUCKETS, TYPES, GAPS = "service_buckets", "service_types", "service_gaps"
OF_MONTH = "site = $site AND month = $month"
SUBMITTED = (
    "site = $site AND (month = $month OR month = $after AND submitted_at < $until) "
    "AND submitted_at >= $begin AND submitted_at < $until"
)
"""Requests that were submitted in the month: those of them that ended in the next one are there."""
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Grid:
    """A month of a site, until it was read: nothing is known beyond."""

    site: ServiceSite
    month: date
    until: datetime

    @classmethod
    def of(cls, site: ServiceSite, month: date, extracted: Extracted) -> "Grid":
        """The month's grid; empty where it was read before it began."""
        end = datetime.combine(next_month(month), datetime.min.time())
        return cls(site, month, min(end, extracted.get(month, end)))

    @property
    def begin(self) -> datetime:
        """Start of the month."""
        return datetime.combine(self.month, datetime.min.time())

    @property
    def params(self) -> dict[str, Any]:
        """Values of queries over it; `width` of a bucket and instants with _us in microseconds."""
        return {
            "site": self.site.key,
            "month": self.month,
            "after": next_month(self.month),
            "begin": self.begin,
            "until": max(self.until, self.begin),
            "begin_us": (self.begin - _EPOCH) // _MICROSECOND,
            "until_us": (max(self.until, self.begin) - _EPOCH) // _MICROSECOND,
            "width": self.site.bucket_minutes * 60_000_000,
        }

    def values(self, sql: str, **more: Any) -> dict[str, Any]:
        """Those that a query names, and `more`: DuckDB refuses further ones."""
        return used(sql, {**self.params, **more})

    def keep(self, writer: Writer, *, with_submitted: bool) -> None:
        """Put buckets and models into temporary tables; a bucket that meets a known gap is not `known`.

        `with_submitted` asks for models of requests that ended in the next month, too.
        """
        gaps = [gap for gap in self.site.known_gaps if gap.source == USAGE_EVENTS.name]
        dates = {"starts": [gap.start for gap in gaps], "ends": [gap.end for gap in gaps]}
        self._run(
            writer,
            f"""CREATE OR REPLACE TEMP TABLE {GAPS} AS
SELECT unnest($starts::DATE[])::TIMESTAMP AS gap_from, unnest($ends::DATE[])::TIMESTAMP AS gap_to""",
            **dates,
        )
        self._run(
            writer,
            f"""CREATE OR REPLACE TEMP TABLE {BUCKETS} AS
SELECT *, NOT EXISTS (FROM {GAPS} WHERE gap_from < closes_at AND gap_to > opens_at) AS known,
    epoch_us(closes_at) - epoch_us(opens_at) AS width
FROM (SELECT *, least(opens_at + to_microseconds($width), $until::TIMESTAMP) AS closes_at
      FROM (SELECT i, $begin::TIMESTAMP + to_microseconds(i * $width) AS opens_at
            FROM range(CAST(ceil(($until_us - $begin_us) / $width) AS BIGINT)) r(i)))""",
        )
        own = list(self.site.max_parallel) if isinstance(self.site.max_parallel, dict) else []
        self._run(writer, f"""CREATE OR REPLACE TEMP TABLE {TYPES} AS
SELECT model_id AS node_type FROM {SERVICE_REQUESTS.qualified} WHERE {OF_MONTH}
{f"UNION SELECT model_id FROM {SERVICE_REQUESTS.qualified} WHERE {SUBMITTED}" if with_submitted else ""}
UNION SELECT node_type FROM {INTERVALS.qualified} WHERE {OF_MONTH} AND metric IN ('running', 'queued', 'loaded')
UNION SELECT unnest($own::VARCHAR[])""", own=own)  # fmt: skip
        # a month without requests has none of nobody's model: that is known, and dense like any other
        self._run(writer, f"INSERT INTO {TYPES} SELECT '{NONE}' WHERE NOT EXISTS (FROM {TYPES})")

    def _run(self, writer: Writer, sql: str, **more: Any) -> None:
        writer.con.execute(sql, bound(self.values(sql, **more))).fetchall()


def drop(writer: Writer) -> None:
    """Remove the temporary tables."""
    for name in (BUCKETS, TYPES, GAPS):
        writer.con.execute(f"DROP TABLE IF EXISTS {name}").fetchall()
