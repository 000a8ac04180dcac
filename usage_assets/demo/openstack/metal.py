"""A bare-metal site: ironic machines since 2016, all of them reserved through Blazar, servers inside the leases."""

import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from usage_assets.demo.openstack.blazar import Blazar, Lease
from usage_assets.demo.openstack.demand import MOST_LEAD, Booking, Scale, book_machines, withdrawn
from usage_assets.demo.openstack.inventory import (
    METAL_TYPES,
    UPGRADE,
    Machine,
    NodeType,
    Period,
    build_machines,
    split_row,
)
from usage_assets.demo.openstack.legacy import Truth, write_legacy
from usage_assets.demo.openstack.nova import Flavor, Nova, Server
from usage_assets.demo.openstack.operators import (
    add_load_test,
    add_maintenance,
    hold_for_load_test,
    plan_maintenance,
    write_inventory,
)
from usage_assets.demo.openstack.rows import (
    DAY,
    HOUR,
    MAINTENANCE_PROJECT,
    MINUTE,
    People,
    RowWriter,
    Tally,
    instant,
    stable_random,
    uuid_text,
)
from usage_assets.demo.openstack.traps import TrapMachines, add_metal_traps, disturb_hosts

SINCE: Final = instant(2016)
BAREMETAL: Final = Flavor(1, "baremetal", 1, 1024, 20, extra_specs=(("resources:CUSTOM_BAREMETAL", "1"),))
_ARCHIVED: Final = ((instant(2016, 2), instant(2016, 3)), (instant(2019, 9), instant(2019, 10)))
"""Months whose servers an operator archived at the end of 2019."""


@dataclass(frozen=True)
class Targets:
    """Row counts that a site of full size has to reach, irregular rows included."""

    compute_nodes: int
    leases: int
    reservations: int
    allocations: int
    instances: int


