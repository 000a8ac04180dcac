"""Pages that lead to the plots: all sites, one site, one of its months, and what to do where there is no page.

They are made on request of what lies in the plots folder and of one small file that coverage leaves there
(`coverage.front`): no warehouse is opened, so that they never wait. Nothing is loaded from elsewhere, every link is
relative: the folder may be served below any path.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from usage_assets.core import settings

FRONT = ".front.json"
"""What coverage tells these pages, below the plots folder; hidden, so that it is not served."""
_MONTH = re.compile(r"\d{4}-\d{2}")
_REPORTS = "gpu_reports"
_WHOLE = ("cross_site_usage", "coverage")
_NEWEST = 3
"""Months that a site's page shows with their pictures; older ones are folded by year."""
_LATEST = 5  # of each kind of GPU report, on a site's page
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
    "leadtime": "Lead time",
    "leadtime_compare": "Lead time: requested and effective",
    "leadtime_projected": "Lead time: projected",
    "facet": "Legacy counter and ours",
    "legacy_facet": "Legacy counter and ours",
    "collector_difference": "Difference to the legacy counter",
    "audit": "Row and hour accounting (audit)",
}
"""What people read of a page, by its name, in the order in which pages are shown; others come last."""
_NEEDS = {
    "legacy_facet": "a database chameleon_usage in the site's file",
    "collector_difference": "a database chameleon_usage in the site's file",
    "leadtime": "a database blazar in the site's file",
    "leadtime_compare": "a database blazar in the site's file",
    "leadtime_projected": "a database blazar in the site's file",
}


@dataclass(frozen=True)
class Link:
    """A page to go to, and its thumbnail; none where it has none."""

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
    if len(parts) <= 3 and parts[1] == _REPORTS:
        groups = _reports(here) if len(parts) == 2 else {parts[2]: _pages(here)[::-1]}
        return _render("reports.html.j2", site=_name(front, site), groups=groups, up="../" * (len(parts) - 1))
    return None


def missing(folder: Path, parts: Sequence[str]) -> str:
    """The page that says why there may be no such page, and where to go on."""
    front = _front(folder)
    depth = max(len(parts) - 1, 0)
    site = parts[0] if parts and (folder / parts[0]).is_dir() else None
    plot = Path(parts[-1]).stem if parts else ""
    return _render(
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
    keys = dict.fromkeys([*known, *(path.name for path in _folders(folder))])
    sites = []
    for key in keys:
        months = _months(folder / key)
        sites.append(
            {
                "key": key,
                "name": _name(front, key),
                "kind": known.get(key, {}).get("kind", ""),
                "months": len(months),
                "first": months[-1] if months else "",
                "last": months[0] if months else "",
                "thumbnail": _thumbnail(folder / key / f"{key}_stack.html", f"{key}/"),
                "counts": known.get(key, {}).get("counts"),
            }
        )
    return _render(
        "home.html.j2",
        sites=sites,
        whole=[_link(folder / f"{name}.html") for name in _WHOLE if (folder / f"{name}.html").is_file()],
        front=front,
        ui=settings.ui_url(),
    )


def _site(here: Path, front: Mapping[str, Any]) -> str:
    months = _months(here)
    old: dict[str, list[str]] = {}
    for month in months[_NEWEST:]:
        old.setdefault(month[:4], []).append(month)
    failures = [one for one in front.get("failures", ()) if one.get("site") == here.name]
    return _render(
        "site.html.j2",
        key=here.name,
        name=_name(front, here.name),
        whole=_pages(here),
        newest=[(month, _pages(here / month, f"{month}/")) for month in months[:_NEWEST]],
        old=[
            (year, [(month, _pages(here / month, f"{month}/")) for month in of_year]) for year, of_year in old.items()
        ],
        reports={what: links[:_LATEST] for what, links in _reports(here / _REPORTS, f"{_REPORTS}/").items()},
        counts=front.get("sites", {}).get(here.name, {}).get("counts"),
        failures=failures,
        made_at=front.get("made_at", ""),
        ui=settings.ui_url(),
    )


def _month(here: Path, front: Mapping[str, Any]) -> str:
    months = _months(here.parent)
    place = months.index(here.name) if here.name in months else 0
    return _render(
        "month.html.j2",
        month=here.name,
        name=_name(front, here.parent.name),
        pages=_pages(here),
        later=months[place - 1] if place > 0 else None,
        earlier=months[place + 1] if place + 1 < len(months) else None,
    )


def _front(folder: Path) -> dict[str, Any]:
    """What coverage has told last; nothing where it never ran, or the file can't be read."""
    try:
        found = json.loads((folder / FRONT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _name(front: Mapping[str, Any], key: str) -> str:
    return str(front.get("sites", {}).get(key, {}).get("name") or key)


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _months(site: Path) -> list[str]:
    """The months of a site that have a folder, the newest first."""
    return [path.name for path in _folders(site) if _MONTH.fullmatch(path.name)][::-1]


def _pages(folder: Path, below: str = "") -> list[Link]:
    """The pages of a folder, in their order."""
    if not folder.is_dir():
        return []
    order = {name: place for place, name in enumerate(_TITLES)}
    pages = sorted(path for path in folder.glob("*.html") if not path.name.startswith("."))
    pages.sort(key=lambda page: order.get(_plot(page), len(order)))
    return [_link(page, below) for page in pages]


def _plot(page: Path) -> str:
    """The plot of a page; that of a whole history is named by its site too."""
    return page.stem.removeprefix(f"{page.parent.name}_")


def _reports(folder: Path, below: str = "") -> dict[str, list[Link]]:
    """The reports of a GPU pool, the newest first, by how often they come."""
    return {what.name: _pages(what, f"{below}{what.name}/")[::-1] for what in _folders(folder)}


def _link(page: Path, below: str = "") -> Link:
    plot = _plot(page)
    return Link(_TITLES.get(plot, plot.replace("_", " ")), f"{below}{page.name}", _thumbnail(page, below))


def _thumbnail(page: Path, below: str) -> str | None:
    svg = page.with_suffix(".svg")
    return f"{below}{svg.name}" if svg.is_file() else None


def _render(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("usage_assets", "reports/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
