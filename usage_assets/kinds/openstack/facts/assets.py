"""The assets of the facts stage of OpenStack sites, with their checks."""

from collections.abc import Mapping
from functools import partial

from usage_assets.checks.facts import overlaps
from usage_assets.facts.assets import metric_asset
from usage_assets.facts.tables import LEASES as LEASES_TABLE
from usage_assets.kinds.openstack.facts import inventory_checks, lease_checks, leases, machine_checks, server_checks
from usage_assets.kinds.openstack.facts.build import METRICS_OF
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.specs.asset import Asset
from usage_assets.specs.check import Check, warning

_MACHINES = (
    "nova_compute_nodes",
    "blazar_computehosts",
    "blazar_computehost_extra_capabilities",
    "blazar_resource_properties",
    "blazar_devices",
    "blazar_device_extra_capabilities",
)
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


_HOSTNAMES = ("nova_compute_nodes.hypervisor_hostname", "blazar_computehosts.hypervisor_hostname")
_MACHINE = {
    "entity_id": _HOSTNAMES,
    "start_at": ("nova_compute_nodes.created_at", "blazar_computehosts.created_at", "blazar_devices.created_at"),
    "end_at": ("nova_compute_nodes.deleted_at", "blazar_computehosts.deleted_at", "blazar_devices.deleted_at"),
    "node": (
        "nova_compute_nodes.hypervisor_hostname",
        "blazar_computehosts.hypervisor_hostname",
        "blazar_devices.name",
    ),
    "node_type": ("blazar_computehost_extra_capabilities.capability_value", "blazar_devices.device_type"),
    "disk_gb": ("nova_compute_nodes.local_gb", "blazar_computehosts.local_gb"),
    "gpus": ("blazar_computehost_extra_capabilities.capability_value",),
}
_LEASE = {
    "entity_id": ("blazar_computehost_allocations.id", "blazar_device_allocations.id"),
    "start_at": ("blazar_leases.start_date",),
    "end_at": ("blazar_leases.end_date", "blazar_leases.deleted_at", "blazar_computehost_allocations.deleted_at"),
}
_SERVER = {
    "entity_id": ("nova_instances.uuid", "zun_container.uuid"),
    "start_at": ("nova_instances.launched_at", "nova_instances.created_at", "zun_container.started_at"),
    "end_at": ("nova_instances.terminated_at", "nova_instances.deleted_at", "zun_container.updated_at"),
    "node": ("nova_instances.node", "zun_container.host"),
    "disk_gb": ("nova_instances.root_gb", "nova_instances.ephemeral_gb"),
    "reservation_id": ("nova_api_request_specs.spec", "zun_container.annotations"),
}


def _derived(*parts: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Columns of intervals and the raw columns that they are made of: those of all parts together."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: tuple(f"raw/{raw}" for part in parts for raw in part.get(name, ())) for name in names}


def has_blazar(site: OpenStackSite) -> bool:
    """Whether the site reserves machines or devices."""
    return "blazar" in site.databases


def _lists_services(site: OpenStackSite) -> bool:
    return "nova_services" in site.listed_sources


def _has_maintenance(site: OpenStackSite) -> bool:
    return site.maintenance is not None


_FURTHER = {"nova_services": _lists_services}
_SHARING = ("zun_container",)

FACTS: tuple[Asset, ...] = (
    metric_asset(
        "total",
        "Machines and devices that exist, from when to when.",
        METRICS_OF["total"],
        _MACHINES,
        derived=_derived(_MACHINE),
        optional=_FURTHER,
        checks=(
            warning(
                "inventory",
                inventory_checks.inventory,
                "The operator's inventory, where the site lists one, and the databases know the same machines.",
                "with machines that only the inventory or only the databases know",
            ),
            warning(
                "spellings",
                machine_checks.spellings,
                "Every machine's name is spelt in one way; those spelt in several count as one machine.",
                "with machines spelt in several ways",
            ),
            warning(
                "sizes",
                machine_checks.sizes,
                "The size of every machine is known.",
                "with machines of a size that nobody knows",
            ),
            warning(
                "labels",
                machine_checks.labels,
                "Types and GPUs of machines and devices were not overwritten at the source since a month was read.",
                "with other labels than later months have",
            ),
        ),
    ),
    metric_asset(
        "reservable",
        "Machines and devices that may be reserved.",
        METRICS_OF["reservable"],
        _MACHINES,
        shown_after=("total",),
        derived=_derived(_MACHINE),
        optional=dict.fromkeys(_BOOKINGS, _has_maintenance) | _FURTHER,
    ),
    metric_asset(
        "committed",
        "Reservable machines and devices that a lease holds, each once.",
        METRICS_OF["committed"],
        (*_MACHINES, *_BOOKINGS),
        shown_after=("reservable",),
        derived=_derived(_MACHINE, _LEASE),
        optional=_FURTHER,
        checks=(
            warning(
                "renamed",
                machine_checks.renamed,
                "No allocation lost more than a day because its machine seems to have been renamed.",
                "with machines that seem to have been renamed in a lease",
            ),
        ),
    ),
    metric_asset(
        "occupied",
        "Machines and devices that servers and containers hold, by how they were booked.",
        METRICS_OF["occupied"],
        (*_MACHINES, *_BOOKINGS, *_SERVERS),
        sharing=_SHARING,
        shown_after=("total", "committed"),
        derived=_derived(_MACHINE, _SERVER),
        optional=_FURTHER,
        checks=(
            warning(
                "shelved",
                server_checks.shelved_without_events,
                "Events say since when every server is shelved that the dump finds shelved_offloaded.",
                "with servers shelved since nobody knows when",
            ),
            warning(
                "overlaps",
                partial(overlaps, METRICS_OF["occupied"], _SHARING),
                "Servers do not overlap on one bare-metal machine.",
                "with servers that overlap",
            ),
            warning(
                "nodes",
                machine_checks.nodes,
                "Every server ran on a machine that is known.",
                "with servers on no known machine",
            ),
        ),
    ),
    metric_asset(
        "active",
        "Machines and devices held by servers that run: occupied, less the time off, paused or suspended.",
        METRICS_OF["active"],
        (*_MACHINES, *_BOOKINGS, *_SERVERS),
        shown_after=("occupied",),
        derived=_derived(_MACHINE, _SERVER),
        optional=_FURTHER,
    ),
)


LEASES = Asset(
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
        Check(
            "started",
            "Leases whose start failed, or passed without being carried out.",
            lease_checks.started,
            "WARN",
        ),
        Check(
            "start_not_before_asked",
            "Leases whose start lies 90 s or more before they were asked for.",
            lease_checks.start_not_before_asked,
            "WARN",
        ),
        Check(
            "projection_exact",
            "Projected lead times that rest on bookings changed since: their dates then may have been others.",
            lease_checks.projection_exact,
            "WARN",
        ),
    ),
)
