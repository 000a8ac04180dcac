"""The files that a site's file names beside its sources, read as runs read them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from usage_assets.kinds.service.facts.cost import exchange_of, rates_of
from usage_assets.kinds.service.facts.inventory import inventory_of
from usage_assets.kinds.service.reports.charges import limits_of, users_of
from usage_assets.kinds.service.site.model import ServiceSite

_READ: Mapping[str, Callable[[ServiceSite], int]] = {
    "rates": lambda site: len(rates_of(site).rows),
    "exchange_rates": lambda site: len(exchange_of(site).rows),
    "limits": lambda site: len(limits_of(site).rows),
    "inventory": lambda site: len(inventory_of(site).lines),
    "users": lambda site: len(users_of(site).lines),
}


def check_files(site: ServiceSite) -> list[str]:
    """A sentence on each named file; SiteError names file, line and key of every fault."""
    out = []
    for key, count in _READ.items():
        path: Path | None = getattr(site, key)
        if path is not None:
            out.append(f"{key}: {path.name} has {count(site):,} row(s) that hold for the site")
    return out
