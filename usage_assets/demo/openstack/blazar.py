"""Rows of the Chameleon fork of Blazar: hosts, leases, reservations, allocations and events."""

import json
from dataclasses import dataclass
from random import Random
from typing import Final

from usage_assets.demo.openstack.inventory import Machine, NodeType, Period
from usage_assets.demo.openstack.rows import DAY, RowWriter, stable_random, text, uuid_text

PROPERTIES: Final = (
    "node_type",
    "node_name",
    "gpu.gpu",
    "gpu.gpu_count",
    "gpu.gpu_model",
    "architecture.smt_size",
)
DEVICE_PROPERTIES: Final = ("machine_name", "vendor")


@dataclass(slots=True)
class Lease:
    """A lease as written: when it was asked for, planned, and when it was deleted, if it was."""

    id: str
    name: str
    project: str
    user: str
    created: int
    start: int
    end: int
    deleted: int | None = None
    """When its owner deleted it; a lease that ends by itself is never marked."""
    prolonged: int | None = None
    failed: bool = False
    """Whether its start event ended in ERROR."""
    late: int = 0
    """Seconds by which its start event was done late."""
    forgotten: bool = False
    """Whether its start event was never done."""
    unfinished: bool = False
    """Whether its owner's request failed while it was being created."""
    deleted_text: str | None = None
    """What ``deleted_at`` of the leases row deliberately holds instead."""

    @property
    def stop(self) -> int:
        """When it ceased to hold machines."""
        return self.end if self.deleted is None else min(self.end, self.deleted)

    def deleted_by(self, until: int) -> int | None:
        """When it was deleted, as far as ``until`` knows."""
        return self.deleted if self.deleted is not None and self.deleted <= until else None


