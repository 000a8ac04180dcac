"""The look of a tick: runs that finished since the last one, nightlies that did not come, files that can't be read.

Which runs are new is told by the order in which Dagster stored them, never by a clock: clocks go back.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import dagster as dg

from usage_assets.alerts.causes import ERROR, FILE, MAIL, NIGHTLY, RUN, Cause, Trouble, Verdict, sentence
from usage_assets.alerts.ledger import Ledger
from usage_assets.alerts.state import State
from usage_assets.core import settings
from usage_assets.core.errors import UsageError
from usage_assets.kinds.site_files import load_book
from usage_assets.orchestration import missed
from usage_assets.orchestration.failed_runs import notices_of, verdicts_of
from usage_assets.orchestration.missed import Nightly
from usage_assets.orchestration.run_status import FINISHED, UNFINISHED
from usage_assets.sites.book import SiteBook
from usage_assets.sites.listing import site_files

Faults = Callable[[], Mapping[str, str]]
"""What is wrong with the site files that can't be read, by site; see SiteFiles."""

FIRST_LOOK = timedelta(days=1)
_KEEP_RUNS = 500
_MOST_NEW = 2_000
_CHUNK = 500
_SECONDS = 20.0
"""How long a tick may read runs; the rest waits for the next one (Dagster gives a tick a minute)."""
_TRIES = 20
_LAST = "last_storage_id"
_NONE = "none"
_log = logging.getLogger("usage_assets.alerts")


class SiteFiles:
    """The faults of the site files as they are now: a run reads them anew, whatever this process once read.

    Read again only when a file has changed.
    """

    def __init__(self, book: SiteBook) -> None:
        self._faults: Mapping[str, str] = book.faults
        self._stamps: object = None

    def __call__(self) -> Mapping[str, str]:
        """By site what is wrong with its file."""
        folder = settings.sites_dir()
        try:
            found = {path.name: path.stat() for path in site_files(folder)}
        except OSError:
            return self._faults
        stamps = {name: (about.st_mtime_ns, about.st_size, about.st_ino) for name, about in found.items()}
        if self._stamps not in (None, stamps):
            try:
                self._faults = load_book(folder).faults
            except UsageError:  # the folder went away meanwhile
                return self._faults
        self._stamps = stamps
        return self._faults


def look_at_runs(
    instance: dg.DagsterInstance, state: State, ledger: Ledger, now: datetime, unseen: Collection[str] = ()
) -> None:
    """Take in what the runs say that have finished since the last look; the first look reaches a day back.

    `unseen` are the sites whose files have a fault: what looks at all sites does not see them.
    """
    _note_new_runs(instance, state, now)
    deadline = time.monotonic() + _SECONDS
    for record in _finished(instance, state):
        if time.monotonic() > deadline:
            return
        run = record.dagster_run
        try:
            verdicts, notices = list(verdicts_of(instance, run)), list(notices_of(instance, run))
        except Exception as error:  # a run whose events can't be read must not silence all others
            tries = state.run_resists(run.run_id)
            _log.warning("The events of run %s can't be read (%s), try %d", run.run_id, error, tries)
            if tries < _TRIES:
                continue
            text = (
                f"the events of a {run.status.value} run can't be read ({type(error).__name__}); look at it in the UI"
            )
            ledger.notice(Trouble(Cause("", run.job_name, RUN), ERROR, text, run.run_id))
            verdicts, notices = [], []
        for verdict in verdicts:
            ledger.add(replace(verdict, unseen=unseen))
        for key, notice in notices:
            if state.is_news(key, now.timestamp()):
                ledger.notice(notice)
        state.run_was_read(run.run_id)


def look_at_nightlies(
    instance: dg.DagsterInstance,
    state: State,
    ledger: Ledger,
    nightlies: Sequence[Nightly],
    *,
    now: datetime,
    grace: timedelta,
) -> None:
    """Take in which nightlies are missed or late, and which schedules somebody stopped."""
    stored = state.plans()
    plans: dict[str, tuple[str, datetime]] = {}
    stopped = missed.stopped(instance, [nightly.name for nightly in nightlies])
    runs = missed.night_runs(instance, now) if nightlies else []
    for nightly in nightlies:
        ledger.add(missed.verdict_of_schedule(nightly, is_stopped=nightly.name in stopped))
        for site in nightly.sites:
            since = min(missed.watched_since(stored, nightly, site, now), now)
            if nightly.name in stopped:
                since = now  # what is due while it is stopped is nobody's fault
            plans[site] = (missed.plan_of(nightly), since)
            verdict = missed.verdict_of_site(nightly, site, runs, since=since, now=now, grace=grace)
            told = ledger.known("", NIGHTLY).get(Cause(site, "", NIGHTLY))
            if verdict is None or nightly.name in stopped:
                continue
            if verdict.troubles or told is None or missed.makes_good(verdict.ref, told[0].ref):
                ledger.add(verdict)
    names = {nightly.name for nightly in nightlies}
    for cause in state.causes_of(NIGHTLY):
        if (cause.site and cause.site not in plans) or (not cause.site and cause.asset not in names):
            ledger.forget(cause)
    if plans != stored:
        state.set_plans(plans)


