"""How much of a site people want at a time, and the bookings of whole machines that follow from it.

Bookings are drawn in the order of their start from random numbers of their own node type, so a history that reaches
further leaves everything before unchanged.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from random import Random
from typing import Final

from usage_assets.demo.openstack.inventory import Machine, NodeType
from usage_assets.demo.openstack.rows import DAY, HOUR, MINUTE, WEEK, calendar, stable_random

STEP: Final = 6 * HOUR
CLEANING: Final = 30 * MINUTE
"""Between two bookings of a machine, to wipe it."""
MOST_LEAD: Final = 80 * DAY
"""How far ahead of its start a lease is asked for at most."""
SCARCE: Final = 0.69
"""Load above which machines are booked weeks ahead."""
_WEEKDAY: Final = (1.03, 1.08, 1.08, 1.05, 0.98, 0.86, 0.84)
_RAMP_DAYS: Final = 120


@dataclass(frozen=True)
class Scale:
    """How much happens at a made site; the defaults suit a demo."""

    machines: float = 1.0
    """Share of the inventory's machines."""
    large_leases: float = 0.75
    """Share of leases of a big node type that ask for four machines or more."""
    prolonged_leases: float = 0.7
    """Share of leases that are prolonged by whole weeks."""
    prolonged_weeks: int = 6
    """Most weeks a lease is prolonged by."""
    failed_requests: float = 0.06
    """Leases rolled back at once because no machine was free, per lease that got machines."""
    withdrawn_leases: float = 0.08
    """Leases deleted before their start, per lease that started."""
    second_reservations: float = 0.05
    """Reservations of floating addresses, per lease."""
    servers_per_node: float = 0.8
    """Servers started per reserved machine."""
    missing_specs: float = 0.01
    """Share of servers whose request spec is gone."""
    extra_actions: float = 0.35
    """API requests per server besides create and delete."""
    maintained: float = 0.4
    """Maintenance leases per machine and year."""
    late_starts: float = 0.03
    """Share of leases whose start event was done minutes to hours late."""
    servers_wanted: float = 1.0
    """Factor on the vCPUs that are asked for on a KVM site."""


