"""The only registry of kinds. A kind says which raw tables a site has and how facts are made of them.

Nothing else in the package asks which kind a site is: it takes the site's `Kind` and uses what stands in it.
Functions are imported when they are first called, so that the command line starts without them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from usage_assets.declared import Made, TableAsset, TableCheck, later
from usage_assets.facts.openstack.build import METRICS_OF
from usage_assets.facts.openstack.origins import ORIGINS
from usage_assets.facts.origins import Origin
from usage_assets.facts.tables import LEASES
from usage_assets.raw.declare import RawTable
from usage_assets.raw.openstack import TABLES as OPENSTACK_TABLES
from usage_assets.reports.audit_asset import audit_of
from usage_assets.reports.tables import LEGACY_COMPARISON
from usage_assets.sites import Site
from usage_assets.timelines.dimension_assets import DIMENSIONS
from usage_assets.timelines.tables import LEADTIME, USAGE
from usage_assets.timelines.views import LEADTIME_SITE
from usage_assets.warehouse import Reader

if TYPE_CHECKING:
    from usage_assets.timelines.usage import Scope

__all__ = ["KINDS", "OPENSTACK", "FactAsset", "Facts", "Kind", "Made", "TableAsset", "TableCheck", "kind_of"]


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


@dataclass(frozen=True)
class FactAsset:
    """One asset of the facts stage: the metrics whose rows it owns, and the raw tables that it reads."""

    name: str
    description: str
    metrics: tuple[str, ...]
    reads: tuple[str, ...]
    after: tuple[str, ...] = ()
    """Fact assets that it builds on, for the lineage shown."""
    may_read: tuple[str, ...] = ()
    """Raw tables that it reads too, of sites for which `reads_more` holds."""
    reads_more: Callable[[Site], bool] = lambda site: False  # noqa: ARG005 - most facts read the same of every site
    reads_if_listed: tuple[str, ...] = ()
    """Raw tables that it reads only where the site lists them among the sources of a metric."""


@dataclass(frozen=True)
class Kind:
    """A kind of site."""

    name: str
    label: str
    raw_tables: tuple[RawTable, ...]
    facts: tuple[FactAsset, ...]
    read_raw: Callable[[Reader, Site, Sequence[date]], Any]
    """The columns that facts use of the raw rows of some months."""
    build_facts: Callable[..., Facts]
    """(site, months, what read_raw gave, extraction per month, names of the facts wanted) -> the facts."""
    usage_scope: Callable[[Site], "Scope"]
    """What the usage timeline of a site covers."""
    node_types: Callable[[Reader, Site, Sequence[date]], pl.DataFrame]
    """month, node_type of the machines in the months' own raw rows."""
    check_files: Callable[[Site], list[str]]
    """A sentence on each file that the site's file names; SiteError where one has a fault."""
    origins: Mapping[str, tuple[Origin, ...]] = field(default_factory=dict)
    """Source of an interval -> the raw rows that explain it."""
    tables: tuple[TableAsset, ...] = ()
    """Tables of any stage after raw that are made of others."""

    def tables_of(self, site: Site) -> tuple[RawTable, ...]:
        """The raw tables whose database the site has."""
        return tuple(table for table in self.raw_tables if table.database in site.databases)

    def asset(self, stage: str, table: str) -> str:
        """How bookkeeping tables name an asset: its key's parts joined by slashes."""
        return f"{self.name}/{stage}/{table}"

    def inputs(self, site: Site, fact: FactAsset) -> tuple[str, ...]:
        """The raw assets that a fact of this site is made of."""
        listed = {source.name for sources in site.sources.values() for source in sources}
        reads = [*fact.reads, *(name for name in fact.reads_if_listed if name in listed)]
        reads += fact.may_read if fact.reads_more(site) else ()
        return self.gates(site, [f"raw/{name}" for name in dict.fromkeys(reads)])

    def gates(self, site: Site, names: Iterable[str]) -> tuple[str, ...]:
        """Assets named `<stage>/<table>` as bookkeeping tables name them; raw tables only where the site has them."""
        have = {table.name for table in self.tables_of(site)}
        split = [name.split("/") for name in names]
        return tuple(self.asset(stage, name) for stage, name in split if stage != "raw" or name in have)


