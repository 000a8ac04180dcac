"""A site of edge devices since 2023: Blazar reserves devices, Zun runs containers on them, and there is no Nova."""

import heapq
import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from usage_assets.demo.openstack.blazar import Blazar, Lease
from usage_assets.demo.openstack.demand import MOST_LEAD, Booking, Scale, book_machines
from usage_assets.demo.openstack.inventory import Machine, NodeType, build_machines, first_year
from usage_assets.demo.openstack.rows import (
    DAY,
    HOUR,
    MINUTE,
    People,
    RowWriter,
    instant,
    stable_random,
    text,
    uuid_text,
)

SINCE: Final = instant(2023)
EDGE_TYPES: Final = (
    NodeType("raspberrypi3-64", 4, 1, 16, 0.2, {2023: 6, 2025: 0}),
    NodeType("raspberrypi4-64", 4, 8, 64, 0.45, {2023: 10, 2024: 18, 2025: 24}),
    NodeType("jetson-nano", 4, 4, 64, 0.5, {2023: 5, 2024: 8, 2026: 6}),
    NodeType("jetson-xavier-nx", 6, 8, 128, 0.75, {2024: 2, 2025: 4}),
)
_IMAGES: Final = ("ubuntu:22.04", "python:3.11", "balenalib/jetson-nano-ubuntu", "tensorflow/tensorflow")


@dataclass(frozen=True)
class Container:
    """A container's life as it went."""

    created: int
    started: int | None
    """When it ran first; None where its image never came."""
    ended: int
    status: str
    """State after its end."""
    device: Machine
    lease: Lease
    annotations: str | None
    seed: int


class EdgeSite:
    """Writes one edge site; containers are kept until the end, when their order is known."""

    def __init__(self, writer: RowWriter, name: str, until: int, seed: int) -> None:
        """Prepare the writer of Blazar."""
        self.writer, self.until = writer, until
        self.blazar = Blazar(writer, name, seed, until, SINCE)
        self.people = People(name, seed, projects=15)
        self.containers: list[Container] = []

    def add_booking(self, booking: Booking) -> None:
        """Write a lease of devices and the containers its owner starts on them."""
        rng = Random(booking.seed)
        project, user = self.people.pick(rng)
        deleted = booking.stop if booking.stop < booking.end else None
        lease = Lease(uuid_text(rng), f"edge-{rng.getrandbits(24):06x}", project, user, booking.created, booking.start,
                      booking.end, deleted, booking.prolonged)  # fmt: skip
        if lease.created > self.until:
            return
        reservation_id = uuid_text(rng)
        self.blazar.add_lease(lease, rng)
        self.blazar.add_reservation(
            lease, reservation_id, rng, node_type=booking.node_type, count=len(booking.machines), resource_type="device"
        )
        for device in booking.machines:
            self.blazar.add_allocation(lease, reservation_id, device.hostname, rng, device=True)
            begin = max(lease.start, lease.created) + rng.randint(2, 40) * MINUTE
            while rng.random() < 0.8 and begin < lease.stop - HOUR:
                container = _container(device, lease, reservation_id, begin, rng)
                self.containers.append(container)
                begin = container.ended + rng.randint(10, 600) * MINUTE

    def add_containers(self) -> None:
        """Write containers in the order of their creation, which numbers them, with their first and last action."""
        self.containers.sort(key=lambda one: (one.created, one.seed))
        for number, one in enumerate((c for c in self.containers if c.created <= self.until), start=1):
            rng = Random(one.seed)
            key = uuid_text(rng)
            ended = one.ended <= self.until
            started = one.started if one.started is not None and one.started <= self.until else None
            self.writer.add(
                "zun.container",
                id=number, created_at=text(one.created), updated_at=text(one.ended if ended else started), uuid=key,
                project_id=one.lease.project, user_id=one.lease.user, name=f"container-{number}",
                image=rng.choice(_IMAGES), status=one.status if ended else "Running" if started else "Creating",
                cpu=float(rng.choice((1, 2, 4))), memory=f"{rng.choice((512, 1024, 2048))}M", disk=0,
                host=one.device.name, started_at=text(started), annotations=one.annotations,
            )  # fmt: skip
            self._add_actions(number, key, one, rng)

    def _add_actions(self, number: int, key: str, one: Container, rng: Random) -> None:
        last = "delete" if one.status == "Deleted" else "stop"
        steps = [("create", one.created, one.started or one.ended)]
        steps += [(last, one.ended - rng.randint(4, 20), one.ended)] if one.started else []
        for place, (action, start, finish) in enumerate(steps):
            if finish > self.until:
                continue
            action_id = number * 2 + place
            error = one.started is None
            self.writer.add(
                "zun.container_actions",
                id=action_id, created_at=text(start), updated_at=text(finish), action=action, container_uuid=key,
                request_id=f"req-{uuid_text(rng)}", user_id=one.lease.user, project_id=one.lease.project,
                start_time=text(start), finish_time=text(finish), message="Error" if error else None,
            )  # fmt: skip
            self.writer.add(
                "zun.container_actions_events",
                id=action_id, created_at=text(start), updated_at=text(finish), event=f"compute__do_container_{action}",
                action_id=action_id, start_time=text(start), finish_time=text(finish),
                result="Error" if error else "Success",
            )  # fmt: skip


def _container(device: Machine, lease: Lease, reservation_id: str, begin: int, rng: Random) -> Container:
    """A container within its lease; few never start, and of few the annotation is not readable."""
    longest = lease.stop - begin - 5 * MINUTE
    ended = begin + min(longest, 20 * MINUTE + int(rng.expovariate(1 / (4 * DAY))))
    annotations: str | None = json.dumps({"zun.openstack.org/reservation_id": reservation_id})
    if rng.random() < 0.01:
        annotations = None
    failed = rng.random() < 0.015
    status = "Error" if failed else rng.choice(("Deleted", "Deleted", "Stopped"))
    started = None if failed else begin + rng.randint(15, 240)
    return Container(begin, started, ended, status, device, lease, annotations, rng.getrandbits(60))


def make_edge(
    writer: RowWriter, name: str, until: int, scale: Scale, seed: int, *, types: Sequence[NodeType] = EDGE_TYPES
) -> None:
    """Write an edge site from the first year of its types (2023) until an instant."""
    site = EdgeSite(writer, name, until, seed)
    site.people.write_names(writer)
    devices = build_machines(name, types, first_year(types), seed, ironic=True, share=scale.machines)
    for device in devices:
        device.blazar_rows = list(device.nova_rows)
        if device.arrived <= until:
            vendor = device.first_type.name.partition("-")[0].rstrip("0123456789")
            site.blazar.add_device(device, vendor, stable_random(device.hostname, "device"))
    plans = (book_machines(name, devices, kind, horizon=until + MOST_LEAD, scale=scale, seed=seed) for kind in types)
    for booking in heapq.merge(*plans, key=lambda booking: booking.start):
        site.add_booking(booking)
    site.add_containers()
