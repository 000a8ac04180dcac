"""Dumps of OpenStack sites."""

from collections.abc import Sequence
from typing import Any

from usage_assets.core.months import Window
from usage_assets.kinds.openstack.raw.personal import redactor_of
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.sources.record import DumpResult
from usage_assets.sources.sql import dump as sql
from usage_assets.specs.raw_table import RawTable
from usage_assets.warehouse import Warehouse


def dump(
    site: OpenStackSite, window: Window, warehouse: Warehouse, *, tables: Sequence[RawTable], **options: Any
) -> DumpResult:
    """Read the months of the window from the site's databases and store them, as `sources.sql.dump` does."""
    return sql.dump(site, window, warehouse, tables=tables, catalogue=BY_NAME, redactor=redactor_of(site), **options)
