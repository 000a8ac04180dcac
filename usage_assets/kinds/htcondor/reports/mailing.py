"""The reports of a pool that are to be sent, and their mails."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from usage_assets.core.months import month_of, months_between
from usage_assets.kinds.htcondor.reports.assets import ReportedSite
from usage_assets.kinds.htcondor.reports.content import Report, report
from usage_assets.kinds.htcondor.reports.period import NAMES, Period, mailed_from, newest
from usage_assets.kinds.htcondor.reports.render import as_html, as_text
from usage_assets.kinds.htcondor.tables.reading import read_facts
from usage_assets.specs.mail import DueReport, MailMessage
from usage_assets.warehouse import Reader

_TICK = timedelta(microseconds=1)


def postings(site: ReportedSite, now: datetime) -> list[DueReport]:
    """The newest report of each kind that the site's file wants mailed and that may be sent at a naive UTC instant."""
    out = []
    for name in NAMES:
        to: Sequence[str] = getattr(site.reports, name).to
        period = newest(name, now, site.reports, site.pool().timezone)
        due_at, window = mailed_from(period, site.reports), period.window
        if to and due_at <= now:
            months = tuple(months_between(month_of(window.start.date()), month_of((window.end - _TICK).date())))
            out.append(DueReport(name, period.name, months, window.end, due_at, to, site.reports.channel))
    return out


def mail_message(reader: Reader, site: ReportedSite, due: DueReport) -> MailMessage:
    """The mail of a due report, from the facts as they are now."""
    name = next(name for name in NAMES if name == due.report)
    return message_of(built_report(reader, site, newest(name, due.end_at, site.reports, site.pool().timezone)))


def built_report(reader: Reader, site: ReportedSite, period: Period) -> Report:
    """The report of a period, from the facts as they are now."""
    return report(read_facts(reader, site.key, period.window), site.pool(), period, site.reports, name=site.name)


def message_of(found: Report) -> MailMessage:
    """A report as a mail."""
    return MailMessage(found.subject, as_text(found), as_html(found, drawings=False))
