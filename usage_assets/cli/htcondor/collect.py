"""`usage-assets collect`: poll a GPU pool once, or at regular intervals."""

from usage_assets.cli.console import console, errors
from usage_assets.core.errors import SiteError
from usage_assets.kinds.htcondor.collect.pool import CondorPool, Pool
from usage_assets.kinds.htcondor.collect.run import Collection
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.sites.base import Site


class _EmptyPool:
    """A pool that returns no slots, for `--tidy`."""

    def slots(self, constraint: str, attributes: object) -> list[object]:  # noqa: ARG002
        return []


def run_collect(site: Site, *, every: int | None, once: bool, tidy: bool) -> bool:
    """Collect until interrupted, or once; true if a poll was written or, with `tidy`, all polls were taken in."""
    if not isinstance(site, HTCondorSite):
        msg = f"site {site.key}: is of kind {site.kind}; polls are collected from GPU pools, of kind htcondor"
        raise SiteError(msg)
    site.collected()
    pool: Pool = _EmptyPool() if tidy else CondorPool(site)  # type: ignore[assignment]
    collection = Collection(
        site, pool, every or site.poll_minutes * 60, console.print, lambda text: errors.print(text, style="yellow")
    )
    if tidy:
        return collection.tidy()
    if once:
        return collection.once()
    collection.ever()
    return True
