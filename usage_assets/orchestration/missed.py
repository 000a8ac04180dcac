"""Nightlies that did not come: at each instant at which a schedule was due, every site must have got a run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from usage_assets.alerts.causes import ERROR, NIGHTLY, Cause, Trouble, Verdict
from usage_assets.orchestration.dagster_private import (
    InstigatorStatus,
    InstigatorType,
    schedule_execution_time_iterator,
)
from usage_assets.orchestration.failed_runs import SITE_TAG
from usage_assets.orchestration.run_status import FINISHED
from usage_assets.sites.base import Site

DAYS = 3
"""How far back a missed nightly is looked for."""
_TAGS = {"usage/trigger": "nightly"}
_EARLY = timedelta(minutes=1)
"""A run may be stored a moment before the schedule's own clock says it was due."""


@dataclass(frozen=True)
class Nightly:
    """A nightly schedule and the sites for which each of its ticks asks for a run."""

    name: str
    cron: str
    timezone: str
    sites: Mapping[str, date]
    """The first month of each: none is asked for before."""

    @classmethod
    def of(cls, schedule: dg.ScheduleDefinition, sites: Mapping[str, Site]) -> "Nightly":
        """From its definition."""
        cron = schedule.cron_schedule
        assert isinstance(cron, str)
        first_months = {key: site.first_month for key, site in sites.items()}
        return cls(schedule.name, cron, schedule.execution_timezone or "UTC", first_months)


@dataclass(frozen=True)
class NightRun:
    """A nightly run of a site."""

    site: str
    created_at: datetime
    status: dg.DagsterRunStatus
    ended_at: datetime | None = None
    """None while it is queued or running."""


def due(nightly: Nightly, after: datetime, until: datetime) -> Iterator[datetime]:
    """The instants in (after, until] at which the schedule is due; as the scheduler itself counts them, across DST."""
    for at in schedule_execution_time_iterator(after.timestamp(), nightly.cron, nightly.timezone):
        when = at.astimezone(UTC)
        if when > until:
            return
        if when > after:
            yield when


def stopped(instance: dg.DagsterInstance, names: Iterable[str]) -> set[str]:
    """Those of the schedules that somebody stopped in the UI; they run unless stopped."""
    if instance.schedule_storage is None:  # an instance without a daemon has no schedules to stop
        return set()
    found = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return {state.instigator_name for state in found if state.status == InstigatorStatus.STOPPED} & set(names)


def night_runs(instance: dg.DagsterInstance, now: datetime) -> list[NightRun]:
    """The nightly runs of the last days, oldest first."""
    records = instance.get_run_records(
        dg.RunsFilter(tags=_TAGS, created_after=now - timedelta(days=DAYS) - 2 * _EARLY), limit=2000
    )
    return [
        NightRun(
            record.dagster_run.tags.get(SITE_TAG, ""),
            _utc(record.create_timestamp),
            record.dagster_run.status,
            _utc(record.update_timestamp) if record.dagster_run.status in FINISHED else None,
        )
        for record in reversed(records)
    ]


def verdict_of_site(
    nightly: Nightly, site: str, runs: Sequence[NightRun], *, since: datetime, now: datetime, grace: timedelta
) -> Verdict | None:
    """Whether the nightlies of a site came, since `since`: a trouble, all well, or None where nothing shows yet.

    A nightly that succeeded makes good for those missed before it.
    """
    own = [run for run in runs if run.site == site]
    success = max((run.created_at for run in own if run.status == dg.DagsterRunStatus.SUCCESS), default=None)
    cause = Cause(site, "", NIGHTLY)
    after = max(since, now - timedelta(days=DAYS), success or since)
    for at in due(nightly, after, now - grace):
        if at.date() < nightly.sites[site]:
            continue
        text = _fault(at, own, grace)
        if text:
            trouble = Trouble(cause, ERROR, text, ref=at.isoformat())
            return Verdict("", NIGHTLY, site, None, {cause: trouble}, trouble.ref)
    return None if success is None else Verdict("", NIGHTLY, site, None, {}, ref=success.isoformat())


def makes_good(success: str, missed: str) -> bool:
    """Whether a nightly created at `success` makes good for the one due at `missed` (both as ISO instants)."""
    try:
        return datetime.fromisoformat(success) >= datetime.fromisoformat(missed) - _EARLY
    except ValueError:
        return True


def verdict_of_schedule(nightly: Nightly, *, is_stopped: bool) -> Verdict:
    """A schedule that somebody stopped is told once, and that it goes on."""
    cause = Cause("", nightly.name, NIGHTLY)
    text = f"the nightly schedule is stopped: no site of it is read ({', '.join(nightly.sites)}); start it in the UI"
    return Verdict(nightly.name, NIGHTLY, "", None, {cause: Trouble(cause, ERROR, text)} if is_stopped else {})


def _fault(at: datetime, runs: Sequence[NightRun], grace: timedelta) -> str | None:
    """What is wrong with the nightly that was due, `grace` after it or later."""
    hours = f"{grace.total_seconds() / 3600:g} h"
    mine = [run for run in runs if at - _EARLY <= run.created_at <= at + grace]
    if not mine and any(run.created_at < at and (run.ended_at is None or run.ended_at > at) for run in runs):
        return None  # the night before still ran: it is late itself, and its site is not asked for twice
    if not mine:
        return f"the nightly of {at:%Y-%m-%d %H:%M} UTC did not start within {hours}; is the daemon running?"
    if all(run.ended_at is None for run in mine):
        return f"the nightly of {at:%Y-%m-%d %H:%M} UTC started and has not ended within {hours}; look at its run"
    return None


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def watched_since(stored: Mapping[str, tuple[str, datetime]], nightly: Nightly, site: str, now: datetime) -> datetime:
    """Since when this schedule has been known for the site; from now where it is new or has another hour."""
    known = stored.get(site)
    return known[1] if known and known[0] == plan_of(nightly) else now


def plan_of(nightly: Nightly) -> str:
    """What makes a schedule another one."""
    return f"{nightly.name} {nightly.cron} {nightly.timezone}"
