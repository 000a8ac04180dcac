"""Mailing: the reports of a pool that are to be sent, and what their mails say."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from usage_assets.core.months import month_of, months_between
from usage_assets.kinds.htcondor.reports.assets import ReportedSite
from usage_assets.kinds.htcondor.reports.content import Report, report
from usage_assets.kinds.htcondor.reports.period import NAMES, Name, Period, mailed_from, newest
from usage_assets.kinds.htcondor.reports.render import as_html, as_text
from usage_assets.kinds.htcondor.tables.reading import read_facts
from usage_assets.specs.mail import DueReport, MailMessage
from usage_assets.warehouse import Reader

_TICK = timedelta(microseconds=1)


def postings(site: ReportedSite, now: datetime) -> list[DueReport]:
    """The newest report of each kind that the site's file wants mailed and that may be sent at a naive UTC instant."""
    out = []
    for name in NAMES:
        mailing = getattr(site.reports, name)
        if not mailing.to:
            continue
        period = newest(name, now, site.reports, site.pool().timezone)
        due_at = mailed_from(period, site.reports)
        if due_at <= now:
            out.append(_posting(site, name, period, due_at))
    return out


def mail_message(reader: Reader, site: ReportedSite, posting: DueReport) -> MailMessage:
    """What the mail of a posting says, from the facts as they are now."""
    zone = site.pool().timezone
    period = newest(_name(posting), posting.end_at, site.reports, zone)
    return letter_of(made(reader, site, period))


def made(reader: Reader, site: ReportedSite, period: Period) -> Report:
    """The report of a period, from the facts as they are now."""
    return report(read_facts(reader, site.key, period.window), site.pool(), period, site.reports, name=site.name)


def letter_of(found: Report) -> MailMessage:
    """A report as a mail."""
    return MailMessage(found.subject, as_text(found), as_html(found, drawings=False))


def _name(posting: DueReport) -> Name:
    return next(name for name in NAMES if name == posting.report)


def _posting(site: ReportedSite, name: Name, period: Period, due_at: datetime) -> DueReport:
    window = period.window
    to: Sequence[str] = getattr(site.reports, name).to
    return DueReport(name, period.name, _months(window.start, window.end), window.end, due_at, to, site.reports.channel)


def _months(start: datetime, end: datetime) -> tuple[date, ...]:
    return tuple(months_between(month_of(start.date()), month_of((end - _TICK).date())))
