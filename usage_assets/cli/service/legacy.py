"""What `usage-assets service import-legacy` does and tells."""

from collections.abc import Sequence
from pathlib import Path

import typer

from usage_assets.cli.console import console
from usage_assets.kinds.service.raw.legacy_json import import_legacy
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.warehouse import Warehouse


def import_files(site: ServiceSite, folders: Sequence[Path]) -> None:
    """Import an older tracker's files, and tell what of them could not be read; then the exit code is 1."""
    found = import_legacy(site, Warehouse.default(), folders, run_id="import-legacy", log=console.print)
    for text in (*found.notes, *found.differences):
        console.print(text)
    for fault in found.faults:
        console.print(f"FAULT {fault}")
    if found.files:
        console.print(
            f"{site.key}: {len(found.files)} file(s) imported; there are {found.totals:,} total(s) of users and days "
            f"or months, {found.limits:,} limit(s) and {found.users:,} user(s) now"
        )
    else:
        console.print(f"{site.key}: nothing new; {found.known} file(s) were imported before")
    if found.faults:
        raise typer.Exit(1)
