"""Usage reports are mailed once their month is over, to whom the site's file says."""

from datetime import date, datetime
from typing import Any

import pytest

from usage_assets.kinds.service.kind import Service
from usage_assets.kinds.service.reports.mailing import due_reports, mail_message
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.kinds.service.site.reports import Reports
from usage_assets.specs.mail import DueReport
from usage_assets_tests.unit.kinds.service.reports.made import SITE, stored

TO = ("head@example.org",)


def site(timezone: str = "UTC", **monthly: Any) -> ServiceSite:
    reports = Reports.model_validate({"monthly": {"to": TO} | monthly, "channel": "mail"})
    return SITE.model_copy(update={"reports": reports, "reporting_tz": timezone})


def test_the_report_of_a_month_is_due_on_the_first_morning_after_it():
    assert due_reports(site(), datetime(2026, 4, 1, 5, 59)) == []
    (due,) = due_reports(site(), datetime(2026, 4, 1, 6))
    assert due == DueReport(
        "monthly", "2026-03", (date(2026, 3, 1),), datetime(2026, 4, 1), datetime(2026, 4, 1, 6), TO, "mail"
    )
    assert due_reports(site(), datetime(2026, 4, 30, 23)) == [due]


@pytest.mark.parametrize(
    ("timezone", "due_at"),
    # in Kiritimati the morning of the first comes 14 hours earlier, when the month by UTC is not over
    [("America/Chicago", datetime(2026, 4, 1, 11)), ("Pacific/Kiritimati", datetime(2026, 4, 1))],
)
def test_mails_wait_for_the_morning_of_the_site_and_for_the_end_of_the_month(timezone: str, due_at: datetime):
    (due,) = due_reports(site(timezone), datetime(2026, 4, 10))
    assert (due.due_at, due.end_at) == (due_at, datetime(2026, 4, 1))


def test_a_report_without_a_recipient_is_never_mailed():
    assert due_reports(SITE, datetime(2026, 4, 10)) == []
    assert Service.mails_reports


def test_a_mail_says_what_the_report_says():
    (due,) = due_reports(site(), datetime(2026, 4, 10))
    mail = mail_message(stored(), site(), due)
    assert mail.subject == "Chat & co March 2026: 5 requests, 0.15 EUR"
    assert mail.html is not None
    assert "<svg" not in mail.html
    for text in ("Requests", "2026-03 is provisional: never read.", "big", "ann"):
        assert text in mail.text
        assert text in mail.html
