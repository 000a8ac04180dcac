"""Deliberate irregularities, each seen at a real site, at fixed dates on machines that ordinary bookings keep off.

Every trap month has a set of them: ``TRAP_MONTHS``. Days are counted from the month's first
instant, 0. The machines are those of the then most common node type that come first by name.
"""

from __future__ import annotations  # the sites import this module and are named in its signatures

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Final

from usage_assets.demo.openstack.inventory import Machine, Period, split_row
from usage_assets.demo.openstack.rows import DAY, HOUR, MINUTE, ZERO_DATE, instant, stable_random, text, uuid_text

if TYPE_CHECKING:
    from usage_assets.demo.openstack.blazar import Lease
    from usage_assets.demo.openstack.metal import MetalSite
    from usage_assets.demo.openstack.nova import Server

TRAP_MONTHS: Final = (instant(2016, 4), instant(2020, 2), instant(2024, 3))
"""First instants of the months that hold a set of irregularities each."""
TRAP_DAYS: Final = 28


@dataclass
class TrapMachines:
    """The machines of one trap month, by what is wrong with them."""

    month: int
    gap: Machine
    """Removed from Nova and Blazar on day 10 and added again under its name on day 12."""
    no_gap: Machine
    """Its Nova row is replaced on day 10 within the same second."""
    overlap: Machine
    """Its new Nova row begins three days before the old one ends on day 13."""
    duplicate: Machine
    """From day 5 to day 25 it is in Blazar twice."""
    leases: Machine
    """Host of irregular leases."""
    servers: Machine
    """Host of irregular servers."""

    def all(self) -> tuple[Machine, ...]:
        """Every machine of the set."""
        return self.gap, self.no_gap, self.overlap, self.duplicate, self.leases, self.servers


def disturb_hosts(machines: list[Machine]) -> list[TrapMachines]:
    """Pick machines for each trap month, keep bookings off them and make their host rows irregular."""
    sets = []
    for month in TRAP_MONTHS:
        end = month + TRAP_DAYS * DAY
        kinds = {
            machine.hostname: row.node_type.name
            for machine in machines
            if (row := machine.blazar_row(month - DAY))
            and (row.end is None or row.end > end + DAY)
            and not machine.held
        }
        if len(kinds) < 6:
            continue
        commonest = max(sorted(set(kinds.values())), key=list(kinds.values()).count)
        there = [machine for machine in machines if machine.hostname in kinds]
        there.sort(key=lambda machine: (kinds[machine.hostname] != commonest, machine.name))
        trapped = TrapMachines(month, *there[:6])
        for machine in trapped.all():
            machine.held.append((month, end))
        leave_gap(trapped.gap, month + 10 * DAY, 2 * DAY)
        split_row(trapped.no_gap.nova_rows, month + 10 * DAY)
        split_row(trapped.overlap.nova_rows, month + 13 * DAY, gap=-3 * DAY)
        _register_twice(trapped.duplicate, month + 5 * DAY, month + 25 * DAY)
        sets.append(trapped)
    return sets


def leave_gap(machine: Machine, moment: int, gap: int) -> None:
    """Take a machine out of both services and add it under its name after a gap."""
    split_row(machine.nova_rows, moment, gap)
    if machine.blazar_row(moment - HOUR):
        split_row(machine.blazar_rows, moment - HOUR, gap + 2 * HOUR)


def _register_twice(machine: Machine, start: int, end: int) -> None:
    """Have Nova make a machine's row anew, and Blazar keep the old host beside the new one until ``end``."""
    split_row(machine.nova_rows, start)
    old = machine.blazar_row(start)
    if old is None:
        raise ValueError(f"{machine.name} is not in Blazar")
    machine.blazar_rows.insert(machine.blazar_rows.index(old) + 1, Period(start + HOUR, old.end, old.node_type))
    old.end = end


