"""`usage-assets gpu report`: a report of the last day, week or month, or of any window; shown, and mailed if wanted."""

import sys
from collections.abc import Sequence
from datetime import date, datetime

import typer

from usage_assets.cli.htcondor.request import Request
from usage_assets.cli.htcondor.window import one_pool, require_stored, window_of
from usage_assets.cli.output import reading, write_output
from usage_assets.core import clock
from usage_assets.kinds.htcondor.reports.content import Report, report
from usage_assets.kinds.htcondor.reports.mailing import message_of
from usage_assets.kinds.htcondor.reports.period import Name, Period, newest
from usage_assets.kinds.htcondor.reports.render import as_html, as_text
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.htcondor.tables.reading import newest_poll, read_facts
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets.specs.mail import DueReport
from usage_assets.warehouse import Reader


def run(
    request: Request,
    name: Name,
    page_format: str,
    *,
    month: date | None,
    model: str | None,
    to: Sequence[str] | None,
    mail: bool,
) -> None:
    """Make a report, show it or mail it."""
    if to and not mail:
        raise typer.BadParameter("add --mail, or nothing is sent", param_hint="--to")
    site = one_pool(request.site)
    receivers = _receivers(site, name, to) if mail else ()
    with reading(published=request.published) as reader:
        period = _period(reader, site, request, name, month)
        facts = read_facts(reader, site.key, period.window)
    options = request.options(model=model or site.reports.model)
    built = report(facts, site.pool(), period, site.reports, name=site.name, options=options)
    if not mail or request.output is not None:
        write_output(as_html(built) if page_format == "html" else as_text(built), request.output)
    if mail:
        _send(site, built, receivers)


def _period(reader: Reader, site: HTCondorSite, request: Request, name: Name, month: date | None) -> Period:
    """The window or the month asked for, else the last period of that name whose end the polls have reached."""
    last = newest_poll(reader, site.key)
    if month is not None:
        if name != "monthly" or request.has_window:
            raise typer.BadParameter("goes with monthly, and with no other window", param_hint="--month")
        found = Period(Window.of("month", month, site.timezone), name)
        require_stored(reader, site, found.window, last)
        return found
    if request.has_window:
        return Period(window_of(reader, site, request))
    return newest(name, last, site.reports, site.timezone)


def _receivers(site: HTCondorSite, name: Name, to: Sequence[str] | None) -> tuple[str, ...]:
    from usage_assets.core.text import mail_address

    try:
        found = tuple(map(mail_address, to)) if to else getattr(site.reports, name).to
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--to") from None
    if not found:
        msg = f"site {site.key} names no receivers of its {name} report (reports: {name}: to); name them here"
        raise typer.BadParameter(msg, param_hint="--to")
    return tuple(found)


def _send(site: HTCondorSite, built: Report, to: Sequence[str]) -> None:
    from usage_assets.orchestration.mail_sensor import Sent, post

    name = built.period.report
    now: datetime = clock.naive_utc_now()
    due = DueReport(name or "asked", built.period.name, (), built.period.window.end, now, to, site.reports.channel)
    message = message_of(built)
    post(site.key, due, message)
    if name is not None and set(to) >= set(getattr(site.reports, name).to):
        Sent.here().note(site.key, due, now)  # all receivers of the site's file have it: it is not mailed again
    sys.stderr.write(f"sent to {', '.join(to)}: {message.subject}\n")