def look_at_files(state: State, ledger: Ledger, faults: Mapping[str, str], others: Mapping[str, str]) -> None:
    """Take in which site files (`faults` by site) and which `others` can't be used, and why."""
    found = {f"site file {key}.yaml": text for key, text in faults.items()} | dict(others)
    for asset in {*found, *(cause.asset for cause in state.causes_of(FILE))}:
        cause = Cause("", asset, FILE)
        troubles = {cause: Trouble(cause, ERROR, sentence(found[asset]))} if asset in found else {}
        ledger.add(Verdict(asset, FILE, "", None, troubles))


def look_at_mails(state: State, ledger: Ledger, failures: Mapping[tuple[str, str], str | None]) -> None:
    """Take in which reports could not be mailed (why, by site and report; none = again mailed)."""
    for (site, report), why in failures.items():
        cause = Cause(site, f"{report} report", MAIL)
        troubles = {cause: Trouble(cause, ERROR, sentence(why))} if why is not None else {}
        ledger.add(Verdict(cause.asset, MAIL, site, None, troubles))
    for cause in state.causes_of(MAIL):
        if (cause.site, cause.asset.removesuffix(" report")) not in failures:
            ledger.forget(cause)


def _note_new_runs(instance: dg.DagsterInstance, state: State, now: datetime) -> None:
    """Remember the runs that Dagster stored since the last look, to be read once they have finished."""
    if state.value(_LAST) is None:
        _first_look(instance, state, now)
        return
    new: list[dg.RunRecord] = []
    cursor, size = None, 10
    while len(new) < _MOST_NEW:
        page = instance.get_run_records(limit=size, cursor=cursor)
        known = state.known_runs(record.dagster_run.run_id for record in page)
        fresh = [record for record in page if record.dagster_run.run_id not in known]
        new += fresh
        if known or len(page) < size:
            break
        cursor, size = page[-1].dagster_run.run_id, 200
    else:
        known = set()
    if not known and new and state.value(_LAST) != _NONE:  # another storage, whose old runs are no news
        state.forget_read_runs()
        _first_look(instance, state, now)
        return
    if new:
        state.add_runs([(record.dagster_run.run_id, record.storage_id) for record in new])
        state.remember(_LAST, str(new[0].storage_id))
        state.forget_old_runs(_KEEP_RUNS)


def _first_look(instance: dg.DagsterInstance, state: State, now: datetime) -> None:
    """Runs that changed within a day, and those under way, are news; others are known."""
    recent = instance.get_run_records(dg.RunsFilter(updated_after=now - FIRST_LOOK), limit=_MOST_NEW)
    under_way = instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED), limit=_MOST_NEW)
    state.add_runs([(record.dagster_run.run_id, record.storage_id) for record in (*recent, *under_way)])
    newest = instance.get_run_records(limit=_KEEP_RUNS)
    state.add_runs([(record.dagster_run.run_id, record.storage_id) for record in newest], is_read=True)
    state.remember(_LAST, str(newest[0].storage_id) if newest else _NONE)


def _finished(instance: dg.DagsterInstance, state: State) -> list[dg.RunRecord]:
    """The runs not read yet that have finished, in the order in which they did; those that were deleted are let go."""
    unread = state.unread_runs()
    out: list[dg.RunRecord] = []
    for start in range(0, len(unread), _CHUNK):
        chunk = unread[start : start + _CHUNK]
        records = instance.get_run_records(dg.RunsFilter(run_ids=chunk))
        for run_id in set(chunk) - {record.dagster_run.run_id for record in records}:
            state.run_was_read(run_id)
        out += [record for record in records if record.dagster_run.status in FINISHED]
    return sorted(out, key=lambda record: (record.update_timestamp, record.storage_id))
