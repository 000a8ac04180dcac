"""Random small sites, as full of traps as the rules are: rows for the oracle to judge."""

import json
import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets_tests.golden.builder import DATABASES, Month, Row, Rows, make_site, midnight, next_month, spec_text

FIRST = date(2024, 1, 1)
STEP = timedelta(hours=6)
SHELVING = ("shelve", "shelve_offload", "unshelve", "reboot", "terminate")
POWER = (
    *("stop", "stop", "start", "start", "pause", "unpause", "suspend", "resume"),
    *("soft_delete", "restore", "reboot", "rebuild"),
)
STATES = (
    *("active", "active", "stopped", "paused", "rescued", "deleted", "error"),
    *("shelved_offloaded", "soft-delete", None),
)
MAINTENANCE = ({"projects": ["ops", "nobody"]}, {"lease_name": "^maint-"}, {"projects": ["q"], "lease_name": "7$"})
EXTRA_SPECS: tuple[dict[str, str], ...] = (
    {},
    {"hw:cpu_policy": "dedicated"},
    {"resources:VGPU": "2"},
    {"pci_passthrough:alias": "a100:1,v100:2", "resources1:CUSTOM_GPU_A": "1"},
    {"pci_passthrough:alias": "mlx5-vf:2,gpu-x:4,nvme:1"},
    {"accounting:gpu_num": "3", "resources:VGPU": "2"},
)
GPUS: tuple[dict[str, object], ...] = (
    {},
    {},
    {"gpu_aliases": ["v100", "^mlx"]},
    {"gpu_aliases": [], "gpu_extra_spec": "accounting:gpu_num"},
)
HINTS = (
    *("list", "text", "flavor", "plain", "missing", "broken", "twice"),
    *("unreadable later", "empty list", "no hints", "no object"),
)
NO_OBJECTS = (
    '"nova_object.data"',
    '["scheduler_hints", 1]',
    '{"nova_object.data": "text"}',
    '{"nova_object.data": null}',
)


@dataclass
class Case:
    """A site, its rows, the months to build and when they were dumped."""

    site: OpenStackSite
    rows: Rows
    months: list[Month]
    extracted: dict[Month, datetime]


