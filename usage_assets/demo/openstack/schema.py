"""The source tables a demo site writes, as SQLite DDL.

Table and column names are those of Nova, Nova's API database, the Chameleon fork of Blazar, Zun, Keystone and the
legacy usage database; columns that no usage rule reads are left out. Foreign keys are indexed but not declared, because
the real databases hold orphans too and so do ours. Instants are text ``YYYY-MM-DD HH:MM:SS`` in UTC in columns of type
DATETIME.
"""

_TIMES = "created_at DATETIME, updated_at DATETIME, "
_LIFE = _TIMES + "deleted_at DATETIME, "
_INT_DELETED = ", deleted INTEGER"
_TEXT_DELETED = ", deleted VARCHAR(36)"

_INSTANCES = (
    _LIFE + "id INTEGER NOT NULL, uuid VARCHAR(36) NOT NULL, user_id VARCHAR(255), project_id VARCHAR(255), "
    "image_ref VARCHAR(255), display_name VARCHAR(255), hostname VARCHAR(255), reservation_id VARCHAR(255), "
    "availability_zone VARCHAR(255), vm_state VARCHAR(255), task_state VARCHAR(255), power_state INTEGER, "
    "vcpus INTEGER, memory_mb INTEGER, root_gb INTEGER, ephemeral_gb INTEGER, instance_type_id INTEGER, "
    "host VARCHAR(255), node VARCHAR(255), compute_id BIGINT, launched_on TEXT, launched_at DATETIME, "
    "terminated_at DATETIME, locked BOOLEAN, cleaned INTEGER, hidden BOOLEAN" + _INT_DELETED
)
_ACTIONS = (
    _LIFE + "id INTEGER NOT NULL, action VARCHAR(255), instance_uuid VARCHAR(36), request_id VARCHAR(255), "
    "user_id VARCHAR(255), project_id VARCHAR(255), start_time DATETIME, finish_time DATETIME, message VARCHAR(255)"
    + _INT_DELETED
)
_ACTION_EVENTS = (
    _LIFE + "id INTEGER NOT NULL, event VARCHAR(255), action_id INTEGER, start_time DATETIME, finish_time DATETIME, "
    "result VARCHAR(255), traceback TEXT, host VARCHAR(255), details TEXT" + _INT_DELETED
)

