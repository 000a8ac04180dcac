"""The assets of the facts stage of OpenStack sites, with their checks."""

from usage_assets.facts.tables import LEASES as LEASES_TABLE
from usage_assets.kinds.openstack.facts import inventory_checks, lease_checks, leases, machine_checks, server_checks
from usage_assets.kinds.openstack.facts.build import METRICS_OF
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.specs.asset import Evaluate, FactAsset, TableAsset, TableCheck

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


def has_blazar(site: OpenStackSite) -> bool:
    """Whether the site reserves machines or devices."""
    return "blazar" in site.databases


def _machine_check(evaluate: Evaluate, description: str, failing: str) -> TableCheck:
    return TableCheck(evaluate.__name__, description, evaluate, warn=True, per_run=failing)


_INVENTORY = TableCheck(
    "inventory",
    "The operator's inventory, where the site lists one, and the databases know the same machines.",
    inventory_checks.inventory,
    warn=True,
    per_run="with machines that only the inventory or only the databases know",
)


FACTS: tuple[FactAsset, ...] = (
    FactAsset(
        "total",
        "Machines and devices that exist, from when to when.",
        METRICS_OF["total"],
        _MACHINES,
        reads_if_listed=_FURTHER,
        checks=(
            _INVENTORY,
            _machine_check(
                machine_checks.spellings,
                "Every machine's name is spelt in one way; those spelt in several count as one machine.",
                "with machines spelt in several ways",
            ),
            _machine_check(
                machine_checks.sizes, "The size of every machine is known.", "with machines of a size that nobody knows"
            ),
            _machine_check(
                machine_checks.labels,
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
                machine_checks.renamed,
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
                server_checks.shelved_without_events,
                warn=True,
                per_run="with servers shelved since nobody knows when",
            ),
            _machine_check(
                machine_checks.nodes, "Every server ran on a machine that is known.", "with servers on no known machine"
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
)


LEASES = TableAsset(
    stage="facts",
    name="leases",
    table=LEASES_TABLE,
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
    read=leases.read_leases,
    make=leases.build_leases,
    rejects_of=("leadtime",),
    applies=has_blazar,
    checks=(
        TableCheck(
            "started",
            "Leases whose start failed, or passed without being carried out.",
            lease_checks.started,
            warn=True,
        ),
        TableCheck(
            "start_not_before_asked",
            "Leases whose start lies 90 s or more before they were asked for.",
            lease_checks.start_not_before_asked,
            warn=True,
        ),
        TableCheck(
            "projection_exact",
            "Projected lead times that rest on bookings changed since: their dates then may have been others.",
            lease_checks.projection_exact,
            warn=True,
        ),
    ),
)
