"""A KVM site: hypervisors since 2019, most servers on demand, some hypervisors reserved as flavors since 2022."""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from usage_assets.demo.openstack.blazar import Blazar, Lease
from usage_assets.demo.openstack.demand import STEP, Scale, wanted_share
from usage_assets.demo.openstack.inventory import (
    KVM_TYPES,
    Machine,
    NodeType,
    Period,
    build_machines,
    first_year,
    split_row,
)
from usage_assets.demo.openstack.metal import number_hosts, write_hosts
from usage_assets.demo.openstack.nova import Flavor, Nova, Server
from usage_assets.demo.openstack.rows import DAY, HOUR, MINUTE, People, RowWriter, instant, stable_random, uuid_text
from usage_assets.demo.openstack.traps import ODD_SERVERS, TRAP_MONTHS, leave_gap

RESERVABLE_SINCE: Final = instant(2022, 1, 10)
FLAVOR_RESERVATIONS_SINCE: Final = instant(2022, 6, 1)
"""Before it a reservation names sizes (virtual:instance), from then on a flavor (flavor:instance)."""
FLAVORS: Final = (
    Flavor(2, "m1.small", 1, 2048, 20), Flavor(3, "m1.medium", 2, 4096, 40), Flavor(4, "m1.large", 4, 8192, 40),
    Flavor(5, "m1.xlarge", 8, 16384, 40), Flavor(6, "m1.xxlarge", 16, 32768, 40, ephemeral_gb=100),
)  # fmt: skip
_FLAVOR_WEIGHTS: Final = (10, 22, 30, 24, 14)
GPU_FLAVOR: Final = Flavor(9, "g1.a100", 16, 65536, 80, extra_specs=(("pci_passthrough:alias", "a100:1"),))
_LONGEST_LIFE: Final = 600 * DAY
_KVM_TRAPS: Final = tuple(name for name in ODD_SERVERS if name not in {"plain_hint", "two_on_a_machine"})


@dataclass
class _Room:
    """What is free on one hypervisor while it takes servers."""

    machine: Machine
    start: int
    end: float
    vcpus: float
    memory_mb: int
    gpus: int
    size: float = 0.0
    """vCPUs that the hypervisor brings to its pool."""

    def take(self, flavor: Flavor, times: int = 1) -> None:
        """Use a flavor's resources; with ``times`` -1 give them back."""
        self.vcpus -= times * flavor.vcpus
        self.memory_mb -= times * flavor.memory_mb
        self.gpus -= times * (flavor is GPU_FLAVOR)

    def holds(self, flavor: Flavor) -> bool:
        """Whether there is room for a server."""
        return self.vcpus >= flavor.vcpus and self.memory_mb >= flavor.memory_mb and (
            flavor is not GPU_FLAVOR or self.gpus > 0
        )  # fmt: skip


class _Pool:
    """Hypervisors of one type that serve one purpose, and who is on them."""

    def __init__(self, rooms: list[_Room]) -> None:
        self._waiting = sorted(rooms, key=lambda room: (room.start, room.machine.name), reverse=True)
        self._open: list[_Room] = []
        self._leaving: list[tuple[int, int, _Room, Flavor]] = []
        self._count = 0
        self.capacity = 0.0
        self.used = 0

    @property
    def since(self) -> int | None:
        """When the first hypervisor opens."""
        return self._waiting[-1].start if self._waiting else None

    def advance(self, moment: int) -> None:
        """Open and close hypervisors and let go of servers whose end has come."""
        while self._waiting and self._waiting[-1].start <= moment:
            self._open.append(self._waiting.pop())
            self.capacity += self._open[-1].size
        while self._leaving and self._leaving[0][0] <= moment:
            _, _, room, flavor = heapq.heappop(self._leaving)
            room.take(flavor, -1)
            self.used -= flavor.vcpus
        for room in [room for room in self._open if room.end <= moment + 2 * DAY]:
            self._open.remove(room)
            self.capacity -= room.size

    def place(self, flavor: Flavor, end: int) -> tuple[Machine, int] | None:
        """The emptiest hypervisor with room and the server's end there, cut where the hypervisor leaves."""
        room = max((r for r in self._open if r.holds(flavor)), key=lambda r: r.vcpus, default=None)
        if room is None:
            return None
        room.take(flavor)
        self.used += flavor.vcpus
        self._count += 1
        end = int(min(end, room.end - HOUR))
        heapq.heappush(self._leaving, (end, self._count, room, flavor))
        return room.machine, end


