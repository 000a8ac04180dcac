"""The assets of the facts stage of OpenStack sites, with their checks."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from usage_assets.checks.facts import overlaps
from usage_assets.facts.assets import metric_asset
from usage_assets.facts.tables import LEASES as LEASES_TABLE
from usage_assets.kinds.openstack.facts import inventory_checks, lease_checks, leases, machine_checks
from usage_assets.kinds.openstack.facts.build import METRICS_OF
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.specs.asset import Asset
from usage_assets.specs.check import Check, Evaluate, warning

_MACHINES = (
    *("nova_compute_nodes", "blazar_computehosts", "blazar_computehost_extra_capabilities"),
    *("blazar_resource_properties", "blazar_devices", "blazar_device_extra_capabilities"),
)
_BOOKINGS = (
    *("blazar_leases", "blazar_reservations", "blazar_computehost_allocations", "blazar_instance_reservations"),
    "blazar_device_allocations",
)
_SERVERS = (
    *("nova_instances", "nova_cell0_instances", "nova_instance_actions", "nova_instance_actions_events"),
    *("nova_api_request_specs", "zun_container"),
)

Columns = Mapping[str, tuple[str, ...]]
_HOSTNAMES = ("nova_compute_nodes.hypervisor_hostname", "blazar_computehosts.hypervisor_hostname")
_MACHINE: Columns = {
    "entity_id": _HOSTNAMES,
    "start_at": ("nova_compute_nodes.created_at", "blazar_computehosts.created_at", "blazar_devices.created_at"),
    "end_at": ("nova_compute_nodes.deleted_at", "blazar_computehosts.deleted_at", "blazar_devices.deleted_at"),
    "node": (*_HOSTNAMES, "blazar_devices.name"),
    "node_type": ("blazar_computehost_extra_capabilities.capability_value", "blazar_devices.device_type"),
    "disk_gb": ("nova_compute_nodes.local_gb", "blazar_computehosts.local_gb"),
    "gpus": ("blazar_computehost_extra_capabilities.capability_value",),
}
_LEASE: Columns = {
    "entity_id": ("blazar_computehost_allocations.id", "blazar_device_allocations.id"),
    "start_at": ("blazar_leases.start_date",),
    "end_at": ("blazar_leases.end_date", "blazar_leases.deleted_at", "blazar_computehost_allocations.deleted_at"),
}
_SERVER: Columns = {
    "entity_id": ("nova_instances.uuid", "zun_container.uuid"),
    "start_at": ("nova_instances.launched_at", "nova_instances.created_at", "zun_container.started_at"),
    "end_at": ("nova_instances.terminated_at", "nova_instances.deleted_at", "zun_container.updated_at"),
    "node": ("nova_instances.node", "zun_container.host"),
    "disk_gb": ("nova_instances.root_gb", "nova_instances.ephemeral_gb"),
    "reservation_id": ("nova_api_request_specs.spec", "zun_container.annotations"),
}


def has_blazar(site: OpenStackSite) -> bool:
    """Whether the site reserves machines or devices."""
    return "blazar" in site.databases


def _lists_services(site: OpenStackSite) -> bool:
    return "nova_services" in site.listed_sources


def _has_maintenance(site: OpenStackSite) -> bool:
    return site.maintenance is not None


_SHARING = ("zun_container",)
_WARNINGS: dict[str, tuple[tuple[str, Evaluate, str, str], ...]] = {
    "total": (
        ("inventory", inventory_checks.inventory,
         "The operator's inventory, where the site lists one, and the databases know the same machines.",
         "with machines that only the inventory or only the databases know"),
        ("spellings", machine_checks.spellings,
         "Every machine's name is spelt in one way; those spelt in several count as one machine.",
         "with machines spelt in several ways"),
        ("sizes", machine_checks.sizes,
         "The size of every machine is known.", "with machines of a size that nobody knows"),
        ("labels", machine_checks.labels,
         "Types and GPUs of machines and devices were not overwritten at the source since a month was read.",
         "with other labels than later months have"),
    ),
    "committed": (
        ("renamed", machine_checks.renamed,
         "No allocation lost more than a day because its machine seems to have been renamed.",
         "with machines that seem to have been renamed in a lease"),
    ),
    "occupied": (
        ("shelved", machine_checks.shelved_without_events,
         "Events say since when every server is shelved that the dump finds shelved_offloaded.",
         "with servers shelved since nobody knows when"),
        ("overlaps", partial(overlaps, METRICS_OF["occupied"], _SHARING),
         "Servers do not overlap on one bare-metal machine.", "with servers that overlap"),
        ("nodes", machine_checks.nodes,
         "Every server ran on a machine that is known.", "with servers on no known machine"),
    ),
}  # fmt: skip
"""Checks of the metrics, reported once per run: name, function, description, and what a run says of it."""


def _metric(name: str, description: str, sources: Sequence[str], *parts: Columns, **more: Any) -> Asset:
    """The asset of a metric; `parts` are columns of intervals and the raw columns that they are made of."""
    names = dict.fromkeys(column for part in parts for column in part)
    return metric_asset(
        name,
        description,
        METRICS_OF[name],
        sources,
        derived={one: tuple(f"raw/{raw}" for part in parts for raw in part.get(one, ())) for one in names},
        optional=more.pop("optional", {}) | {"nova_services": _lists_services},
        checks=tuple(warning(*each) for each in _WARNINGS.get(name, ())),
        **more,
    )


_BY_SERVERS = ((*_MACHINES, *_BOOKINGS, *_SERVERS), _MACHINE, _SERVER)
FACTS: tuple[Asset, ...] = (
    _metric("total", "Machines and devices that exist, from when to when.", _MACHINES, _MACHINE),
    _metric(
        "reservable",
        "Machines and devices that may be reserved.",
        *(_MACHINES, _MACHINE),
        shown_after=("total",),
        optional=dict.fromkeys(_BOOKINGS, _has_maintenance),
    ),
    _metric(
        "committed",
        "Reservable machines and devices that a lease holds, each once.",
        *((*_MACHINES, *_BOOKINGS), _MACHINE, _LEASE),
        shown_after=("reservable",),
    ),
    _metric(
        "occupied",
        "Machines and devices that servers and containers hold, by how they were booked.",
        *_BY_SERVERS,
        sharing=_SHARING,
        shown_after=("total", "committed"),
    ),
    _metric(
        "active",
        "Machines and devices held by servers that run: occupied, less the time off, paused or suspended.",
        *_BY_SERVERS,
        shown_after=("occupied",),
    ),
)


_LEASE_CHECKS: tuple[tuple[str, Evaluate, str], ...] = (
    ("started", lease_checks.started, "Leases whose start failed, or passed without being carried out."),
    ("start_not_before_asked", lease_checks.start_not_before_asked,
     "Leases whose start lies 90 s or more before they were asked for."),
    ("projection_exact", lease_checks.projection_exact,
     "Projected lead times that rest on bookings changed since: their dates then may have been others."),
)  # fmt: skip
_OF_LEASES = (
    *("blazar_leases", "blazar_reservations", "blazar_events", "blazar_computehosts"),
    *("blazar_computehost_extra_capabilities", "blazar_resource_properties", "blazar_computehost_allocations"),
    *("blazar_computehost_reservations", "blazar_devices", "blazar_device_extra_capabilities"),
    *("blazar_device_allocations", "blazar_device_reservations"),
)
LEASES = Asset(
    stage="facts",
    name="leases",
    table=LEASES_TABLE,
    after=tuple(f"raw/{name}" for name in _OF_LEASES),
    read=leases.read_leases,
    make=leases.build_leases,
    rejects_of=("leadtime",),
    applies=has_blazar,
    checks=tuple(Check(name, description, evaluate, "WARN") for name, evaluate, description in _LEASE_CHECKS),
)
