"""The content of a report of one period, before it is rendered as a page or as text."""

import time
from dataclasses import dataclass, field

from usage_assets.core.text import printable
from usage_assets.kinds.htcondor.pool import classes
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.reports import picture
from usage_assets.kinds.htcondor.reports.grid import cell
from usage_assets.kinds.htcondor.reports.period import Period
from usage_assets.kinds.htcondor.reports.sections import SECTIONS, Section, class_titles
from usage_assets.kinds.htcondor.site.reports import Reports
from usage_assets.kinds.htcondor.tables import allocation
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.options import Metadata, Options

_KINDS = {"daily": "daily report", "weekly": "weekly report", "monthly": "monthly report", None: "report"}
_SHORT = {classes.PRIORITIZED_RESEARCHER: "Researcher", classes.PRIORITIZED_HOSTED: "Hosted", classes.OPEN: "Open"}
FEW = 0.95
"""A report has a warning when less of its intervals were seen."""


@dataclass(frozen=True)
class Report:
    """The content of a report of one period."""

    period: Period
    title: str
    subject: str
    about: tuple[str, ...]
    """Lines below the title: the period, and how much of it was seen."""
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    footer: tuple[str, ...]
    metadata: Metadata
    drawing: str = field(default="", repr=False)
    """An SVG of its own, or nothing where nothing was seen."""


def report(
    facts: Facts, pool: Pool, period: Period, settings: Reports, *, name: str, options: Options | None = None
) -> Report:
    """The report of a period, for a site of that name."""
    begun = time.perf_counter()
    cube = Cube.of(facts, pool, period.window, options or Options(model=settings.model))
    about = cube.metadata()
    sections = tuple(build(cube, settings.wording) for build in SECTIONS)
    drawing = picture.stacked(cube, class_titles(settings.wording))
    seconds = time.perf_counter() - begun
    return Report(
        period=period,
        title=printable(f"{name}: {_KINDS[period.report]}, {_title(period)}"),
        subject=printable(f"{settings.prefix} {_percentages(cube, period, settings)}"),
        about=_about(about),
        warnings=_warnings(about),
        sections=sections,
        footer=(*_about(about), *_seen(about), f"Made in {seconds:.2f} s from {about.runs:,} runs of GPUs."),
        metadata=about,
        drawing=drawing,
    )


def _title(period: Period) -> str:
    return period.span if period.report == "monthly" else f"{period.name} ({period.span})"


def _percentages(cube: Cube, period: Period, settings: Reports) -> str:
    """Date, period, and how much of each class was held, in the order of the classes."""
    frame = allocation.allocation_by_class(cube).frame
    share = dict(frame.select("class", "allocated_percent").iter_rows())
    titles = _SHORT | {"backfill": settings.wording.backfill}
    shown = {title: share.get(name) for name, title in titles.items()}
    texts = [f"{title} {'-' if value is None else f'{cell(value)}%'}" for title, value in shown.items()]
    when = period.span if period.report == "monthly" else f"{period.name} {period.span}"
    return f"{when}: {' | '.join(texts)}"


def _about(about: Metadata) -> tuple[str, ...]:
    span = f"{about.local_start:%Y-%m-%d %H:%M} to {about.local_end:%Y-%m-%d %H:%M} {about.timezone}"
    seen = f"{about.intervals:,} of {about.expected:,} of {about.bucket_minutes} minutes seen ({about.coverage:.1%})"
    return (f"Period: {span} ({about.hours:g} hours)", f"Intervals: {seen}, by {about.polls:,} polls")


def _seen(about: Metadata) -> tuple[str, ...]:
    if about.first_poll is None or about.last_poll is None:
        return ("First and last poll: none.",)
    first, last = (cell(at, about.timezone) for at in (about.first_poll, about.last_poll))
    return (f"First poll {first}, last poll {last} ({about.timezone}).",)


def _warnings(about: Metadata) -> tuple[str, ...]:
    if not about.intervals:
        return ("No poll saw the pool in this period: nothing is known of it.", *about.notes)
    few = (
        f"Only {about.coverage:.1%} of this period was seen. Averages are of what was seen; observed GPU-hours are "
        "of that time only, estimated ones of the whole period."
    )
    return (*([few] if about.coverage < FEW else []), *about.notes)
