"""Random queues: few machines, many leases, every state a lease can be left in."""

import json
import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets_tests.golden.builder import Month, Row, Rows, make_site, midnight

FIRST: Month = date(2024, 1, 1)
HOUR = timedelta(hours=1)
STATES = ("PENDING", "ACTIVE", "TERMINATED", "ERROR", "CREATING", None)
EVENTS = ("DONE", "DONE", "DONE", "UNDONE", "IN_PROGRESS", "ERROR")
FILTERS = ("", None, '["==", "$node_type", "a"]', '["==", "$node_type", "b"]', '["==", "$node_type", "none such"]')
SIZES = ("", None, '[">=", "$vcpus", "48"]', '["and", [">=", "$vcpus", "24"], ["==", "$hypervisor_type", "ironic"]]')


@dataclass
class Queue:
    """A site, its rows and when they were dumped."""

    site: OpenStackSite
    rows: Rows
    extracted: datetime


class _Maker:
    def __init__(self, rng: random.Random) -> None:
        self.rng, self.rows = rng, Rows()
        self.start = midnight(FIRST)

    def maybe(self, share: float) -> bool:
        return self.rng.random() < share

    def hour(self, low: int, high: int) -> datetime:
        return self.start + HOUR * self.rng.randint(low, high)

    def make(self) -> Queue:
        self.hosts = [host for i in range(self.rng.randint(1, 4)) for host in self._machine(f"h{i}")]
        for _ in range(self.rng.randint(1, 14)):
            self._lease()
        self._mark_deletions()
        cleaning = self.rng.choice((0, 0, 30, 120))
        site = make_site(cleaning_minutes=cleaning, leadtime_horizon_days=self.rng.choice((2, 90)))
        return Queue(site, self.rows, self.hour(120, 300))

    def _mark_deletions(self) -> None:
        """Mark rows as deleted, some of them without a date."""
        for rows in self.rows.tables.values():
            for row in rows:
                if "deleted" in row:
                    row["deleted"] = row["deleted_at"] is not None
                    if row["deleted"] and self.maybe(0.15):
                        row |= {"deleted_at": None, "updated_at": row["deleted_at"] if self.maybe(0.6) else None}

    def _machine(self, name: str) -> list[str]:
        out = []
        born = self.hour(-100, -50)
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            ended = born + HOUR * self.rng.randint(60, 300) if self.maybe(0.2) else None
            more: Row = {"vcpus": self.rng.choice((24, 48)), "hypervisor_type": "ironic"}
            more |= {"node_type": self.rng.choice(("a", "a", "b", None))}
            self.rows.ironic_node(name, born, ended)
            out.append(self.rows.computehost(name, born, ended, **more))
            born = (ended or born) + HOUR * self.rng.randint(0, 20)
        return out

    def _lease(self) -> None:
        # requests crowd in few days, so that they wait for each other; some share an instant
        created = self.hour(-60, 120) if self.maybe(0.7) else self.hour(0, 6)
        start = (
            created
            + HOUR * self.rng.choice((0, 0, 1, 3, 24, 60))
            - timedelta(seconds=self.rng.choice((0, 0, 0, 40, 89, 90, 3600)))
        )
        end = start + HOUR * (self.rng.randint(-5, 0) if self.maybe(0.06) else self.rng.randint(1, 48))
        deleted = None
        if self.maybe(0.35):
            spans = (timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=61), HOUR, 5 * HOUR, 60 * HOUR)
            deleted = created + self.rng.choice(spans)
        more: Row = {"status": self.rng.choice(STATES), "project_id": f"p{self.rng.randint(0, 2)}"}
        if self.maybe(0.3):
            more["updated_at"] = created + HOUR * self.rng.randint(0, 60)
        if self.maybe(0.05):
            more |= {"created_at": None}
        if self.maybe(0.05):
            more["gone_at"] = created + HOUR * self.rng.randint(0, 60)
        lease = self.rows.lease(created, start, end, deleted, **more)
        for _ in range(self.rng.choice((0, 1, 1, 1))):
            self._event(lease, created, start)
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            self._reservation(lease, created, deleted)

    def _event(self, lease: str, created: datetime, start: datetime) -> None:
        late = self.rng.choice((-HOUR, timedelta(0), timedelta(seconds=20), HOUR, 24 * HOUR, 25 * HOUR))
        self.rows.add(
            "blazar_events",
            id=f"e{self.rows.number()}",
            lease_id=lease,
            event_type=self.rng.choice(("start_lease", "start_lease", "start_lease", "end_lease")),
            time=start,
            status=self.rng.choice(EVENTS),
            created_at=created,
            updated_at=None if self.maybe(0.1) else start + late,
            deleted_at=start + HOUR if self.maybe(0.15) else None,
        )

    def _reservation(self, lease: str, created: datetime, deleted: datetime | None) -> None:
        kind = self.rng.choice(("physical:host",) * 5 + ("flavor:instance",))
        status = self.rng.choice(("active", "pending", "deleted", "error", None))
        reservation = self.rows.reservation(lease, kind, created_at=created, status=status)
        if self.maybe(0.9):
            low = self.rng.randint(1, 3)
            self.rows.add(
                "blazar_computehost_reservations",
                id=f"q{self.rows.number()}",
                reservation_id=reservation,
                resource_properties=self.rng.choice(FILTERS),
                hypervisor_properties=self.rng.choice(SIZES),
                count_range=self.rng.choice((f"{low}-{low + 1}", f"{low}-{low}", str(low))),
                created_at=created,
            )
        for host in self.rng.sample(self.hosts, self.rng.randint(0, min(2, len(self.hosts)))):
            born = created + HOUR * self.rng.choice((0, 0, 0, 5))
            ended = deleted if self.maybe(0.6) else None
            self.rows.allocation(reservation, host, born, ended)


def random_queue(rng: random.Random) -> Queue:
    """A site drawn from a source of randomness."""
    return _Maker(rng).make()


def shown(queue: Queue) -> str:
    """The rows as text, for a failing case."""
    return json.dumps({name: rows for name, rows in queue.rows.tables.items() if rows}, default=str, indent=1)
