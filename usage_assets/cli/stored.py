"""`usage-assets publish`, `scrub` and `compact`: commands on what the warehouse holds; none needs Dagster."""

from usage_assets.cli.console import console
from usage_assets.kinds import kind_of
from usage_assets.serving.publish import publish
from usage_assets.sites.base import Site
from usage_assets.sources.scrub import erase, scrub
from usage_assets.warehouse import Warehouse


def publish_now() -> None:
    """Publish the warehouse and say which generation readers have, and what is held back in it."""
    built = publish(Warehouse.default())
    done = f"published in {built.seconds:.1f} s" if built.changed else "nothing has changed since"
    console.print(f"generation {built.pointer.generation}: {done}")
    console.print(f"  {built.path} ({built.pointer.bytes / 1e6:.1f} MB)")
    for held in built.held:
        since = f"since generation {held.since_generation}"
        console.print(f"  held back: {held.site} {held.month:%Y-%m} from {held.stage} on, {since}: {held.reason}")


def scrub_site(site: Site) -> None:
    """Hide in stored rows what the site's file now wants hidden, and say what else still holds it."""
    changed = scrub(kind_of(site), site, Warehouse.default())
    for table, number in sorted(changed.items()):
        console.print(f"{table}: {number:,} value(s) hidden")
    if not changed:
        console.print(f"{site.key}: nothing to hide that is not hidden")
        return
    console.print(
        "The old values are still in free room of the warehouse file, in what is published, in backups and in previews "
        "of old runs. Now: usage-assets compact; remove the folder of what is published and publish anew; remove old "
        "backups; usage-assets prune. Where user_id or project_id is dropped, build the site's timelines again."
    )


def erase_user(site: Site, user: str) -> None:
    """Take one user out of the stored rows of a site, and say what else still holds the name."""
    changed = erase(kind_of(site), site, Warehouse.default(), user)
    for table, number in sorted(changed.items()):
        console.print(f"{table}: {number:,} row(s)")
    if not changed:
        console.print(f"{site.key}: no stored row has that user")
        return
    console.print(
        "The name is still in free room of the warehouse file, in what is published, in pages of reports, in backups "
        "and in the site's sources, which bring it back when they are read again. Now: take it out of the sources; "
        "usage-assets compact; remove the folder of what is published and publish anew; build the reports of these "
        "months again; remove old backups; usage-assets prune."
    )


def compact_warehouse() -> None:
    """Rewrite the warehouse file."""
    before, after = Warehouse.default().compact()
    console.print(f"warehouse: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after")
