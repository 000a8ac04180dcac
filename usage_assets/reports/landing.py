"""Pages that lead to the plots: all sites, one site, one of its months, and what to do where there is no page.

They are made on request from the files of the plots folder and from a small file that coverage writes there
(`coverage.front`): no warehouse is opened, so that they never wait. Nothing is loaded from elsewhere, every link is
relative: the folder may be served below any path.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from usage_assets.core import settings
from usage_assets.reports.templating import render_template

FRONT = ".front.json"
"""Status file that coverage writes for these pages, below the plots folder; hidden, so that it is not served."""
_MONTH = re.compile(r"\d{4}-\d{2}")
_REPORTS = {"gpu_reports": "reports of the GPU pool", "usage_reports": "usage reports"}
"""Folders of reports below that of a site, of which it has one, and what they are called."""
_WHOLE = ("cross_site_usage", "coverage")
_NEWEST = 3
"""Months that a site's page shows with their pictures; older ones are folded by year."""
_LATEST = 5  # of each kind of report, on a site's page
_FIRST = ("stack", "service_history")  # plots of a whole history, of which the list of sites shows the first
_TITLES = {
    "cross_site_usage": "Machines used and available",
    "coverage": "Data availability (coverage)",
    "usage_stack": "Use and capacity",
    "stack": "Use and capacity",
    "utilization": "Utilization by resource",
    "node_types": "Utilization by node type",
    "gpu_classes": "GPUs by class",
    "gpu_heatmap": "State of each GPU",
    "gpu_user_hours": "GPU-hours by user",
    "gpu_weekly": "GPU-hours by week",
    "gpu_draining_times": "Machines out of use",
    "service_models": "Cost and requests by model",
    "service_users": "Cost and requests by user",
    "service_tokens": "Tokens",
    "service_spending": "Spending against limits",
    "service_load": "Requests in progress and queued",
    "service_latency": "Latency",
    "service_hours": "Requests by weekday and hour",
    "service_history": "Cost, requests and tokens",
    "leadtime": "Lead time",
    "leadtime_compare": "Lead time: requested and effective",
    "leadtime_projected": "Lead time: projected",
    "facet": "Legacy counter and ours",
    "legacy_facet": "Legacy counter and ours",
    "collector_difference": "Difference to the legacy counter",
    "audit": "Row and hour accounting (audit)",
}
"""Title of a page by its name, in the order in which pages are shown; others come last."""
_LEASES, _LEGACY = (f"a database {name} in the site's file" for name in ("blazar", "chameleon_usage"))
_NEEDS = dict.fromkeys(("legacy_facet", "collector_difference"), _LEGACY)
_NEEDS |= dict.fromkeys(("leadtime", "leadtime_compare", "leadtime_projected"), _LEASES)
"""What a site must have for a plot to be drawn."""


@dataclass(frozen=True)
class Link:
    """A link to a page, with its thumbnail; none where it has none."""

    title: str
    href: str
    thumbnail: str | None = None


def page_of(folder: Path, parts: Sequence[str]) -> str | None:
    """The page of a folder below the plots folder, by the parts of its path; None where it has none."""
    front = _front(folder)
    if not parts:
        return _home(folder, front)
    here = folder.joinpath(*parts)
    site = parts[0]
    if not here.is_dir() or site.startswith("."):
        return None
    if len(parts) == 1:
        return _site(here, front)
    if len(parts) == 2 and _MONTH.fullmatch(parts[1]):
        return _month(here, front)
    if len(parts) <= 3 and parts[1] in _REPORTS:
        groups = _reports(here) if len(parts) == 2 else {parts[2]: _pages(here)[::-1]}
        values = {"site": _name(front, site), "title": _REPORTS[parts[1]], "groups": groups}
        return render_template("reports.html.j2", **values, up="../" * (len(parts) - 1))
    return None


def missing(folder: Path, parts: Sequence[str]) -> str:
    """The page for an address without a page: possible reasons, and links."""
    front = _front(folder)
    depth = max(len(parts) - 1, 0)
    site = parts[0] if parts and (folder / parts[0]).is_dir() else None
    plot = Path(parts[-1]).stem if parts else ""
    return render_template(
        "missing.html.j2",
        path="/".join(parts),
        home="../" * depth or "./",
        site=None if site is None else _name(front, site),
        site_href=None if site is None else "../" * depth + f"{site}/",
        needs=_NEEDS.get(plot),
        ui=settings.ui_url(),
    )


