"""The kind of sites that are services answering requests with models."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from usage_assets.specs.kind import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date, datetime

    import polars as pl

    from usage_assets.core.months import Window
    from usage_assets.kinds.service.site.model import ServiceSite
    from usage_assets.sources.record import DumpResult
    from usage_assets.specs.access_report import SiteAccess
    from usage_assets.specs.asset import Asset
    from usage_assets.specs.lineage import Origin
    from usage_assets.specs.mail import DueReport, MailMessage
    from usage_assets.specs.metric import Metric
    from usage_assets.specs.plot import Plot
    from usage_assets.specs.raw_table import RawTable
    from usage_assets.timelines.usage import Scope
    from usage_assets.warehouse import Reader, Warehouse, Writer


class Service(Kind):
    """Gateways, inference servers and image generators, read from the events that they log."""

    name = "service"
    label = "Service: requests to models, known by the events of a gateway or server"
    source = "file"
    machines = ("requests",)
    mails_reports = True

    @cached_property
    def site_model(self) -> type[ServiceSite]:
        """A site's file."""
        from usage_assets.kinds.service.site.model import ServiceSite

        return ServiceSite

    @cached_property
    def raw_tables(self) -> tuple[RawTable, ...]:
        """Events, and rows that are none."""
        from usage_assets.kinds.service.raw.tables import TABLES

        return TABLES

    @cached_property
    def facts(self) -> tuple[Asset, ...]:
        """Requests, residency of models, the inventory, and the intervals of each metric."""
        from usage_assets.kinds.service.facts.assets import FACTS

        return FACTS

    @cached_property
    def usage(self) -> tuple[Asset, ...]:
        """Flows and stocks of requests, tokens and models."""
        from usage_assets.kinds.service.timelines.assets import USAGE_ASSETS

        return USAGE_ASSETS

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """What is counted of requests, tokens and models."""
        from usage_assets.kinds.service.timelines.metrics import METRICS

        return METRICS

    @cached_property
    def tables(self) -> tuple[Asset, ...]:
        """Lead times, sums, limits, advice, reports and the audit."""
        from usage_assets.kinds.service.reports.advice_assets import ADVICE_ASSETS
        from usage_assets.kinds.service.reports.assets import REPORT_ASSETS
        from usage_assets.kinds.service.reports.spending import SPENDING_ASSETS
        from usage_assets.kinds.service.tables.assets import TABLE_ASSETS
        from usage_assets.kinds.service.tables.legacy import LEGACY_ASSETS
        from usage_assets.kinds.service.timelines.assets import LEADTIME

        return (LEADTIME, *TABLE_ASSETS, *LEGACY_ASSETS, *SPENDING_ASSETS, *ADVICE_ASSETS, *REPORT_ASSETS)

    @cached_property
    def plots(self) -> tuple[Plot, ...]:
        """Cost, requests, tokens, load, latency and spending."""
        from usage_assets.kinds.service.plots.declare import PLOTS

        return PLOTS

    def due_reports(self, site: ServiceSite, now: datetime) -> Sequence[DueReport]:
        """The report of the last month, if it is mailed."""
        from usage_assets.kinds.service.reports.mailing import due_reports

        return due_reports(site, now)

    def mail_message(self, reader: Reader, site: ServiceSite, report: DueReport) -> MailMessage:
        """A report as a mail."""
        from usage_assets.kinds.service.reports.mailing import mail_message

        return mail_message(reader, site, report)

    @cached_property
    def origins(self) -> Mapping[str, tuple[Origin, ...]]:
        """Of an interval: the events of its request, or the loads of its model."""
        from usage_assets.kinds.service.facts.origins import ORIGINS

        return ORIGINS

    def dump(
        self, site: ServiceSite, window: Window, warehouse: Warehouse, *, tables: Sequence[RawTable], **options: Any
    ) -> DumpResult:
        """Read what the months need, and store it."""
        from usage_assets.kinds.service.raw.dump import dump

        return dump(site, window, warehouse, tables=tables, **options)

    def gone(self, reader: Reader, site: ServiceSite) -> Mapping[str, Collection[date]]:
        """What retention removed."""
        from usage_assets.kinds.service.reports.retention_tables import gone_months

        return gone_months(reader, site.key)

    def erase(self, writer: Writer, site: ServiceSite, user: str) -> dict[str, int]:
        """One user, in events, facts and sums."""
        from usage_assets.kinds.service.reports.erase import erase

        return erase(writer, site.key, user)

    def usage_scope(self, site: ServiceSite) -> Scope:
        """Requests by model."""
        from usage_assets.kinds.service.timelines.scope import usage_scope

        return usage_scope(site)

    def node_types(self, reader: Reader, site: ServiceSite, months: Sequence[date]) -> pl.DataFrame:
        """Models."""
        from usage_assets.kinds.service.timelines.scope import node_types

        return node_types(reader, site, months)

    def check_site(self, site: ServiceSite, tables: Sequence[RawTable], *, count: bool = True) -> SiteAccess:
        """Files, columns and events that are there."""
        from usage_assets.kinds.service.raw.access import check_site

        return check_site(site, tables, count=count)

    def check_files(self, site: ServiceSite) -> list[str]:
        """Rates, limits, inventory and users."""
        from usage_assets.kinds.service.reports.named_files import check_files

        return check_files(site)

    def grants(self, site: ServiceSite, tables: Sequence[RawTable]) -> str:
        """Who reads the sources."""
        from usage_assets.kinds.service.raw.access import grants

        return grants(site, tables)
