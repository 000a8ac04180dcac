"""Kind: which raw tables the sites of a kind have, and how they are read, made into facts, looked at and hidden.

Functions are imported when they are first called, so that the command line starts without them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from usage_assets.schema import Table
from usage_assets.sites.files import Site
from usage_assets.specs.asset import TableAsset, TableCheck
from usage_assets.specs.lineage import Origin
from usage_assets.specs.mail import Letter, Posting
from usage_assets.specs.raw_table import RawTable
from usage_assets.warehouse import Reader

if TYPE_CHECKING:
    from usage_assets.orchestration.incremental import Grown
    from usage_assets.sources.personal import Hider
    from usage_assets.sources.record import DumpResult
    from usage_assets.specs.access_report import SiteAccess
    from usage_assets.specs.plot import Plot
    from usage_assets.timelines.usage import Scope


class Facts(Protocol):
    """What a kind makes of raw rows; the accounts say where rows and hours went."""

    @property
    def intervals(self) -> pl.DataFrame:
        """Rows of facts.intervals."""

    @property
    def rejects(self) -> pl.DataFrame:
        """Rows of facts.rejects."""

    @property
    def accounts(self) -> pl.DataFrame:
        """Rows of serving.accounts."""

    @property
    def tables(self) -> Mapping[str, pl.DataFrame]:
        """Rows of the fact assets that are a whole table, by the asset's name."""


@dataclass(frozen=True)
class FactAsset:
    """One asset of the facts stage, and the raw tables that it reads.

    It owns the rows of its metrics in facts.intervals and facts.rejects or, with `table`, that whole table.
    """

    name: str
    description: str
    metrics: tuple[str, ...]
    reads: tuple[str, ...]
    table: Table | None = None
    after: tuple[str, ...] = ()
    """Fact assets that it builds on, for the lineage shown."""
    may_read: tuple[str, ...] = ()
    """Raw tables that it reads too, of sites for which `reads_more` holds."""
    reads_more: Callable[[Any], bool] = lambda site: False  # noqa: ARG005 - most facts read the same of every site
    reads_if_listed: tuple[str, ...] = ()
    """Raw tables that it reads only where the site lists them among the sources of a metric."""
    sharing: tuple[str, ...] = ()
    """Sources whose rows may share what they hold: that one of them owns the time is no fault of the others."""
    checks: tuple[TableCheck, ...] = ()
    """What is asked of it beside what is asked of every fact."""


@dataclass(frozen=True)
class Kind:
    """A kind of site."""

    name: str
    label: str
    raw_tables: tuple[RawTable, ...]
    facts: tuple[FactAsset, ...]
    read_raw: Callable[[Reader, Any, Sequence[date]], Any]
    """The columns that facts use of the raw rows of some months."""
    build_facts: Callable[..., Facts]
    """(site, months, what read_raw gave, extraction per month, names of the facts wanted) -> the facts."""
    months_at_once: int | None = field(default=None, kw_only=True)
    """How many months' raw rows may be in memory at a time; none = all months of a run."""
    table_months_at_once: int | None = field(default=None, kw_only=True)
    """How many months' facts may be in memory at a time where tables are made of them; none = all months of a run."""
    seen: Callable[[Reader, Any, Sequence[date]], pl.DataFrame] | None = field(default=None, kw_only=True)
    """month, start_at, end_at: when a site was seen, of kinds whose sources say it; none = the source knows all."""
    mark: Callable[[Reader, Any, date], str] | None = field(default=None, kw_only=True)
    """What the facts of a month are made of, raw rows and rules, of kinds that can `grow` them."""
    grow: Callable[[Reader, Any, date, str], "Grown | None"] | None = field(default=None, kw_only=True)
    """(reader, site, month, the mark of its facts): what later raw rows add; none where it is to be built whole."""
    usage_scope: Callable[[Any], "Scope"]
    """What the usage timeline of a site covers."""
    node_types: Callable[[Reader, Any, Sequence[date]], pl.DataFrame]
    """month, node_type of the machines in the months' own raw rows."""
    dump: Callable[..., "DumpResult"]
    """(site, window, warehouse, *, tables, run_id, purge_known, allow_missing, log): reads the months at the source and
    stores them; what it did of each."""
    check_site: Callable[..., "SiteAccess"]
    """(site, tables, *, count=True): what is found at the source, nothing changed and without count nothing read."""
    check_files: Callable[[Any], list[str]]
    """A sentence on each file that the site's file names; SiteError where one has a fault."""
    grants: Callable[[Any, Sequence[RawTable]], str]
    """What an administrator gives the account that reads."""
    source: str = "sql"
    """What the UI shows raw tables to be read from."""
    access: str | None = None
    """What the check `access` asks of the accounts that read a site; none where there are none."""
    has_table: Callable[[Any, RawTable], bool] = lambda site, table: True  # noqa: ARG005 - as the field's type has it
    """Whether a site has a raw table."""
    listed: Callable[[Any], Collection[str]] = lambda site: ()  # noqa: ARG005 - most kinds have no such list
    """Names of the sources that a site's file lists for its metrics."""
    hider: Callable[[Any], "Hider | None"] = lambda site: None  # noqa: ARG005
    """What hides the columns that name people; none where a site's file has no such rules."""
    horizon_days: Callable[[Any], int] = lambda site: 90  # noqa: ARG005
    """How far ahead lead times are looked for."""
    origins: Mapping[str, tuple[Origin, ...]] = field(default_factory=dict)
    """Source of an interval -> the raw rows that explain it."""
    tables: tuple[TableAsset, ...] = ()
    """Tables of any stage after raw that are made of others."""
    plots: tuple["Plot", ...] = ()
    """Plots beside those that any kind has which has their tables."""
    machines: tuple[str, ...] = ("nodes", "devices")
    """Resources that stand for a site's machines in plots, the best first; the first that a site has is shown."""
    postings: Callable[[Any, datetime], Sequence[Posting]] = lambda site, now: ()  # noqa: ARG005
    """(site, now) -> the reports that the site's file wants mailed and that are due."""
    letter: Callable[[Reader, Any, Posting], Letter] | None = None
    """What the mail of such a report says; none where the kind mails no reports."""

    def tables_of(self, site: Site) -> tuple[RawTable, ...]:
        """The raw tables that the site has."""
        return tuple(table for table in self.raw_tables if self.has_table(site, table))

    def asset(self, stage: str, table: str) -> str:
        """How bookkeeping tables name an asset: its key's parts joined by slashes."""
        return f"{self.name}/{stage}/{table}"

    def inputs(self, site: Site, fact: FactAsset) -> tuple[str, ...]:
        """The raw assets that a fact of this site is made of."""
        listed = self.listed(site)
        reads = [*fact.reads, *(name for name in fact.reads_if_listed if name in listed)]
        reads += fact.may_read if fact.reads_more(site) else ()
        return self.gates(site, [f"raw/{name}" for name in dict.fromkeys(reads)])

    def gates(self, site: Site, names: Iterable[str]) -> tuple[str, ...]:
        """Assets named `<stage>/<table>` as bookkeeping tables name them; raw tables only where the site has them."""
        have = {table.name for table in self.tables_of(site)}
        split = [name.split("/") for name in names]
        return tuple(self.asset(stage, name) for stage, name in split if stage != "raw" or name in have)
