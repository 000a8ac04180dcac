"""The raw tables of an OpenStack site: Nova, Blazar, Zun and the legacy usage caches."""

from usage_assets.raw.declare import Dated, Life, Machine, RawTable, Satellite, Whole
from usage_assets.schema import Column, Type

MB, GB, VCPUS = "MiB", "GiB", "vCPUs"


def _text(name: str, description: str) -> Column:
    return Column(name, Type.TEXT, description)


def _at(name: str, description: str) -> Column:
    return Column(name, Type.INSTANT, description)


def _int(name: str, description: str, unit: str = "number") -> Column:
    return Column(name, Type.INT, description, unit)


def _float(name: str, description: str, unit: str = "ratio") -> Column:
    return Column(name, Type.FLOAT, description, unit)


def _bool(name: str, description: str) -> Column:
    return Column(name, Type.BOOL, description)


CREATED = _at("created_at", "When the service made the row")
UPDATED = _at("updated_at", "When the service last changed the row; null until then")
DELETED = _at("deleted_at", "When the row was soft-deleted; services without soft delete have no such column")
TIMES = (CREATED, UPDATED, DELETED)
PROJECT = _text("project_id", "Keystone project")
USER = _text("user_id", "Keystone user")

_ACTION = (
    _text("action", "What the user asked for (create, delete, stop, start, shelve ...)"),
    _text("request_id", "Request id of the API"),
    _at("start_time", "When the request came in"),
    _at("finish_time", "When it was done; Nova never fills it"),
    _text("message", "Error where the action failed, else null"),
)
_EVENT = (
    _text("event", "Step of the action, <service>_<method>"),
    _int("action_id", "Action that the step belongs to", "id"),
    _at("start_time", "When the step began"),
    _at("finish_time", "When the step ended"),
    _text("result", "Success or Error; null while running"),
    _text("host", "Service that ran the step"),
)
_INSTANCE = (
    _int("id", "Row id", "id"),
    _text("uuid", "Server id"),
    *TIMES,
    PROJECT,
    USER,
    _at("launched_at", "When the server first ran; null where it never did"),
    _at("terminated_at", "When it was terminated"),
    _text("vm_state", "State at the dump"),
    _int("power_state", "Power state at the dump: 1 running, 3 paused, 4 off, 7 suspended", "code"),
    _int("vcpus", "vCPUs of the current flavor", VCPUS),
    _int("memory_mb", "Memory of the current flavor", MB),
    _int("root_gb", "Root disk of the current flavor", GB),
    _int("ephemeral_gb", "Ephemeral disk of the current flavor", GB),
    _text("host", "nova-compute service that runs it"),
    _text("node", "hypervisor_hostname that runs it; null when shelved or never scheduled"),
    _text("availability_zone", "Availability zone"),
)
_INSTANCE_LIFE = Life(("deleted_at", "terminated_at"), ("launched_at", "updated_at", "deleted_at", "terminated_at"))

LEASE = ("lease_id", "blazar_leases", "id")
RESERVATION = ("reservation_id", "blazar_reservations", "id")
INSTANCE = ("instance_uuid", "nova_instances", "uuid")
CONTAINER = ("container_uuid", "zun_container", "uuid")


def _reservation_detail(source: str, description: str, *columns: Column) -> RawTable:
    return RawTable(
        "blazar",
        source,
        description,
        (_text("id", "Row id"), *TIMES, _text("reservation_id", "Reservation that it details"), *columns),
        Satellite((RESERVATION, LEASE)),
        optional=source.startswith("device"),
    )


def _allocation(source: str, description: str, resource: Column) -> RawTable:
    return RawTable(
        "blazar",
        source,
        description,
        (_text("id", "Allocation id"), *TIMES, resource, _text("reservation_id", "Reservation that holds it")),
        Satellite((RESERVATION, LEASE)),
        optional=source.startswith("device"),
    )


def _capability(source: str, description: str, owner: str, owners: str) -> RawTable:
    return RawTable(
        "blazar",
        source,
        description,
        (
            _text("id", "Row id"),
            *TIMES,
            _text(owner, "Host or device that has the capability"),
            _text("property_id", "Name of the capability, in blazar_resource_properties; releases before 9 have none"),
            _text("capability_name", "Name of the capability in releases before 9"),
            _text("capability_value", "Value, as text"),
        ),
        Satellite(((owner, owners, "id"),)),
        optional=source.startswith("device"),
    )


