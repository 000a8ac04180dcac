"""The oracle's leases, servers and edge devices: rules 3 to 7 at an instant."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets_tests.golden.builder import Month, Row
from usage_assets_tests.golden.oracle_machines import (
    START,
    Amounts,
    Item,
    Machines,
    Span,
    born,
    covers,
    flavor_size,
    gpus_of,
    latest,
)
from usage_assets_tests.golden.raw_months import instant, least

SHELVES = ("compute_shelve_instance", "compute_shelve_offload_instance")
UNSHELVE = "compute_unshelve_instance"
_NOTE = "zun.openstack.org/reservation_id"
TURN_OFF = {f"compute_{name}_instance" for name in ("stop", "pause", "suspend", "soft_delete")}
TURN_ON = {f"compute_{name}_instance" for name in ("start", "reboot", "resume", "unpause", "unshelve", "restore")}


class Holdings(Machines):
    """What leases and servers hold at an instant."""

    def __init__(self, site: OpenStackSite, rows: dict[str, list[Row]], month: Month, extracted: datetime) -> None:
        super().__init__(site, rows, month, extracted)
        self.cuts: list[datetime] = []
        self.specs = {row["uuid"]: self._spec(row) for row in self._instances()}
        self.bookings = {row["uuid"]: self._booking(row) for row in self._instances()}
        lost = {row["uuid"] for row in self._instances() if row["node"] is None}
        self.stepping = {e["host"] for uuid in lost for e in self.events.get(uuid, ()) if e["host"] is not None}
        self.nodes = {row["uuid"]: self._node(row) for row in self._instances()}
        self.shelved = {row["uuid"]: list(self._shelved(row)) for row in self._instances()}
        self.off = {row["uuid"]: list(self._off(row)) for row in self._instances()}

    # --- rule 3 ---

    def _hostname(self, allocation: Row) -> str | None:
        host = self.hosts_by_id.get(allocation["compute_host_id"])
        return None if host is None else host["hypervisor_hostname"]

    def _kind(self, allocation: Row) -> str | None:
        reservation = self.reservations.get(allocation["reservation_id"])
        return None if reservation is None else reservation["resource_type"]

    def _holding(self, t: datetime) -> list[tuple[Row, str]]:
        """Allocations, each by itself, that are committed at t, with their hostname."""
        out = []
        for row in self.rows["blazar_computehost_allocations"]:
            hostname = self._hostname(row)
            if hostname is None or self._lease_of(row) is None or not self._counts(row):
                continue
            if self._runs(row, t) and self._reservable_row(hostname, t) is not None:
                out.append((row, hostname))
        return out

    def _counts(self, allocation: Row) -> bool:
        return self._kind(allocation) in {"physical:host", "virtual:instance", "flavor:instance"}

    def _committed(self, t: datetime) -> Iterator[Item]:
        source = "blazar_computehost_allocations"
        whole: dict[str, list[Row]] = {}
        for row, hostname in self._holding(t):
            if self._kind(row) == "physical:host":
                whole.setdefault(hostname, []).append(row)
                continue
            flavor = latest(self.flavors.get(row["reservation_id"], ()))
            if flavor is None:
                yield self._item("committed", (source, row), hostname, t, {})
            else:
                machine = self._reservable_size(hostname, t)["vcpus"]
                size = {"vcpus": flavor["vcpus"], "memory_mb": flavor["memory_mb"], "disk_gb": flavor["disk_gb"]}
                size = {"nodes": flavor["vcpus"] / machine if machine else None, **self._with_overcommit(size, None)}
                if (flavor["resource_properties"] or "").startswith("{"):
                    size["gpus"] = gpus_of(json.loads(flavor["resource_properties"])["extra_specs"], self.site)
                yield self._item("committed", (source, row), hostname, t, size)
        for hostname, rows in whole.items():
            owner = max(rows, key=lambda row: (born(row) or START, row["id"]))
            yield self._item("committed", (source, owner), hostname, t, self._reservable_size(hostname, t))

    # --- rules 4 and 5 ---

    def _node(self, row: Row) -> str | None:
        if row["node"] is not None:
            return row["node"]
        events = [e for e in self.events.get(row["uuid"], ()) if e["event"].startswith("compute_")]
        nodes = [node for node in map(self._machine_of, events) if node is not None]
        return nodes[-1] if nodes else None

    def _machine_of(self, event: Row) -> str | None:
        """The machine whose name or whose service the event gives."""
        host = event["host"]
        if host is None:
            return None
        name = self.spelled.machine(host, self.stepping)
        if name in self.machines:
            return name
        served = {
            row["hypervisor_hostname"]
            for row in self.rows["nova_compute_nodes"]
            if (row["host"] or "").lower() == host.lower() and row["hypervisor_hostname"] is not None
        }
        return served.pop() if len(served) == 1 and served & set(self.machines) else None

    def _shelved(self, row: Row) -> Iterator[Span]:
        """Each cycle, a time from an unshelve (or the beginning) to the next one; the last may be told by the state."""
        events = self.events.get(row["uuid"], [])
        ups = [e["start_time"] for e in events if e["event"] == UNSHELVE]
        downs = [(e["start_time"], e["event"]) for e in events if e["event"] in SHELVES]
        for since, until in zip([START, *ups], [*ups, None], strict=True):
            within = [(t, name) for t, name in downs if since <= t and (until is None or t < until)]
            starts = [t for t, name in within if name == SHELVES[1]] or [t for t, _ in within]
            if starts:
                yield starts[0], until
            elif until is None and row["vm_state"] == "shelved_offloaded" and row["updated_at"] is not None:
                yield max(since, row["updated_at"]), None

    # --- rule 6 ---

    def _off(self, row: Row) -> Iterator[Span]:
        """Times in which the server was off, paused, suspended or soft-deleted, walking through its events."""
        since: datetime | None = None
        ran = START
        for event in self.events.get(row["uuid"], []):
            if event["event"] in TURN_OFF and since is None:
                since = event["start_time"]
            elif event["event"] in TURN_ON:
                ran = event["start_time"]
                if since is not None:
                    yield since, ran
                    since = None
        if since is not None and row["vm_state"] not in {"active", "rescued", "resized"}:
            yield since, None
        asked = row.get("asked_to_be_deleted_at") if row["deleted"] is False else None
        told = asked or row["updated_at"]
        if since is None and row["vm_state"] == "soft-delete" and told is not None:
            yield max(ran, told), None

    def _active(self, items: Iterable[Item], t: datetime) -> Iterator[Item]:
        """What occupies and runs."""
        owners = {id(row): row["uuid"] for row in self._instances()}
        for item in items:
            spans = self.off[owners[item.row]] if item.row in owners else ()
            if not any(covers(span, t) for span in spans):
                yield replace(item, metric="active")

    def _spec(self, row: Row) -> Row | None:
        """The latest readable request of an instance."""
        readable = []
        for spec in self.rows["nova_api_request_specs"]:
            if spec["instance_uuid"] == row["uuid"]:
                try:
                    data = json.loads(spec["spec"])["nova_object.data"]
                except (ValueError, TypeError, KeyError):
                    continue
                if isinstance(data, dict):
                    readable.append((spec, data))
        best = latest(spec for spec, _ in readable)
        return None if best is None else next(data for spec, data in readable if spec is best)

    def _flavor(self, row: Row) -> Amounts:
        """Sizes of an instance's flavor, GPUs as its request says them."""
        data = self.specs[row["uuid"]]
        flavor = ((data or {}).get("flavor") or {}).get("nova_object.data")
        return flavor_size(row) | {"gpus": gpus_of(flavor["extra_specs"], self.site) if flavor else None}

    def _booking(self, row: Row) -> tuple[str, str | None]:
        """The metric of an instance, and its reservation."""
        data = self.specs[row["uuid"]]
        if data is None:
            return "occupied_unknown", None
        hint = (data.get("scheduler_hints") or {}).get("reservation")
        hint = (hint[0] if hint else None) if isinstance(hint, list) else hint
        flavor = data["flavor"]["nova_object.data"]["name"] if data.get("flavor") else ""
        reservation = hint or (flavor.removeprefix("reservation:") if flavor.startswith("reservation:") else None)
        return ("occupied_reservation", reservation) if reservation else ("occupied_ondemand", None)

    def _occupied(self, t: datetime) -> Iterator[Item]:
        holding = {(row["reservation_id"], hostname) for row, hostname in self._holding(t)}
        counting: list[tuple[Row, str, str | None, str]] = []
        for source in ("nova_instances", "nova_cell0_instances"):
            for row in self.rows[source]:
                metric, reservation = self.bookings[row["uuid"]]
                node = self.nodes[row["uuid"]]
                runs = row["launched_at"] is not None and self._runs(row, t)
                runs = runs and not any(covers(span, t) for span in self.shelved[row["uuid"]])
                if runs and (metric != "occupied_reservation" or (reservation, node) in holding):
                    counting.append((row, metric, node, source))
        single: dict[str, list[tuple[Row, str, str | None, str]]] = {}
        for entry in counting:
            row, metric, node, source = entry
            machine = None if node is None else self._nearest(self.machines, node, t)
            flavor = self._flavor(row)
            if node is None or machine is None:
                if node is not None and not self.has_kvm:  # a whole machine, though never seen
                    single.setdefault(node, []).append(entry)
                    continue
                yield self._item(metric, (source, row), node, t, {"nodes": None if self.has_kvm else 1, **flavor})
            elif machine["hypervisor_type"] == "ironic":
                single.setdefault(node, []).append(entry)
            else:
                whole = self._machine_size(node, t)["vcpus"]
                nodes = row["vcpus"] / whole if whole else None
                yield self._item(metric, (source, row), node, t, {"nodes": nodes, **flavor})
        for node, entries in single.items():
            row, metric, _, source = max(entries, key=lambda entry: (born(entry[0]), entry[0]["uuid"]))
            if node not in self.machines:
                known = self._gpus(node, t)
                flavor = self._flavor(row)
                gpus = flavor["gpus"] if known is None else known
                yield self._item(metric, (source, row), node, t, {"nodes": 1, **flavor, "gpus": gpus})
                continue
            size = self._machine_size(node, t)
            yield self._item(metric, (source, row), node, t, size | {"vcpus_overcommit": size["vcpus"]})

    # --- rule 7: edge ---

    def _device_item(self, entry: tuple[str, str], row: Row, device: Row | None, t: datetime) -> Item:
        metric, source = entry
        found = None
        if device is not None:
            life = self._life(device)
            assert life is not None
            found = self._capability(
                "device_id", device, "machine_name", t if covers(life, t) else self._inside([life], t)
            )
        node_type = found or (device or {}).get("device_type") or "unknown"
        return Item(
            metric, source, id(row), (device["name"] or device["id"]) if device else None, node_type, (("devices", 1),)
        )

    def _holding_devices(self, t: datetime) -> list[tuple[Row, Row]]:
        out = []
        for row in self.rows["blazar_device_allocations"]:
            device = self.devices.get(row["device_id"])
            if device is None or self._lease_of(row) is None or not device["reservable"]:
                continue
            if self._runs(row, t) and self._runs(device, t):
                out.append((row, device))
        return out

    def _edge(self, t: datetime) -> Iterator[Item]:
        for row in self.rows["blazar_devices"]:
            if self._runs(row, t):
                yield self._device_item(("total", "blazar_devices"), row, row, t)
                if row["reservable"]:
                    yield self._device_item(("reservable", "blazar_devices"), row, row, t)
        held: dict[str, list[tuple[Row, Row]]] = {}
        for row, device in self._holding_devices(t):
            held.setdefault(device["id"], []).append((row, device))
        for pairs in held.values():
            row, device = max(pairs, key=lambda pair: (born(pair[0]) or START, pair[0]["id"]))
            yield self._device_item(("committed", "blazar_device_allocations"), row, device, t)
        yield from self._containers(t)

    def _containers(self, t: datetime) -> Iterator[Item]:
        """Of the containers that share a device at t the last one counts."""
        shared: dict[tuple[str, str | None], list[tuple[Row, str, Row | None]]] = {}
        for row in self.rows["zun_container"]:
            if self._runs(row, t):
                for metric, device in self._placed(row, t):
                    host = ("host", row["host"].lower()) if row["host"] else ("holder", self._holder(row)["uuid"])
                    place = host if device is None else ("device", device["id"])
                    shared.setdefault(place, []).append((row, metric, device))
        for entries in shared.values():
            row, metric, device = max(entries, key=lambda entry: self._rank(entry[0]))
            yield self._device_item((metric, "zun_container"), row, device, t)

    def _placed(self, row: Row, t: datetime) -> Iterator[tuple[str, Row | None]]:
        """How a running container counts at t, if it does, and on which device: none where its host is no device."""
        reservation, named = self._annotated(row), self._device_named(row["host"], t)
        if reservation is None:
            silent = row["annotations"] is None and self._holder(row)["annotations"] is None
            yield "occupied_unknown" if silent else "occupied_ondemand", named
            return
        mine = [(a, held) for a, held in self._holding_devices(t) if a["reservation_id"] == reservation]
        if named is not None and self._ever_held(reservation, named):
            mine = [(a, held) for a, held in mine if held is named]
        if mine:
            yield "occupied_reservation", max(mine, key=lambda pair: (born(pair[0]) or START, pair[0]["id"]))[1]

    def _holder(self, row: Row) -> Row:
        """The capsule of a member, else the container itself."""
        return next((c for c in self.rows["zun_container"] if c["id"] == row["capsule_id"]), row)

    def _rank(self, row: Row) -> tuple[datetime, str, bool, datetime, str]:
        holder = self._holder(row)
        return (born(holder) or START, holder["uuid"], holder is row, born(row) or START, row["uuid"])

    def _device_named(self, name: str | None, t: datetime) -> Row | None:
        """The device that has this name at t, else the last that had it, else the first that will."""
        lives: dict[str, list[tuple[Row, Span]]] = {}
        for device in self.devices.values():
            start, end = born(device), least([instant(device, "deleted_at"), instant(device, "gone_at")])
            if device["name"] is not None and start is not None and (end is None or start < end):
                lives.setdefault(device["name"].lower(), []).append((device, (start, end)))
        return None if name is None else self._nearest(lives, name.lower(), t)

    def _ever_held(self, reservation: str, device: Row) -> bool:
        """Whether the container's own device is one of its reservation's, at any time of the month."""
        return any((reservation, device["id"]) == (a["reservation_id"], d["id"]) for a, d in self._ever_holding())

    def _ever_holding(self) -> list[tuple[Row, Row]]:
        return [pair for low, high in pairwise(self.cuts) for pair in self._holding_devices(low + (high - low) / 2)]

    def _annotated(self, row: Row) -> str | None:
        """The reservation that a container names, else the one that its capsule names."""
        said = [json.loads(one["annotations"] or "{}") for one in (row, self._holder(row))]
        return next((notes[_NOTE] for notes in said if notes.get(_NOTE)), None)
