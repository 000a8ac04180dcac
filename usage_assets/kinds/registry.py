"""The only registry of kinds. A kind says which raw tables a site has and how facts are made of them.

Nothing else in the package asks which kind a site is: it takes the site's `Kind` and uses what stands in it.
"""

from dataclasses import replace

from usage_assets.facts.tables import LEASES
from usage_assets.kinds.htcondor.facts.gpu_intervals import ALLOCATED, AVAILABLE, SOURCE
from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE, GPU_POLLS, GPU_RUNS
from usage_assets.kinds.htcondor.plots.declare import PLOTS
from usage_assets.kinds.htcondor.raw.tables import TABLES as HTCONDOR_TABLES
from usage_assets.kinds.htcondor.reports.declare import REPORT_ASSETS
from usage_assets.kinds.htcondor.tables.assets import TABLE_ASSETS
from usage_assets.kinds.openstack.facts.build import METRICS_OF
from usage_assets.kinds.openstack.facts.origins import ORIGINS
from usage_assets.kinds.openstack.raw.tables import TABLES as OPENSTACK_TABLES
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.timelines.dimension_declarations import DIMENSIONS
from usage_assets.reports.audit_declaration import audit_of
from usage_assets.reports.tables import LEGACY_COMPARISON
from usage_assets.sites.files import Site
from usage_assets.specs.asset import Made, TableAsset, TableCheck, later
from usage_assets.specs.kind import FactAsset, Facts, Kind
from usage_assets.specs.lineage import Origin
from usage_assets.specs.raw_table import RawTable
from usage_assets.timelines.tables import LEADTIME, USAGE
from usage_assets.timelines.views import LEADTIME_SITE

__all__ = [
    "HTCONDOR",
    "KINDS",
    "OPENSTACK",
    "FactAsset",
    "Facts",
    "Kind",
    "Made",
    "TableAsset",
    "TableCheck",
    "kind_of",
]


def _has_database(site: OpenStackSite, table: RawTable) -> bool:
    return table.database in site.databases


def _listed(site: OpenStackSite) -> set[str]:
    return {source.name for sources in site.sources.values() for source in sources}


def _has_blazar(site: OpenStackSite) -> bool:
    return "blazar" in site.databases


def _has_legacy(site: OpenStackSite) -> bool:
    return "chameleon_usage" in site.databases


def _legacy_check(name: str, description: str, failing: str) -> TableCheck:
    return TableCheck(name, description, later("kinds.openstack.legacy.checks", name), warn=True, per_run=failing)


def _machine_check(name: str, description: str, failing: str) -> TableCheck:
    return TableCheck(
        name, description, later("kinds.openstack.facts.machine_checks", name), warn=True, per_run=failing
    )