def _openstack_read(reader: Reader, site: Site, months: Sequence[date]) -> Any:
    from usage_assets.facts.openstack import read_inputs

    return read_inputs(reader, site, months)


def _openstack_facts(
    site: Site, months: Sequence[date], raw: Any, extracted: Mapping[date, datetime], only: Collection[str]
) -> Facts:
    from usage_assets.facts.openstack import build_facts

    return build_facts(site, months, raw, extracted, only)


def _openstack_scope(site: Site) -> "Scope":
    from usage_assets.timelines.openstack import usage_scope

    return usage_scope(site)


def _openstack_types(reader: Reader, site: Site, months: Sequence[date]) -> pl.DataFrame:
    from usage_assets.facts.openstack import read_raw
    from usage_assets.timelines.openstack import NODE_TYPE_INPUTS, month_node_types

    return month_node_types(site, read_raw(reader, site.key, months, only=NODE_TYPE_INPUTS))


def _openstack_files(site: Site) -> list[str]:
    from usage_assets.facts.openstack.inventory import describe_inventory

    files = [source.file for source in site.sources.get("total", ()) if source.file is not None]
    return [describe_inventory(site.key, file) for file in files]


def _has_blazar(site: Site) -> bool:
    return "blazar" in site.databases


def _has_legacy(site: Site) -> bool:
    return "chameleon_usage" in site.databases


def _legacy_check(name: str, description: str, failing: str) -> TableCheck:
    return TableCheck(name, description, later("checks.legacy", name), warn=True, per_run=failing)


_LEGACY = TableAsset(
    stage="timelines",
    name="legacy_usage",
    table=USAGE,
    description="The old usage caches as daily node-hours of collector_type legacy, read as total = maintenance + "
    "reserved and unused + used + unreserved.",
    after=("raw/chameleon_usage_node_usage_report_cache", "raw/chameleon_usage_node_count_cache"),
    read=later("timelines.legacy", "read"),
    make=later("timelines.legacy", "make"),
    owned={"collector_type": ("legacy",)},
    applies=_has_legacy,
    checks=(
        _legacy_check(
            "partition",
            "Is total = maintenance + reserved + used + idle, or = reserved + used + idle? Passes for the first.",
            "that are not this partition",
        ),
        _legacy_check(
            "count",
            "Is total / 24 the count of nodes, or that less the nodes in maintenance? Passes for the first.",
            "with another total than the count",
        ),
        _legacy_check(
            "used_beside_reserved",
            "Does used exceed reserved anywhere? Fails where the two together exceed total - maintenance.",
            "in which used can't stand beside reserved",
        ),
        _legacy_check(
            "bounds",
            "Is any hour negative, or any total above 24 x the count of nodes?",
            "with negative hours or too many",
        ),
        _legacy_check(
            "source_rows",
            "Rows that share their day and node type with another, or have nulls.",
            "with doubled rows or nulls",
        ),
    ),
)
_LEGACY_COMPARISON = TableAsset(
    stage="reports",
    name="legacy_comparison",
    table=LEGACY_COMPARISON,
    after=("timelines/usage", "timelines/legacy_usage"),
    read=later("reports.comparison", "read"),
    make=later("reports.comparison", "make"),
    applies=_has_legacy,
    checks=(
        _legacy_check(
            "unexplained",
            "Differences from the old caches for which no cause is found: their share per metric, the worst days.",
            "with unexplained differences",
        ),
    ),
)

_MACHINES = (
    "nova_compute_nodes",
    "blazar_computehosts",
    "blazar_computehost_extra_capabilities",
    "blazar_resource_properties",
    "blazar_devices",
    "blazar_device_extra_capabilities",
)
_FURTHER = ("nova_services",)
_BOOKINGS = (
    "blazar_leases",
    "blazar_reservations",
    "blazar_computehost_allocations",
    "blazar_instance_reservations",
    "blazar_device_allocations",
)
_SERVERS = (
    "nova_instances",
    "nova_cell0_instances",
    "nova_instance_actions",
    "nova_instance_actions_events",
    "nova_api_request_specs",
    "zun_container",
)

