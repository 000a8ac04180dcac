"""What operators of a bare-metal site do: maintenance leases of machines, one load test, and their inventory."""

from __future__ import annotations  # the sites import this module and are named in its signatures

import csv
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from usage_assets.demo.openstack.inventory import Machine, NodeType
from usage_assets.demo.openstack.rows import (
    DAY,
    HOUR,
    LOAD_TEST_PROJECT,
    MAINTENANCE_PROJECT,
    instant,
    stable_random,
    text,
)

if TYPE_CHECKING:
    from usage_assets.demo.openstack.metal import MetalSite

INVENTORY_FILE: Final = "inventory.csv"
FORGOTTEN: Final = 2
"""Machines in service that neither Nova nor Blazar was ever told of."""
SPARE_TYPE: Final = "compute_zen3_spare"
_FORGOTTEN_SINCE: Final = instant(2025, 2, 3, 9)
LOAD_TEST: Final = (instant(2025, 5, 12, 8), instant(2025, 5, 15, 20))
"""When operators started servers on machines that no lease held, to test a new release."""
_TESTED: Final = 12
_YEAR: Final = 365 * DAY
_OPERATORS: Final = ("mhall", "jlind", "paula", "ops")
_REASONS: Final = ("bad-disk", "ipmi-unreachable", "firmware", "memory-errors", "recabling", "gpu-fell-off-the-bus")
_USER: Final = "6f70657261746f720000000000000003"


@dataclass(frozen=True)
class Maintenance:
    """A time in which a machine is leased by operators."""

    machine: Machine
    node_type: str
    start: int
    end: int
    seed: int


def plan_maintenance(machines: list[Machine], horizon: int, per_year: float, seed: int) -> list[Maintenance]:
    """Choose when machines are repaired, and keep bookings off then; a later horizon only adds to the end."""
    planned = []
    for machine in machines if per_year else []:
        rng = stable_random(machine.hostname, seed, "maintenance")
        moment = machine.arrived
        while (moment := moment + int(rng.expovariate(per_year / _YEAR)) + DAY) < horizon:
            start = moment // HOUR * HOUR
            end = start + rng.choice((1, 1, 2, 3, 5, 8, 13, 30)) * DAY
            number = rng.getrandbits(60)
            row = machine.blazar_row(start - DAY)
            fits = row is not None and (row.end is None or row.end > end + DAY)
            if row and fits and not any(begin < end + DAY and start - DAY < stop for begin, stop in machine.held):
                machine.held.append((start, end))
                planned.append(Maintenance(machine, row.node_type.name, start, end, number))
            moment = end
        machine.held.sort()
    return planned


def add_maintenance(site: MetalSite, planned: list[Maintenance]) -> None:
    """Write the maintenance leases, as the operators' tool names them, and now and then a server to try the repair."""
    for one in planned:
        rng = Random(one.seed)
        lease = site.new_lease(one.start - rng.randint(0, 50), one.start, one.end, rng)
        if lease.created > site.until:
            continue
        lease.project, lease.user = MAINTENANCE_PROJECT, _USER
        lease.name = f"maint-of-{one.machine.name}-by-{rng.choice(_OPERATORS)}-for-{rng.choice(_REASONS)}"
        reservation_id = site.add_lease(lease, [one.machine], one.node_type, rng)
        if rng.random() < 0.25:
            begin = one.end - 10 * HOUR
            server = site.new_server(lease, reservation_id, one.machine, start=begin, end=one.end - HOUR, rng=rng)
            site.servers.append(server)


def write_inventory(folder: Path, machines: list[Machine], until: int) -> None:
    """Write what the operators' inventory says: stays in service, one row per machine and node type."""
    fields = ["hostname", "node_type", "vcpus", "memory_mb", "disk_gb", "gpus", "in_service_from", "in_service_to"]
    kinds = {row.node_type.name: row.node_type for machine in machines for row in machine.nova_rows}
    stays: list[tuple[str, NodeType, int, int | None]] = []
    for machine in machines:
        for kind, rows in groupby(machine.nova_rows, key=lambda row: row.node_type.name):
            same = list(rows)
            stays.append((machine.hostname, kinds[kind], same[0].start, same[-1].end))
    if "compute_zen3" in kinds:
        spare = replace(kinds["compute_zen3"], name=SPARE_TYPE)
        stays += [(f"zen3-spare-{n + 1}", spare, _FORGOTTEN_SINCE, None) for n in range(FORGOTTEN)]
    with (folder / INVENTORY_FILE).open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(fields)
        for name, kind, start, end in stays:
            if start <= until:
                size = kind.threads, kind.memory_gib * 1024, kind.disk_gb, kind.gpus
                gone = text(end) if end is not None and end <= until else None
                out.writerow([name, kind.name, *size, text(start), gone])


def _tested(machines: list[Machine]) -> list[Machine]:
    """Machines of the load test: those of the type compute_zen3 that nothing else is planned on."""
    begin, end = LOAD_TEST
    there = [
        machine
        for machine in machines
        if (row := machine.blazar_row(begin)) and row.node_type.name == "compute_zen3" and row.covers(end)
    ]
    return [m for m in there if (begin, end) in m.held or not any(a < end and begin < b for a, b in m.held)][:_TESTED]


def hold_for_load_test(machines: list[Machine]) -> None:
    """Keep bookings off the machines of the load test."""
    for machine in _tested(machines):
        machine.held.append(LOAD_TEST)
        machine.held.sort()


def add_load_test(site: MetalSite, machines: list[Machine]) -> None:
    """Write the servers of the load test, which no reservation holds: use that is not to be counted."""
    begin, end = LOAD_TEST
    for machine in _tested(machines):
        rng = stable_random(site.name, site.seed, "load test", machine.name)
        lease = site.new_lease(begin, begin, end, rng)
        lease.project, lease.user = LOAD_TEST_PROJECT, _USER
        start = begin + rng.randint(0, 4) * HOUR
        server = site.new_server(lease, "", machine, start=start, end=end - rng.randint(1, 9) * HOUR, rng=rng)
        server.hint = None
        if server.created <= site.until:
            site.servers.append(server)
