"""The nightly schedule: previous and current month of every site, one range run each."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, timedelta

import dagster as dg

from usage_assets.kinds import Kind
from usage_assets.partitions import month_of, partition_key
from usage_assets.sites import Site

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def nightly_schedule(kind: Kind, sites: Mapping[str, Site]) -> dg.ScheduleDefinition:
    """One run request per site: `USAGE_NIGHTLY_CRON` (02:15 unless set) in `USAGE_TIMEZONE` (UTC unless set)."""

    @dg.schedule(
        name=f"{kind.name}_nightly",
        job_name=kind.name,
        cron_schedule=os.environ.get("USAGE_NIGHTLY_CRON", "15 2 * * *"),
        execution_timezone=os.environ.get("USAGE_TIMEZONE", "UTC"),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reads the previous and the current month of every site and rebuilds what is made of them.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        today = context.scheduled_execution_time.astimezone(UTC).date()
        yield from requests(sites, today, context.scheduled_execution_time.isoformat())

    return nightly


def requests(sites: Mapping[str, Site], today: date, at: str) -> Iterator[dg.RunRequest]:
    """The runs of one night; a site's first month bounds what is asked for."""
    current = month_of(today)
    previous = month_of(current - timedelta(days=1))
    for key, site in sites.items():
        first = max(previous, site.first_month)
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