class Blazar:
    """Writes Blazar rows as a server would hold them at ``until``: what happens later is left out or still open."""

    def __init__(self, writer: RowWriter, site: str, seed: int, until: int, since: int) -> None:
        """Write the capability names."""
        self.writer = writer
        self.until = until
        rng = stable_random(site, seed, "properties")
        self._trust = uuid_text(rng)
        self._property_ids = {name: uuid_text(rng) for name in (*PROPERTIES, *DEVICE_PROPERTIES)}
        for name, key in self._property_ids.items():
            writer.add(
                "blazar.resource_properties",
                id=key, resource_type="device" if name in DEVICE_PROPERTIES else "physical:host", property_name=name,
                private=0, is_unique=0, created_at=text(since),
            )  # fmt: skip

    def _life(self, key: str, created: int, deleted: int | None, updated: int | None = None) -> dict[str, object]:
        """The columns every table has; an end that lies after ``until`` is not known yet."""
        gone = deleted if deleted is not None and deleted <= self.until else None
        changed = gone if gone is not None else updated if updated is not None and updated <= self.until else None
        return {
            "id": key,
            "created_at": text(created),
            "updated_at": text(changed),
            "deleted_at": text(gone),
            "deleted": key if gone is not None else None,
        }

    def add_host(self, machine: Machine, row: Period, hypervisor_type: str, rng: Random) -> None:
        """Write a machine's row and its capabilities."""
        kind = row.node_type
        self.writer.add(
            "blazar.computehosts",
            **self._life(str(row.id), row.start, row.end),
            vcpus=kind.threads, memory_mb=kind.memory_gib * 1024, local_gb=kind.disk_gb, cpu_info="",
            hypervisor_type=hypervisor_type, hypervisor_version=1 if hypervisor_type == "ironic" else 8_002_002,
            hypervisor_hostname=machine.hostname, service_name=machine.service, availability_zone="nova",
            trust_id=self._trust, reservable=1, disabled=0,
        )  # fmt: skip
        for name, value in _capabilities(machine, kind).items():
            self.writer.add(
                "blazar.computehost_extra_capabilities",
                **self._life(uuid_text(rng), row.start, row.end),
                computehost_id=str(row.id),
                property_id=self._property_ids[name],
                capability_value=value,
            )

    def add_device(self, device: Machine, vendor: str, rng: Random) -> None:
        """Write an edge device, whose id is its host name here, and its capabilities."""
        row = device.nova_rows[0]
        self.writer.add(
            "blazar.devices",
            **self._life(device.hostname, row.start, row.end),
            name=device.name, device_type="container", device_driver="zun", reservable=1,
        )  # fmt: skip
        for name, value in (("machine_name", row.node_type.name), ("vendor", vendor)):
            self.writer.add(
                "blazar.device_extra_capabilities",
                **self._life(uuid_text(rng), row.start, row.end),
                device_id=device.hostname,
                property_id=self._property_ids[name],
                capability_value=value,
            )

    def add_lease(self, lease: Lease, rng: Random, *, with_events: bool = True) -> None:
        """Write a lease and the events that start, announce the end of, and end it."""
        gone = lease.deleted_by(self.until)
        life = self._life(lease.id, lease.created, lease.deleted, self._last_change(lease))
        if lease.deleted_text is not None:
            life["deleted_at"] = lease.deleted_text
        self.writer.add(
            "blazar.leases",
            **life,
            name=lease.name, user_id=lease.user, project_id=lease.project, start_date=text(lease.start),
            end_date=text(lease.end), trust_id=self._trust, status=self._lease_status(lease, gone), degraded=0,
        )  # fmt: skip
        if not with_events:
            return
        warning = max(lease.start, lease.end - 2 * DAY)
        for kind, due in (("start_lease", lease.start), ("before_end_lease", warning), ("end_lease", lease.end)):
            starts = kind == "start_lease"
            done = max(due, lease.created) + rng.randint(3, 50) + lease.late * starts
            happened = done <= self.until and (lease.deleted is None or done < lease.deleted)
            happened = happened and not (starts and lease.forgotten)
            status = "UNDONE" if not happened else "ERROR" if lease.failed and starts else "DONE"
            life = self._life(uuid_text(rng), lease.created, lease.deleted)
            # Soft deletion is an update by SQL, so a done event keeps the time when it was done.
            life["updated_at"] = text(done) if happened else None
            self.writer.add("blazar.events", **life, lease_id=lease.id, event_type=kind, time=text(due), status=status)

    def _last_change(self, lease: Lease) -> int | None:
        done = [lease.start + 60, lease.end + 60, lease.prolonged or lease.created]
        return max((moment for moment in done if moment <= self.until), default=None)

    def _lease_status(self, lease: Lease, gone: int | None) -> str:
        now = self.until if gone is None else gone
        if lease.unfinished:
            return "CREATING"
        if lease.failed and now > lease.start:
            return "ERROR"
        if lease.forgotten:
            return "PENDING"
        if now >= lease.end or (gone is not None and gone > lease.start):
            return "TERMINATED"
        return "ACTIVE" if now >= lease.start else "PENDING"

    def add_reservation(
        self, lease: Lease, reservation_id: str, rng: Random, *, node_type: str | None = None, count: int = 1,
        resource_type: str = "physical:host", asked: tuple[int, str] | None = None,
    ) -> str:  # fmt: skip
        """Write a reservation, and for whole machines and devices what it asked for; the id of the row of its type.

        ``asked`` is the least number of machines and the filter, where they are not the plain ones.
        """
        gone = lease.deleted_by(self.until)
        now = self.until if gone is None else gone
        ended = gone is not None or now >= lease.end
        status = "deleted" if ended else "active" if now >= lease.start else "pending"
        resource_id = uuid_text(rng)
        self.writer.add(
            "blazar.reservations",
            **self._life(reservation_id, lease.created, lease.deleted, self._last_change(lease)),
            lease_id=lease.id, resource_id=resource_id, resource_type=resource_type,
            status="error" if lease.failed and now > lease.start else status, missing_resources=0, resources_changed=0,
        )  # fmt: skip
        if node_type is not None and resource_type == "device":
            self.writer.add(
                "blazar.device_reservations",
                **self._life(resource_id, lease.created, lease.deleted),
                reservation_id=reservation_id, resource_properties=f'["==","$machine_name","{node_type}"]',
                count_range=f"{count}-{count}", before_end="email",
            )  # fmt: skip
        elif node_type is not None:
            low, wanted = asked or (count, f'["==","$node_type","{node_type}"]')
            self.writer.add(
                "blazar.computehost_reservations",
                **self._life(resource_id, lease.created, lease.deleted),
                reservation_id=reservation_id, resource_properties=wanted, hypervisor_properties="",
                count_range=f"{low}-{count}", before_end="email", on_start="default",
                aggregate_id=rng.randint(1, 90_000),
            )  # fmt: skip
        return resource_id

    def add_allocation(
        self, lease: Lease, reservation_id: str, host_id: str, rng: Random, *, created: int | None = None,
        ended: int | None = None, device: bool = False,
    ) -> None:  # fmt: skip
        """Write an allocation of a host or device; by default it lasts as long as its lease and is marked then."""
        end = lease.stop + (rng.randint(5, 60) if lease.deleted is None else 0) if ended is None else ended
        table, column = (
            ("device_allocations", "device_id") if device else ("computehost_allocations", "compute_host_id")
        )
        self.writer.add(
            f"blazar.{table}",
            **self._life(uuid_text(rng), lease.created if created is None else created, end),
            **{column: host_id},
            reservation_id=reservation_id,
        )

    def add_instance_reservation(
        self, lease: Lease, reservation_id: str, key: str, *, size: dict[str, int], source: dict[str, object] | None,
        amount: int, rng: Random,
    ) -> None:  # fmt: skip
        """Write the size that a reservation of virtual machines asked for; newer ones name their source flavor."""
        self.writer.add(
            "blazar.instance_reservations",
            **self._life(key, lease.created, lease.deleted),
            reservation_id=reservation_id, vcpus=size["vcpus"], memory_mb=size["ram"],
            disk_gb=size["disk"], amount=amount, affinity=0, flavor_id=reservation_id,
            aggregate_id=rng.randint(1, 90_000), server_group_id=uuid_text(rng),
            resource_properties=json.dumps(source) if source else "",
        )  # fmt: skip


def _capabilities(machine: Machine, kind: NodeType) -> dict[str, str]:
    values = {
        "node_type": kind.name,
        "node_name": machine.name,
        "gpu.gpu": str(kind.gpus > 0),
        "architecture.smt_size": str(kind.threads),
    }
    if kind.gpus:
        values |= {"gpu.gpu_count": str(kind.gpus), "gpu.gpu_model": kind.gpu_model}
    return values
