"""The sensor that mails reports: each once, soon after its period has ended and its site was read again.

A report that is due and not whole, since its site was last read before its end, has its months read first; two hours
after it was due it is sent with what there is, and its coverage says how much that is. What was sent is noted after
it was taken by the mail server: a crash in between sends it again, nothing is lost.
"""

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb

from usage_assets.alerts.channels.mail import Mail, send_mail
from usage_assets.alerts.config import load
from usage_assets.alerts.sent_mail import Sent
from usage_assets.core import clock
from usage_assets.core.errors import AlertError, UsageError, WarehouseError
from usage_assets.core.locks import file_lock
from usage_assets.orchestration.partitions import range_tags
from usage_assets.orchestration.run_status import UNFINISHED
from usage_assets.sites.base import Site
from usage_assets.sites.book import SiteBook
from usage_assets.specs.kind import Kind
from usage_assets.specs.mail import DueReport, MailMessage
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.readiness import extracted_at

GRACE = timedelta(hours=2)
_ALL_DUE = timedelta(days=62)
"""So much later every report that a site's file wants mailed has been due."""
_SECONDS = 120
_SENDING_SECONDS = 30.0
"""After so long a tick begins no further mail: Dagster gives it a minute."""
_WAIT_SECONDS = 5.0
_log = logging.getLogger("usage_assets")


@dataclass
class Looked:
    """What a look at all sites found: mails that went out, runs to ask for, and why others wait or failed."""

    sent: list[str]
    requests: list[dg.RunRequest]
    waiting: list[str]
    failed: list[str]

    def __str__(self) -> str:
        return "; ".join([*(f"sent {text}" for text in self.sent), *self.waiting]) or "no report is due"


def letter_sensor(kind: Kind, sites: Mapping[str, Site], warehouse: Warehouse) -> dg.SensorDefinition:
    """The sensor: every two minutes, on unless stopped in the UI."""
    book = SiteBook.of(sites)

    @dg.sensor(
        name=f"{kind.name}_report_mailer",
        job_name=kind.name,
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Mails each report to the receivers that site files name, once, by the mail server of a channel "
        "of alerts.yaml. A site that was last read before the report's period ended is read again first.",
    )
    def letters(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = clock.naive_utc_now()
        sent = Sent.here()
        try:
            with file_lock(sent.path.with_name(".letters.lock"), "a tick of the letters", wait_seconds=1.0):
                found = look(context.instance, kind, book, warehouse, now, sent=sent)
        except WarehouseError as error:
            yield dg.SkipReason(f"another tick is under way, or the warehouse is held ({error})")
            return
        if found.failed:
            raise AlertError("; ".join(found.failed))
        yield from found.requests
        if not found.requests:
            yield dg.SkipReason(str(found))

    return letters


def look(
    instance: dg.DagsterInstance,
    kind: Kind,
    sites: Mapping[str, Site],
    warehouse: Warehouse,
    now: datetime,
    *,
    sent: Sent,
) -> Looked:
    """Send what is due and whole (or due for long), ask for runs of what is not; each site by itself."""
    out = Looked([], [], [], [])
    begun = clock.utc_now()
    wanted: set[tuple[str, str]] = set()
    for key, site in sites.items():
        try:
            wanted |= {(key, posting.report) for posting in wanted_of(kind, site, now)}
            todo = [posting for posting in kind.due_reports(site, now) if not sent.has(key, posting)]
        except UsageError as error:
            out.failed.append(f"site {key}: {error}")
            continue
        except sqlite3.Error as error:
            out.failed.append(sent.unusable(error))
            return out
        for posting in todo:
            what = f"{posting.report} report of {key} for {posting.name}"
            late = now >= posting.due_at + GRACE
            if not late and _is_running(instance, kind, key):
                out.waiting.append(f"{what} waits: a run of the site goes on")
            elif not late and not _is_whole(warehouse, kind, site, posting):
                out.waiting.append(f"{what} waits: the site is read first")
                if not any(request.tags["usage/site"] == key for request in out.requests):
                    out.requests.append(_request(site, posting))
            elif (clock.utc_now() - begun).total_seconds() > _SENDING_SECONDS:
                out.waiting.append(f"{what} waits for the next tick")
            else:
                try:
                    out.sent.append(f"{what}: {_send(kind, site, posting, warehouse)}")
                    sent.note(key, posting, now)
                except (UsageError, duckdb.Error, OSError) as error:
                    _log.warning("%s was not mailed: %s", what, error)
                    out.failed.append(f"{what} was not mailed: {error}")
                    sent.note_failure(kind.name, key, posting, str(error))
    if sent.path.exists():
        sent.keep(kind.name, wanted)
    return out


def wanted_of(kind: Kind, site: Site, now: datetime) -> Sequence[DueReport]:
    """Every report that a site's file wants mailed, be it due or not."""
    return kind.due_reports(site, now + _ALL_DUE)


def post(site: str, posting: DueReport, letter: MailMessage) -> None:
    """Mail a report by the server of its channel; AlertError where it was not taken."""
    channel = mail_channel(posting.channel)
    send_mail(
        channel.smtp,
        letter.subject,
        letter.text,
        letter.html,
        to=posting.to,
        sender=channel.sender,
        where=f"{posting.report} report of {site}, channel {channel.name}",
    )


def mail_channel(name: str | None, path: Path | None = None) -> Mail:
    """The mail channel of alerts.yaml of that name, or the first one."""
    found = [channel for channel in load(path).channels if isinstance(channel, Mail)]
    named = [channel for channel in found if name in {None, channel.name}]
    if named:
        return named[0]
    if name is None:
        msg = "reports are mailed by a mail channel of alerts.yaml, and it has none; see docs/gpu-reports.md"
    else:
        names = ", ".join(channel.name for channel in found) or "none"
        msg = f"alerts.yaml has no mail channel {name!r}; mail channels there: {names}"
    raise AlertError(msg)


def _send(kind: Kind, site: Site, posting: DueReport, warehouse: Warehouse) -> str:
    """The subject of the mail that was taken."""
    assert kind.mails_reports
    mail_channel(posting.channel)  # a fault is told before anything is read
    with warehouse.read(wait_seconds=_WAIT_SECONDS) as reader:
        letter: MailMessage = kind.mail_message(reader, site, posting)
    post(site.key, posting, letter)
    return letter.subject


def _is_whole(warehouse: Warehouse, kind: Kind, site: Site, posting: DueReport) -> bool:
    """Whether the site was read after the period's end, as far as its months can hold it."""
    last = posting.months[-1]
    with warehouse.read(wait_seconds=_WAIT_SECONDS) as reader:
        extracted = extracted_at(reader, site, [last], kind.tables_of(site))
    return last in extracted and extracted[last] >= posting.end_at


def _is_running(instance: dg.DagsterInstance, kind: Kind, site: str) -> bool:
    filters = dg.RunsFilter(job_name=kind.name, tags={"usage/site": site}, statuses=UNFINISHED)
    return bool(instance.get_runs(filters, limit=1))


def _request(site: Site, posting: DueReport) -> dg.RunRequest:
    """A run of the last months of a report; asked for once, as the report goes out without it after a while."""
    months = [month for month in posting.months[-2:] if month >= site.first_month] or [posting.months[-1]]
    return dg.RunRequest(
        run_key=f"{site.key} {posting.report} {posting.name}",
        tags=range_tags(site.key, months[0], months[-1], "letters"),
    )
