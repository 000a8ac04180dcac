"""The kind of HTCondor pools."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from usage_assets.specs.kind import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date, datetime

    import polars as pl

    from usage_assets.core.months import Window
    from usage_assets.kinds.htcondor.site.model import HTCondorSite
    from usage_assets.sources.record import DumpResult
    from usage_assets.specs.access_report import SiteAccess
    from usage_assets.specs.asset import Asset
    from usage_assets.specs.facts import AppendedFacts, Facts
    from usage_assets.specs.lineage import Origin
    from usage_assets.specs.mail import DueReport, MailMessage
    from usage_assets.specs.metric import Metric
    from usage_assets.specs.plot import Plot
    from usage_assets.specs.raw_table import RawTable
    from usage_assets.timelines.usage import Scope
    from usage_assets.warehouse import Reader, Warehouse


class HTCondor(Kind):
    """Pools of GPUs, read from files of snapshots of their slots."""

    name = "htcondor"
    label = "HTCondor: a pool of GPUs, known by snapshots of its slots"
    source = "file"
    machines = ("gpus",)
    months_at_once = 1
    appends_facts = True
    mails_reports = True

    @cached_property
    def site_model(self) -> type[HTCondorSite]:
        """A site's file."""
        from usage_assets.kinds.htcondor.site.model import HTCondorSite

        return HTCondorSite

    @cached_property
    def raw_tables(self) -> tuple[RawTable, ...]:
        """The states of slots, poll by poll."""
        from usage_assets.kinds.htcondor.raw.tables import TABLES

        return TABLES

    @cached_property
    def facts(self) -> tuple[Asset, ...]:
        """Polls, runs and performance of GPUs, and the intervals of each metric."""
        from usage_assets.kinds.htcondor.facts.assets import FACTS

        return FACTS

    @cached_property
    def tables(self) -> tuple[Asset, ...]:
        """Tables by month, reports and the audit."""
        from usage_assets.kinds.htcondor.reports.assets import REPORT_ASSETS
        from usage_assets.kinds.htcondor.tables.monthly import TABLE_ASSETS
        from usage_assets.reports.audit import audit_of

        tables = (*TABLE_ASSETS, *REPORT_ASSETS)
        return (*tables, audit_of(self.name, self.facts, tables))

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """What each class of GPUs offers and what jobs hold of it; drained GPUs, and those that refuse jobs."""
        from usage_assets.kinds.htcondor.pool.metrics import METRICS

        return METRICS

    @cached_property
    def plots(self) -> tuple[Plot, ...]:
        """Plots of classes, GPUs, users, draining, and weeks."""
        from usage_assets.kinds.htcondor.plots.declare import PLOTS

        return PLOTS

    @cached_property
    def origins(self) -> Mapping[str, tuple[Origin, ...]]:
        """Of an interval: the rows of its GPU in the last poll."""
        from usage_assets.kinds.htcondor.facts.gpu_intervals import SOURCE
        from usage_assets.specs.lineage import Origin

        return {SOURCE: (Origin(SOURCE, "gpu", "entity_id", sql="machine || '/' || gpu", polled="poll_at"),)}

    def dump(
        self, site: HTCondorSite, window: Window, warehouse: Warehouse, *, tables: Sequence[RawTable], **options: Any
    ) -> DumpResult:
        """Read the months from the files, each by itself."""
        from usage_assets.kinds.htcondor.raw.dump import dump

        return dump(site, window, warehouse, tables=tables, **options)

    def read_raw(self, reader: Reader, site: HTCondorSite, months: Sequence[date]) -> Any:
        """Polls and their rows by month."""
        from usage_assets.kinds.htcondor.facts.observed import read_raw

        return read_raw(reader, site, months)

    def build_facts(
        self,
        site: HTCondorSite,
        months: Sequence[date],
        raw: Any,
        extracted: Mapping[date, datetime],
        only: Collection[str] | None = None,
    ) -> Facts:
        """What each GPU was from poll to poll."""
        from usage_assets.kinds.htcondor.facts.build import build_facts

        return build_facts(site, months, raw, extracted, only)

    def observed(self, reader: Reader, site: HTCondorSite, months: Sequence[date]) -> pl.DataFrame:
        """Stretches in which no poll is missing."""
        from usage_assets.kinds.htcondor.facts.observed import observed

        return observed(reader, site, months)

    def fingerprint(self, reader: Reader, site: HTCondorSite, month: date) -> str:
        """Of the polls of a month, and of the rules."""
        from usage_assets.kinds.htcondor.facts.incremental import fingerprint

        return fingerprint(reader, site, month)

    def append_facts(self, reader: Reader, site: HTCondorSite, month: date, fingerprint: str) -> AppendedFacts | None:
        """Facts of the polls since."""
        from usage_assets.kinds.htcondor.facts.incremental import append_facts

        return append_facts(reader, site, month, fingerprint)

    def usage_scope(self, site: HTCondorSite) -> Scope:
        """GPUs by class."""
        from usage_assets.kinds.htcondor.timelines.scope import usage_scope

        return usage_scope(site)

    def node_types(self, reader: Reader, site: HTCondorSite, months: Sequence[date]) -> pl.DataFrame:
        """Models of GPUs."""
        from usage_assets.kinds.htcondor.timelines.scope import node_types

        return node_types(reader, site, months)

    def check_site(self, site: HTCondorSite, tables: Sequence[RawTable], *, count: bool = True) -> SiteAccess:
        """Files, columns and polls that are there."""
        from usage_assets.kinds.htcondor.raw.access import check_site

        return check_site(site, tables, count=count)

    def check_files(self, site: HTCondorSite) -> list[str]:
        """Lists of hosts."""
        from usage_assets.kinds.htcondor.raw.access import check_files

        return check_files(site)

    def grants(self, site: HTCondorSite, tables: Sequence[RawTable]) -> str:
        """Who reads the files."""
        from usage_assets.kinds.htcondor.raw.access import grants

        return grants(site, tables)

    def due_reports(self, site: HTCondorSite, now: datetime) -> Sequence[DueReport]:
        """Daily, weekly and monthly reports that are to be mailed."""
        from usage_assets.kinds.htcondor.reports.mailing import postings

        return postings(site, now)

    def mail_message(self, reader: Reader, site: HTCondorSite, report: DueReport) -> MailMessage:
        """The report's stored page and text."""
        from usage_assets.kinds.htcondor.reports.mailing import mail_message

        return mail_message(reader, site, report)