class KvmSite:
    """Writes one KVM site."""

    def __init__(
        self, writer: RowWriter, name: str, until: int, scale: Scale, seed: int, *, types: Sequence[NodeType]
    ) -> None:
        """Build the hypervisors; a part of them belongs to Blazar from RESERVABLE_SINCE on."""
        since_year = first_year(types)
        self.since = instant(since_year)
        self.name, self.until, self.scale, self.seed = name, until, scale, seed
        self.blazar = Blazar(writer, name, seed, until, self.since)
        self.nova = Nova(writer, name, seed, until, ironic=False, extra=scale.extra_actions + 0.3)
        self.people = People(name, seed)
        self.people.write_names(writer)
        self.servers: list[Server] = []
        self.machines = build_machines(name, types, since_year, seed, ironic=False, share=scale.machines)
        for kind in types:
            every = round(1 / kind.reserved_share)
            for machine in [m for m in self.machines if m.first_type is kind][::every]:
                start, left = max(machine.arrived + 2 * HOUR, RESERVABLE_SINCE), machine.left
                if left is None or left > start + 30 * DAY:
                    machine.blazar_rows = [Period(start, None if left is None else left - HOUR, kind)]
        disturb_hypervisors(self.machines)
        number_hosts(self.machines)

    def rooms(self, kind: NodeType, *, reserved: bool) -> list[_Room]:
        """Hypervisors of a type as places for reserved servers (no overcommitment) or for those on demand."""
        found = []
        for machine in self.machines:
            if machine.first_type is not kind:
                continue
            start, end = machine.arrived + 3 * HOUR, math.inf if machine.left is None else machine.left - 2 * HOUR
            if machine.blazar_rows:
                start, end = (RESERVABLE_SINCE + DAY, end) if reserved else (start, RESERVABLE_SINCE - DAY)
                start = max(start, machine.arrived + 3 * HOUR)
            elif reserved:
                continue
            vcpus = kind.threads * (1.0 if reserved else kind.cpu_ratio)
            if end > start:
                found.append(_Room(machine, start, end, vcpus, kind.memory_gib * 1024 - 4096, kind.gpus, vcpus))
        return found

    def add_on_demand(self, kind: NodeType) -> None:
        """Start servers whenever fewer vCPUs are in use than people want."""
        rng = stable_random(self.name, self.seed, "on demand", kind.name)
        for pool, moment, wish in self._wishes(kind, rng, reserved=False):
            while pool.used < wish * self.scale.servers_wanted:
                flavor = GPU_FLAVOR if kind.gpus else rng.choices(FLAVORS, _FLAVOR_WEIGHTS)[0]
                created = moment + int(rng.random() * STEP)
                life = min(_LONGEST_LIFE, 3 * HOUR + int(DAY * rng.lognormvariate(3.4, 1.4)))
                place = pool.place(flavor, created + life)
                if place is None:
                    break
                self._start_on_demand(*place, flavor, created, rng.getrandbits(60))

    def _start_on_demand(self, machine: Machine, end: int, flavor: Flavor, created: int, seed: int) -> None:
        rng = Random(seed)
        server = self.new_server(machine, flavor, created, max(end, created + 30 * MINUTE), rng)
        server.stays_shelved = rng.random() < 0.02
        if rng.random() < 0.006:
            server.launched = None
        if rng.random() < self.scale.missing_specs:
            server.spec = "missing"
        self.servers.append(server)
        if rng.random() < 0.01:
            refused = self.new_server(machine, flavor, created - MINUTE, created + 2 * HOUR, rng)
            refused.launched, refused.in_cell0 = None, True
            self.servers.append(refused)

    def new_server(self, machine: Machine, flavor: Flavor, created: int, end: int, rng: Random) -> Server:
        """Someone's server."""
        project, user = self.people.pick(rng)
        return Server(created, created + rng.randint(20, 180), end, machine, flavor, project, user, rng.getrandbits(60))

    def _wishes(self, kind: NodeType, rng: Random, *, reserved: bool) -> Iterator[tuple[_Pool, int, float]]:
        """The pool of a type at every step of time, with the vCPUs people want of it."""
        pool = _Pool(self.rooms(kind, reserved=reserved))
        if pool.since is None:
            return
        phase = rng.random() * 6.28
        opened = pool.since
        for moment in range(opened, self.until + 10 * DAY * reserved, STEP):
            pool.advance(moment)
            ramp = min(1.0, 0.25 + (moment - opened) / (200 * DAY))
            yield pool, moment, wanted_share(kind.load * ramp, moment, phase) * pool.capacity

    def add_reserved(self, kind: NodeType) -> None:
        """Lease flavors on the hypervisors in Blazar, and start servers of them."""
        rng = stable_random(self.name, self.seed, "reserved", kind.name)
        for pool, moment, wish in self._wishes(kind, rng, reserved=True):
            while pool.used < wish:
                flavor = GPU_FLAVOR if kind.gpus else rng.choices(FLAVORS[2:], _FLAVOR_WEIGHTS[2:])[0]
                start = (moment + int(rng.random() * STEP)) // MINUTE * MINUTE
                end = start + rng.choice((2, 3, 5, 7, 7, 14, 14, 21, 30)) * DAY
                seed = rng.getrandbits(60)
                places = [pool.place(flavor, end) for _ in range(1 if kind.gpus else rng.choice((1, 2, 2, 4, 6)))]
                found = [place for place in places if place is not None]
                if not found:
                    break
                self._write_reserved(found, flavor, start, seed)

    def _write_reserved(self, places: list[tuple[Machine, int]], flavor: Flavor, start: int, seed: int) -> None:
        rng = Random(seed)
        created = start - int(rng.expovariate(1 / (2 * DAY)))
        created = max(created, *(machine.blazar_rows[0].start for machine, _ in places))
        end = min(end for _, end in places) // MINUTE * MINUTE
        if created > self.until or end - start < 2 * HOUR:
            return
        project, user = self.people.pick(rng)
        lease = Lease(uuid_text(rng), f"flavors-{rng.getrandbits(24):06x}", project, user, created, start, end)
        reservation_id = self.add_lease(lease, flavor, [machine for machine, _ in places], rng)
        for machine, _ in places:
            if rng.random() < 0.85:
                begin = max(start, created) + rng.randint(2, 50) * MINUTE
                server = self.new_server(machine, _reserved(flavor, reservation_id), begin, end - 5 * MINUTE, rng)
                server.project, server.user = project, user
                self.servers.append(server)

    def add_lease(
        self, lease: Lease, flavor: Flavor, machines: list[Machine], rng: Random, *, with_flavor: bool = True
    ) -> str:
        """Write a lease of servers of a flavor, one allocation for each; gives the reservation's id."""
        named = lease.created >= FLAVOR_RESERVATIONS_SINCE
        reservation_id = uuid_text(rng)
        self.blazar.add_lease(lease, rng)
        key = self.blazar.add_reservation(
            lease, reservation_id, rng, resource_type="flavor:instance" if named else "virtual:instance"
        )
        if with_flavor:
            size = {"vcpus": flavor.vcpus, "ram": flavor.memory_mb, "disk": flavor.root_gb + flavor.ephemeral_gb}
            source = {"id": str(flavor.id), "name": flavor.name, **size, "extra_specs": dict(flavor.extra_specs)}
            self.blazar.add_instance_reservation(
                lease, reservation_id, key, size=size, source=source if named else None, amount=len(machines), rng=rng
            )
        for machine in machines:
            self.blazar.add_allocation(lease, reservation_id, str(machine.blazar_rows[0].id), rng)
        return reservation_id

    def add_traps(self) -> None:
        """Irregular servers in the trap months, and one reservation whose flavor is not there."""
        for month in TRAP_MONTHS:
            there = [m for m in self.machines if m.arrived <= month and m.left is None]
            if month < self.since or not there:
                continue
            for place, name in enumerate(_KVM_TRAPS):
                rng = stable_random(self.name, self.seed, month, name)
                created = month + (1 + 2 * place) * DAY
                server = self.new_server(there[place % len(there)], FLAVORS[0], created, created + 36 * HOUR, rng)
                if created <= self.until:
                    self.servers += ODD_SERVERS[name](server)
            reserved = next((machine for machine in there if machine.blazar_rows), None)
            start = month + 20 * DAY
            if reserved and start > RESERVABLE_SINCE and start - HOUR <= self.until:
                rng = stable_random(self.name, self.seed, month, "no flavor")
                project, user = self.people.pick(rng)
                lease = Lease(uuid_text(rng), "no-flavor", project, user, start - HOUR, start, start + 2 * DAY)
                self.add_lease(lease, FLAVORS[0], [reserved], rng, with_flavor=False)


