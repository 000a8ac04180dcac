"""Drawing the plots of a run: pages of each month, of a site's whole history, and of all sites; and their checks."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

from usage_assets.checks.readiness import expected
from usage_assets.core import settings
from usage_assets.core.months import Window
from usage_assets.core.notes import note
from usage_assets.core.text import printable
from usage_assets.reports import reading
from usage_assets.reports.plots import Plot
from usage_assets.reports.render import Rendered, Renderer
from usage_assets.sites.base import Site
from usage_assets.specs.check import Check, Findings
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.specs.kind import Kind
from usage_assets.specs.plot_context import Scene
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.readiness import blocked_months, extracted_at

_LOG = logging.getLogger("usage_assets")
_CAUSE = 300  # characters of an exception that are repeated
_AT_ONCE = 12
"""Months that are read before they are drawn: the rows of ten years would take a gigabyte."""
_FEW = 1
"""Runs of at most so many months have a picture of every plot; a night has those that are always pictured."""


_COMPLETE = "The page could be drawn and is complete."
_EVERY_MONTH = "Every month since the site's first one has its page, where the plot applies to the site."
CONTRACT = Check("contract", _COMPLETE, per_run="with a page that failed or is cut off")
COVERAGE = Check("coverage", _EVERY_MONTH, per_run="not drawn")


@dataclass
class Drawn:
    """Result of drawing: pages by plot and month (None: whole history), and why blocked months were left as they were.

    `faults` says of each plot and month that could not be drawn what went wrong; an older page of it is left as it is.
    `empty` are the plots of a whole history that have nothing to show though it was built, such as lead times of a
    site without leases.
    """

    pages: dict[tuple[str, date | None], Rendered] = field(default_factory=dict)
    blocked: dict[tuple[str, date], str] = field(default_factory=dict)
    faults: dict[tuple[str, date | None], str] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)


def draw_window(
    kind: Kind,
    site: Site,
    window: Window,
    warehouse: Warehouse,
    *,
    plots: Sequence[Plot],
    kinds: Mapping[str, Kind],
    sites: Mapping[str, Site] | None = None,
    pictures: str | None = None,
) -> Drawn:
    """Draw the months of a window whose inputs are good, the site's history, and the page of all sites.

    `pictures` says which pages have one: auto, all or none; as USAGE_PICTURES says unless given.
    """
    policy = pictures or settings.pictures()
    out = Drawn()
    plots = [plot for plot in plots if plot.applies(kind, site)]
    monthly = [plot for plot in plots if plot.scope == "month"]
    whole = [plot for plot in plots if plot.scope != "month"]
    with warehouse.read() as reader:
        extracted = extracted_at(reader, site, window.months, kind.tables_of(site))
        shares = reading.shares_machines(reader, site.key)
        types = reading.lease_types(reader, site.key)
        for plot in monthly:
            blocked = blocked_months(reader, site, window.months, kind.upstream(site, plot.after))
            out.blocked |= {(plot.name, month): why for month, why in blocked.items()}
    whole_scene = Scene(
        site,
        shares_machines=shares,
        machines=kind.machines,
        node_types=types,
        machines_of={key: kinds[one.kind].machines for key, one in (sites or {site.key: site}).items()},
        kind_metrics=tuple(metric for one in kinds.values() for metric in one.metrics),
        utilization_of=kind.usage_scope(site).utilization_of,
        horizon_days=kind.horizon_days(site),
    )
    renderer = Renderer()
    names: dict[tuple[str, date | None], str] = {}

    def add(plot: Plot, scene: Scene, rows: Any) -> None:
        name = plot.page(site.key, scene.month)
        with _apart(out, site, [plot], scene.month):
            few = len(window.months) <= _FEW
            picture = policy == "all" or (policy == "auto" and (few or plot.always_pictured))
            renderer.add(name, plot.draw(rows, scene), picture=picture)
            names[plot.name, scene.month] = name

    for part in window.parts(_AT_ONCE) if monthly else ():
        scenes = [replace(whole_scene, month=month, extracted_at=extracted.get(month)) for month in part.months]
        todo = [(plot, scene) for scene in scenes for plot in monthly if (plot.name, scene.month) not in out.blocked]
        rows_of: dict[tuple[Any, date | None], Any] = {}
        with warehouse.read() as reader:
            for (read, month), scene in {(plot.read, scene.month): scene for plot, scene in todo}.items():
                with _apart(out, site, [plot for plot in monthly if plot.read is read], month):
                    rows_of[read, month] = read(reader, scene)
        for month, own in groupby(todo, key=lambda one: one[1].month):
            note(f"{window}: plots of {month:%Y-%m}")
            for plot, scene in own:
                if (plot.read, month) in rows_of:
                    add(plot, scene, rows_of[plot.read, month])
    scene = replace(whole_scene, sites=sites or {site.key: site})
    for read in dict.fromkeys(plot.read for plot in whole):
        these = [plot for plot in whole if plot.read is read]
        rows = None
        with warehouse.read() as reader, _apart(out, site, these, None):
            rows = read(reader, scene)
            for plot in these if rows is None else ():
                blocked = blocked_months(reader, site, window.months, kind.upstream(site, plot.after))
                if len(blocked) < len(window.months):
                    out.empty.add(plot.name)
        for plot in these if rows is not None else ():
            add(plot, scene, rows)
    done = renderer.finish()
    out.pages = {key: done[name] for key, name in names.items()}
    return out


@contextmanager
def _apart(out: Drawn, site: Site, plots: Sequence[Plot], month: date | None) -> Iterator[None]:
    """An exception within fails these plots of this month alone; a disk that can't be written ends the run."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        text = printable(" ".join(str(error).split()))[:_CAUSE]
        when = f"{month:%Y-%m}" if month else "whole history"
        for plot in plots:
            out.faults[plot.name, month] = f"{type(error).__name__}: {text}" if text else type(error).__name__
            _LOG.warning("site %s, %s: plot %s could not be drawn", site.key, when, plot.name, exc_info=True)


def check_pages(kind: Kind, site: Site, window: Window, plot: Plot, drawn: Drawn) -> dict[Check, Findings]:
    """The page of each month is complete, and there is one for each month that should have one."""
    contract = dict.fromkeys(window.months, GOOD)
    coverage = dict.fromkeys(window.months, GOOD)
    for month in window.months if plot.applies(kind, site) else ():
        path = settings.plots_dir() / f"{plot.page(site.key, month)}.html"
        exists = path.is_file()
        fault = drawn.faults.get((plot.name, month if plot.scope == "month" else None))
        if fault:
            text = "An older page, if there is one, was left; the run's stderr has the place in the code"
            contract[month] = Finding(False, f"plot {plot.name} could not be drawn: {fault}. {text}")
        elif exists and not _is_whole(path):
            contract[month] = Finding(False, f"{path.name} is cut off; draw it again")
        why = drawn.blocked.get((plot.name, month))
        if (why or not (exists or plot.name in drawn.empty)) and expected(site, month):
            coverage[month] = Finding(False, f"not drawn: {why or 'there is no page'}")
    return {CONTRACT: contract, COVERAGE: coverage}


def _is_whole(path: Path) -> bool:
    """Whether a page has its end."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 64, 0))
        return file.read().rstrip().endswith(b"</html>")
