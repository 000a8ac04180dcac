"""The usage reports of a service that are to be mailed, and their mails."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from usage_assets.core.months import month_of
from usage_assets.kinds.service.reports import page
from usage_assets.kinds.service.reports.export import usage_report
from usage_assets.kinds.service.reports.period import Period
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.specs.mail import DueReport, MailMessage
from usage_assets.warehouse import Reader

_ONE_DAY = timedelta(days=1)


def due_reports(site: ServiceSite, now: datetime) -> list[DueReport]:
    """The report of the last UTC month that is over at a naive UTC instant, if it is mailed and may be sent by then."""
    mailing = site.reports.monthly
    period = Period.of_month(month_of(month_of(now.date()) - _ONE_DAY))
    end = datetime.combine(period.end, datetime.min.time())
    # where clocks are ahead of UTC their morning comes before the month is over
    at = datetime.combine(period.end, mailing.at, ZoneInfo(site.reporting_tz)).astimezone(UTC).replace(tzinfo=None)
    due_at = max(at, end)
    if not mailing.to or due_at > now:
        return []
    return [DueReport("monthly", period.name, period.months, end, due_at, mailing.to, site.reports.channel)]


def mail_message(reader: Reader, site: ServiceSite, due: DueReport) -> MailMessage:
    """The mail of a due report, from the tables as they are now."""
    made = usage_report(reader, site, Period.of_month(date.fromisoformat(f"{due.name}-01")))
    return MailMessage(page.subject(made), page.as_text(made), page.as_html(made, drawings=False).decode())
