"""`usage-assets scrub`: hide in what is stored what the site's file now wants hidden."""

from rich.console import Console

from usage_assets.sites.base import Site
from usage_assets.warehouse import Warehouse


def scrub_site(site: Site, console: Console) -> None:
    """Rewrite the site's rows, and say what else still holds what they held."""
    from usage_assets.kinds import kind_of
    from usage_assets.sources.scrub import scrub

    changed = scrub(kind_of(site), site, Warehouse.default())
    for table, number in sorted(changed.items()):
        console.print(f"{table}: {number:,} value(s) hidden", markup=False)
    if not changed:
        console.print(f"{site.key}: nothing to hide that is not hidden", markup=False)
        return
    console.print(
        "The old values are still in free room of the warehouse file, in what is published, in backups and in previews "
        "of old runs. Now: usage-assets compact; remove the folder of what is published and publish anew; remove old "
        "backups; usage-assets prune. Where user_id or project_id is dropped, build the site's timelines again.",
        markup=False,
    )
