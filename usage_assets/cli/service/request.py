"""The options that the commands of `usage-assets service` share: the service, the days asked about, the form."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from usage_assets.cli.console import chosen_sites, month_option
from usage_assets.cli.options import with_options
from usage_assets.core.clock import naive_utc_now
from usage_assets.core.months import month_of, next_month

if TYPE_CHECKING:
    import polars as pl

    from usage_assets.kinds.service.reports.overview import Days
    from usage_assets.kinds.service.site.model import ServiceSite
    from usage_assets.warehouse import Reader


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        msg = f"{text!r} is no day; write it as 2026-03-01"
        raise typer.BadParameter(msg) from None


@dataclass(frozen=True)
class Request:
    """Which service and days a command is asked about, and how to show the answer."""

    site: Annotated[str | None, typer.Option(help="Key of a service; may be left out where there is one")] = None
    month: Annotated[date | None, month_option("--month", "A UTC month; default: the running one")] = None
    first: Annotated[
        date | None, typer.Option("--from", parser=_day, metavar="YYYY-MM-DD", help="First UTC day, instead of --month")
    ] = None
    last: Annotated[
        date | None, typer.Option("--to", parser=_day, metavar="YYYY-MM-DD", help="Last UTC day, included")
    ] = None
    top: Annotated[int, typer.Option(help="Rows shown as text; 0 = all", min=0)] = 40
    format: Annotated[
        Literal["text", "json", "csv"], typer.Option("--format", metavar="text|json|csv", help="How to show it")
    ] = "text"
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write there instead of printing")] = None
    published: Annotated[bool, typer.Option("--published", help="Read the published snapshot, not the warehouse")] = (
        False
    )

    @cached_property
    def service(self) -> "ServiceSite":
        """The service that is asked about."""
        return one_service(self.site)

    @cached_property
    def days(self) -> "Days":
        """The days that are asked about."""
        return days_of(self.month, self.first, self.last)

    def reading(self) -> "AbstractContextManager[Reader]":
        """What the answer is read from."""
        from usage_assets.cli.output import reading

        return reading(published=self.published)

    def show(self, frame: "pl.DataFrame", title: str) -> None:
        """Show rows in the form asked for, below the name of the service and a title."""
        from usage_assets.cli.output import show_frame

        heading = f"{self.service.name} ({self.service.key}): {title}"
        show_frame(frame, heading, self.format, self.output, top=self.top or None)


with_request = partial(with_options, Request)
"""A decorator that gives a command the options of `Request`, but for those left out, as its argument `request`."""


def one_service(name: str | None) -> "ServiceSite":
    """The service of that key, or the only one."""
    from usage_assets.kinds.service.site.model import ServiceSite

    book = chosen_sites(None if name is None else [name])
    services = [site for site in book.values() if isinstance(site, ServiceSite)]
    if len(services) == 1:
        return services[0]
    if name is not None:
        msg = f"site {name} is no service (kind: service)"
    elif services:
        msg = f"name one of the services: {', '.join(site.key for site in services)}"
    else:
        msg = "no site is a service (kind: service); see docs/service.md"
    raise typer.BadParameter(msg, param_hint="--site")


def days_of(month: date | None, first: date | None, last: date | None) -> "Days":
    """The days of a month, or from one day to another; the running month where nothing is asked for."""
    from usage_assets.kinds.service.reports.overview import Days

    today = naive_utc_now().date()
    if month is not None and (first or last):
        raise typer.BadParameter("choose --month, or --from and --to", param_hint="--month")
    if first is None and last is not None:
        raise typer.BadParameter("name the first day, too", param_hint="--from")
    if first is None:
        month = month or month_of(today)
        return Days(month, next_month(month) - timedelta(days=1))
    last = last or max(today, first)
    if last < first:
        msg = f"{last} lies before --from {first}"
        raise typer.BadParameter(msg, param_hint="--to")
    return Days(first, last)
