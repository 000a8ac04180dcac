"""Access of an OpenStack site's accounts to its databases, and PCI aliases of its flavors that do not count as GPUs."""

import re
from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa

from usage_assets.kinds.openstack.site.gpu_aliases import is_gpu_alias
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.sources.sql import access
from usage_assets.sources.sql.reflection import Found
from usage_assets.sources.sql.statements import side_of
from usage_assets.specs.access_report import SiteAccess
from usage_assets.specs.raw_table import RawTable

_FLAVORS = {"nova_api_request_specs": "spec", "blazar_instance_reservations": "resource_properties"}
_ASKED = re.compile(r'"pci_passthrough:alias"\s*:\s*"([^"]*)"')
_AT_MOST = 2000
"""Flavors are few: so many of the newest requests show all that are in use."""


def check_site(site: OpenStackSite, tables: Sequence[RawTable], *, count: bool = True) -> SiteAccess:
    """Tables, columns and rights found at each server, and which PCI aliases of flavors do not count as GPUs."""
    return access.check_site(site, tables, count=count, remarks=lambda found: _remarks(site, found))


def _remarks(site: OpenStackSite, found: Mapping[str, Found]) -> Iterator[str]:
    """One sentence on the aliases that do not count as GPUs, if the newest flavors ask for any."""
    names = {name for table, column in _FLAVORS.items() if table in found for name in _aliases(found[table], column)}
    ignored = sorted(name for name in names if not is_gpu_alias(name, site.gpu_aliases))
    if ignored:
        yield (
            f"PCI aliases of flavors that do not count as GPUs: {', '.join(ignored)}; where some are GPUs, name all "
            f"aliases that are in gpu_aliases of {site.key}.yaml"
        )


def _aliases(found: Found, column: str) -> set[str]:
    """The aliases in the newest texts of a table."""
    out: set[str] = set()
    if found.server is None:
        return out
    for relation in found.relations:
        side = side_of(found, relation, "t")
        text, created = side.column(column), side.column("created_at")
        if text is None:
            continue
        statement = sa.select(text[0]).select_from(side.clause).where(text[0].like("%pci_passthrough:alias%"))
        if created is not None:
            statement = statement.order_by(created[0].desc())
        for (value,) in found.server.rows(statement.limit(_AT_MOST), f"{relation.schema}.{relation.name}"):
            for asked in _ASKED.findall(str(value)):
                out |= {part.rpartition(":")[0].strip() for part in asked.split(",")} - {""}
    return out
