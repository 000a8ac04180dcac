"""Kind: which raw tables the sites of a kind have, and how they are read, made into facts, looked at and hidden.

A subclass per kind. What it needs is imported within its methods, so that the command line starts without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from usage_assets.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import date, datetime

    import polars as pl

    from usage_assets.core.months import Window
    from usage_assets.sites.base import BaseSite
    from usage_assets.sources.personal import Redactor
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
    from usage_assets.warehouse import Reader, Warehouse, Writer


_EVERY_MONTH = 1200
"""More months than a site has."""


class Kind(ABC):
    """A kind of site."""

    name: ClassVar[str]
    label: ClassVar[str]
    source: ClassVar[str] = "sql"
    """What the UI shows raw tables to be read from."""
    access: ClassVar[str | None] = None
    """What the check `access` asks of the accounts that read a site; none where there are none."""
    machines: ClassVar[tuple[str, ...]] = ("nodes", "devices")
    """Resources that stand for a site's machines in plots, the best first; the first that a site has is shown."""
    months_at_once: ClassVar[int | None] = None
    """How many months' raw rows may be in memory at a time; none = all months of a run."""
    appends_facts: ClassVar[bool] = False
    """Whether `fingerprint` and `append_facts` add later raw rows to the facts of a month."""
    mails_reports: ClassVar[bool] = False
    """Whether `due_reports` and `mail_message` are there."""

    @property
    @abstractmethod
    def site_model(self) -> type[BaseSite]:
        """What a site's file is read as. Every command loads it, so it imports neither polars nor Dagster."""

    @property
    @abstractmethod
    def raw_tables(self) -> tuple[RawTable, ...]:
        """Every raw table that a site of the kind may have."""

    @property
    @abstractmethod
    def facts(self) -> tuple[Asset, ...]:
        """The assets of the facts stage, in the order in which they build on each other."""

    @property
    @abstractmethod
    def tables(self) -> tuple[Asset, ...]:
        """Tables of any stage after raw that are made of others."""

    @property
    def usage(self) -> tuple[Asset, ...]:
        """The assets of the usage timelines, of kinds whose values are not those of machines; else none."""
        return ()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is counted of its sites beside the metrics that all kinds share."""
        return ()

    @property
    def plots(self) -> tuple[Plot, ...]:
        """Plots beside those that any kind has which has their tables."""
        return ()

    @property
    def origins(self) -> Mapping[str, tuple[Origin, ...]]:
        """Source of an interval -> the raw rows that explain it."""
        return {}

    @abstractmethod
    def dump(
        self,
        site: Any,
        window: Window,
        warehouse: Warehouse,
        *,
        tables: Sequence[RawTable],
        run_id: str,
        purge_known: bool,
        allow_missing: bool,
        log: Callable[[str], None],
    ) -> DumpResult:
        """Read the months at the source and store them; what was done of each."""

    def read_raw(self, reader: Reader, site: Any, months: Sequence[date]) -> Any:
        """The columns that facts use of the raw rows of some months; of kinds whose facts do not select their own."""
        raise NotImplementedError

    def build_facts(
        self,
        site: Any,
        months: Sequence[date],
        raw: Any,
        extracted: Mapping[date, datetime],
        only: Collection[str] | None = None,
    ) -> Facts:
        """The facts of the months, of what `read_raw` gave; `extracted` per month, `only` names the facts wanted."""
        raise NotImplementedError

    @abstractmethod
    def usage_scope(self, site: Any) -> Scope:
        """What the usage timeline of a site covers."""

    @abstractmethod
    def node_types(self, reader: Reader, site: Any, months: Sequence[date]) -> pl.DataFrame:
        """month, node_type of the machines in the months' own raw rows."""

    @abstractmethod
    def check_site(self, site: Any, tables: Sequence[RawTable], *, count: bool = True) -> SiteAccess:
        """What is found at the source; nothing is changed, and without `count` nothing is read."""

    @abstractmethod
    def check_files(self, site: Any) -> list[str]:
        """A sentence on each file that the site's file names; SiteError where one has a fault."""

    @abstractmethod
    def grants(self, site: Any, tables: Sequence[RawTable]) -> str:
        """What an administrator gives the account that reads."""

    def observed(self, reader: Reader, site: Any, months: Sequence[date]) -> pl.DataFrame | None:
        """month, start_at, end_at: when a site was observed; none where the source knows all times."""
        del reader, site, months
        return None

    def fingerprint(self, reader: Reader, site: Any, month: date) -> str:
        """What the facts of a month are made of, raw rows and rules; of kinds with `appends_facts`."""
        raise NotImplementedError

    def append_facts(self, reader: Reader, site: Any, month: date, fingerprint: str) -> AppendedFacts | None:
        """What later raw rows add to facts with this fingerprint; none where the month is to be built whole."""
        raise NotImplementedError

    def gone(self, reader: Reader, site: Any) -> Mapping[str, Collection[date]]:
        """Months whose rows were removed for good, by asset, `<stage>/<name>`: nothing is made of them any more."""
        del reader, site
        return {}

    def has_table(self, site: Any, table: RawTable) -> bool:
        """Whether a site has a raw table."""
        del site, table
        return True

    def redactor(self, site: Any) -> Redactor | None:
        """What hides the columns that name people; none where a site's file has no such rules."""
        del site
        return None

    def erase(self, writer: Writer, site: Any, user: str) -> dict[str, int]:
        """Put a token in place of a user in every stored row, within the writer's transaction; rows by table."""
        del writer, user
        msg = f"site {site.key}: of sites of kind {self.name} no single user can be erased; hide a column by personal"
        raise UsageError(msg)

    def horizon_days(self, site: Any) -> int:
        """How far ahead lead times are looked for."""
        del site
        return 90

    def due_reports(self, site: Any, now: datetime) -> Sequence[DueReport]:
        """The reports that the site's file wants mailed and that are due; of kinds with `mails_reports`."""
        del site, now
        return ()

    def mail_message(self, reader: Reader, site: Any, report: DueReport) -> MailMessage:
        """What the mail of such a report says."""
        raise NotImplementedError

    def tables_of(self, site: BaseSite) -> tuple[RawTable, ...]:
        """The raw tables that the site has."""
        return tuple(table for table in self.raw_tables if self.has_table(site, table))

    def asset(self, stage: str, table: str) -> str:
        """How bookkeeping tables name an asset: its key's parts joined by slashes."""
        return f"{self.name}/{stage}/{table}"

    def inputs(self, site: BaseSite, asset: Asset) -> tuple[str, ...]:
        """The assets that one of this site is made of."""
        return self.upstream(site, [*asset.after, *(name for name, has in asset.optional.items() if has(site))])

    def reach(self, path: str) -> tuple[int, int]:
        """How many months before and after its own one a change of raw rows may change an asset, `<stage>/<table>`."""
        asset = self.declared.get(path)
        if asset is None:
            return 0, 0
        found = [self.reach(name) for name in (*asset.after, *asset.optional)]
        before, after = (max(sides, default=0) for sides in zip(*found, strict=True)) if found else (0, 0)
        return before + asset.months_after, after + (_EVERY_MONTH if asset.all_before else asset.months_before)

    @cached_property
    def declared(self) -> dict[str, Asset]:
        """The assets after the raw stage that the kind declares, by path."""
        return {asset.path: asset for asset in (*self.facts, *self.usage, *self.tables)}

    def upstream(self, site: BaseSite, names: Iterable[str]) -> tuple[str, ...]:
        """Assets named `<stage>/<table>` as bookkeeping tables name them; raw tables only where the site has them."""
        have = {table.name for table in self.tables_of(site)}
        split = [name.split("/") for name in names]
        return tuple(self.asset(stage, name) for stage, name in split if stage != "raw" or name in have)
