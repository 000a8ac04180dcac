"""Small OpenStack sites for tests: rows of the sources with sane defaults.

What belongs here: how to say a row. `raw_months` says which months hold it, `stores` puts rows into databases.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from usage_assets.kinds.openstack.raw.tables import BY_NAME, TABLES
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.specs.raw_table import HELD_AS_DELETED

Row = dict[str, Any]
Month = date
ZERO = "0000-00-00 00:00:00"  # what MySQL stores for no date; a raw table holds null
DATABASES = ("nova", "nova_api", "nova_cell0", "blazar", "zun")


def at(text: str) -> datetime:
    """`2024-01-10`, `2024-01-10 12:30` or with seconds, as an instant."""
    return datetime.fromisoformat(text)


def when(value: str | datetime | None) -> datetime | str | None:
    """An instant of a row: text is parsed, a zero date stays text."""
    return value if value is None or value == ZERO or isinstance(value, datetime) else at(value)


def next_month(month: Month) -> Month:
    """The month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def midnight(day: date) -> datetime:
    """The instant a day begins."""
    return datetime(day.year, day.month, day.day)


def make_site(databases: Mapping[str, str] | Sequence[str] = DATABASES, **values: Any) -> OpenStackSite:
    """A site; databases without URLs are never connected to."""
    urls = dict(databases) if isinstance(databases, Mapping) else dict.fromkeys(databases, "sqlite:////nowhere.db")
    base: dict[str, Any] = {"kind": "openstack", "key": "golden", "name": "Golden", "first_month": "2016-01"}
    return OpenStackSite.model_validate(base | {"databases": urls} | values)


