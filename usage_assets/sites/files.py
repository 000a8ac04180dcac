"""Site files -> typed models. A site is one deployment; `kind` says which of the given models its file has."""

import re
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from pydantic import ValidationError

from usage_assets.core import settings
from usage_assets.core.errors import SiteError
from usage_assets.core.text_files import read_text
from usage_assets.core.yaml_files import describe, masked, parse
from usage_assets.sites.base import BaseSite
from usage_assets.sites.book import SiteBook
from usage_assets.sites.listing import site_files

Models = Mapping[str, type[BaseSite]]
"""The model of the files of each kind."""
_KIND = re.compile(r"^kind:\s*[\"']?(\w+)", re.MULTILINE)
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")


def load_site(path: Path, models: Models) -> BaseSite:
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
    if not isinstance(kind, str) or kind not in models:
        msg = f"{path.name}:{lines.get(('kind',), 1)}: kind is {repr(kind)[:200]}; allowed: {', '.join(models)}"
        raise SiteError(masked(msg))
    model = models[kind]
    try:
        return model.model_validate(
            {**data, "key": path.stem, "name": data.get("name", path.stem)}, context={"folder": path.parent}
        )
    except ValidationError as error:
        allowed = [field.alias or name for name, field in model.model_fields.items() if name != "key"]
        raise SiteError(describe(path, error, lines, allowed, discriminators=model.not_keys)) from None


def load_book(models: Models, folder: Path | None = None) -> SiteBook:
    """All sites of a folder, and what is wrong with the files of the others; SiteError without a folder."""
    folder = settings.sites_dir() if folder is None else folder
    if not folder.is_dir():
        msg = f"{folder}: no such folder of site files; set USAGE_SITES"
        raise SiteError(msg)
    sites: dict[str, BaseSite] = {}
    faults: dict[str, str] = {}
    kinds: dict[str, str | None] = {}
    for key, paths in groupby(site_files(folder), key=lambda path: path.stem):
        path, *others = paths
        try:
            if others:
                msg = f"{path.name} and {others[0].name} are both there, one site has one file; take one of them away"
                raise SiteError(msg)
            sites[key] = load_site(path, models)
        except SiteError as error:
            faults[key] = str(error)
            if _KEY.fullmatch(key):  # else it never was a site
                kinds[key] = _kind_of(path, models)
    return SiteBook(sites, faults, kinds)


def _kind_of(path: Path, models: Models) -> str | None:
    """The kind that a file names which is otherwise broken; None where it names none of `models`."""
    try:
        found = _KIND.search(read_text(path, SiteError, help_at="USAGE_SITES"))
    except SiteError:
        return None
    return found[1] if found and found[1] in models else None
