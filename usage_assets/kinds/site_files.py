"""Site files of every kind that there is. Imports neither polars nor Dagster: every command loads it."""

from pathlib import Path

from usage_assets.core.errors import SiteError
from usage_assets.kinds import KINDS
from usage_assets.sites import files
from usage_assets.sites.base import BaseSite
from usage_assets.sites.book import SiteBook

MODELS: files.Models = {name: kind.site_model for name, kind in KINDS.items()}


def load_site(path: Path) -> BaseSite:
    """The site of one file; SiteError names file, line and key."""
    return files.load_site(path, MODELS)


def load_sites(folder: Path | None = None) -> dict[str, BaseSite]:
    """All sites of a folder by key, sorted; SiteError names every bad file."""
    book = load_book(folder)
    if book.faults:
        raise SiteError("\n".join(book.faults.values()))
    return dict(book)


def load_book(folder: Path | None = None) -> SiteBook:
    """All sites of a folder, and what is wrong with the files of the others; SiteError without a folder."""
    return files.load_book(MODELS, folder)