def _home(folder: Path, front: Mapping[str, Any]) -> str:
    known: Mapping[str, Any] = front.get("sites", {})
    sites = []
    for key in dict.fromkeys([*known, *(path.name for path in _folders(folder))]):
        months = _months(folder / key)
        first, last = (months[-1], months[0]) if months else ("", "")
        plots = (_thumbnail(folder / key / f"{key}_{name}.html", f"{key}/") for name in _FIRST)
        small = next(filter(None, plots), None)
        site = {"kind": "", "counts": None} | known.get(key, {}) | {"key": key, "name": _name(front, key)}
        sites.append(site | {"months": len(months), "first": first, "last": last, "thumbnail": small})
    return render_template(
        "home.html.j2",
        sites=sites,
        whole=[_link(folder / f"{name}.html") for name in _WHOLE if (folder / f"{name}.html").is_file()],
        front=front,
        ui=settings.ui_url(),
    )


def _site(here: Path, front: Mapping[str, Any]) -> str:
    months = _months(here)
    at = next((name for name in _REPORTS if (here / name).is_dir()), min(_REPORTS))

    def of(months: Iterable[str]) -> list[tuple[str, list[Link]]]:
        return [(month, _pages(here / month, f"{month}/")) for month in months]

    return render_template(
        "site.html.j2",
        key=here.name,
        name=_name(front, here.name),
        whole=_pages(here),
        newest=of(months[:_NEWEST]),
        old=[(year, of(group)) for year, group in groupby(months[_NEWEST:], key=lambda month: month[:4])],
        reports_at=at,
        reports={name: links[:_LATEST] for name, links in _reports(here / at, f"{at}/").items()},
        counts=front.get("sites", {}).get(here.name, {}).get("counts"),
        failures=[row for row in front.get("failures", ()) if row.get("site") == here.name],
        made_at=front.get("made_at", ""),
        ui=settings.ui_url(),
    )


def _month(here: Path, front: Mapping[str, Any]) -> str:
    months = _months(here.parent)
    place = months.index(here.name) if here.name in months else 0
    return render_template(
        "month.html.j2",
        month=here.name,
        name=_name(front, here.parent.name),
        pages=_pages(here),
        later=months[place - 1] if place > 0 else None,
        earlier=months[place + 1] if place + 1 < len(months) else None,
    )


def _front(folder: Path) -> dict[str, Any]:
    """Status file of the last coverage run; nothing where it never ran, or the file can't be read."""
    try:
        found = json.loads((folder / FRONT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _name(front: Mapping[str, Any], key: str) -> str:
    return str(front.get("sites", {}).get(key, {}).get("name") or key)


def _folders(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))


def _months(site: Path) -> list[str]:
    """The months of a site that have a folder, the newest first."""
    return [path.name for path in _folders(site) if _MONTH.fullmatch(path.name)][::-1]


def _pages(folder: Path, below: str = "") -> list[Link]:
    """The pages of a folder, in their order."""
    order = {name: place for place, name in enumerate(_TITLES)}
    pages = sorted(path for path in folder.glob("*.html") if not path.name.startswith("."))
    pages.sort(key=lambda page: order.get(_plot(page), len(order)))
    return [_link(page, below) for page in pages]


def _plot(page: Path) -> str:
    """Name of the plot of a page; the file of a whole history has its site in front."""
    return page.stem.removeprefix(f"{page.parent.name}_")


def _reports(folder: Path, below: str = "") -> dict[str, list[Link]]:
    """The reports of a site, the newest first, by how often they come."""
    return {period.name: _pages(period, f"{below}{period.name}/")[::-1] for period in _folders(folder)}


def _link(page: Path, below: str = "") -> Link:
    plot = _plot(page)
    return Link(_TITLES.get(plot, plot.replace("_", " ")), f"{below}{page.name}", _thumbnail(page, below))


def _thumbnail(page: Path, below: str) -> str | None:
    svg = page.with_suffix(".svg")
    return f"{below}{svg.name}" if svg.is_file() else None
