"""Probes of what should be at work: sources, daemon, schedules, the last night, runs that hang."""

import queue
import threading
import time
from collections.abc import Iterator

import dagster as dg

from usage_assets.core.errors import UsageError
from usage_assets.kinds import kind_of
from usage_assets.operations.doctor.probes import Installation, Outcome, fail, ok, warn
from usage_assets.orchestration.orphaned_runs import is_gone
from usage_assets.orchestration.run_status import BEGUN
from usage_assets.sites.base import Site
from usage_assets.specs.access_report import SiteAccess

_DAEMON_SECONDS = 300.0
_NIGHT_HOURS, _STUCK_HOURS, _QUEUED_HOURS = 36.0, 12.0, 1.0


def sources(installation: Installation) -> Iterator[Outcome]:
    """Whether each site's databases answer, and let its account read and do no more; all sites at once."""
    book = installation.good_sites()
    if installation.offline:
        yield ok("not asked (--offline)")
        return
    answers: queue.Queue[tuple[str, SiteAccess | UsageError]] = queue.Queue()
    for site in book.values():
        threading.Thread(target=_check, args=(site, answers), daemon=True).start()
    waiting = set(book)
    end = time.monotonic() + installation.seconds
    while waiting:
        try:
            key, found = answers.get(timeout=max(end - time.monotonic(), 0.01))
        except queue.Empty:
            break
        waiting.discard(key)
        yield from [fail(str(found), "")] if isinstance(found, UsageError) else _access(key, found)
    for key in sorted(waiting):
        yield fail(f"{key}: no answer within {installation.seconds:.0f} s", f"usage-assets check-site {key}")


def _check(site: Site, answers: "queue.Queue[tuple[str, SiteAccess | UsageError]]") -> None:
    try:
        answers.put((site.key, kind_of(site).check_site(site, kind_of(site).raw_tables, count=False)))
    except UsageError as error:
        answers.put((site.key, error))
    except Exception as error:
        answers.put((site.key, UsageError(f"{site.key}: can't be asked ({type(error).__name__})")))


def _access(key: str, access: SiteAccess) -> Iterator[Outcome]:
    """Outcomes of one site's access report."""
    denied = [table.source for table in access.tables if table.state == "not granted"]
    damaged = [table for table in access.tables if table.state == "unreadable"]
    if denied:
        yield fail(f"{key}: not granted: {', '.join(denied)}", f"usage-assets grants {key}")
    for table in damaged:
        yield fail(f"{key}: {table.note}", f"usage-assets check-site {key}")
    for server in access.servers:
        yield from (warn(f"{key}: {warning}", "") for warning in server.warnings)
    if not denied and not damaged:
        found = sum(table.state == "found" for table in access.tables)
        transports = ", ".join(
            f"{server.label} ({server.transport})" if server.transport else server.label for server in access.servers
        )
        yield ok(f"{key}: {found} tables, {transports}")


def daemon(installation: Installation) -> Iterator[Outcome]:
    """Whether a daemon is at work: without one there is no nightly and no alert."""
    instance = installation.instance
    beats = [] if instance is None else list(instance.get_daemon_heartbeats().values())
    if not beats:
        yield warn("none has ever run here", "start the service (docs/operations.md), or make ui")
        return
    hours = installation.hours_since(max(beat.timestamp for beat in beats))
    bad = sorted(beat.daemon_type for beat in beats if beat.errors)
    if hours * 3600 > _DAEMON_SECONDS:
        yield fail(f"none since {hours:.1f} h", "start the service: without it there is no nightly and no alert")
    elif bad:
        yield warn(f"at work, with faults in {', '.join(bad)}", "look at the daemon's log")
    else:
        yield ok(f"at work, last heard of {max(hours * 3600, 0):.0f} s ago")


def schedules(installation: Installation) -> Iterator[Outcome]:
    """Whether somebody stopped a schedule or a sensor in the UI."""
    states = [] if installation.instance is None else installation.instance.all_instigator_state()
    stopped = sorted(state.name for state in states if not state.is_running)
    advice = "turn it on in the UI, page Automation"
    yield from [warn(f"{name} is stopped", advice) for name in stopped] or [ok("none is stopped")]


def nightly(installation: Installation) -> Iterator[Outcome]:
    """Whether each site was read last night."""
    instance = installation.instance
    if not installation.good_sites():
        yield ok("there is no site")
    for key in installation.good_sites():
        tags = {"usage/trigger": "nightly", "usage/site": key}
        records = [] if instance is None else instance.get_run_records(dg.RunsFilter(tags=tags), limit=1)
        if not records:
            yield warn(f"{key}: no nightly run yet", "it starts by itself once the service runs")
            continue
        run = records[0].dagster_run
        hours = installation.hours_since(records[0].create_timestamp)
        found = f"{key}: {run.status.value.lower()}, {hours:.0f} h ago (run {run.run_id[:8]})"
        if hours > _NIGHT_HOURS:
            yield fail(f"{found}; none since", "look at the daemon and at the schedule's ticks in the UI")
        elif run.status in {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}:
            yield fail(found, "the run's page in the UI says why; usage-assets backfill repeats it")
        else:
            yield ok(found)


def stuck(installation: Installation) -> Iterator[Outcome]:
    """Whether a run hangs: its process gone, without an end for hours, or never begun."""
    if installation.instance is None:
        yield ok("no run yet")
        return
    hung = []
    records = installation.instance.get_run_records(dg.RunsFilter(statuses=[*BEGUN, dg.DagsterRunStatus.QUEUED]))
    for record in records:
        run, state = record.dagster_run, record.dagster_run.status.value.lower()
        hours = installation.hours_since(record.create_timestamp)
        queued = run.status == dg.DagsterRunStatus.QUEUED
        if not queued and is_gone(run):
            text = f"run {run.run_id[:8]}: its process is gone"
            hung.append(fail(text, "the daemon, or the next backfill, reports it"))
        elif hours > (_QUEUED_HOURS if queued else _STUCK_HOURS):
            text = f"run {run.run_id[:8]}: {state} for {hours:.0f} h"
            hung.append(fail(text, "terminate it on its page in the UI"))
    yield from hung or [ok(f"{len(records)} under way, none hangs")]