def _reserved(flavor: Flavor, reservation_id: str) -> Flavor:
    """The flavor that Blazar makes for a reservation."""
    links = (
        ("aggregate_instance_extra_specs:reservation", reservation_id),
        (f"resources:CUSTOM_RESERVATION_{reservation_id.upper().replace('-', '_')}", "1"),
    )
    return Flavor(
        1000 + int(reservation_id[:6], 16), f"reservation:{reservation_id}", flavor.vcpus, flavor.memory_mb,
        flavor.root_gb, flavor.ephemeral_gb, (*flavor.extra_specs, *links), reservation_id,
    )  # fmt: skip


def disturb_hypervisors(machines: list[Machine]) -> None:
    """In the trap months one hypervisor is away for two hours on day 10, and another one's rows overlap for a day."""
    for month in TRAP_MONTHS:
        there = [m for m in machines if m.arrived <= month and m.left is None]
        plain = [machine for machine in there if not machine.blazar_rows and len(machine.nova_rows) == 1]
        if len(plain) >= 2:
            leave_gap(plain[0], month + 10 * DAY, 2 * HOUR)
            split_row(plain[1].nova_rows, month + 13 * DAY, gap=-DAY)


def make_kvm(
    writer: RowWriter, name: str, until: int, scale: Scale, seed: int, *, types: Sequence[NodeType] = KVM_TYPES
) -> None:
    """Write a KVM site from the first year of its types (2019) until an instant."""
    site = KvmSite(writer, name, until, scale, seed, types=types)
    site.nova.add_services(site.since, sorted(m.service for m in site.machines if m.arrived <= until))
    write_hosts(site.machines, site.nova, site.blazar, "QEMU")
    for kind in types:
        site.add_on_demand(kind)
        site.add_reserved(kind)
    site.add_traps()
    site.nova.add_servers(site.servers)