class MetalSite:
    """Writes one bare-metal site; servers are kept until the end, when their order is known."""

    def __init__(self, writer: RowWriter, name: str, until: int, scale: Scale, seed: int, *, archives: bool) -> None:
        """Prepare the writers of both services; ``archives`` says whether old servers go to the shadow tables."""
        self.until = until
        self.name = name
        self.seed = seed
        self.scale = scale
        self.blazar = Blazar(writer, name, seed, until, SINCE)
        self.nova = Nova(writer, name, seed, until, ironic=True, extra=scale.extra_actions)
        self.people = People(name, seed)
        self.people.write_names(writer)
        self.servers: list[Server] = []
        self.archives = archives
        self.truth = Truth(until)

    def new_lease(self, created: int, start: int, end: int, rng: Random, **fate: int | bool | None) -> Lease:
        """A lease of someone; ``fate`` sets the lease's other fields."""
        project, user = self.people.pick(rng)
        lease = Lease(uuid_text(rng), f"lease-{rng.getrandbits(24):06x}", project, user, created, start, end)
        for field, value in fate.items():
            setattr(lease, field, value)
        return lease

    def add_lease(self, lease: Lease, machines: list[Machine], node_type: str, rng: Random) -> str:
        """Write a lease with its reservation and an allocation per machine; gives the reservation's id."""
        reservation_id = uuid_text(rng)
        self.blazar.add_lease(lease, rng)
        asked = _asked(machines, node_type, rng)
        self.blazar.add_reservation(lease, reservation_id, rng, node_type=node_type, count=len(machines), asked=asked)
        kept = "maintenance" if lease.project == MAINTENANCE_PROJECT else "committed"
        for machine in machines:
            self.truth.add(kept, node_type, max(lease.start, lease.created), lease.stop)
            row = machine.blazar_row(max(lease.start, lease.created)) or machine.blazar_rows[-1]
            self.blazar.add_allocation(lease, reservation_id, str(row.id), rng)
        return reservation_id

    def new_server(
        self, lease: Lease, reservation_id: str, machine: Machine, *, start: int, end: int, rng: Random
    ) -> Server:
        """A server on a reserved machine."""
        launched = start + rng.randint(8, 20) * MINUTE
        server = Server(
            start, launched, end, machine, BAREMETAL, lease.project, lease.user, rng.getrandbits(60), reservation_id
        )
        if self.archives and self.until > instant(2020):
            server.archived = any(begin <= start and end < stop for begin, stop in _ARCHIVED)
        return server

    def add_booking(self, booking: Booking, servers: Tally, extra_reservations: Tally) -> None:
        """Write a lease of whole machines and the servers its owner starts on them."""
        rng = Random(booking.seed)
        lease = self.new_lease(
            booking.created, booking.start, booking.end, rng, prolonged=booking.prolonged,
            deleted=booking.stop if booking.stop < booking.end else None,
            failed=booking.stop == booking.end and rng.random() < 0.01,
        )  # fmt: skip
        if not lease.failed and rng.random() < self.scale.late_starts:
            lease.late = int(rng.expovariate(1 / HOUR))
            lease.forgotten = rng.random() < 0.1
        extras = extra_reservations.next()
        reservation_id = ""
        if lease.created <= self.until:
            reservation_id = self.add_lease(lease, booking.machines, booking.node_type, rng)
            for _ in range(extras):
                self.blazar.add_reservation(lease, uuid_text(rng), rng, resource_type="virtual:floatingip")
        for machine in booking.machines:
            wanted = servers.next()
            started = []
            if not (lease.failed or lease.forgotten) and booking.stop > booking.start:
                started = list(self._servers_on(machine, lease, reservation_id, wanted, rng))
            for server in started:
                if (
                    server.launched
                    and server.ended
                    and server.spec not in {"missing", "broken"}
                    and not server.archived
                ):
                    server.counted_as = booking.node_type
            servers.owe(wanted - len(started))
            self.servers += started

    def _servers_on(
        self, machine: Machine, lease: Lease, reservation_id: str, count: int, rng: Random
    ) -> Iterator[Server]:
        """Servers one after another on a machine of a lease; the last one lives nearly to the lease's end."""
        start = max(lease.start, lease.created) + 2 * MINUTE + lease.late
        slot = (lease.stop - start) // max(1, count)
        if slot < 2 * HOUR:
            count, slot = min(count, 1), lease.stop - start
        for place in range(count if slot > HOUR else 0):
            begin = start + place * slot + int(rng.random() ** 3 * min(0.3 * slot, DAY))
            last = place == count - 1 and rng.random() < 0.7
            end = start + (place + 1) * slot - 3 * MINUTE
            end -= rng.randint(0, 5 * MINUTE) if last else int(rng.random() ** 2 * 0.4 * slot)
            if rng.random() < 0.02:
                end = begin + 25 * MINUTE
            server = self.new_server(lease, reservation_id, machine, start=begin, end=end, rng=rng)
            if rng.random() < 0.012:
                server.launched = None
            if rng.random() < self.scale.missing_specs:
                server.spec = "missing"
            yield server

    def add_rolled_back(self, booking: Booking, rng: Random) -> None:
        """Write a lease that found no free machine and was removed within a minute."""
        created = booking.created + rng.randint(0, 2 * DAY)
        if created > self.until:
            return
        start = created // MINUTE * MINUTE + rng.randint(1, 600) * MINUTE
        lease = self.new_lease(created, start, start + DAY, rng, deleted=created + rng.randint(1, 20))
        lease.unfinished = rng.random() < 0.4
        self.blazar.add_lease(lease, rng, with_events=False)
        self.blazar.add_reservation(lease, uuid_text(rng), rng)


def _asked(machines: list[Machine], node_type: str, rng: Random) -> tuple[int, str] | None:
    """What some people ask for instead of so many machines of a type: any machine, one by its name, or fewer too."""
    draw = rng.random()
    if draw < 0.02 and len(machines) == 1:
        wanted = ["and", ["==", "$node_type", node_type], ["==", "$node_name", machines[0].name]]
        return 1, json.dumps(wanted)
    if draw > 0.99:
        return len(machines), ""
    if draw > 0.96 and len(machines) > 1:
        return 1, json.dumps(["==", "$node_type", node_type])
    return None


def build_hosts(
    name: str, scale: Scale, seed: int, types: Sequence[NodeType] = METAL_TYPES
) -> tuple[list[Machine], list[TrapMachines]]:
    """All machines with what Nova and Blazar hold about them, irregular ones included, not yet numbered."""
    machines = build_machines(name, types, 2016, seed, ironic=True, share=scale.machines)
    for machine in machines:
        if any(row.start < UPGRADE and row.covers(UPGRADE) for row in machine.nova_rows):
            split_row(machine.nova_rows, UPGRADE)
        machine.blazar_rows = [
            Period(row.start + 2 * HOUR, None if row.end is None else row.end - HOUR, row.node_type)
            for row in machine.nova_rows
        ]
    return machines, disturb_hosts(machines)


