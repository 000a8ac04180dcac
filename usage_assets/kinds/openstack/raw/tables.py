"""The raw tables of an OpenStack site: Nova, Blazar, Zun, Keystone and the legacy usage caches."""

from collections.abc import Container
from typing import Any

from usage_assets.schema import Column, Type, at, flag, number, real, text
from usage_assets.specs.raw_table import (
    HELD_AS_DELETED,
    Dated,
    Life,
    Machine,
    MonthRule,
    RawTable,
    Satellite,
    ServerLife,
    Whole,
)

MB, GB, VCPUS = "MiB", "GiB", "vCPUs"
TIMES = (
    at("created_at", "When the service made the row"),
    at("updated_at", "When the service last changed the row; null until then"),
    at("deleted_at", "When the row was soft-deleted; services without soft delete have no such column"),
)
MARKED = (*TIMES, HELD_AS_DELETED)
"""Times of a table whose rows are marked as deleted. Of requests on servers and their steps Nova never marks any."""
HOLDER = (text("project_id", "Keystone project"), text("user_id", "Keystone user", personal=True))

ACTION = (
    text("action", "What the user asked for (create, delete, stop, start, shelve ...)"),
    text("request_id", "Request id of the API"),
    at("start_time", "When the request came in"),
    at("finish_time", "When it was done; Nova never fills it"),
    text("message", "Error where the action failed, else null"),
)
EVENT = (
    text("event", "Step of the action, <service>_<method>"),
    number("action_id", "Action that the step belongs to", "id"),
    at("start_time", "When the step began"),
    at("finish_time", "When the step ended"),
    text("result", "Success or Error; null while running"),
    text("host", "Service that ran the step"),
)

_LEASE = ("lease_id", "blazar_leases", "id")
_OF_RESERVATION = Satellite((("reservation_id", "blazar_reservations", "id"), _LEASE))
_SERVER = ("instance_uuid", "nova_instances", "uuid")
_CONTAINER = ("container_uuid", "zun_container", "uuid")


def _numbered(
    database: str, source: str, description: str, *columns: Column, months: MonthRule, **more: Any
) -> RawTable:
    """A table of Nova or Zun: rows have numbers; those that Nova deletes are archived beside it."""
    archived = database in {"nova", "nova_cell0"}
    own = (number("id", "Row id", "id"), *columns)
    return RawTable(database, source, description, own, months, archived=archived, **more)


def _servers(database: str, description: str, **more: Any) -> RawTable:
    return _numbered(
        database,
        "instances",
        description,
        text("uuid", "Server id"),
        *MARKED,
        *HOLDER,
        at("launched_at", "When the server first ran; null where it never did"),
        at("terminated_at", "When it was terminated"),
        text("vm_state", "State at the dump"),
        number("power_state", "Power state at the dump: 1 running, 3 paused, 4 off, 7 suspended", "code"),
        number("vcpus", "vCPUs of the current flavor", VCPUS),
        number("memory_mb", "Memory of the current flavor", MB),
        number("root_gb", "Root disk of the current flavor", GB),
        number("ephemeral_gb", "Ephemeral disk of the current flavor", GB),
        text("host", "nova-compute service that runs it"),
        text("node", "hypervisor_hostname that runs it; null when shelved or never scheduled"),
        text("availability_zone", "Availability zone"),
        months=ServerLife(
            ("deleted_at", "terminated_at"),
            ("launched_at", "updated_at", "deleted_at", "terminated_at"),
            state="vm_state",
            gone="deleted",
            restored="soft-delete",
            terminated_by=("nova_instance_actions_events", "nova_instance_actions", "compute_terminate_instance"),
        ),
        skip_flag="hidden",
        **more,
    )


def _blazar(source: str, description: str, key: str, *columns: Column, months: MonthRule, **more: Any) -> RawTable:
    """A table of Blazar, `key` describes its id. Releases without devices lack the tables of devices."""
    own = (text("id", key), *MARKED, *columns)
    return RawTable("blazar", source, description, own, months, **({"optional": source.startswith("device")} | more))


def _allocation(source: str, description: str, resource: Column) -> RawTable:
    reservation = text("reservation_id", "Reservation that holds it")
    return _blazar(source, description, "Allocation id", resource, reservation, months=_OF_RESERVATION)


def _reservation_detail(source: str, description: str, *columns: Column) -> RawTable:
    reservation = text("reservation_id", "Reservation that it details")
    return _blazar(source, description, "Row id", reservation, *columns, months=_OF_RESERVATION)


