"""Raw rows that an interval of an OpenStack site is made of: the row of its source, and the rows it belongs to."""

from usage_assets.kinds.openstack.raw.personal import SPEC_PATHS
from usage_assets.specs.lineage import Origin


def _json(*paths: str) -> str:
    return "coalesce(" + ", ".join(f"TRY(json_extract_string(spec, '{path}'))" for path in paths) + ")"


_HINT, _OTHER_HINT, _FLAVOR, _ = SPEC_PATHS
_REQUEST = Origin(
    "nova_api_request_specs",
    "instance_uuid",
    "entity_id",
    said=(("reservation", _json(_HINT, _OTHER_HINT)), ("flavor", _json(_FLAVOR)), ("spec_length", "length(spec)")),
)
_RESERVATION = Origin("blazar_reservations", "id", "reservation_id")
_LEASE = Origin("blazar_leases", "id", "lease_id")
# the last requests on the server: they explain why it is off, or shelved, at the instant
_ACTIONS = Origin("nova_instance_actions", "instance_uuid", "entity_id", latest=3)
_HOST = Origin("blazar_computehosts", "hypervisor_hostname", "node", living=True, is_name=True)
_MACHINE = Origin("nova_compute_nodes", "hypervisor_hostname", "node", living=True, is_name=True)

ORIGINS: dict[str, tuple[Origin, ...]] = {
    "nova_compute_nodes": (_MACHINE, _HOST),
    "nova_services": (Origin("nova_services", "host", "entity_id", living=True, is_name=True), _MACHINE),
    "blazar_computehosts": (_HOST, _MACHINE),
    "blazar_computehost_allocations": (
        Origin("blazar_computehost_allocations", "id", "entity_id"),
        Origin("blazar_reservations", "id", "blazar_computehost_allocations.reservation_id"),
        Origin("blazar_leases", "id", "blazar_reservations.lease_id"),
        Origin("blazar_instance_reservations", "reservation_id", "blazar_reservations.id"),
        Origin("blazar_computehosts", "id", "blazar_computehost_allocations.compute_host_id"),
    ),
    "blazar_device_allocations": (
        Origin("blazar_device_allocations", "id", "entity_id"),
        Origin("blazar_reservations", "id", "blazar_device_allocations.reservation_id"),
        Origin("blazar_leases", "id", "blazar_reservations.lease_id"),
        Origin("blazar_devices", "id", "blazar_device_allocations.device_id"),
    ),
    "blazar_devices": (Origin("blazar_devices", "id", "entity_id"),),
    "nova_instances": (
        Origin("nova_instances", "uuid", "entity_id"),
        _REQUEST,
        _ACTIONS,
        _RESERVATION,
        _LEASE,
        _MACHINE,
    ),
    "nova_cell0_instances": (Origin("nova_cell0_instances", "uuid", "entity_id"), _REQUEST, _RESERVATION, _LEASE),
    "zun_container": (Origin("zun_container", "uuid", "entity_id"), _RESERVATION, _LEASE),
    "blazar_leases": (Origin("blazar_leases", "id", "entity_id"),),
}
"""Source of an interval or a reject -> its raw rows."""
