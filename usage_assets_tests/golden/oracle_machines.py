"""The oracle's rows and machines: own spans, and rules 1, 2 and 9 at an instant."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets_tests.golden.builder import Month, Row, midnight, next_month
from usage_assets_tests.golden.oracle_ends import ENDLESS, with_ends
from usage_assets_tests.golden.oracle_names import COLUMNS, Names, with_identities
from usage_assets_tests.golden.raw_months import instant, least

Amounts = dict[str, Any]  # floats, or null where unknown
START, FOREVER = datetime(1, 1, 1), datetime(9999, 1, 1)
Span = tuple[Any, Any]  # instants; an open end is None
# asset -> its sources and the times that stand in for created_at
SOURCES: dict[str, tuple[str, ...]] = {
    "total": ("nova_compute_nodes", "blazar_devices"),
    "reservable": ("blazar_computehosts", "blazar_devices"),
    "committed": ("blazar_computehost_allocations", "blazar_device_allocations"),
    "occupied": ("nova_instances", "nova_cell0_instances", "zun_container"),
    "active": ("nova_instances", "nova_cell0_instances", "zun_container"),
}
ELSE_BORN = ("launched_at", "start_date", "started_at", "updated_at", "deleted_at", "terminated_at")


@dataclass(frozen=True)
class Item:
    """One thing that counts at an instant."""

    metric: str
    source: str
    row: int
    node: str | None
    node_type: str
    amounts: tuple[tuple[str, float | None], ...]


def born(row: Row) -> datetime | None:
    if ENDLESS in row:
        return None
    return instant(row, "created_at") or least(instant(row, name) for name in ELSE_BORN)


def latest(rows: Iterable[Row]) -> Row | None:
    """The latest created_at, then id."""
    return max(rows, key=lambda row: (born(row) or START, row["id"]), default=None)


def covers(span: Span | None, t: datetime) -> bool:
    return span is not None and span[0] <= t and (span[1] is None or t < span[1])


def pieces(span: Span, holes: Iterable[Span]) -> list[Span]:
    """What is left of a span without its holes."""
    left, (start, end) = [], span
    for hole_start, hole_end in sorted(holes):
        if hole_start > start:
            left.append((start, hole_start if end is None else min(hole_start, end)))
        start = max(start, hole_end)
    left.append((start, end))
    return [(a, b) for a, b in left if a < (b or FOREVER)]


class Machines:
    """The rows of a month, their own spans, and what machines are at an instant."""

    def __init__(self, site: OpenStackSite, rows: dict[str, list[Row]], month: Month, extracted: datetime) -> None:
        self.site, self.month = site, month
        rows = with_ends(rows)
        self.spelled = Names(rows)
        self.rows = rows = with_identities(rows)
        self.low = midnight(month)
        self.high = max(self.low, min(midnight(next_month(month)), extracted))
        self.reservations = {row["id"]: row for row in rows["blazar_reservations"]}
        self.leases = {row["id"]: row for row in rows["blazar_leases"]}
        self.tables = {id(row): table for sources in SOURCES.values() for table in sources for row in rows[table]}
        self.machines = self._by_hostname("nova_compute_nodes")
        self.hosts = self._by_hostname("blazar_computehosts")
        self.hosts_by_id = {row["id"]: row for row in rows["blazar_computehosts"]}
        self.devices = {row["id"]: row for row in rows["blazar_devices"]}
        self.has_kvm = any(row["hypervisor_type"] != "ironic" for lives in self.machines.values() for row, _ in lives)
        self.names = {row["id"]: row["property_name"] for row in rows["blazar_resource_properties"]}
        self.events = self._events()
        self.caps = {
            owner: group(rows[table], owner)
            for table, owner in (
                ("blazar_computehost_extra_capabilities", "computehost_id"),
                ("blazar_device_extra_capabilities", "device_id"),
            )
        }
        self.flavors = group(rows["blazar_instance_reservations"], "reservation_id")
        self.lives = {
            id(row): self._span(table, row) for sources in SOURCES.values() for table in sources for row in rows[table]
        }

    # --- rows and their own spans ---

    def _by_hostname(self, table: str) -> dict[str, list[tuple[Row, Span]]]:
        out: dict[str, list[tuple[Row, Span]]] = {}
        for row in self.rows[table]:
            start, end = born(row), least([instant(row, "deleted_at"), instant(row, "gone_at")])
            if row["hypervisor_hostname"] is not None and start is not None and (end is None or start < end):
                left = [(row, piece) for piece in pieces((start, end), self._taken(row))]
                if left:
                    out.setdefault(row["hypervisor_hostname"], []).extend(left)
        return out

    def _taken(self, row: Row) -> list[Span]:
        """The time that the site's rules take out of a row."""
        table = self.tables[id(row)]
        reservation = self.reservations.get(row.get("reservation_id")) if "allocations" in table else None
        lease = None if reservation is None else self.leases.get(reservation["lease_id"])
        judged = {table: row, "blazar_reservations": reservation, "blazar_leases": lease}
        return [
            (rule.start or START, rule.end or FOREVER)
            for rule in self.site.exclusions
            if (subject := judged.get(rule.table)) is not None
            and all(
                self._is_one_of(rule.table, column, subject[column], values) for column, values in rule.where.items()
            )
        ]

    def _is_one_of(self, table: str, column: str, value: Any, values: tuple[str, ...]) -> bool:
        if COLUMNS.get(table) == column:
            return value is not None and value in {self.spelled.named(one, values) for one in values}
        return str(value) in values

    def _runs(self, row: Row, t: datetime) -> bool:
        """Whether the row covers the instant, and no rule takes that out."""
        return covers(self._life(row), t) and not any(covers(span, t) for span in self._taken(row))

    def _instances(self) -> Iterator[Row]:
        yield from self.rows["nova_instances"]
        yield from self.rows["nova_cell0_instances"]

    def _events(self) -> dict[str, list[Row]]:
        """Successful events of each instance, in order."""
        owners = {row["id"]: row["instance_uuid"] for row in self.rows["nova_instance_actions"]}
        out: dict[str, list[Row]] = {}
        for event in self.rows["nova_instance_actions_events"]:
            owner = owners.get(event["action_id"])
            if owner is not None and event["result"] == "Success" and event["start_time"] is not None:
                out.setdefault(owner, []).append(event)
        return {owner: sorted(events, key=lambda e: (e["start_time"], e["id"])) for owner, events in out.items()}

    def _lease_of(self, allocation: Row) -> Row | None:
        reservation = self.reservations.get(allocation["reservation_id"])
        return None if reservation is None else self.leases.get(reservation["lease_id"])

    def _span(self, table: str, row: Row) -> tuple[datetime | None, datetime | None]:
        """A row's own span: before parents and siblings."""
        ends = [instant(row, "deleted_at"), instant(row, "gone_at")]
        start = born(row)
        if table in SOURCES["committed"]:
            lease = self._lease_of(row)
            if lease is not None:
                starts = [lease["start_date"], born(lease), born(row)]
                ends += [lease["end_date"], lease["deleted_at"], lease["gone_at"]]
                start = max((value for value in starts if value is not None), default=None)
                if ENDLESS in row or (ENDLESS in lease and least(ends[:2]) is None):
                    start = None
        elif table in {"nova_instances", "nova_cell0_instances"}:
            ended = [
                e["start_time"] for e in self.events.get(row["uuid"], ()) if e["event"] == "compute_terminate_instance"
            ]
            ends += [row["terminated_at"], *ended[:1]]
        elif table == "zun_container":
            start = row["started_at"]
            ends = [row["gone_at"], row["updated_at"] if row["status"] in {"Deleted", "Error", "Stopped"} else None]
        return start, least(ends)

    def _life(self, row: Row) -> Span | None:
        start, end = self.lives[id(row)]
        return None if start is None else (start, end)

    # --- rules 1, 2 and 9: machines ---

    def _covering(self, lives: dict[str, list[tuple[Row, Span]]], hostname: str, t: datetime) -> Row | None:
        return latest(row for row, span in lives.get(hostname, ()) if covers(span, t))

    def _nearest(self, lives: dict[str, list[tuple[Row, Span]]], hostname: str, t: datetime) -> Row | None:
        found = self._covering(lives, hostname, t)
        if found is not None:
            return found
        before = [
            ((span[1], born(row), row["id"]), row) for row, span in lives.get(hostname, ()) if span[1] and span[1] <= t
        ]
        if before:
            return max(before, key=lambda pair: pair[0])[1]
        return self._first_after(lives, hostname, t)

    def _nearest_in_time(self, lives: dict[str, list[tuple[Row, Span]]], hostname: str, t: datetime) -> Row | None:
        """The row that covers t, else the one whose life is least far from t."""
        before, after = self._nearest(lives, hostname, t), self._first_after(lives, hostname, t)
        if before is None or after is None or before is after or self._covering(lives, hostname, t) is not None:
            return before
        ended = max(span[1] for row, span in lives[hostname] if row is before and span[1] is not None and span[1] <= t)
        begins = min(span[0] for row, span in lives[hostname] if row is after and span[0] > t)
        return before if t - ended < begins - t else after

    def _first_after(self, lives: dict[str, list[tuple[Row, Span]]], hostname: str, t: datetime) -> Row | None:
        first = min((span[0] for _, span in lives.get(hostname, ()) if span[0] > t), default=None)
        return latest(row for row, span in lives.get(hostname, ()) if span[0] == first)

    def _capability(self, owner: str, row: Row, name: str, t: datetime) -> str | None:
        """The label of a host or device at t, at which it is there."""
        minute = timedelta(minutes=1)
        gone = least([instant(row, "deleted_at"), instant(row, "gone_at")])
        found = [
            cap
            for cap in self.caps[owner].get(row["id"], ())
            if (self.names.get(cap["property_id"]) or cap["capability_name"]) == name
            and cap["capability_value"] is not None
            and ENDLESS not in cap
        ]
        lives = [(cap, (born(cap) or START, least([cap["deleted_at"], cap["gone_at"]]))) for cap in found]
        lives = [(cap, span) for cap, span in lives if span[1] is None or span[0] < span[1]]
        begins = min((span[0] for _, span in lives), default=START)
        best = latest(cap for cap, span in lives if covers(span, max(t, begins)))
        if best is None and lives:  # services mark rows one after the other
            following = min((span[0] for _, span in lives if span[0] > t), default=gone)
            ended = max(span[1] for _, span in lives if span[1] is not None and span[1] <= t)
            if following is not None and following - ended <= minute:
                last = [cap for cap, span in lives if span[0] < ended and (span[1] is None or span[1] >= ended)]
                best = latest(last)
        return None if best is None else best["capability_value"] or None

    def _said(self, hostname: str | None, key: str) -> Any:
        """What the site's file says of a machine: the first entry that fits and tells."""
        plain = {name for name in self.site.node_types if re.fullmatch(r"[A-Za-z0-9._-]+", name)}
        for pattern, said in self.site.node_types.items():
            if pattern in plain:
                fits = hostname in {pattern.lower(), self.spelled.machine(pattern, plain)}
            else:
                fits = hostname is not None and re.search(pattern, hostname, re.IGNORECASE) is not None
            if fits and hostname is not None and getattr(said, key) is not None:
                return getattr(said, key)
        return None

    def _label(self, hostname: str, name: str, t: datetime) -> str | None:
        """What Blazar says of a machine at t; outside its life what the nearest row said last or first."""
        host = self._nearest(self.hosts, hostname, t)
        if host is None:
            return None
        spans = [span for row, span in self.hosts[hostname] if row is host]
        if not any(covers(span, t) for span in spans):
            t = self._inside(spans, t)
        return self._capability("computehost_id", host, name, t)

    @staticmethod
    def _inside(spans: list[Span], t: datetime) -> datetime:
        """The last instant of the spans before t, else their first one."""
        ended = [span[1] for span in spans if span[1] is not None and span[1] <= t]
        return max(ended) - timedelta(microseconds=1) if ended else min(span[0] for span in spans)

    def _type(self, hostname: str | None, t: datetime) -> str:
        found = None if hostname is None else self._label(hostname, "node_type", t)
        return found or self._said(hostname, "type") or "unknown"

    def _gpus(self, hostname: str, t: datetime) -> float | None:
        found = self._label(hostname, "gpu.gpu_count", t)
        return float(found) if found else self._said(hostname, "gpus")

    def _machine_size(self, hostname: str, t: datetime) -> Amounts:
        row = self._nearest(self.machines, hostname, t)
        assert row is not None
        host = self._nearest_in_time(self.hosts, hostname, t)
        other = host_size(host) if host is not None else {}
        size = {
            name: value or other.get(name) or self._said(hostname, name)  # an unknown size may be written as 0
            for name, value in host_size(row).items()
        }
        return {"nodes": 1, "gpus": self._gpus(hostname, t), **self._with_overcommit(size, row)}

    def _with_overcommit(self, size: Amounts, row: Row | None) -> Amounts:
        ratio = (row["cpu_allocation_ratio"] if row is not None else None) or 1
        vcpus = size.get("vcpus")
        return size | {"vcpus_overcommit": None if vcpus is None else vcpus * ratio}

    def _total_row(self, hostname: str, t: datetime) -> Row | None:
        return self._covering(self.machines, hostname, t)

    def _reservable_row(self, hostname: str, t: datetime) -> Row | None:
        """Rule 2: it exists and a computehosts row covers t."""
        return self._covering(self.hosts, hostname, t) if self._total_row(hostname, t) else None

    def _reservable_size(self, hostname: str, t: datetime) -> Amounts:
        host, machine = self._reservable_row(hostname, t), self._total_row(hostname, t)
        assert host is not None
        own = self._machine_size(hostname, t)
        size = {name: value or own[name] for name, value in host_size(host).items()}
        return {"nodes": 1, "gpus": self._gpus(hostname, t), **self._with_overcommit(size, machine)}

    def _machines(self, t: datetime) -> Iterator[Item]:
        for hostname in self.machines:
            row = self._total_row(hostname, t)
            if row is not None:
                yield self._item("total", ("nova_compute_nodes", row), hostname, t, self._machine_size(hostname, t))
            host = self._reservable_row(hostname, t)
            if host is not None:
                size = self._reservable_size(hostname, t)
                yield self._item("reservable", ("blazar_computehosts", host), hostname, t, size)

    def _item(self, metric: str, entry: tuple[str, Row], node: str | None, t: datetime, size: Amounts) -> Item:
        source, row = entry
        return Item(metric, source, id(row), node, self._type(node, t), tuple(size.items()))