TABLES: tuple[RawTable, ...] = (
    RawTable(
        "nova",
        "compute_nodes",
        "Hypervisors: a row per machine and life under its name.",
        (
            _int("id", "Row id", "id"),
            *TIMES,
            _text("uuid", "Resource provider; of bare metal the node"),
            _text("host", "nova-compute service; many bare-metal nodes share one"),
            _text("hypervisor_hostname", "Identity of the machine"),
            _text("hypervisor_type", "QEMU, ironic ..."),
            _int("vcpus", "Capacity; 0 for bare metal since Stein", VCPUS),
            _int("memory_mb", "Capacity; 0 for bare metal since Stein", MB),
            _int("local_gb", "Capacity; 0 for bare metal since Stein", GB),
            _float("cpu_allocation_ratio", "Overcommit of vCPUs; null or 0 = 1"),
        ),
        Machine(("deleted_at",)),
        archived=True,
    ),
    RawTable(
        "nova",
        "services",
        "Nova's services, nova-compute above all.",
        (
            _int("id", "Row id", "id"),
            *TIMES,
            _text("host", "Host name"),
            _text("binary", "Service name"),
            _text("topic", "Message topic"),
            _bool("disabled", "State at the dump"),
            _text("disabled_reason", "Why"),
            _at("last_seen_up", "Last heartbeat"),
            _bool("forced_down", "Marked down"),
        ),
        Life(("deleted_at",)),
        archived=True,
    ),
    RawTable(
        "nova", "instances", "Servers, in their cell.", _INSTANCE, _INSTANCE_LIFE, archived=True, skip_flag="hidden"
    ),
    RawTable(
        "nova",
        "instance_actions",
        "API requests on servers.",
        (_int("id", "Row id", "id"), *TIMES, _text("instance_uuid", "Server"), PROJECT, USER, *_ACTION),
        Satellite((INSTANCE,)),
        archived=True,
    ),
    RawTable(
        "nova",
        "instance_actions_events",
        "Steps of the requests on servers.",
        (_int("id", "Row id", "id"), *TIMES, *_EVENT),
        Satellite((("action_id", "nova_instance_actions", "id"), INSTANCE)),
        archived=True,
    ),
    RawTable(
        "nova_cell0",
        "instances",
        "Servers that never got a host.",
        _INSTANCE,
        _INSTANCE_LIFE,
        archived=True,
        skip_flag="hidden",
        extends="nova_instances",
    ),
    RawTable(
        "nova_api",
        "request_specs",
        "What the scheduler was asked for, per server; carries the reservation.",
        (
            _int("id", "Row id", "id"),
            CREATED,
            UPDATED,
            DELETED,
            _text("instance_uuid", "Server"),
            _text("spec", "RequestSpec as JSON"),
        ),
        Satellite((INSTANCE,)),
    ),
    RawTable(
        "blazar",
        "leases",
        "Leases: what users reserve, from start_date to end_date.",
        (
            _text("id", "Lease id"),
            *TIMES,
            PROJECT,
            USER,
            _at("start_date", "Planned start"),
            _at("end_date", "Planned end; prolonging or an early end overwrites it"),
            _text("status", "State at the dump"),
            _bool("degraded", "A resource is missing or was replaced"),
            _text("name", "Name that the user gave"),
        ),
        Life(("deleted_at", "end_date"), ("start_date", "updated_at", "deleted_at")),
    ),
    RawTable(
        "blazar",
        "reservations",
        "Reservations of a lease, one per kind of resource.",
        (
            _text("id", "Reservation id"),
            *TIMES,
            _text("lease_id", "Lease"),
            _text("resource_id", "Row in its table"),
            _text("resource_type", "physical:host, virtual:instance, flavor:instance, device, network ..."),
            _text("status", "State at the dump"),
            _bool("missing_resources", "A host failed"),
            _bool("resources_changed", "A host was replaced"),
        ),
        Satellite((LEASE,)),
    ),
    RawTable(
        "blazar",
        "computehosts",
        "Hosts that Blazar may reserve.",
        (
            _text("id", "Row id: compute_nodes.id as text"),
            *TIMES,
            _int("vcpus", "Capacity", VCPUS),
            _int("memory_mb", "Capacity", MB),
            _int("local_gb", "Capacity", GB),
            _text("hypervisor_hostname", "Identity of the machine"),
            _text("hypervisor_type", "QEMU, ironic ..."),
            _text("service_name", "nova-compute service"),
            _bool("reservable", "State at the dump, without history"),
            _bool("disabled", "State at the dump, without history"),
            _text("availability_zone", "Availability zone"),
        ),
        Machine(("deleted_at",), named_by=("blazar_computehost_allocations", "compute_host_id")),
    ),
    _allocation(
        "computehost_allocations",
        "Hosts that a reservation holds.",
        _text("compute_host_id", "Host held, in blazar_computehosts"),
    ),
    _reservation_detail(
        "computehost_reservations",
        "What a reservation of whole hosts asked for.",
        _text("resource_properties", "Filter, as JSON list"),
        _text("hypervisor_properties", "Filter, as JSON list"),
        _text("count_range", "Machines asked for, min-max"),
    ),
    _capability(
        "computehost_extra_capabilities",
        "Properties of hosts: node type, GPUs ...",
        "computehost_id",
        "blazar_computehosts",
    ),
    RawTable(
        "blazar",
        "resource_properties",
        "Names of the capabilities of hosts and devices.",
        (
            _text("id", "Property id"),
            *TIMES,
            _text("resource_type", "physical:host or device"),
            _text("property_name", "Name of the capability"),
        ),
        Whole(),
        alternatives=("extra_capabilities",),
        renamed={"property_name": "capability_name"},
        optional=True,
    ),
    _reservation_detail(
        "instance_reservations",
        "Flavor that a reservation of instances holds on its hosts.",
        _int("vcpus", "Size of one instance", VCPUS),
        _int("memory_mb", "Size of one instance", MB),
        _int("disk_gb", "Size of one instance", GB),
        _int("amount", "Instances asked for", "instances"),
        _text("flavor_id", "Flavor made for the reservation"),
        _text("resource_properties", "Filter; of flavor:instance the source flavor as JSON"),
    ),
    RawTable(
        "blazar",
        "events",
        "Start and end of leases, due and done.",
        (
            _text("id", "Event id"),
            *TIMES,
            _text("lease_id", "Lease"),
            _text("event_type", "start_lease, before_end_lease, end_lease"),
            _at("time", "When it is due"),
            _text("status", "UNDONE, IN_PROGRESS, DONE, ERROR"),
        ),
        Satellite((LEASE,)),
    ),
    RawTable(
        "blazar",
        "devices",
        "Edge devices that Blazar may reserve.",
        (
            _text("id", "Device id"),
            *TIMES,
            _text("name", "Name"),
            _text("device_type", "container, vm, shell"),
            _text("device_driver", "zun, k8s ..."),
            _bool("reservable", "State at the dump"),
        ),
        Life(("deleted_at",)),
        optional=True,
    ),
    _allocation("device_allocations", "Devices that a reservation holds.", _text("device_id", "Device held")),
    _reservation_detail(
        "device_reservations",
        "What a reservation of devices asked for.",
        _text("resource_properties", "Filter, as JSON list"),
        _text("count_range", "Devices asked for, min-max"),
    ),
    _capability(
        "device_extra_capabilities", "Properties of devices: machine name, vendor ...", "device_id", "blazar_devices"
    ),
    RawTable(
        "zun",
        "container",
        "Containers on edge devices.",
        (
            _int("id", "Row id", "id"),
            *TIMES,
            _text("uuid", "Container id"),
            PROJECT,
            USER,
            _text("status", "State at the dump"),
            _at("started_at", "When it started"),
            _text("host", "Device it runs on"),
            _float("cpu", "CPU limit", "cores"),
            _text("memory", "Memory limit with its unit"),
            _int("disk", "Disk", GB),
            _text("annotations", "JSON; names the reservation"),
        ),
        Life(("updated_at",), ("started_at", "updated_at"), ended_when=("status", ("Deleted", "Error", "Stopped"))),
    ),
    RawTable(
        "zun",
        "container_actions",
        "API requests on containers.",
        (_int("id", "Row id", "id"), *TIMES, _text("container_uuid", "Container"), PROJECT, USER, *_ACTION),
        Satellite((CONTAINER,)),
    ),
    RawTable(
        "zun",
        "container_actions_events",
        "Steps of the requests on containers.",
        (_int("id", "Row id", "id"), *TIMES, *_EVENT),
        Satellite((("action_id", "zun_container_actions", "id"), CONTAINER)),
    ),
    RawTable(
        "chameleon_usage",
        "node_usage_report_cache",
        "Legacy daily hours per node type.",
        (
            _at("date", "Day"),
            _text("node_type", "Node type"),
            _float("maint_hours", "Maintenance", "node-hours"),
            _float("reserved_hours", "Reserved", "node-hours"),
            _float("used_hours", "Used", "node-hours"),
            _float("idle_hours", "Idle", "node-hours"),
            _float("total_hours", "Total", "node-hours"),
        ),
        Dated("date"),
        key=("date", "node_type"),
    ),
    RawTable(
        "chameleon_usage",
        "node_count_cache",
        "Legacy daily count of nodes per node type.",
        (Column("date", Type.DATE, "Day"), _text("node_type", "Node type"), _int("cnt", "Nodes", "nodes")),
        Dated("date"),
        key=("date", "node_type"),
    ),
    RawTable(
        "keystone",
        "project",
        "Names of projects.",
        (
            _text("id", "Project id"),
            _text("name", "Name that people read"),
            _text("domain_id", "Domain that the name is unique in"),
            _bool("enabled", "State at the dump"),
        ),
        Whole(),
        optional=True,
        by_columns=True,
    ),
)

BY_NAME: dict[str, RawTable] = {table.name: table for table in TABLES}