COLUMNS: dict[str, str] = {
    "nova.compute_nodes": _LIFE
    + "id INTEGER NOT NULL, service_id INTEGER, uuid VARCHAR(36), host VARCHAR(255), hypervisor_hostname VARCHAR(255), "
    "hypervisor_type TEXT NOT NULL, hypervisor_version INTEGER NOT NULL, vcpus INTEGER NOT NULL, "
    "memory_mb INTEGER NOT NULL, local_gb INTEGER NOT NULL, vcpus_used INTEGER NOT NULL, "
    "memory_mb_used INTEGER NOT NULL, local_gb_used INTEGER NOT NULL, running_vms INTEGER, cpu_info TEXT NOT NULL, "
    "cpu_allocation_ratio FLOAT, ram_allocation_ratio FLOAT, disk_allocation_ratio FLOAT, mapped INTEGER, "
    "host_ip VARCHAR(39)" + _INT_DELETED,
    "nova.services": _LIFE
    + "id INTEGER NOT NULL, uuid VARCHAR(36), host VARCHAR(255), binary VARCHAR(255), topic VARCHAR(255), "
    "report_count INTEGER NOT NULL, disabled BOOLEAN, disabled_reason VARCHAR(255), forced_down BOOLEAN, "
    "last_seen_up DATETIME, version INTEGER" + _INT_DELETED,
    "nova.instances": _INSTANCES,
    "nova.instance_actions": _ACTIONS,
    "nova.instance_actions_events": _ACTION_EVENTS,
    "nova.shadow_instances": _INSTANCES,
    "nova.shadow_instance_actions": _ACTIONS,
    "nova.shadow_instance_actions_events": _ACTION_EVENTS,
    "nova_api.request_specs": "created_at DATETIME, updated_at DATETIME, id INTEGER NOT NULL, "
    "instance_uuid VARCHAR(36) NOT NULL, spec TEXT NOT NULL",
    "nova_cell0.instances": _INSTANCES,
    "blazar.leases": _LIFE
    + "id VARCHAR(36) NOT NULL, name VARCHAR(80) NOT NULL, user_id VARCHAR(255), project_id VARCHAR(255), "
    "start_date DATETIME NOT NULL, end_date DATETIME NOT NULL, trust_id VARCHAR(36), status VARCHAR(255), "
    "degraded BOOLEAN NOT NULL DEFAULT 0" + _TEXT_DELETED,
    "blazar.reservations": _LIFE
    + "id VARCHAR(36) NOT NULL, lease_id VARCHAR(36) NOT NULL, resource_id VARCHAR(36), resource_type VARCHAR(66), "
    "status VARCHAR(13), missing_resources BOOLEAN NOT NULL DEFAULT 0, resources_changed BOOLEAN NOT NULL DEFAULT 0"
    + _TEXT_DELETED,
    "blazar.events": _LIFE
    + "id VARCHAR(36) NOT NULL, lease_id VARCHAR(36), event_type VARCHAR(66), time DATETIME, status VARCHAR(13)"
    + _TEXT_DELETED,
    "blazar.computehosts": _LIFE
    + "id VARCHAR(36) NOT NULL, vcpus INTEGER NOT NULL, memory_mb INTEGER NOT NULL, local_gb INTEGER NOT NULL, "
    "cpu_info TEXT NOT NULL, hypervisor_type TEXT NOT NULL, hypervisor_version INTEGER NOT NULL, "
    "hypervisor_hostname VARCHAR(255), service_name VARCHAR(255), status VARCHAR(13), "
    "availability_zone VARCHAR(255) NOT NULL, trust_id VARCHAR(36) NOT NULL, reservable BOOLEAN NOT NULL DEFAULT 1, "
    "disabled BOOLEAN NOT NULL DEFAULT 0" + _TEXT_DELETED,
    "blazar.computehost_allocations": _LIFE
    + "id VARCHAR(36) NOT NULL, compute_host_id VARCHAR(36), reservation_id VARCHAR(36)"
    + _TEXT_DELETED,
    "blazar.computehost_reservations": _LIFE
    + "id VARCHAR(36) NOT NULL, reservation_id VARCHAR(36), aggregate_id INTEGER, resource_properties TEXT, "
    "hypervisor_properties TEXT, count_range VARCHAR(36), before_end VARCHAR(36), on_start VARCHAR(50)" + _TEXT_DELETED,
    "blazar.computehost_extra_capabilities": _LIFE
    + "id VARCHAR(36) NOT NULL, computehost_id VARCHAR(36), property_id VARCHAR(255), capability_value TEXT NOT NULL"
    + _TEXT_DELETED,
    "blazar.resource_properties": _LIFE
    + "id VARCHAR(36) NOT NULL, resource_type VARCHAR(255) NOT NULL, property_name VARCHAR(255), "
    "private BOOLEAN NOT NULL DEFAULT 0, is_unique BOOLEAN NOT NULL DEFAULT 0" + _TEXT_DELETED,
    "blazar.instance_reservations": _LIFE
    + "id VARCHAR(36) NOT NULL, reservation_id VARCHAR(36), vcpus INTEGER NOT NULL, memory_mb INTEGER NOT NULL, "
    "disk_gb INTEGER NOT NULL, amount INTEGER NOT NULL, affinity BOOLEAN, flavor_id VARCHAR(36), "
    "aggregate_id INTEGER, server_group_id VARCHAR(36), resource_properties TEXT" + _TEXT_DELETED,
    "blazar.devices": _LIFE + "id VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, device_type VARCHAR(9) NOT NULL, "
    "device_driver VARCHAR(3) NOT NULL, reservable BOOLEAN NOT NULL DEFAULT 1" + _TEXT_DELETED,
    "blazar.device_allocations": _LIFE
    + "id VARCHAR(36) NOT NULL, device_id VARCHAR(36), reservation_id VARCHAR(36)"
    + _TEXT_DELETED,
    "blazar.device_reservations": _LIFE
    + "id VARCHAR(36) NOT NULL, reservation_id VARCHAR(36), count_range VARCHAR(36), resource_properties TEXT, "
    "before_end VARCHAR(36)" + _TEXT_DELETED,
    "blazar.device_extra_capabilities": _LIFE
    + "id VARCHAR(36) NOT NULL, device_id VARCHAR(36) NOT NULL, property_id VARCHAR(255), "
    "capability_value TEXT NOT NULL" + _TEXT_DELETED,
    "zun.container": _TIMES + "id INTEGER NOT NULL, uuid VARCHAR(36) NOT NULL, project_id VARCHAR(255), "
    "user_id VARCHAR(255), name VARCHAR(255), image VARCHAR(255), status VARCHAR(20), cpu FLOAT, memory VARCHAR(255), "
    "disk INTEGER, host VARCHAR(255), started_at DATETIME, annotations TEXT",
    "zun.container_actions": _TIMES + "id INTEGER NOT NULL, action VARCHAR(255), container_uuid VARCHAR(36), "
    "request_id VARCHAR(255), user_id VARCHAR(255), project_id VARCHAR(255), start_time DATETIME, "
    "finish_time DATETIME, message VARCHAR(255)",
    "zun.container_actions_events": _TIMES + "id INTEGER NOT NULL, event VARCHAR(255), action_id INTEGER, "
    "start_time DATETIME, finish_time DATETIME, result VARCHAR(255), traceback TEXT, details TEXT",
    "keystone.project": "id VARCHAR(64) NOT NULL, name VARCHAR(64) NOT NULL, extra TEXT, description TEXT, "
    "enabled BOOLEAN, domain_id VARCHAR(64) NOT NULL, parent_id VARCHAR(64), is_domain BOOLEAN NOT NULL DEFAULT 0",
    "chameleon_usage.node_usage_report_cache": "id INTEGER NOT NULL, date DATETIME, node_type VARCHAR(100), "
    "maint_hours FLOAT, reserved_hours FLOAT, used_hours FLOAT, idle_hours FLOAT, total_hours FLOAT",
    "chameleon_usage.node_count_cache": "id INTEGER NOT NULL, date DATE, node_type VARCHAR(100), cnt INTEGER",
}
"""Columns of each ``schema.table``; the primary key is always ``id``."""

