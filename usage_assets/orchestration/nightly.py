"""The nightly schedule: of every site the months that can still change, as one range run each.

Those are the current and the previous month, and every one before whose end lies less than the site's `settle_days`
back: deletions and extensions arrive late. A lease lies in the month in which it was asked for, and what became of it
is known when it starts: the range also reaches back to the first month that still holds pending leases.
"""

import logging
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, timedelta
from types import MappingProxyType

import dagster as dg
import duckdb

from usage_assets.core.errors import UsageError
from usage_assets.core.months import month_of
from usage_assets.facts.tables import LEASES
from usage_assets.orchestration.cron import clock_of
from usage_assets.orchestration.partitions import range_tags
from usage_assets.orchestration.run_status import UNFINISHED
from usage_assets.sites.base import Site
from usage_assets.sites.book import SiteBook
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Warehouse

MONTHS_BACK = 12
"""A lease that is pending for longer waits for a backfill."""
MAX_HOURS = 20
"""A nightly run that takes longer hangs: it is ended, told as failed, and the next night begins anew."""
_WAIT_SECONDS = 10.0  # Dagster gives a schedule a minute
_LOG = logging.getLogger("usage_assets")


def nightly_schedule(kind: Kind, sites: Mapping[str, Site], warehouse: Warehouse) -> dg.ScheduleDefinition:
    """One run request per site: `USAGE_NIGHTLY_CRON` (02:15 unless set) in `USAGE_TIMEZONE` (UTC unless set).

    A site whose last nightly run has not ended is not asked for again, nor one whose file has a fault.
    """
    book, clock = SiteBook.of(sites), clock_of("USAGE_NIGHTLY_CRON")
    for fault in clock.faults:
        _LOG.warning("%s_nightly: %s", kind.name, fault)

    @dg.schedule(
        name=f"{kind.name}_nightly",
        job_name=kind.name,
        cron_schedule=clock.cron,
        execution_timezone=clock.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Rebuilds the current and the previous month of each site, months that ended less than "
        "settle_days ago, and earlier months with leases that had not started yet.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        said = [*clock.faults]
        said += [f"Site {key} is not read tonight, its file has a fault: {fault}" for key, fault in book.faults.items()]
        busy = running(context.instance, kind.name)
        said += [
            f"Site {key} is not asked for again tonight: its nightly run {run_id[:8]} has not ended"
            for key, run_id in busy.items()
            if key in book
        ]
        at = context.scheduled_execution_time.astimezone(UTC)
        try:
            pending = pending_since(warehouse, at.date())
        except (UsageError, duckdb.Error) as error:
            said.append(f"Months with pending leases are not looked for tonight: {error}")
            pending = {}
        for line in said:
            context.log.warning(line)
        found = list(requests(book, at.date(), at.isoformat(), pending, busy))
        yield from found
        if not found:
            yield dg.SkipReason("; ".join(said) or "no site has begun yet")

    return nightly


def running(instance: dg.DagsterInstance, kind: str) -> dict[str, str]:
    """By site its nightly run that is queued or running."""
    records = instance.get_runs(
        dg.RunsFilter(job_name=kind, tags={"usage/trigger": "nightly"}, statuses=UNFINISHED), ascending=True
    )
    return {run.tags["usage/site"]: run.run_id for run in records if "usage/site" in run.tags}


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
    sites: Mapping[str, Site],
    today: date,
    at: str,
    pending: Mapping[str, date] = MappingProxyType({}),
    busy: Collection[str] = (),
) -> Iterator[dg.RunRequest]:
    """The runs of one night, without those of the sites that are `busy`.

    A site's first month bounds what is asked for; pending leases reach back (by site).
    """
    current = month_of(today)
    for key, site in sites.items():
        first = max(min(first_unsettled(site, today), pending.get(key, current)), site.first_month)
        if first <= current and key not in busy:
            yield dg.RunRequest(
                run_key=f"{key} {at}",
                tags={**range_tags(key, first, current, "nightly"), "dagster/max_runtime": str(MAX_HOURS * 3600)},
            )


def first_unsettled(site: Site, today: date) -> date:
    """The previous month, or one before that ended less than the site's `settle_days` ago."""
    previous = month_of(month_of(today) - timedelta(days=1))
    return min(previous, month_of(today - timedelta(days=site.settle_days)))
