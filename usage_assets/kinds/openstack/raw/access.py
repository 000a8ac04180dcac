"""What the accounts of an OpenStack site find at its databases."""

from collections.abc import Sequence

from usage_assets.kinds.openstack.raw import aliases
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.sources.sql import access
from usage_assets.specs.access_report import SiteAccess
from usage_assets.specs.raw_table import RawTable


def check_site(site: OpenStackSite, tables: Sequence[RawTable], *, count: bool = True) -> SiteAccess:
    """What is found at each server, and which PCI aliases of flavors do not count as GPUs."""
    return access.check_site(site, tables, count=count, remarks=lambda found: aliases.remarks(site, found))
