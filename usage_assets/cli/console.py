"""What every command needs: the consoles, the exit codes, and options that name sites, months and instants.

Imports neither Dagster nor polars, and no command.
"""

import sys
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from usage_assets.core.text import printable_lines
from usage_assets.kinds.site_files import load_book
from usage_assets.sites.base import Site
from usage_assets.sites.book import SiteBook

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class PlainConsole(Console):
    """A console that prints texts as they are: values of a database are never markup, and move no cursor."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text without markup."""
        return super().render_str(printable_lines(text), **options | {"markup": False, "emoji": False})


_WIDTH = None if sys.stdout.isatty() else 160  # a file has no width
console = PlainConsole(highlight=False, soft_wrap=True, width=_WIDTH)
errors = PlainConsole(stderr=True, highlight=False, soft_wrap=True)

SiteName = Annotated[str, typer.Argument(metavar="SITE", help="Key of a site: the stem of its file in sites/")]
SiteNames = Annotated[list[str] | None, typer.Option("--site", help="Key of a site; may be given several times")]


def chosen_sites(names: list[str] | None, hint: str = "--site") -> SiteBook:
    """The sites of these keys, or all; an unknown key, given by the argument or option `hint`, is a BadParameter.

    A site whose file has a fault does not stop the others: the fault is printed; asking for that very site raises it.
    """
    book = load_book()
    if not book and not book.faults:
        raise typer.BadParameter("there is no site file yet; see docs/adding-a-site.md", param_hint=hint)
    unknown = sorted(set(names or ()) - set(book) - set(book.faults))
    if unknown:
        msg = f"unknown site {', '.join(unknown)}; there are: {', '.join(sorted({*book, *book.faults}))}"
        raise typer.BadParameter(msg, param_hint=hint)
    chosen = {name: book[name] for name in names or book}
    for key, fault in book.faults.items():
        errors.print(f"site {key} is left out, its file has a fault: {fault}", style="yellow")
    return SiteBook(chosen, book.faults, book.kinds)


def one_site(name: str, hint: str = "--site") -> Site:
    """The site of that key."""
    return chosen_sites([name], hint)[name]


def month(text: str) -> date:
    """The first day of a month in the form 2019-03."""
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        msg = f"{text!r} is not a month; write it as 2019-03"
        raise typer.BadParameter(msg) from None


def month_option(name: str, text: str) -> Any:
    """An option that takes a month; `text` is its help."""
    return typer.Option(name, parser=month, metavar="YYYY-MM", help=text)


def instant(text: str) -> datetime:
    """An instant in ISO form as naive UTC; one with an offset is converted."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        msg = f"{text!r} is no instant; write it as 2024-05-03T12:00 (UTC)"
        raise typer.BadParameter(msg) from None
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
