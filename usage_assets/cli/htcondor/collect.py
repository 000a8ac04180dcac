"""`usage-assets collect`: ask a GPU pool, once or at every step of the clock."""

from rich.console import Console

from usage_assets.core.errors import SiteError
from usage_assets.kinds.htcondor.collect.pool import CondorPool, Pool
from usage_assets.kinds.htcondor.collect.run import Collection
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.sites.base import Site


class _Nobody:
    """Who is not asked."""

    def slots(self, constraint: str, attributes: object) -> list[object]:  # noqa: ARG002
        return []


def run_collect(site: Site, console: Console, errors: Console, *, every: int | None, once: bool, tidy: bool) -> bool:
    """Collect until interrupted, or once; whether a poll was written, or all polls were taken in."""
    if not isinstance(site, HTCondorSite):
        msg = f"site {site.key}: is of kind {site.kind}; polls are collected from GPU pools, of kind htcondor"
        raise SiteError(msg)
    site.collected()
    pool: Pool = _Nobody() if tidy else CondorPool(site)  # type: ignore[assignment]
    collection = Collection(
        site,
        pool,
        every or site.poll_minutes * 60,
        lambda text: console.print(text, markup=False),
        lambda text: errors.print(text, style="yellow", markup=False),
    )
    if tidy:
        return collection.tidy()
    if once:
        return collection.once()
    collection.ever()
    return True