INDEXED: dict[str, tuple[str, ...]] = {
    "nova.compute_nodes": ("hypervisor_hostname",),
    "nova.instances": ("uuid",),
    "nova.instance_actions": ("instance_uuid",),
    "nova.instance_actions_events": ("action_id",),
    "nova.shadow_instances": ("uuid",),
    "nova.shadow_instance_actions": ("instance_uuid",),
    "nova.shadow_instance_actions_events": ("action_id",),
    "nova_api.request_specs": ("instance_uuid",),
    "nova_cell0.instances": ("uuid",),
    "blazar.reservations": ("lease_id",),
    "blazar.events": ("lease_id",),
    "blazar.computehost_allocations": ("compute_host_id", "reservation_id"),
    "blazar.computehost_reservations": ("reservation_id",),
    "blazar.computehost_extra_capabilities": ("computehost_id", "property_id"),
    "blazar.instance_reservations": ("reservation_id",),
    "blazar.device_allocations": ("device_id", "reservation_id"),
    "blazar.device_reservations": ("reservation_id",),
    "blazar.device_extra_capabilities": ("device_id", "property_id"),
    "zun.container": ("uuid",),
    "zun.container_actions": ("container_uuid",),
    "zun.container_actions_events": ("action_id",),
    "chameleon_usage.node_usage_report_cache": ("date",),
    "chameleon_usage.node_count_cache": ("date",),
}
"""Columns with an index besides the primary key: what rows are joined by."""


def column_names(table: str) -> tuple[str, ...]:
    """Names of a table's columns in the order of its DDL."""
    return tuple(part.split()[0] for part in COLUMNS[table].split(", "))


def databases() -> tuple[str, ...]:
    """Names of the source schemas; each becomes one SQLite file."""
    return tuple(dict.fromkeys(table.partition(".")[0] for table in COLUMNS))


def create_tables(database: str) -> str:
    """SQL that creates the empty tables of a schema, without the secondary indexes."""
    return "\n".join(
        f"CREATE TABLE {table.partition('.')[2]} ({columns}, PRIMARY KEY (id));"
        for table, columns in COLUMNS.items()
        if table.startswith(f"{database}.")
    )


def create_indexes(database: str) -> str:
    """SQL that creates the secondary indexes of a schema, run once all rows are in."""
    return "\n".join(
        f"CREATE INDEX {table.partition('.')[2]}_{column}_idx ON {table.partition('.')[2]} ({column});"
        for table, columns in INDEXED.items()
        if table.startswith(f"{database}.")
        for column in columns
    )