_LEASES = TableAsset(
    stage="facts",
    name="leases",
    table=LEASES,
    after=tuple(
        f"raw/{name}"
        for name in (
            "blazar_leases",
            "blazar_reservations",
            "blazar_events",
            "blazar_computehosts",
            "blazar_computehost_extra_capabilities",
            "blazar_resource_properties",
            "blazar_computehost_allocations",
            "blazar_computehost_reservations",
            "blazar_devices",
            "blazar_device_extra_capabilities",
            "blazar_device_allocations",
            "blazar_device_reservations",
        )
    ),
    read=later("facts.openstack.leases", "read_leases"),
    make=later("facts.openstack.leases", "build_leases"),
    rejects_of=("leadtime",),
    applies=_has_blazar,
    checks=(
        TableCheck(
            "started",
            "Leases whose start failed, or passed without being carried out.",
            later("checks.leases", "started"),
            warn=True,
        ),
        TableCheck(
            "start_not_before_asked",
            "Leases whose start lies 90 s or more before they were asked for.",
            later("checks.leases", "start_not_before_asked"),
            warn=True,
        ),
        TableCheck(
            "projection_exact",
            "Projected lead times that rest on bookings changed since: their dates then may have been others.",
            later("checks.leases", "projection_exact"),
            warn=True,
        ),
    ),
)

_LEADTIME = TableAsset(
    stage="timelines",
    name="leadtime",
    table=LEADTIME,
    after=("facts/leases",),
    read=later("timelines.leadtime", "read"),
    make=later("timelines.leadtime", "make"),
    applies=_has_blazar,
    views=(LEADTIME_SITE,),
)

_OPENSTACK = Kind(
    name="openstack",
    label="OpenStack: Nova, with or without Blazar and Zun",
    raw_tables=OPENSTACK_TABLES,
    facts=(
        FactAsset(
            "total",
            "Machines and devices that exist, from when to when.",
            METRICS_OF["total"],
            _MACHINES,
            reads_if_listed=_FURTHER,
        ),
        FactAsset(
            "reservable",
            "Machines and devices that may be reserved.",
            METRICS_OF["reservable"],
            _MACHINES,
            after=("total",),
            may_read=_BOOKINGS,
            reads_more=lambda site: site.maintenance is not None,
            reads_if_listed=_FURTHER,
        ),
        FactAsset(
            "committed",
            "Reservable machines and devices that a lease holds, each once.",
            METRICS_OF["committed"],
            (*_MACHINES, *_BOOKINGS),
            after=("reservable",),
            reads_if_listed=_FURTHER,
        ),
        FactAsset(
            "occupied",
            "Machines and devices that servers and containers hold, by how they were booked.",
            METRICS_OF["occupied"],
            (*_MACHINES, *_BOOKINGS, *_SERVERS),
            after=("total", "committed"),
            reads_if_listed=_FURTHER,
        ),
        FactAsset(
            "active",
            "Machines and devices held by servers that run: occupied, less the time off, paused or suspended.",
            METRICS_OF["active"],
            (*_MACHINES, *_BOOKINGS, *_SERVERS),
            after=("occupied",),
            reads_if_listed=_FURTHER,
        ),
    ),
    read_raw=_openstack_read,
    build_facts=_openstack_facts,
    usage_scope=_openstack_scope,
    node_types=_openstack_types,
    origins=ORIGINS,
    check_files=_openstack_files,
    tables=(_LEGACY, _LEGACY_COMPARISON, _LEASES, _LEADTIME, *DIMENSIONS),
)


def _audited(kind: Kind) -> Kind:
    """The kind with the audit of all its facts."""
    tables = (table.name for table in kind.tables if table.stage == "facts")
    return replace(kind, tables=(*kind.tables, audit_of([*(fact.name for fact in kind.facts), *tables])))


OPENSTACK = _audited(_OPENSTACK)
KINDS: dict[str, Kind] = {kind.name: kind for kind in (OPENSTACK,)}


def kind_of(site: Site) -> Kind:
    """The kind of a site."""
    return KINDS[site.kind]
