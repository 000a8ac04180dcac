"""The kind of OpenStack sites."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from usage_assets.specs.kind import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date, datetime

    import polars as pl

    from usage_assets.core.months import Window
    from usage_assets.kinds.openstack.site.model import OpenStackSite
    from usage_assets.sources.personal import Redactor
    from usage_assets.sources.record import DumpResult
    from usage_assets.specs.access_report import SiteAccess
    from usage_assets.specs.asset import Asset
    from usage_assets.specs.facts import Facts
    from usage_assets.specs.lineage import Origin
    from usage_assets.specs.raw_table import RawTable
    from usage_assets.timelines.usage import Scope
    from usage_assets.warehouse import Reader, Warehouse


class OpenStack(Kind):
    """Clouds of virtual and bare-metal machines and edge devices, read from the databases of their services."""

    name = "openstack"
    label = "OpenStack: Nova, with or without Blazar and Zun"
    access = "The site's accounts can only read, and no password travels unencrypted."

    @cached_property
    def site_model(self) -> type[OpenStackSite]:
        """A site's file."""
        from usage_assets.kinds.openstack.site.model import OpenStackSite

        return OpenStackSite

    @cached_property
    def raw_tables(self) -> tuple[RawTable, ...]:
        """Tables of Nova, Blazar, Zun and Keystone, and those of the legacy usage counter."""
        from usage_assets.kinds.openstack.raw.tables import TABLES

        return TABLES

    @cached_property
    def facts(self) -> tuple[Asset, ...]:
        """total, reservable, committed, occupied, active."""
        from usage_assets.kinds.openstack.facts.assets import FACTS

        return FACTS

    @cached_property
    def tables(self) -> tuple[Asset, ...]:
        """The legacy counter and its comparison, leases, lead times, dimensions and the audit."""
        from usage_assets.kinds.openstack.facts.assets import LEASES
        from usage_assets.kinds.openstack.legacy.assets import LEGACY_COMPARISON, LEGACY_USAGE
        from usage_assets.kinds.openstack.timelines.assets import DIMENSIONS, LEADTIME
        from usage_assets.reports.audit import audit_of

        tables = (LEGACY_USAGE, LEGACY_COMPARISON, LEASES, LEADTIME, *DIMENSIONS)
        return (*tables, audit_of(self.name, self.facts, tables))

    @cached_property
    def origins(self) -> Mapping[str, tuple[Origin, ...]]:
        """Of an interval's source: its own row, and the lease, reservation and machine that it belongs to."""
        from usage_assets.kinds.openstack.facts.origins import ORIGINS

        return ORIGINS

    def dump(
        self, site: OpenStackSite, window: Window, warehouse: Warehouse, *, tables: Sequence[RawTable], **options: Any
    ) -> DumpResult:
        """Read the months in one snapshot per server."""
        from usage_assets.kinds.openstack.raw.dump import dump

        return dump(site, window, warehouse, tables=tables, **options)

    def read_raw(self, reader: Reader, site: OpenStackSite, months: Sequence[date]) -> Any:
        """Lazy frames by the name of the raw table."""
        from usage_assets.kinds.openstack.facts import read_inputs

        return read_inputs(reader, site, months)

    def build_facts(
        self,
        site: OpenStackSite,
        months: Sequence[date],
        raw: Any,
        extracted: Mapping[date, datetime],
        only: Collection[str] | None = None,
    ) -> Facts:
        """Rules 1 to 9."""
        from usage_assets.kinds.openstack.facts import build_facts

        return build_facts(site, months, raw, extracted, only)

    def usage_scope(self, site: OpenStackSite) -> Scope:
        """Metrics of the databases that the site has."""
        from usage_assets.kinds.openstack.timelines.scope import usage_scope

        return usage_scope(site)

    def node_types(self, reader: Reader, site: OpenStackSite, months: Sequence[date]) -> pl.DataFrame:
        """Types of Blazar's hosts and devices."""
        from usage_assets.kinds.openstack.timelines.scope import stored_node_types

        return stored_node_types(reader, site, months)

    def check_site(self, site: OpenStackSite, tables: Sequence[RawTable], *, count: bool = True) -> SiteAccess:
        """Tables, columns and rights that the accounts have."""
        from usage_assets.kinds.openstack.raw.access import check_site

        return check_site(site, tables, count=count)

    def check_files(self, site: OpenStackSite) -> list[str]:
        """The operator's inventories."""
        from usage_assets.kinds.openstack.facts.inventory import describe_inventories

        return describe_inventories(site)

    def grants(self, site: OpenStackSite, tables: Sequence[RawTable]) -> str:
        """SQL for each server."""
        from usage_assets.sources.sql.access import grants

        return grants(site, tables)

    def has_table(self, site: OpenStackSite, table: RawTable) -> bool:
        """Whether the site's file names its database."""
        return table.database in site.databases

    def redactor(self, site: OpenStackSite) -> Redactor:
        """By the site's rules on personal columns."""
        from usage_assets.kinds.openstack.raw.personal import redactor_of

        return redactor_of(site)

    def horizon_days(self, site: OpenStackSite) -> int:
        """As the site's file says."""
        return int(site.leadtime_horizon_days)
