"""The nightly schedule: previous and current month of every site, one range run each.

A lease lies in the month in which it was asked for, and what became of it is known when it starts: a site's range
reaches back to the first month that still holds pending leases.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, timedelta
from types import MappingProxyType

import dagster as dg
import duckdb

from usage_assets.errors import UsageError
from usage_assets.facts.tables import LEASES
from usage_assets.kinds import Kind
from usage_assets.partitions import RANGE_END, RANGE_START, month_of, partition_key
from usage_assets.sites import Site
from usage_assets.warehouse import Warehouse

MONTHS_BACK = 12
"""A lease that is pending for longer waits for a backfill."""
_WAIT_SECONDS = 10.0  # Dagster gives a schedule a minute


def nightly_schedule(kind: Kind, sites: Mapping[str, Site], warehouse: Warehouse) -> dg.ScheduleDefinition:
    """One run request per site: `USAGE_NIGHTLY_CRON` (02:15 unless set) in `USAGE_TIMEZONE` (UTC unless set)."""

    @dg.schedule(
        name=f"{kind.name}_nightly",
        job_name=kind.name,
        cron_schedule=os.environ.get("USAGE_NIGHTLY_CRON", "15 2 * * *"),
        execution_timezone=os.environ.get("USAGE_TIMEZONE", "UTC"),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reads the previous and the current month of every site, and those before that hold leases which "
        "had not started yet, and rebuilds what is made of them.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        today = context.scheduled_execution_time.astimezone(UTC).date()
        try:
            pending = pending_since(warehouse, today)
        except (UsageError, duckdb.Error) as error:
            context.log.warning("Months with pending leases are not looked for tonight: %s", error)
            pending = {}
        yield from requests(sites, today, context.scheduled_execution_time.isoformat(), pending)

    return nightly


def pending_since(warehouse: Warehouse, today: date) -> dict[str, date]:
    """By site the first month of the last twelve that holds leases which had not started at its dump."""
    current = month_of(today)
    oldest = date(current.year - MONTHS_BACK // 12, current.month, 1)
    with warehouse.read(wait_seconds=_WAIT_SECONDS) as reader:
        if not reader.has(LEASES):
            return {}
        found = reader.sql(
            f"SELECT site, min(month) FROM {LEASES.qualified} WHERE outcome = 'pending' AND month >= $oldest "
            "GROUP BY site",
            {"oldest": oldest},
        )
    return dict(found.iter_rows())


def requests(
    sites: Mapping[str, Site], today: date, at: str, pending: Mapping[str, date] = MappingProxyType({})
) -> Iterator[dg.RunRequest]:
    """The runs of one night; a site's first month bounds what is asked for, pending leases reach back (by site)."""
    current = month_of(today)
    previous = month_of(current - timedelta(days=1))
    for key, site in sites.items():
        first = max(min(previous, pending.get(key, previous)), site.first_month)
        if first <= current:
            yield dg.RunRequest(
                run_key=f"{key} {at}",
                tags={
                    RANGE_START: str(partition_key(key, first)),
                    RANGE_END: str(partition_key(key, current)),
                    "usage/site": key,
                    "usage/trigger": "nightly",
                },
            )