def _capability(source: str, description: str, owner: str, owners: str) -> RawTable:
    return _blazar(
        source,
        description,
        "Row id",
        text(owner, "Host or device that has the capability"),
        text("property_id", "Name of the capability, in blazar_resource_properties; releases before 9 have none"),
        text("capability_name", "Name of the capability in releases before 9"),
        text("capability_value", "Value, as text"),
        months=Satellite(((owner, owners, "id"),)),
    )


TABLES: tuple[RawTable, ...] = (
    _numbered(
        "nova",
        "compute_nodes",
        "Hypervisors: a row per machine and life under its name.",
        *MARKED,
        text("uuid", "Resource provider; of bare metal the node"),
        text("host", "nova-compute service; many bare-metal nodes share one"),
        text("hypervisor_hostname", "Identity of the machine"),
        text("hypervisor_type", "QEMU, ironic ..."),
        number("vcpus", "Capacity; 0 for bare metal since Stein", VCPUS),
        number("memory_mb", "Capacity; 0 for bare metal since Stein", MB),
        number("local_gb", "Capacity; 0 for bare metal since Stein", GB),
        real("cpu_allocation_ratio", "Overcommit of vCPUs; null or 0 = 1"),
        months=Machine(("deleted_at",), identity="hypervisor_hostname"),
    ),
    _numbered(
        "nova",
        "services",
        "Nova's services, nova-compute above all.",
        *MARKED,
        text("host", "Host name"),
        text("binary", "Service name"),
        text("topic", "Message topic"),
        flag("disabled", "State at the dump"),
        text("disabled_reason", "Why"),
        at("last_seen_up", "Last heartbeat"),
        flag("forced_down", "Marked down"),
        months=Life(("deleted_at",)),
    ),
    _servers("nova", "Servers, in their cell."),
    _numbered(
        "nova",
        "instance_actions",
        "API requests on servers.",
        *TIMES,
        text("instance_uuid", "Server"),
        *HOLDER,
        *ACTION,
        months=Satellite((_SERVER,)),
    ),
    _numbered(
        "nova",
        "instance_actions_events",
        "Steps of the requests on servers.",
        *TIMES,
        *EVENT,
        months=Satellite((("action_id", "nova_instance_actions", "id"), _SERVER)),
    ),
    _servers("nova_cell0", "Servers that never got a host.", extends="nova_instances"),
    _numbered(
        "nova_api",
        "request_specs",
        "What the scheduler was asked for, per server; carries the reservation.",
        *TIMES,
        text("instance_uuid", "Server"),
        text("spec", "RequestSpec as JSON", personal=True),
        months=Satellite((_SERVER,)),
    ),
    _blazar(
        "leases",
        "Leases: what users reserve, from start_date to end_date.",
        "Lease id",
        *HOLDER,
        at("start_date", "Planned start"),
        at("end_date", "Planned end; prolonging or an early end overwrites it"),
        text("status", "State at the dump"),
        flag("degraded", "A resource is missing or was replaced"),
        text("name", "Name that the user gave", personal=True),
        months=Life(("deleted_at", "end_date"), ("start_date", "updated_at", "deleted_at")),
    ),
    _blazar(
        "reservations",
        "Reservations of a lease, one per kind of resource.",
        "Reservation id",
        text("lease_id", "Lease"),
        text("resource_id", "Row in its table"),
        text("resource_type", "physical:host, virtual:instance, flavor:instance, device, network ..."),
        text("status", "State at the dump"),
        flag("missing_resources", "A host failed"),
        flag("resources_changed", "A host was replaced"),
        months=Satellite((_LEASE,)),
    ),
    _blazar(
        "computehosts",
        "Hosts that Blazar may reserve.",
        "Row id: compute_nodes.id as text",
        number("vcpus", "Capacity", VCPUS),
        number("memory_mb", "Capacity", MB),
        number("local_gb", "Capacity", GB),
        text("hypervisor_hostname", "Identity of the machine"),
        text("hypervisor_type", "QEMU, ironic ..."),
        text("service_name", "nova-compute service"),
        flag("reservable", "State at the dump, without history"),
        flag("disabled", "State at the dump, without history"),
        text("availability_zone", "Availability zone"),
        months=Machine(
            ("deleted_at",),
            identity="hypervisor_hostname",
            named_by=("blazar_computehost_allocations", "compute_host_id"),
        ),
    ),
    _allocation(
        "computehost_allocations",
        "Hosts that a reservation holds.",
        text("compute_host_id", "Host held, in blazar_computehosts"),
    ),
    _reservation_detail(
        "computehost_reservations",
        "What a reservation of whole hosts asked for.",
        text("resource_properties", "Filter, as JSON list"),
        text("hypervisor_properties", "Filter, as JSON list"),
        text("count_range", "Machines asked for, min-max"),
    ),
    _capability(
        "computehost_extra_capabilities",
        "Properties of hosts: node type, GPUs ...",
        "computehost_id",
        "blazar_computehosts",
    ),
    _blazar(
        "resource_properties",
        "Names of the capabilities of hosts and devices.",
        "Property id",
        text("resource_type", "physical:host or device"),
        text("property_name", "Name of the capability"),
        months=Whole(),
        alternatives=("extra_capabilities",),
        renamed={"property_name": "capability_name"},
        optional=True,
    ),
    _reservation_detail(
        "instance_reservations",
        "Flavor that a reservation of instances holds on its hosts.",
        number("vcpus", "Size of one instance", VCPUS),
        number("memory_mb", "Size of one instance", MB),
        number("disk_gb", "Size of one instance", GB),
        number("amount", "Instances asked for", "instances"),
        text("flavor_id", "Flavor made for the reservation"),
        text("resource_properties", "Filter; of flavor:instance the source flavor as JSON"),
    ),
    _blazar(
        "events",
        "Start and end of leases, due and done.",
        "Event id",
        text("lease_id", "Lease"),
        text("event_type", "start_lease, before_end_lease, end_lease"),
        at("time", "When it is due"),
        text("status", "UNDONE, IN_PROGRESS, DONE, ERROR"),
        months=Satellite((_LEASE,)),
    ),
    _blazar(
        "devices",
        "Edge devices that Blazar may reserve.",
        "Device id",
        text("name", "Name"),
        text("device_type", "container, vm, shell"),
        text("device_driver", "zun, k8s ..."),
        flag("reservable", "State at the dump"),
        months=Life(("deleted_at",)),
    ),
    _allocation("device_allocations", "Devices that a reservation holds.", text("device_id", "Device held")),
    _reservation_detail(
        "device_reservations",
        "What a reservation of devices asked for.",
        text("resource_properties", "Filter, as JSON list"),
        text("count_range", "Devices asked for, min-max"),
    ),
    _capability(
        "device_extra_capabilities", "Properties of devices: machine name, vendor ...", "device_id", "blazar_devices"
    ),
    _numbered(
        "zun",
        "container",
        "Containers on edge devices.",
        *TIMES,
        text("uuid", "Container id"),
        *HOLDER,
        text("status", "State at the dump"),
        at("started_at", "When it started"),
        text("host", "Device it runs on"),
        real("cpu", "CPU limit", "cores"),
        text("memory", "Memory limit with its unit"),
        number("disk", "Disk", GB),
        text("annotations", "JSON; names the reservation"),
        number("container_type", "0 container, 1 capsule, 2 member of a capsule, 3 init member", "code"),
        number("capsule_id", "Capsule that it is a member of, by row id", "id"),
        months=Life(
            ("updated_at",), ("started_at", "updated_at"), ended_when=("status", ("Deleted", "Error", "Stopped"))
        ),
    ),
    _numbered(
        "zun",
        "container_actions",
        "API requests on containers.",
        *TIMES,
        text("container_uuid", "Container"),
        *HOLDER,
        *ACTION,
        months=Satellite((_CONTAINER,)),
    ),
    _numbered(
        "zun",
        "container_actions_events",
        "Steps of the requests on containers.",
        *TIMES,
        *EVENT,
        months=Satellite((("action_id", "zun_container_actions", "id"), _CONTAINER)),
    ),
    RawTable(
        "chameleon_usage",
        "node_usage_report_cache",
        "Legacy daily hours per node type.",
        (
            at("date", "Day"),
            text("node_type", "Node type"),
            real("maint_hours", "Maintenance", "node-hours"),
            real("reserved_hours", "Reserved", "node-hours"),
            real("used_hours", "Used", "node-hours"),
            real("idle_hours", "Idle", "node-hours"),
            real("total_hours", "Total", "node-hours"),
        ),
        Dated("date"),
        key=("date", "node_type"),
    ),
    RawTable(
        "chameleon_usage",
        "node_count_cache",
        "Legacy daily count of nodes per node type.",
        (Column("date", Type.DATE, "Day"), text("node_type", "Node type"), number("cnt", "Nodes", "nodes")),
        Dated("date"),
        key=("date", "node_type"),
    ),
    RawTable(
        "keystone",
        "project",
        "Names of projects.",
        (
            text("id", "Project id"),
            text("name", "Name that people read"),
            text("domain_id", "Domain that the name is unique in"),
            flag("enabled", "State at the dump"),
        ),
        Whole(),
        optional=True,
        by_columns=True,
    ),
)

BY_NAME: dict[str, RawTable] = {table.name: table for table in TABLES}


def tables_of(databases: Container[str]) -> tuple[RawTable, ...]:
    """The raw tables of a site with these databases."""
    return tuple(table for table in TABLES if table.database in databases)
