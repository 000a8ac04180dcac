"""`usage-assets gpu report`: a report of the last day, week or month, or of any window; shown, and mailed if wanted."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import typer

from usage_assets.cli.console import month as month_of_text
from usage_assets.cli.htcondor.formats import put, require_format
from usage_assets.cli.htcondor.window import Asked, one_pool, reading, require_stored, window_of
from usage_assets.core import clock
from usage_assets.kinds.htcondor.reports.content import Report, report
from usage_assets.kinds.htcondor.reports.mailing import letter_of
from usage_assets.kinds.htcondor.reports.period import NAMES, Name, Period, newest
from usage_assets.kinds.htcondor.reports.render import as_html, as_text
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.htcondor.tables.options import Options
from usage_assets.kinds.htcondor.tables.reading import newest_poll, read_facts
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets.specs.mail import DueReport
from usage_assets.warehouse import Reader


def run(
    asked: Asked,
    options: Options,
    period: str,
    *,
    month: str | None,
    model: str | None,
    to: Sequence[str] | None,
    mail: bool,
) -> None:
    """Make a report, show it or mail it."""
    name = next((one for one in NAMES if one == period), None)
    if name is None:
        raise typer.BadParameter(f"one of {', '.join(NAMES)}, not {period!r}", param_hint="daily|weekly|monthly")
    if to and not mail:
        raise typer.BadParameter("add --mail, or nothing is sent", param_hint="--to")
    wanted = require_format(asked.format, ("text", "html"))
    site = one_pool(asked.site)
    receivers = _receivers(site, name, to) if mail else ()
    with reading(asked) as reader:
        chosen = _period(reader, site, asked, name, month)
        facts = read_facts(reader, site.key, chosen.window)
    asked_for = replace(options, model=model or site.reports.model)
    made = report(facts, site.pool(), chosen, site.reports, name=site.name, options=asked_for)
    if not mail or asked.output is not None:
        put(asked, as_html(made) if wanted == "html" else as_text(made))
    if mail:
        _send(site, made, receivers)


def _period(reader: Reader, site: HTCondorSite, asked: Asked, name: Name, month: str | None) -> Period:
    """The window or the month asked for, else the last period of that name whose end the polls have reached."""
    last = newest_poll(reader, site.key)
    if month is not None:
        if name != "monthly" or asked.has_window:
            raise typer.BadParameter("goes with monthly, and with no other window", param_hint="--month")
        found = Period(Window.of("month", month_of_text(month, "--month"), site.timezone), name)
        require_stored(reader, site, found.window, last)
        return found
    if asked.has_window:
        return Period(window_of(reader, site, asked))
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


def _send(site: HTCondorSite, made: Report, to: Sequence[str]) -> None:
    from usage_assets.orchestration.mail_sensor import Sent, post

    name = made.period.report or "asked"
    now: datetime = clock.naive_utc_now()
    posting = DueReport(name, made.period.name, (), made.period.window.end, now, to, site.reports.channel)
    letter = letter_of(made)
    post(site.key, posting, letter)
    if set(to) >= set(getattr(site.reports, name).to if made.period.report else ()) and made.period.report:
        Sent.here().note(site.key, posting, now)  # all who wait for it have it
    sys.stderr.write(f"sent to {', '.join(to)}: {letter.subject}\n")