def host_size(host: Row) -> Amounts:
    return {"vcpus": host["vcpus"], "memory_mb": host["memory_mb"], "disk_gb": host["local_gb"]}


def flavor_size(row: Row) -> Amounts:
    disk = row["root_gb"] + row["ephemeral_gb"]
    return {"vcpus": row["vcpus"], "vcpus_overcommit": row["vcpus"], "memory_mb": row["memory_mb"], "disk_gb": disk}


def gpus_of(extra_specs: dict[str, str], site: OpenStackSite) -> float:
    """What a flavor asks for: the number that the site's own spec holds, else resource classes of GPUs and PCI devices.

    Of the devices those whose alias the site names; without names those called gpu, a100 or v100 in the random sites.
    """
    if site.gpu_extra_spec in extra_specs:
        return float(extra_specs[site.gpu_extra_spec])
    out = 0
    for name, value in extra_specs.items():
        group_of, _, resource = name.partition(":")
        if group_of.startswith("resources") and "GPU" in resource:
            out += int(value)
        elif name == "pci_passthrough:alias":
            for alias, _, count in (part.partition(":") for part in value.split(",")):
                named = ("gpu", "a100", "v100") if site.gpu_aliases is None else site.gpu_aliases
                known = any(re.search(one, alias.lower()) for one in named)
                out += int(count) if known else 0
    return out


def group(rows: Iterable[Row], column: str) -> dict[Any, list[Row]]:
    out: dict[Any, list[Row]] = {}
    for row in rows:
        out.setdefault(row[column], []).append(row)
    return out