@dataclass
class Rows:
    """Rows of a site's sources by raw table name; every function adds one and returns its id.

    Instants may be text. A row's `gone_at` is set on its raw copy only, and the SQLite source lacks it; `archived` rows
    go to the shadow table; `hidden` instances are never read.
    """

    tables: dict[str, list[Row]] = field(default_factory=lambda: {table.name: [] for table in TABLES})
    _number: int = 0

    def number(self) -> int:
        """A fresh row id, of as many digits as all others, so that ids of text order like numbers."""
        self._number += 1
        return 100_000 + self._number

    def add(self, table: str, **values: Any) -> Any:
        """One row of a raw table; columns not given are null, `marked` is its mark of deletion, false by default."""
        declared = BY_NAME[table]
        instants = set(declared.instants) | {"gone_at"}
        row: Row = {column.name: None for column in declared.columns} | {
            "gone_at": None,
            "archived": False,
            "hidden": False,
        }
        if HELD_AS_DELETED in declared.columns:
            row["deleted"] = values.pop("marked", False)
        unknown = set(values) - set(row)
        assert not unknown, f"{table} has no {sorted(unknown)}"
        row |= {name: when(value) if name in instants else value for name, value in values.items()}
        self.tables[table].append(row)
        return row["uuid"] if table in {"nova_instances", "nova_cell0_instances", "zun_container"} else row.get("id")

    def compute_node(
        self, hostname: str | None, created: str | datetime | None, deleted: Any = None, **more: Any
    ) -> int:
        """A hypervisor; KVM with 40 vCPUs by default."""
        defaults = {"hypervisor_type": "QEMU", "vcpus": 40, "memory_mb": 1000, "local_gb": 100, "id": self.number()}
        values = defaults | {"hypervisor_hostname": hostname, "created_at": created, "deleted_at": deleted} | more
        return self.add("nova_compute_nodes", **values)

    def ironic_node(
        self, hostname: str | None, created: str | datetime | None, deleted: Any = None, **more: Any
    ) -> int:
        """A bare-metal machine: Nova does not know its size."""
        defaults = {"hypervisor_type": "ironic", "vcpus": 0, "memory_mb": 0, "local_gb": 0}
        return self.compute_node(hostname, created, deleted, **(defaults | more))

    def computehost(
        self, hostname: str | None, created: str | datetime | None, deleted: Any = None, **more: Any
    ) -> str:
        """A host of Blazar with 48 vCPUs by default; `node_type` and `gpus` add capabilities."""
        node_type, gpus = more.pop("node_type", None), more.pop("gpus", None)
        defaults = {"vcpus": 48, "memory_mb": 2000, "local_gb": 200, "id": str(self.number()), "reservable": True}
        values = defaults | {"hypervisor_hostname": hostname, "created_at": created, "deleted_at": deleted} | more
        host = self.add("blazar_computehosts", **values)
        if node_type is not None:
            self.capability(host, "node_type", node_type, created_at=created)
        if gpus is not None:
            self.capability(host, "gpu.gpu_count", str(gpus), created_at=created)
        return host

    def capability(self, host: str, name: str, value: str | None, **more: Any) -> str:
        """A capability of a host, its name in the table of names."""
        return self._capability("blazar_computehost_extra_capabilities", "computehost_id", host, (name, value), more)

    def device_capability(self, device: str, name: str, value: str | None, **more: Any) -> str:
        """A capability of a device."""
        return self._capability("blazar_device_extra_capabilities", "device_id", device, (name, value), more)

    def _capability(self, table: str, owner: str, host: str, named: tuple[str, str | None], more: Row) -> str:
        name, value = named
        names = self.tables["blazar_resource_properties"]
        found = next((row["id"] for row in names if row["property_name"] == name), None)
        if found is None:
            found = f"p{self.number()}"
            self.add("blazar_resource_properties", id=found, property_name=name, resource_type="physical:host")
        values = {"id": f"x{self.number()}", owner: host, "property_id": found, "capability_value": value}
        return self.add(table, **(values | more))

    def lease(self, created: Any, start: Any, end: Any, deleted: Any = None, **more: Any) -> str:
        """A lease from its planned start to its planned end."""
        values = {"id": f"l{self.number()}", "created_at": created, "start_date": start, "end_date": end}
        return self.add("blazar_leases", **(values | {"deleted_at": deleted, "project_id": "p", "user_id": "u"} | more))

    def reservation(self, lease: str | None, resource_type: str = "physical:host", **more: Any) -> str:
        """A reservation of a lease."""
        values = {"id": f"r{self.number()}", "lease_id": lease, "resource_type": resource_type}
        return self.add("blazar_reservations", **(values | more))

    def allocation(
        self, reservation: str | None, host: str | None, created: Any, deleted: Any = None, **more: Any
    ) -> str:
        """A host that a reservation holds."""
        values = {"id": f"a{self.number()}", "reservation_id": reservation, "compute_host_id": host}
        return self.add(
            "blazar_computehost_allocations", **(values | {"created_at": created, "deleted_at": deleted} | more)
        )

    def instance_reservation(self, reservation: str, **more: Any) -> str:
        """The flavor of a reservation of instances."""
        values = {"id": f"i{self.number()}", "reservation_id": reservation, "vcpus": 4, "memory_mb": 100, "disk_gb": 10}
        return self.add("blazar_instance_reservations", **(values | {"amount": 1} | more))

    def asked(self, reservation: str, properties: str | None = "", count: str | None = "1-1", **more: Any) -> str:
        """What a reservation of whole hosts asks for; any host by default."""
        values: Row = {"id": f"q{self.number()}", "reservation_id": reservation, "created_at": "2020-01-01"}
        values |= {"resource_properties": properties, "hypervisor_properties": "", "count_range": count}
        return self.add("blazar_computehost_reservations", **(values | more))

    def request(self, created: Any, start: Any, end: Any, *wants: tuple[str | None, str | None], **more: Any) -> str:
        """A lease with a reservation of hosts per (filter, count range)."""
        lease = self.lease(created, start, end, **more)
        for properties, count in wants:
            self.asked(self.reservation(lease, created_at=created), properties, count)
        return lease

    def start_event(self, lease: str, status: str = "DONE", done: Any = None, **more: Any) -> str:
        """The event that starts a lease, done at `done`."""
        values = {"id": f"e{self.number()}", "lease_id": lease, "event_type": "start_lease", "status": status}
        return self.add("blazar_events", **(values | {"created_at": "2020-01-01", "updated_at": done} | more))

    def booked(self, host: str, start: str, end: str | None, **more: Any) -> tuple[str, str, str]:
        """A lease, its reservation and its allocation of one host, made when it starts."""
        lease = self.lease(start, start, end, **more)
        reservation = self.reservation(lease, created_at=start)
        return lease, reservation, self.allocation(reservation, host, start)

    def instance(self, node: str | None, created: Any, ended: Any = None, **more: Any) -> str:
        """A server that was launched at once; `ended` is its deleted_at and terminated_at."""
        number = self.number()
        sizes = {"vcpus": 4, "memory_mb": 100, "root_gb": 10, "ephemeral_gb": 5, "project_id": "p", "user_id": "u"}
        times = {"created_at": created, "launched_at": created, "deleted_at": ended, "terminated_at": ended}
        values = {"id": number, "uuid": f"v{number}", "node": node, "vm_state": "active", "power_state": 1}
        return self.add(more.pop("table", "nova_instances"), **(values | sizes | times | more))

    def action(self, instance: str, action: str, start: Any, **more: Any) -> int:
        """A request on a server."""
        values = {"id": self.number(), "instance_uuid": instance, "action": action, "start_time": start}
        return self.add("nova_instance_actions", **(values | {"created_at": start} | more))

    def event(self, instance: str, name: str, start: Any, result: str | None = "Success", **more: Any) -> int:
        """A step of a request on a server, and the request."""
        action = more.pop("action_id", None) or self.action(instance, name.removeprefix("compute_"), start)
        values = {"id": self.number(), "action_id": action, "event": name, "start_time": start, "result": result}
        return self.add("nova_instance_actions_events", **(values | {"created_at": start} | more))

    def spec(self, instance: str, text: str | None = None, **more: Any) -> int:
        """A request spec; plain (no hint, flavor m1) by default."""
        created = more.pop("created_at", "2020-01-01")
        values = {"id": self.number(), "instance_uuid": instance, "created_at": created}
        return self.add("nova_api_request_specs", **(values | {"spec": spec_text() if text is None else text} | more))

    def device(self, name: str | None, created: Any, deleted: Any = None, **more: Any) -> str:
        """An edge device; `machine_name` adds the capability."""
        machine = more.pop("machine_name", None)
        values = {"id": f"d{self.number()}", "name": name, "device_type": "container", "reservable": True}
        device = self.add("blazar_devices", **(values | {"created_at": created, "deleted_at": deleted} | more))
        if machine is not None:
            self.device_capability(device, "machine_name", machine, created_at=created)
        return device

    def device_allocation(
        self, reservation: str | None, device: str | None, created: Any, deleted: Any = None, **more: Any
    ) -> str:
        """A device that a reservation holds."""
        values = {"id": f"b{self.number()}", "reservation_id": reservation, "device_id": device}
        return self.add("blazar_device_allocations", **(values | {"created_at": created, "deleted_at": deleted} | more))

    def container(self, started: Any, ended: Any = None, reservation: str | None = None, **more: Any) -> str:
        """A container; `reservation` is named by its annotation."""
        number = self.number()
        note = None if reservation is None else json.dumps({"zun.openstack.org/reservation_id": reservation})
        values = {"id": number, "uuid": f"c{number}", "project_id": "p", "user_id": "u", "annotations": note}
        state = {"status": "Running" if ended is None else "Deleted", "updated_at": ended}
        return self.add("zun_container", **(values | state | {"created_at": started, "started_at": started} | more))


def spec_text(
    hint: Any = None, flavor: str = "m1", hints: Any = "from hint", extra_specs: dict[str, str] | None = None
) -> str:
    """A RequestSpec as Nova stores it; `hint` is the value of its reservation hint."""
    chosen = ({} if hint is None else {"reservation": hint}) if hints == "from hint" else hints
    said = {"name": flavor, "extra_specs": extra_specs or {}}
    return json.dumps(
        {
            "nova_object.name": "RequestSpec",
            "nova_object.version": "1.15",
            "nova_object.data": {
                "scheduler_hints": chosen,
                "flavor": {"nova_object.name": "Flavor", "nova_object.data": said},
            },
        }
    )