def add_metal_traps(site: MetalSite, trapped: TrapMachines) -> None:
    """Write the irregular leases and servers of one trap month."""
    for trap in (
        _double_booking, _replaced_allocation, _orphan_reservation, _orphan_allocation, _deleted_before_start,
        _overwritten_deletion, _outliving_server, _duplicate_host, _zero_date_allocation,
    ):  # fmt: skip
        trap(site, trapped, stable_random(site.name, site.seed, trapped.month, trap.__name__))
    for place, (name, oddity) in enumerate(ODD_SERVERS.items()):
        rng = stable_random(site.name, site.seed, trapped.month, name)
        lease = _lease(site, trapped, 1 + 2 * place, 1.5, rng)
        if lease.created <= site.until:
            server = _leased_server(site, lease, trapped.servers, rng)
            site.servers += oddity(server)


def _lease(site: MetalSite, trapped: TrapMachines, day: float, days: float, rng: Random) -> Lease:
    """A lease that starts ``day`` days into the trap month."""
    start = trapped.month + int(day * DAY)
    return site.new_lease(start - 2 * HOUR, start, start + int(days * DAY), rng)


def _leased_server(site: MetalSite, lease: Lease, machine: Machine, rng: Random, end: int | None = None) -> Server:
    """A server on a machine, through an ordinary lease of it that is written as well."""
    row = machine.blazar_row(lease.start)
    reservation_id = site.add_lease(lease, [machine], row.node_type.name if row else "", rng)
    start = lease.start + 10 * MINUTE
    end = lease.stop - 10 * MINUTE if end is None else end
    return site.new_server(lease, reservation_id, machine, start=start, end=end, rng=rng)


def _double_booking(site: MetalSite, trapped: TrapMachines, rng: Random) -> None:
    """Days 1 to 3 and 2 to 4: two leases hold the same machine."""
    for day in (1, 2):
        lease = _lease(site, trapped, day, 2, rng)
        if lease.created <= site.until:
            site.add_lease(lease, [trapped.leases], _type(trapped.leases, lease), rng)


def _replaced_allocation(site: MetalSite, trapped: TrapMachines, rng: Random) -> None:
    """Days 6 to 10: on day 8 the machine failed and another one took its place."""
    lease = _lease(site, trapped, 6, 4, rng)
    moment = lease.start + 2 * DAY
    if lease.created > site.until:
        return
    reservation_id = site.add_lease(lease, [], _type(trapped.leases, lease), rng)
    host = trapped.leases.blazar_row(lease.start)
    spare = trapped.no_gap.blazar_row(lease.start)
    if host and spare:
        site.blazar.add_allocation(lease, reservation_id, str(host.id), rng, ended=moment)
        if moment <= site.until:
            site.blazar.add_allocation(lease, reservation_id, str(spare.id), rng, created=moment)


def _orphan_reservation(site: MetalSite, trapped: TrapMachines, rng: Random) -> None:
    """Day 11: a reservation with an allocation whose lease is not there."""
    lease = _lease(site, trapped, 11, 1, rng)
    host = trapped.leases.blazar_row(lease.start)
    if lease.created <= site.until and host:
        reservation_id = uuid_text(rng)
        site.blazar.add_reservation(lease, reservation_id, rng, node_type=_type(trapped.leases, lease))
        site.blazar.add_allocation(lease, reservation_id, str(host.id), rng)


def _orphan_allocation(site: MetalSite, trapped: TrapMachines, rng: Random) -> None:
    """Day 12.5: an allocation whose reservation is not there."""
    lease = _lease(site, trapped, 12.5, 1, rng)
    host = trapped.leases.blazar_row(lease.start)
    if lease.created <= site.until and host:
        site.blazar.add_allocation(lease, uuid_text(rng), str(host.id), rng)


def _deleted_before_start(site: MetalSite, trapped: TrapMachines, rng: Random) -> None:
    """Days 5 to 6: the lease was deleted an hour before its start."""
    lease = _lease(site, trapped, 5, 1, rng)
    lease.deleted = lease.start - HOUR
    if lease.created <= site.until:
        site.add_lease(lease, [trapped.leases], _type(trapped.leases, lease), rng)