class _Maker:
    def __init__(self, rng: random.Random) -> None:
        self.rng, self.rows = rng, Rows()
        self.months = [FIRST]
        for _ in range(rng.randint(0, 2)):
            self.months.append(next_month(self.months[-1]))
        self.start, self.end = midnight(FIRST), midnight(next_month(self.months[-1]))
        self.ticks = int((self.end - self.start) / STEP)
        self.style = rng.choice(("kvm", "ironic", "mixed"))
        self.has_zun = self.maybe(0.7)
        self.hosts: list[str] = []
        self.held: list[tuple[str, str, datetime]] = []  # reservation, hostname, when it was allocated
        self.names = [f"h{i}" for i in range(rng.randint(1, 4))]
        self.domains = rng.choice((("",), ("",), ("", ".site"), (".site",), ("", ".site", ".other")))

    def maybe(self, share: float) -> bool:
        return self.rng.randint(0, 99) < share * 100

    def tick(self, low: int = -20, high: int | None = None) -> datetime:
        """An instant on the grid, from five days before the first month to five days after the last."""
        return self.start + STEP * self.rng.randint(low, self.ticks + 20 if high is None else high)

    def odd(self, since: datetime) -> datetime:
        """An instant soon after, off the grid, so that no two events of a server share it."""
        number = self.rows.number()
        return since + STEP * self.rng.randint(-2, 60) + timedelta(seconds=number % 9973, microseconds=number * 7919)

    def name(self, letter: str) -> str:
        """A fresh id whose order is not that of creation."""
        return f"{letter}{self.rng.randint(10, 99)}{self.rows.number()}"

    def spelled(self, name: str | None) -> str | None:
        """A machine's name as somebody may write it."""
        if name is None or self.maybe(0.6):
            return name
        full = name if "." in name else name + self.rng.choice(self.domains)
        return full.upper() if self.maybe(0.3) else full

    def after(self, start: datetime, longest: int = 80) -> datetime:
        return start + STEP * self.rng.randint(1, longest)

    def end_of(self, start: datetime, open_share: float = 0.3, longest: int = 80) -> datetime | None:
        if self.maybe(open_share):
            return None
        return start - STEP * self.rng.randint(0, 8) if self.maybe(0.05) else self.after(start, longest)

    def gone(self, start: datetime) -> datetime | None:
        return self.after(start) if self.maybe(0.06) else None

    def purpose(self) -> dict[str, str | None]:
        """Whose lease it is and what it is called."""
        return {"project_id": self.rng.choice(("p", "q", "ops")), "name": self.rng.choice(("mine", "maint-7", None))}

    def times(self, created: datetime, fallback: str = "updated_at") -> dict[str, datetime | None]:
        """created_at, sometimes lost: then another time of the row stands in."""
        lost = self.maybe(0.04)
        return {"created_at": None, fallback: created} if lost else {"created_at": created}

    def make(self) -> Case:
        for i, name in enumerate(self.names):
            self._machine(name, ironic=self.style == "ironic" or (self.style == "mixed" and i % 2 == 0))
        if self.maybe(0.1):
            self.rows.compute_node(None, self.tick())
        reservations = self._leases()
        for _ in range(self.rng.randint(0, 9)):
            self._instance(reservations)
        if self.maybe(0.25):
            self._edge()
        self._mark_deletions()
        now = self.end + timedelta(days=3)
        if self.maybe(0.4):
            running = midnight(self.months[-1])
            now = running + timedelta(hours=self.rng.randint(1, 27 * 24), minutes=7)
        types: Row = {"^H1": {"type": "mapped", "gpus": 2}, "h2": {"gpus": 3, "vcpus": 64}, "h0.site": {"disk_gb": 7}}
        types = types if self.maybe(0.4) else {}
        width = self.rng.choice(("1d", "1d", "1d", "12h"))
        rules = [self._rule() for _ in range(self.rng.choice((0, 0, 1, 3)))]
        more: Row = {"exclusions": [rule for rule in rules if rule is not None]}
        more |= {"maintenance": self.rng.choice(MAINTENANCE)} if self.maybe(0.5) else {}
        more |= self.rng.choice(GPUS)
        databases = [name for name in DATABASES if name != "zun" or self.has_zun]
        site = make_site(databases, first_month=f"{FIRST:%Y-%m}", node_types=types, resolution=width, **more)
        return Case(site, self.rows, self.months, dict.fromkeys(self.months, now))

    def _mark_deletions(self) -> None:
        """Mark rows as deleted as services do, some without a date, and some never read along."""
        undates, unmarked = self.maybe(0.6), self.maybe(0.2)
        for rows in self.rows.tables.values():
            for row in rows:
                if "deleted" not in row:
                    continue
                row["deleted"] = None if unmarked and self.maybe(0.5) else row["deleted_at"] is not None
                if row.get("vm_state") == "soft-delete" and self.maybe(0.6):
                    row["deleted"] = False
                elif row["deleted"] and undates and self.maybe(0.2):
                    changed = self.odd(row["created_at"]) if row["created_at"] else self.tick()
                    row |= {"deleted_at": None, "updated_at": changed if self.maybe(0.7) else None}
                    if "terminated_at" in row and self.maybe(0.6):
                        row["terminated_at"] = None

    def _rule(self) -> Row | None:
        """A rule that takes some time out of one row, or of all rows like it; null where the site has none."""
        columns = {
            "nova_compute_nodes": ("id", "hypervisor_hostname"),
            "nova_instances": ("uuid", "vcpus"),
            "blazar_computehosts": ("id", "hypervisor_hostname"),
            "blazar_computehost_allocations": ("id",),
            "blazar_leases": ("id",),
            "blazar_reservations": ("id", "resource_type"),
            "blazar_devices": ("id",),
            "blazar_device_allocations": ("id",),
            "zun_container": ("uuid",),
        }
        tables = [table for table in columns if self.rows.tables[table]]
        if not tables:
            return None
        table = self.rng.choice(tables)
        column = self.rng.choice(columns[table])
        value = self.rng.choice(self.rows.tables[table])[column]
        value = value.swapcase() if column == "hypervisor_hostname" and value is not None and self.maybe(0.3) else value
        start = self.rng.choice((None, self.tick()))
        end = self.rng.choice((None, self.tick() if start is None else self.after(start)))
        bounds = {"from": start, "to": end}
        said = {"reason": "test", "by": "ops"}
        return None if value is None else {"table": table, "where": {column: value}, **bounds, **said}

    def _machine(self, name: str, *, ironic: bool) -> None:
        when = self.tick(-20, self.ticks // 2)
        for _ in range(self.rng.randint(1, 3)):
            end = self.end_of(when, 0.5)
            node: Row = {"gone_at": self.gone(when), "host": self.rng.choice(("service", "Other", f"s-{name}"))}
            node |= {"cpu_allocation_ratio": self.rng.choice((None, 0, 1.5, 16))}
            if ironic and self.maybe(0.8):
                self.rows.ironic_node(self.spelled(name), None, end, **self.times(when), **node)
            else:
                sizes = {"vcpus": self.rng.choice((32, 40, 32, 0)), "hypervisor_type": "ironic" if ironic else "QEMU"}
                self.rows.compute_node(self.spelled(name), None, end, **self.times(when), **node, **sizes)
            when = self.tick(-20) if self.maybe(0.3) else (end or when) + STEP * self.rng.randint(0, 12)
        for _ in range(self.rng.choice((0, 1, 1, 1, 2, 3))):
            when = self.tick(-20, self.ticks)
            more: Row = {"gone_at": self.gone(when), "vcpus": self.rng.choice((24, 48, 24, 48, 0))}
            more |= {"node_type": self.rng.choice((None, "a", "b")), "gpus": self.rng.choice((None, 4))}
            host = self.rows.computehost(self.spelled(name), when, self.end_of(when, 0.6), **more)
            self.hosts.append(host)
            for _ in range(self.rng.choice((0, 0, 0, 1, 2))):
                self._relabel(host)

    def _relabel(self, host: str) -> None:
        """One more label of a host; sometimes its others end then, or just before."""
        when = self.tick()
        name, value = self.rng.choice((("node_type", "c"), ("node_type", ""), ("gpu.gpu_count", "8")))
        if self.maybe(0.6):
            for row in self.rows.tables["blazar_computehost_extra_capabilities"]:
                if row["computehost_id"] == host and row["deleted_at"] is None:
                    row["deleted_at"] = when - self.rng.choice((0, 0, 1, 3600)) * timedelta(seconds=1)
        self.rows.capability(host, name, value, **self.times(when), deleted_at=self.end_of(when, 0.7))

    def _leases(self) -> list[str]:
        found = ["nowhere"]
        for _ in range(self.rng.randint(0, 7)):
            created = self.tick()
            start = created + STEP * self.rng.randint(0, 12)
            deleted = self.after(created) if self.maybe(0.5) else None
            more = {"gone_at": self.gone(created), **self.times(created), **self.purpose()}
            end = None if self.maybe(0.1) else self.end_of(start, 0)
            lease = "nolease" if self.maybe(0.08) else self.rows.lease(None, start, end, deleted, **more)
            for _ in range(self.rng.choice((1, 1, 1, 2))):
                kind = self.rng.choice(("physical:host",) * 3 + ("virtual:instance", "flavor:instance"))
                reservation = self.rows.reservation(lease, kind, created_at=created)
                found.append(reservation)
                for _ in range(self.rng.randint(0, 2) if kind != "physical:host" else 0):
                    sizes: Row = {"vcpus": self.rng.choice((2, 8)), "created_at": self.tick()}
                    if self.maybe(0.3):
                        sizes["resource_properties"] = json.dumps({"extra_specs": self.rng.choice(EXTRA_SPECS)})
                    self.rows.instance_reservation(reservation, **sizes)
                for _ in range(self.rng.randint(0, 3)):
                    self._allocation(reservation, created)
        if self.maybe(0.15):
            self._allocation("noreservation", self.tick())
        if self.maybe(0.1):
            self._allocation(None, self.tick())
        return found

    def _allocation(self, reservation: str | None, created: datetime) -> None:
        known = self.rng.choice(self.hosts) if self.hosts else "nohost"
        host = self.rng.choice((known,) * 12 + ("nohost", None))
        created += STEP * self.rng.choice((0, 0, 0, 4))
        more = {"gone_at": self.gone(created), "id": self.name("a")}
        names = {row["id"]: row["hypervisor_hostname"] for row in self.rows.tables["blazar_computehosts"]}
        if reservation is not None and host in names:
            self.held.append((reservation, names[host], created))
        self.rows.allocation(reservation, host, created, self.end_of(created, 0.6), **more)

    def _instance(self, reservations: list[str]) -> None:
        created = self.tick()
        node = self.rng.choice((*self.names, *self.names, "elsewhere", None))
        reservation = self.rng.choice(reservations)
        if self.held and self.maybe(0.5):
            reservation, node, created = self.rng.choice(self.held)
            created += STEP * self.rng.randint(0, 16)
        end = self.end_of(created, 0.3, 120)
        more: Row = {"gone_at": self.gone(created), "vcpus": self.rng.choice((1, 4)), "launched_at": created}
        more |= {"uuid": self.name("v"), "vm_state": self.rng.choice(STATES)}
        more |= {"updated_at": self.odd(created)} if self.maybe(0.8) else {}
        table = "nova_cell0_instances" if self.maybe(0.05) else "nova_instances"
        if table == "nova_cell0_instances" or self.maybe(0.1):
            more["launched_at"] = None
        if self.maybe(0.1):
            more["terminated_at"] = self.after(created)
        lost = {"created_at": None} if self.maybe(0.04) else {}
        one = self.rows.instance(self.spelled(node), created, end, table=table, **(more | lost))
        for _ in range(self.rng.randint(0, 6) if self.maybe(0.6) else 0):
            name = self.rng.choice(SHELVING if self.maybe(0.5) else POWER)
            host = self.rng.choice((*map(self.spelled, self.names), "service", "OTHER", "s-h0", None))
            result = self.rng.choice(("Success", "Success", "Success", "Error", None))
            self.rows.event(one, f"compute_{name}_instance", self.odd(created), result, host=host)
        self._spec(one, reservation)

    def _spec(self, instance: str, reservation: str) -> None:
        how = self.rng.choice(HINTS + ("list",) * 6)
        spec = self.rows.spec
        if how == "list":
            spec(instance, spec_text([reservation], extra_specs=self.rng.choice(EXTRA_SPECS)))
        elif how == "text":
            spec(instance, spec_text(reservation))
        elif how == "flavor":
            spec(instance, spec_text(flavor=f"reservation:{reservation}"))
        elif how == "broken":
            spec(instance, spec_text([reservation])[:-9])
        elif how == "twice":
            spec(instance, spec_text(), created_at=midnight(FIRST))
            spec(instance, spec_text([reservation]), created_at=midnight(FIRST) + STEP)
        elif how == "unreadable later":
            spec(instance, spec_text([reservation]), created_at=midnight(FIRST))
            spec(instance, "{", created_at=midnight(FIRST) + STEP)
        elif how == "empty list":
            spec(instance, spec_text([]))
        elif how == "no hints":
            spec(instance, spec_text(hints=None))
        elif how == "no object":
            spec(instance, self.rng.choice(NO_OBJECTS))
        elif how == "plain":
            spec(instance, spec_text(extra_specs=self.rng.choice(EXTRA_SPECS)))

    def _edge(self) -> None:
        devices = []
        for i in range(self.rng.randint(1, 2)):
            when = self.tick(-20, self.ticks // 2)
            kind: Row = {"machine_name": self.rng.choice((None, "pi")), "reservable": self.maybe(0.8)}
            # some have no name, some one that another had before them
            name = self.rng.choice((f"d{i}",) * 6 + ("D0", None))
            devices.append(self.rows.device(name, when, self.end_of(when, 0.7), gone_at=self.gone(when), **kind))
            if self.maybe(0.3):
                self.rows.device_capability(devices[-1], "machine_name", "nano", created_at=self.tick())
        reservations: list[str | None] = [None]
        for _ in range(self.rng.randint(0, 3)):
            created = self.tick()
            lease = self.rows.lease(created, created + STEP, self.end_of(created, 0), **self.purpose())
            reservation = self.rows.reservation(lease, "device", created_at=created)
            reservations.append(reservation)
            if self.maybe(0.9):
                self.rows.device_allocation(
                    reservation, self.rng.choice((*devices, *devices, "nodevice")), created, self.end_of(created, 0.6)
                )
        capsules: list[int] = []
        for _ in range(self.rng.randint(0, 6) if self.has_zun else 0):
            when = self.tick()
            more: Row = {"host": self.rng.choice(("d0", "d0", "d1", "other", None)), "gone_at": self.gone(when)}
            more |= {"started_at": None} if self.maybe(0.05) else {}
            more |= {"annotations": self.rng.choice((None, "{}"))} if self.maybe(0.2) else {}
            more |= {"uuid": self.name("c"), "id": self.rows.number()}
            if capsules and self.maybe(0.5):
                more |= {"capsule_id": self.rng.choice(capsules), "container_type": 2}
            elif self.maybe(0.4):
                capsules.append(more["id"])
                more |= {"container_type": 1}
            self.rows.container(when, self.end_of(when), self.rng.choice(reservations), **more)


def random_case(rng: random.Random) -> Case:
    """A site drawn from a source of randomness."""
    return _Maker(rng).make()