_LEGACY = TableAsset(
    stage="timelines",
    name="legacy_usage",
    table=USAGE,
    description="The legacy usage counter as daily node-hours of collector_type legacy, read as total = maintenance + "
    "reserved and unused + used + unreserved.",
    after=("raw/chameleon_usage_node_usage_report_cache", "raw/chameleon_usage_node_count_cache"),
    read=later("kinds.openstack.legacy.usage", "read"),
    make=later("kinds.openstack.legacy.usage", "make"),
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
    read=later("kinds.openstack.legacy.comparison", "read"),
    make=later("kinds.openstack.legacy.comparison", "make"),
    applies=_has_legacy,
    checks=(
        _legacy_check(
            "unexplained",
            "Differences from the legacy counter for which no cause is found: their share per metric, the worst days.",
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
    read=later("kinds.openstack.facts.leases", "read_leases"),
    make=later("kinds.openstack.facts.leases", "build_leases"),
    rejects_of=("leadtime",),
    applies=_has_blazar,
    checks=(
        TableCheck(
            "started",
            "Leases whose start failed, or passed without being carried out.",
            later("kinds.openstack.facts.lease_checks", "started"),
            warn=True,
        ),
        TableCheck(
            "start_not_before_asked",
            "Leases whose start lies 90 s or more before they were asked for.",
            later("kinds.openstack.facts.lease_checks", "start_not_before_asked"),
            warn=True,
        ),
        TableCheck(
            "projection_exact",
            "Projected lead times that rest on bookings changed since: their dates then may have been others.",
            later("kinds.openstack.facts.lease_checks", "projection_exact"),
            warn=True,
        ),
    ),
)

_LEADTIME = TableAsset(
    stage="timelines",
    name="leadtime",
    table=LEADTIME,
    after=("facts/leases",),
    read=later("kinds.openstack.timelines.leadtime", "read"),
    make=later("kinds.openstack.timelines.leadtime", "make"),
    applies=_has_blazar,
    views=(LEADTIME_SITE,),
)

_INVENTORY = TableCheck(
    "inventory",
    "The operator's inventory, where the site lists one, and the databases know the same machines.",
    later("kinds.openstack.facts.inventory_checks", "inventory"),
    warn=True,
    per_run="with machines that only the inventory or only the databases know",
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
            checks=(
                _INVENTORY,
                _machine_check(
                    "spellings",
                    "Every machine's name is spelt in one way; those spelt in several count as one machine.",
                    "with machines spelt in several ways",
                ),
                _machine_check(
                    "sizes", "The size of every machine is known.", "with machines of a size that nobody knows"
                ),
                _machine_check(
                    "labels",
                    "Types and GPUs of machines and devices were not overwritten at the source since a month was read.",
                    "with other labels than later months have",
                ),
            ),
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
            checks=(
                _machine_check(
                    "renamed",
                    "No allocation lost more than a day because its machine seems to have been renamed.",
                    "with machines that seem to have been renamed in a lease",
                ),
            ),
        ),
        FactAsset(
            "occupied",
            "Machines and devices that servers and containers hold, by how they were booked.",
            METRICS_OF["occupied"],
            (*_MACHINES, *_BOOKINGS, *_SERVERS),
            sharing=("zun_container",),
            after=("total", "committed"),
            reads_if_listed=_FURTHER,
            checks=(
                TableCheck(
                    "shelved",
                    "Events say since when every server is shelved that the dump finds shelved_offloaded.",
                    later("kinds.openstack.facts.server_checks", "shelved_without_events"),
                    warn=True,
                    per_run="with servers shelved since nobody knows when",
                ),
                _machine_check(
                    "nodes", "Every server ran on a machine that is known.", "with servers on no known machine"
                ),
            ),
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
    read_raw=later("kinds.openstack.facts", "read_inputs"),
    build_facts=later("kinds.openstack.facts", "build_facts"),
    usage_scope=later("kinds.openstack.timelines.scope", "usage_scope"),
    node_types=later("kinds.openstack.timelines.scope", "stored_node_types"),
    origins=ORIGINS,
    dump=later("sources.sql.dump", "dump"),
    check_site=later("sources.sql.access", "check_site"),
    check_files=later("kinds.openstack.facts.inventory", "describe_inventories"),
    grants=later("sources.sql.access", "grants"),
    access="The site's accounts can only read, and no password travels unencrypted.",
    has_table=_has_database,
    listed=_listed,
    hider=later("sources.personal", "Hider"),
    horizon_days=lambda site: int(site.leadtime_horizon_days),
    tables=(_LEGACY, _LEGACY_COMPARISON, _LEASES, _LEADTIME, *DIMENSIONS),
)


def _audited(kind: Kind) -> Kind:
    """The kind with the audit of all its facts."""
    tables = (table.name for table in kind.tables if table.stage == "facts")
    return replace(kind, tables=(*kind.tables, audit_of([*(fact.name for fact in kind.facts), *tables])))


_SNAPSHOTS = ("gpu_state",)
_HTCONDOR = Kind(
    name="htcondor",
    label="HTCondor: a pool of GPUs, known by snapshots of its slots",
    raw_tables=HTCONDOR_TABLES,
    facts=(
        FactAsset("gpu_polls", "When the pool was asked.", (), _SNAPSHOTS, table=GPU_POLLS),
        FactAsset(
            "gpu_runs", "What each GPU was, and for how long.", (), _SNAPSHOTS, table=GPU_RUNS, after=("gpu_polls",)
        ),
        FactAsset("gpu_performance", "How much of the GPUs held was used.", (), _SNAPSHOTS, table=GPU_PERFORMANCE),
        FactAsset("total", "GPUs that a poll saw.", ("total",), _SNAPSHOTS, after=("gpu_runs",)),
        FactAsset("available", "GPUs that a class offers.", tuple(AVAILABLE.values()), _SNAPSHOTS, after=("gpu_runs",)),
        FactAsset(
            "allocated", "GPUs that jobs of a class hold.", tuple(ALLOCATED.values()), _SNAPSHOTS, after=("available",)
        ),
        FactAsset(
            "flagged",
            "GPUs that are drained, and those whose machine takes no new jobs.",
            ("drained", "refusing"),
            _SNAPSHOTS,
            after=("total",),
        ),
    ),
    read_raw=later("kinds.htcondor.facts.observed", "read_raw"),
    build_facts=later("kinds.htcondor.facts.build", "build_facts"),
    months_at_once=1,
    table_months_at_once=6,
    mark=later("kinds.htcondor.facts.incremental", "mark"),
    grow=later("kinds.htcondor.facts.incremental", "grow"),
    seen=later("kinds.htcondor.facts.observed", "seen"),
    usage_scope=later("kinds.htcondor.timelines.scope", "usage_scope"),
    node_types=later("kinds.htcondor.timelines.scope", "node_types"),
    dump=later("kinds.htcondor.raw.dump", "dump"),
    check_site=later("kinds.htcondor.raw.access", "check_site"),
    check_files=later("kinds.htcondor.raw.access", "check_files"),
    grants=later("kinds.htcondor.raw.access", "grants"),
    source="file",
    origins={SOURCE: (Origin(SOURCE, "gpu", "entity_id", sql="machine || '/' || gpu", polled="poll_at"),)},
    tables=(*TABLE_ASSETS, *REPORT_ASSETS),
    plots=PLOTS,
    machines=("gpus",),
    postings=later("kinds.htcondor.reports.mailing", "postings"),
    letter=later("kinds.htcondor.reports.mailing", "letter"),
)

OPENSTACK = _audited(_OPENSTACK)
HTCONDOR = _audited(_HTCONDOR)
KINDS: dict[str, Kind] = {kind.name: kind for kind in (OPENSTACK, HTCONDOR)}


def kind_of(site: Site) -> Kind:
    """The kind of a site."""
    return KINDS[site.kind]