def _overwritten_deletion(site: MetalSite, trapped: TrapMachines, rng: Random) -> None:
    """Days 14 to 16: deleting the ended lease on day 24 moved ``deleted_at`` of its allocation to that day."""
    lease = _lease(site, trapped, 14, 2, rng)
    moment = trapped.month + 24 * DAY
    lease.deleted = moment
    host = trapped.leases.blazar_row(lease.start)
    if lease.created <= site.until and host:
        reservation_id = site.add_lease(lease, [], _type(trapped.leases, lease), rng)
        known = moment if site.until >= moment else lease.end + 20
        site.blazar.add_allocation(lease, reservation_id, str(host.id), rng, ended=known)


def _outliving_server(site: MetalSite, trapped: TrapMachines, rng: Random) -> None:
    """Days 18 to 20: the server ran on until day 22."""
    lease = _lease(site, trapped, 18, 2, rng)
    if lease.created <= site.until:
        site.servers.append(_leased_server(site, lease, trapped.leases, rng, end=lease.end + 2 * DAY))


def _duplicate_host(site: MetalSite, trapped: TrapMachines, rng: Random) -> None:
    """Days 8 to 12: a lease of both Blazar hosts of one machine."""
    lease = _lease(site, trapped, 8, 4, rng)
    if lease.created > site.until:
        return
    reservation_id = site.add_lease(lease, [], _type(trapped.duplicate, lease), rng)
    for row in trapped.duplicate.blazar_rows:
        if row.covers(lease.start):
            site.blazar.add_allocation(lease, reservation_id, str(row.id), rng)


def _zero_date_allocation(site: MetalSite, trapped: TrapMachines, rng: Random) -> None:
    """Days 24 to 25: ``deleted_at`` of the lease is a zero date."""
    lease = _lease(site, trapped, 24, 1, rng)
    if lease.created <= site.until:
        lease.deleted_text = ZERO_DATE
        site.add_lease(lease, [trapped.leases], _type(trapped.leases, lease), rng)


def _type(machine: Machine, lease: Lease) -> str:
    row = machine.blazar_row(lease.start)
    return row.node_type.name if row else "unknown"


def _with(server: Server, **values: object) -> list[Server]:
    """The server with columns that hold something else than its life says."""
    server.values |= values
    return [server]


def _changed(server: Server, **fields: object) -> list[Server]:
    return [replace(server, **fields)]  # type: ignore[arg-type]  # fields of different types


ODD_SERVERS: Final[dict[str, Callable[[Server], list[Server]]]] = {
    "spec_missing": lambda s: _changed(s, spec="missing"),
    "spec_broken": lambda s: _changed(s, spec="broken"),
    "plain_hint": lambda s: _changed(s, spec="plain_hint"),
    "never_launched": lambda s: _changed(s, launched=None),
    "never_scheduled": lambda s: _changed(s, launched=None, in_cell0=True),
    "end_before_start": lambda s: _with(
        s, terminated_at=text(s.created - HOUR), deleted_at=text(s.created - HOUR), launched_at=text(s.created + HOUR)
    ),
    "null_created_at": lambda s: _with(s, created_at=None),
    "zero_terminated_at": lambda s: _with(s, terminated_at=ZERO_DATE),
    "zero_deleted_at": lambda s: _with(s, deleted_at=ZERO_DATE),
    "archived": lambda s: _changed(s, archived=True),
    "hidden_copy": lambda s: [s, replace(s, seed=s.seed + 1, created=s.created + HOUR, values={"hidden": 1})],
    "two_on_a_machine": lambda s: [s, replace(s, seed=s.seed + 1, created=s.created + 3 * HOUR, values={})],
}
"""Irregular servers by what is wrong; the n-th (from 0) runs from day 1 + 2n of a trap month for a day and a half."""