def wanted_share(load: float, moment: int, phase: float) -> float:
    """Share (0 to 0.97) of machines people want at an instant: weekly rhythm, holidays and slow waves around a load."""
    day = calendar(moment // DAY)
    slow = 1 + 0.13 * math.sin(moment / (63 * DAY) + phase) + 0.06 * math.sin(moment / (15 * DAY) + 2 * phase)
    return min(0.97, load * slow * _WEEKDAY[day.weekday()] * _season(day))


def _season(day: date) -> float:
    month_day = (day.month, day.day)
    if month_day >= (12, 19) or month_day <= (1, 4):
        return 0.55
    return {1: 0.9, 7: 0.92, 8: 0.88, 4: 1.06, 10: 1.07, 11: 1.08}.get(day.month, 1.0)


@dataclass(slots=True)
class Booking:
    """A lease of whole machines as its owner and fate made it; ``stop`` is where it truly ended."""

    node_type: str
    created: int
    start: int
    end: int
    stop: int
    prolonged: int | None
    """When the owner moved the end, if ever."""
    machines: list[Machine]
    seed: int
    free_since: int
    """Since when it was known that the machines would be free then."""


@dataclass(order=True)
class _Window:
    """A time in which one machine can be booked as one node type."""

    start: int
    end: float = field(compare=False)
    number: int
    machine: Machine
    asked: int = 0
    """When the last lease was asked for."""
    released: int = 0
    """When the last lease was deleted before its planned end: only then others knew of the free time."""


def book_machines(
    site: str, machines: list[Machine], kind: NodeType, *, horizon: int, scale: Scale, seed: int
) -> Iterator[Booking]:
    """Bookings of a node type's machines up to a horizon, ordered by start; no machine is booked twice at a time."""
    node_type, load = kind.name, kind.load
    waiting = deque(sorted(_windows(machines, node_type)))
    if not waiting:
        return
    rng = stable_random(site, seed, "bookings", node_type)
    phase = rng.random() * 6.28
    opened = waiting[0].start
    free: deque[_Window] = deque()
    busy: list[tuple[int, int, _Window]] = []
    count = 1
    for moment in range(opened, horizon, STEP):
        while waiting and waiting[0].start <= moment:
            free.append(waiting.popleft())
        while busy and busy[0][0] <= moment:
            free.append(heapq.heappop(busy)[2])
        if any(window.end <= moment + DAY for window in free):
            free = deque(window for window in free if window.end > moment + DAY)
        pool = len(free) + len(busy)
        ramp = min(1.0, 0.4 + (moment - opened) / (_RAMP_DAYS * DAY))
        wish = wanted_share(load * ramp, moment, phase) * pool
        # Half a lease too many is as good as half a lease too few.
        while wish - len(busy) >= count / 2 and free:
            count = min(count, len(free))
            taken = [free.popleft() for _ in range(count)]
            booking = _booking(rng, kind, moment, taken, scale)
            for window in taken:
                heapq.heappush(busy, (booking.stop + CLEANING, window.number, window))
            yield booking
            count = _machine_count(rng, pool, scale)


def _windows(machines: list[Machine], node_type: str) -> Iterator[_Window]:
    """Times in which machines are in Blazar as this type, less those held for irregularities."""
    number = 0
    for machine in machines:
        free_from = 0
        for row in machine.blazar_rows:
            row_end = math.inf if row.end is None else row.end
            start = max(row.start, free_from)
            free_from = int(min(row_end, 1 << 40))
            if row.node_type.name != node_type:
                continue
            for held_from, held_to in machine.held:
                if held_from < row_end and held_to > start:
                    yield _Window(start, held_from, number, machine)
                    start, number = held_to, number + 1
            yield _Window(start, row_end, number, machine)
            number += 1


def _machine_count(rng: Random, pool: int, scale: Scale) -> int:
    if pool >= 16 and rng.random() < scale.large_leases:
        return min(int(4 * math.exp(2.3 * rng.random() ** 1.5)), pool // 3)
    return min(rng.choice((1, 1, 1, 2, 2, 3)), max(1, pool // 3))


def _booking(rng: Random, kind: NodeType, moment: int, taken: list[_Window], scale: Scale) -> Booking:
    start = (moment + int(rng.random() * STEP)) // MINUTE * MINUTE
    # Scarce machines are booked weeks ahead, plentiful ones for now or for tomorrow.
    mean_lead = 16 * DAY if kind.load > SCARCE else 10 * HOUR
    lead = rng.randint(-50, 50) if rng.random() < 0.35 else min(MOST_LEAD, int(rng.expovariate(1 / mean_lead)))
    free_since = max(max(window.start, window.released) for window in taken)
    if kind.load > SCARCE and rng.random() < 0.6:  # people who take what comes free next, and have to wait for it
        free_since = max(free_since, *(window.asked for window in taken))
    created = max(start - lead, free_since)
    end = start + rng.choice((1, 1, 2, 3, 4, 5, 6, 7, 7, 7)) * DAY
    prolonged = None
    if rng.random() < scale.prolonged_leases:
        prolonged = end - rng.randint(2 * HOUR, 20 * HOUR)
        end += rng.randint(1, scale.prolonged_weeks) * WEEK
    last = int(min(1 << 40, *(window.end for window in taken)))
    if end > last - HOUR:
        end = (last - HOUR) // MINUTE * MINUTE
        prolonged = None
    stop = end
    if rng.random() < 0.15:
        stop = start + int((end - start) * (0.2 + 0.7 * rng.random()))
        if prolonged and stop < prolonged:
            prolonged = None
        for window in taken:
            window.released = stop
    for window in taken:
        window.asked = created
    machines = [window.machine for window in taken]
    return Booking(kind.name, created, start, end, stop, prolonged, machines, rng.getrandbits(60), free_since)


def withdrawn(booking: Booking, rng: Random) -> Booking | None:
    """A lease of the first machine for the same time that was deleted again before this one was asked for.

    None where the machine was not to be had for that time any earlier.
    """
    latest = booking.created - 20 * MINUTE
    earliest = max(booking.free_since, latest - 5 * DAY)
    if earliest > latest:
        return None
    created = rng.randint(earliest, latest)
    return replace(
        booking,
        created=created,
        stop=rng.randint(created + 5 * MINUTE, booking.created - 2 * MINUTE),
        prolonged=None,
        machines=booking.machines[:1],
        seed=rng.getrandbits(60),
    )
