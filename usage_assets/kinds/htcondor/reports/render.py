"""Render: a report as a page that needs nothing else, and as plain text. Both show the same cells."""

import textwrap
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

import usage_assets
from usage_assets.core.errors import UsageError
from usage_assets.kinds.htcondor.reports.content import Report
from usage_assets.kinds.htcondor.reports.grid import WIDTH, text_lines

METHODOLOGY = "methodology/gpu-reports.md"


def as_html(report: Report, *, drawings: bool = True) -> str:
    """The report as one page; every text in it is escaped. Mails have no drawing: most readers of mail show none."""
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            report=report,
            # drawn and escaped by this package
            drawing=Markup(report.drawing) if drawings else "",  # noqa: S704
            methodology=Markup(_methodology_html(report.metadata.bucket_minutes)),  # noqa: S704 - rendered with HTML switched off
        )
    )


def as_text(report: Report) -> str:
    """The report as plain text, lines of at most 100 characters."""
    lines = [*_wrapped(report.title), "=" * min(len(report.title), WIDTH)]
    for line in (*report.about, *report.warnings):
        lines += _wrapped(line)
    for section in report.sections:
        lines += ["", section.title, "-" * len(section.title)]
        for note in section.notes:
            lines += _wrapped(note)
        for table in section.grids:
            lines += ["", *text_lines(table)]
        if not section.grids:
            lines += _wrapped(section.empty)
    lines += [
        "",
        "Methodology",
        "-----------",
        *methodology(report.metadata.bucket_minutes).strip().splitlines(),
        "",
        "-" * WIDTH,
    ]
    for line in report.footer:
        lines += _wrapped(line)
    return "\n".join(lines) + "\n"


_INTERVAL = "an interval of 15 minutes (the site's file may set another one)"
"""What the documentation says of the unit of counting, and a report by the length that its pool has."""


@cache
def methodology(minutes: int) -> str:
    """How the numbers are made, as the documentation has it, without its own title, of intervals of that length."""
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
    return str(
        MarkdownIt("commonmark", {"html": False})
        .enable("table")
        .render(methodology(minutes).replace("\n## ", "\n### "))
    )


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("usage_assets.kinds.htcondor.reports", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH) or [""]