def churn_hosts(machines: list[Machine], rows: int, until: int, seed: int) -> None:
    """Have Nova create machines' rows anew, without gaps, until there are ``rows`` of them before ``until``."""
    rng = stable_random(seed, "churn")
    missing = rows - sum(row.start <= until for machine in machines for row in machine.nova_rows)
    while missing > 0:
        machine = rng.choice(machines)
        moment = rng.randint(SINCE, until - DAY)
        row = machine.nova_row(moment)
        if row and not any(begin <= moment < end for begin, end in machine.held) and moment - row.start > 3 * DAY:
            split_row(machine.nova_rows, moment)
            missing -= 1


def number_hosts(machines: list[Machine]) -> None:
    """Give Nova's rows their ids in order of creation, and Blazar's the id of Nova's row at their start."""
    rows = sorted(((row.start, machine.hostname, row) for machine in machines for row in machine.nova_rows),
                  key=lambda item: item[:2])  # fmt: skip
    for number, (_, _, row) in enumerate(rows, start=1):
        row.id = number
    for machine in machines:
        for row in machine.blazar_rows:
            source = machine.nova_row(row.start)
            if source is None:
                raise ValueError(f"{machine.name} is in Blazar at {row.start}, when Nova does not know it")
            row.id = source.id


def write_hosts(machines: list[Machine], nova: Nova, blazar: Blazar, hypervisor_type: str) -> None:
    """Write the rows of machines that were there by ``until``."""
    for machine in machines:
        for row in machine.nova_rows:
            if row.start <= nova.until:
                nova.add_compute_node(machine, row)
        for row in machine.blazar_rows:
            if row.start <= nova.until:
                blazar.add_host(machine, row, hypervisor_type, stable_random(machine.hostname, row.start))


def make_metal(
    writer: RowWriter,
    name: str,
    until: int,
    scale: Scale,
    seed: int,
    *,
    targets: Targets | None = None,
    types: Sequence[NodeType] = METAL_TYPES,
) -> None:
    """Write a bare-metal site from 2016 until an instant; with targets, of their size."""
    site = MetalSite(writer, name, until, scale, seed, archives=targets is None)
    machines, trap_machines = build_hosts(name, scale, seed, types)
    maintenance = plan_maintenance(machines, until + MOST_LEAD, scale.maintained, seed)
    hold_for_load_test(machines)
    if targets:
        churn_hosts(machines, targets.compute_nodes, until, seed)
    number_hosts(machines)
    write_hosts(machines, site.nova, site.blazar, "ironic")
    site.nova.add_services(SINCE, sorted({machine.service for machine in machines}))
    for trapped in trap_machines:
        add_metal_traps(site, trapped)
    add_maintenance(site, maintenance)
    add_load_test(site, machines)
    plans = (book_machines(name, machines, kind, horizon=until + MOST_LEAD, scale=scale, seed=seed) for kind in types)
    bookings = list(heapq.merge(*plans, key=lambda booking: booking.start))
    rates = _rates(site, [booking for booking in bookings if booking.created <= until], targets)
    servers, seconds, retreats, failures = (Tally(rate) for rate in rates)
    # Bookings that are not known yet go through the tallies too, or else these would depend on ``until``.
    for booking in bookings:
        site.add_booking(booking, servers, seconds)
        rng = Random(booking.seed + 1)
        wanted = retreats.next()
        other = withdrawn(booking, rng) if wanted else None
        retreats.owe(wanted - (other is not None))
        if other is not None:
            site.add_booking(other, Tally(0), Tally(0))
        for _ in range(failures.next()):
            site.add_rolled_back(booking, rng)
    site.nova.add_servers(site.servers)
    for server in site.servers:
        for start, end in server.held if server.counted_as else ():
            site.truth.add("used", str(server.counted_as), start, end)
    for machine in machines:
        for row in machine.blazar_rows:
            site.truth.add("total", row.node_type.name, row.start, row.end)
    write_inventory(writer.folder, machines, until)
    write_legacy(writer, site.truth, name, seed)


def _rates(site: MetalSite, bookings: list[Booking], targets: Targets | None) -> tuple[float, float, float, float]:
    """Servers per machine; second reservations, withdrawn and rolled back leases per booking."""
    if targets is None:
        scale = site.scale
        return scale.servers_per_node, scale.second_reservations, scale.withdrawn_leases, scale.failed_requests
    written = site.nova.writer.count
    machines = sum(len(booking.machines) for booking in bookings)
    retreats = targets.allocations - written("blazar.computehost_allocations") - machines
    failures = targets.leases - written("blazar.leases") - len(bookings) - retreats
    seconds = targets.reservations - written("blazar.reservations") - len(bookings) - retreats - failures
    servers = targets.instances - sum(not (server.archived or server.in_cell0) for server in site.servers)
    return servers / machines, seconds / len(bookings), retreats / len(bookings), failures / len(bookings)
