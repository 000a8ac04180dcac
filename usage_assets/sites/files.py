"""Site files -> typed models. A site is one deployment; `kind` says which model its file has."""

import re
from itertools import groupby
from pathlib import Path

from pydantic import ValidationError

from usage_assets.core import settings
from usage_assets.core.errors import SiteError
from usage_assets.core.text_files import read_text
from usage_assets.core.yaml_files import describe, masked, parse
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.openstack.site.model import Database, Maintenance, NodeType, OpenStackSite
from usage_assets.sites.base import Annotation, BaseSite, Gap, Month, expand
from usage_assets.sites.book import SiteBook, kind_in
from usage_assets.sites.listing import site_files

__all__ = [
    "KINDS",
    "Annotation",
    "BaseSite",
    "Database",
    "Gap",
    "HTCondorSite",
    "Maintenance",
    "Month",
    "NodeType",
    "OpenStackSite",
    "Site",
    "expand",
    "load_book",
    "load_site",
    "load_sites",
]

_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")

Site = OpenStackSite | HTCondorSite
"""A site of any kind, told apart by `kind`."""
MODELS: dict[str, type[OpenStackSite | HTCondorSite]] = {"openstack": OpenStackSite, "htcondor": HTCondorSite}
KINDS: tuple[str, ...] = tuple(MODELS)


def load_site(path: Path) -> Site:
    """The site of one file; SiteError names file, line and key."""
    text = read_text(path, SiteError, help_at="USAGE_SITES")
    if not _KEY.fullmatch(path.stem):
        msg = (
            f"{path.name[:100]}: a site's key is its file's name: small letters, digits and _, beginning with a "
            "letter, 64 at most"
        )
        raise SiteError(msg)
    data, lines = parse(path, text, SiteError, help_at="docs/adding-a-site.md")
    kind = data.get("kind")
    if kind not in KINDS:
        msg = f"{path.name}:{lines.get(('kind',), 1)}: kind is {repr(kind)[:200]}; allowed: {', '.join(KINDS)}"
        raise SiteError(masked(msg))
    model = MODELS[kind]
    try:
        return model.model_validate(
            {**data, "key": path.stem, "name": data.get("name", path.stem)}, context={"folder": path.parent}
        )
    except ValidationError as error:
        allowed = [field.alias or name for name, field in model.model_fields.items() if name != "key"]
        raise SiteError(describe(path, error, lines, allowed)) from None


def load_sites(folder: Path | None = None) -> dict[str, Site]:
    """All sites of a folder by key, sorted; SiteError names every bad file."""
    book = load_book(folder)
    if book.faults:
        raise SiteError("\n".join(book.faults.values()))
    return dict(book)


def load_book(folder: Path | None = None) -> SiteBook:
    """All sites of a folder, and what is wrong with the files of the others; SiteError without a folder."""
    folder = settings.sites_dir() if folder is None else folder
    if not folder.is_dir():
        msg = f"{folder}: no such folder of site files; set USAGE_SITES"
        raise SiteError(msg)
    sites: dict[str, Site] = {}
    faults: dict[str, str] = {}
    kinds: dict[str, str | None] = {}
    for key, paths in groupby(site_files(folder), key=lambda path: path.stem):
        path, *others = paths
        try:
            if others:
                msg = f"{path.name} and {others[0].name} are both there, one site has one file; take one of them away"
                raise SiteError(msg)
            sites[key] = load_site(path)
        except SiteError as error:
            faults[key] = str(error)
            if _KEY.fullmatch(key):  # else it never was a site
                kinds[key] = _kind_of(path)
    return SiteBook(sites, faults, kinds)


def _kind_of(path: Path) -> str | None:
    try:
        return kind_in(read_text(path, SiteError, help_at="USAGE_SITES"), KINDS)
    except SiteError:
        return None
