"""A report as a page that needs nothing else, and as plain text. Both show the same cells."""

import textwrap
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

import usage_assets
from usage_assets.core.errors import UsageError
from usage_assets.kinds.htcondor.reports.content import Report
from usage_assets.kinds.htcondor.reports.grid import WIDTH, text_lines
from usage_assets.reports.templating import templates

METHODOLOGY = "methodology/gpu-reports.md"


def as_html(report: Report, *, drawings: bool = True) -> str:
    """The report as one page; every text in it is escaped. Mails have no drawing: most readers of mail show none."""
    drawing = Markup(report.drawing) if drawings else ""  # noqa: S704 - drawn and escaped by this package
    text = Markup(_methodology_html(report.metadata.bucket_minutes))  # noqa: S704 - rendered with HTML switched off
    page = templates("usage_assets.kinds.htcondor.reports", "").get_template("report.html.j2")
    return page.render(report=report, drawing=drawing, methodology=text)


def as_text(report: Report) -> str:
    """The report as plain text, lines of at most 100 characters."""
    lines = [*_wrapped(report.title), "=" * min(len(report.title), WIDTH), *_wrapped(*report.about, *report.warnings)]
    for section in report.sections:
        lines += ["", section.title, "-" * len(section.title), *_wrapped(*section.notes)]
        for table in section.grids:
            lines += ["", *text_lines(table)]
        lines += [] if section.grids else _wrapped(section.empty)
    lines += ["", "Methodology", "-----------", *methodology(report.metadata.bucket_minutes).strip().splitlines()]
    return "\n".join([*lines, "", "-" * WIDTH, *_wrapped(*report.footer)]) + "\n"


_INTERVAL = "an interval of 15 minutes (the site's file may set another one)"
"""The unit of counting in the documentation; a report has the length of its pool in its place."""


@cache
def methodology(minutes: int) -> str:
    """The methodology from the documentation, without its own title, for intervals of that length."""
    text = _documented()
    if _INTERVAL not in text:
        msg = f"{METHODOLOGY} no longer says {_INTERVAL!r}; install usage-assets anew"
        raise UsageError(msg)
    return text.replace(_INTERVAL, f"an interval of {minutes} minutes")


def _documented() -> str:
    package = Path(usage_assets.__file__).parent
    for folder in (package / "docs", package.parent / "docs"):
        path = folder / METHODOLOGY
        if path.is_file():
            title, _, text = path.read_text(encoding="utf-8").partition("\n")
            return text if title.startswith("# ") else f"{title}\n{text}"
    msg = f"{METHODOLOGY} is missing from {package}; install usage-assets anew"
    raise UsageError(msg)


@cache
def _methodology_html(minutes: int) -> str:
    # headings of the page begin below those of the report
    text = methodology(minutes).replace("\n## ", "\n### ")
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def _wrapped(*texts: str) -> list[str]:
    return [line for text in texts for line in textwrap.wrap(text, WIDTH) or [""]]
