"""Rows of Nova: compute nodes, services, servers with their actions and events, and request specs."""

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Final, Literal

from usage_assets.demo.openstack.inventory import UPGRADE, Machine, Period
from usage_assets.demo.openstack.rows import DAY, MINUTE, RowWriter, instant, stable_random, text, uuid_text

SpecKind = Literal["normal", "missing", "broken", "plain_hint"]

_SPEC_VERSIONS: Final = ((instant(2016), "1.11"), (UPGRADE, "1.12"), (instant(2020, 8), "1.13"),
                         (instant(2021, 9), "1.14"), (instant(2024, 6), "1.15"))  # fmt: skip
_STATES: Final = {
    "create": ("active", 1), "stop": ("stopped", 4), "start": ("active", 1), "pause": ("paused", 3),
    "unpause": ("active", 1), "suspend": ("suspended", 4), "resume": ("active", 1),
    "shelve": ("shelved_offloaded", 4), "unshelve": ("active", 1),
}  # fmt: skip
"""vm_state and power_state after an action; others leave both alone."""
_EVENTS: Final = {
    "create": ("compute__do_build_and_run_instance",), "delete": ("compute_terminate_instance",),
    "stop": ("compute_stop_instance",), "start": ("compute_start_instance",),
    "reboot": ("compute_reboot_instance",), "pause": ("compute_pause_instance",),
    "unpause": ("compute_unpause_instance",), "suspend": ("compute_suspend_instance",),
    "resume": ("compute_resume_instance",), "unshelve": ("compute_unshelve_instance",),
    "shelve": ("compute_shelve_instance", "compute_shelve_offload_instance"),
    "rebuild": ("rebuild_server", "compute_rebuild_instance"), "attach_volume": ("compute_attach_volume",),
    "lock": (),
}  # fmt: skip
_PAIRS: Final = (("stop", "start"), ("stop", "start"), ("shelve", "unshelve"), ("pause", "unpause"),
                 ("suspend", "resume"))  # fmt: skip
_LEFT_OFF_SHARE: Final = 0.08
_LEFT_OFF: Final = ("stop", "stop", "stop", "pause", "suspend")
"""What the last action of a server that is not running at its end may be."""
_SINGLES: Final = (("reboot",), ("reboot",), ("attach_volume",), ("lock",), ("rebuild",))


@dataclass(frozen=True)
class Flavor:
    """The size a server was asked for."""

    id: int
    name: str
    vcpus: int
    memory_mb: int
    root_gb: int
    ephemeral_gb: int = 0
    extra_specs: tuple[tuple[str, str], ...] = ()
    flavorid: str = ""


@dataclass(slots=True)
class Server:
    """One server's life as it went; what happens after ``until`` is not written."""

    created: int
    launched: int | None
    ended: int | None
    """When its deletion was asked for; None if it lives on."""
    machine: Machine
    flavor: Flavor
    project: str
    user: str
    seed: int
    hint: str | None = None
    """Reservation id of the scheduler hint."""
    spec: SpecKind = "normal"
    archived: bool = False
    in_cell0: bool = False
    stays_shelved: bool = False
    counted_as: str | None = None
    """Node type under which a legacy usage counter sees it used; None where it does not."""
    held: list[tuple[int, int | None]] = field(default_factory=list)
    """When it held its machine, once it is written: its life less the time it was shelved."""
    values: dict[str, object] = field(default_factory=dict)
    """Columns of the instances row that deliberately hold something else."""


@dataclass(slots=True)
class _Step:
    action: str
    start: int
    seconds: int


class Nova:
    """Writes Nova rows as a server would hold them at ``until``."""

    def __init__(self, writer: RowWriter, site: str, seed: int, until: int, *, ironic: bool, extra: float) -> None:
        """``extra`` is the mean number of actions per server besides create and delete."""
        self.writer = writer
        self.until = until
        self._ironic = ironic
        self._extra = extra
        self._owed = 0.0
        self._site = site
        self._seed = seed

    def add_services(self, since: int, hosts: list[str]) -> None:
        """Write the compute services and the controllers, alive at ``until``."""
        rng = stable_random(self._site, self._seed, "services")
        names = [("nova-compute", host) for host in hosts] + [("nova-scheduler", "ctl"), ("nova-conductor", "ctl")]
        for number, (binary, host) in enumerate(names, start=1):
            self.writer.add(
                "nova.services",
                id=number, uuid=uuid_text(rng), host=host, binary=binary, topic=binary.removeprefix("nova-"),
                created_at=text(since), updated_at=text(self.until - 30), last_seen_up=text(self.until - 30),
                report_count=max(0, self.until - since) // 10, disabled=0, forced_down=0, version=66, deleted=0,
            )  # fmt: skip

    def add_compute_node(self, machine: Machine, row: Period) -> None:
        """Write one row about a machine; an ironic row made since the upgrade has no sizes of its own."""
        kind = row.node_type
        gone = row.end if row.end is not None and row.end <= self.until else None
        sized = not self._ironic or row.start < UPGRADE
        rng = stable_random(machine.hostname, row.start)
        node_uuid = machine.hostname if self._ironic and row is machine.nova_row(self.until) else uuid_text(rng)
        overcommit = {} if self._ironic else {"cpu_info": '{"arch": "x86_64", "vendor": "Intel"}'}
        self.writer.add(
            "nova.compute_nodes",
            id=row.id, created_at=text(row.start), updated_at=text(self.until - 40 if gone is None else None),
            deleted_at=text(gone), deleted=row.id if gone else 0, uuid=node_uuid, host=machine.service,
            hypervisor_hostname=machine.hostname, hypervisor_type="ironic" if self._ironic else "QEMU",
            hypervisor_version=1 if self._ironic else 8_002_002, vcpus=kind.threads if sized else 0,
            memory_mb=kind.memory_gib * 1024 if sized else 0, local_gb=kind.disk_gb if sized else 0,
            vcpus_used=0, memory_mb_used=0 if self._ironic else 512, local_gb_used=0, running_vms=0,
            cpu_allocation_ratio=kind.cpu_ratio, ram_allocation_ratio=1.0, disk_allocation_ratio=1.0, mapped=1,
            host_ip=f"192.0.2.{row.id % 250 + 1}", **({"cpu_info": ""} | overcommit),
        )  # fmt: skip

    def add_servers(self, servers: list[Server]) -> None:
        """Write servers in the order of their creation, which numbers them."""
        servers.sort(key=lambda server: (server.created, server.seed))
        for number, server in enumerate((s for s in servers if s.created <= self.until), start=1):
            self._add_server(number, server)

    def _add_server(self, number: int, server: Server) -> None:
        rng = Random(server.seed)
        key = uuid_text(rng)
        steps = [step for step in self._steps(server, rng) if step.start + step.seconds <= self.until]
        prefix = "nova_cell0.instances" if server.in_cell0 else "nova.instances"
        table = "nova.shadow_instances" if server.archived else prefix
        self.writer.add(table, **self._instance(number, key, server, steps, rng) | server.values)
        if server.spec != "missing" and not server.archived:
            self.writer.add(
                "nova_api.request_specs",
                id=number, created_at=text(server.created), instance_uuid=key, spec=request_spec(server, key),
            )  # fmt: skip
        events = [] if server.in_cell0 else self._add_actions(number, key, server, steps, rng)
        server.held = _held(server, events)

    def _instance(self, number: int, key: str, server: Server, steps: list[_Step], rng: Random) -> dict[str, object]:
        ended = next((step.start + step.seconds for step in steps if step.action == "delete"), None)
        changed = steps[-1].start + steps[-1].seconds if steps else None
        launched = server.launched if server.launched is not None and server.launched <= self.until else None
        state: tuple[str, int] = ("building" if server.launched else "error", 0)
        if launched is not None:
            state = next((_STATES[s.action] for s in reversed(steps) if s.action in _STATES), ("active", 1))
        away = state[0] == "shelved_offloaded" and ended is None
        placed = not server.in_cell0 and not away
        row = server.machine.nova_row(server.created) if placed else None
        name = f"server-{number}"
        return {
            "id": number, "uuid": key, "user_id": server.user, "project_id": server.project,
            "image_ref": "9ddcf962-04cf-4f33-ab2e-a7b7a52bbf6c", "display_name": name, "hostname": name,
            "reservation_id": f"r-{rng.getrandbits(32):08x}", "availability_zone": "nova",
            "vm_state": "deleted" if ended else state[0], "power_state": 0 if ended else state[1],
            "vcpus": server.flavor.vcpus, "memory_mb": server.flavor.memory_mb, "root_gb": server.flavor.root_gb,
            "ephemeral_gb": server.flavor.ephemeral_gb, "instance_type_id": server.flavor.id,
            "host": server.machine.service if placed else None,
            "node": server.machine.hostname if placed else None,
            "compute_id": row.id if row else None, "launched_on": server.machine.service if launched else None,
            "launched_at": text(launched), "terminated_at": text(ended), "created_at": text(server.created),
            "deleted_at": text(ended and ended + 2), "updated_at": text(changed), "locked": 0, "cleaned": int(placed),
            "hidden": 0, "deleted": number if ended else 0,
        }  # fmt: skip

    def _steps(self, server: Server, rng: Random) -> list[_Step]:
        """A server's API requests in order of time, also those after ``until``."""
        built = (server.launched if server.launched is not None else server.created + 3 * MINUTE) - server.created
        steps = [_Step("create", server.created, built)]
        self._owed += self._extra
        horizon = server.ended if server.ended is not None else server.created + 60 * DAY
        actions: list[str] = []
        while self._owed >= 1:
            story = self._story(rng, int(self._owed))
            actions += story
            self._owed -= len(story)
        if server.stays_shelved:
            actions.append("shelve")
        elif rng.random() < _LEFT_OFF_SHARE:
            actions.append(rng.choice(_LEFT_OFF))
        if server.launched is not None and horizon - server.launched > 40 * MINUTE:
            spots = sorted(rng.uniform(server.launched + 300, horizon - 900) for _ in actions)
            steps += [_Step(action, int(at), rng.randint(4, 40)) for action, at in zip(actions, spots, strict=True)]
        if server.ended is not None:
            steps.append(_Step("delete", server.ended, rng.randint(8, 60)))
        return steps

    def _story(self, rng: Random, most: int) -> tuple[str, ...]:
        if most < 2 and rng.random() < 0.5:
            return rng.choice(_SINGLES)
        return rng.choice(_PAIRS)

    def _add_actions(
        self, number: int, key: str, server: Server, steps: list[_Step], rng: Random
    ) -> list[tuple[str, int]]:
        """Write a server's actions with their events; these by name and start, in order of time."""
        written = []
        shadow = "shadow_" if server.archived else ""
        for place, step in enumerate(steps):
            failed = step.action == "create" and server.launched is None
            finish = step.start + step.seconds
            action_id = number * 12 + place
            self.writer.add(
                f"nova.{shadow}instance_actions",
                id=action_id, created_at=text(step.start), updated_at=text(finish), action=step.action,
                instance_uuid=key, request_id=f"req-{uuid_text(rng)}", user_id=server.user, project_id=server.project,
                start_time=text(step.start), message="Error" if failed else None, deleted=0,
            )  # fmt: skip
            for event_place, (event, start, end) in enumerate(_events_of(step, rng)):
                written.append((event, start))
                host = server.machine.service if event.startswith("compute_") else "ctl"
                self.writer.add(
                    f"nova.{shadow}instance_actions_events",
                    id=action_id * 4 + event_place, created_at=text(start), updated_at=text(end), event=event,
                    action_id=action_id, start_time=text(start), finish_time=text(end),
                    result="Error" if failed else "Success", host=host, deleted=0,
                    traceback="Traceback (most recent call last): ..." if failed else None,
                    details="No valid host was found." if failed and start > UPGRADE else None,
                )  # fmt: skip
        return written


def _held(server: Server, events: list[tuple[str, int]]) -> list[tuple[int, int | None]]:
    """A server's life less its shelved time, from each offload to the next unshelve."""
    spans: list[tuple[int, int | None]] = []
    begun: int | None = server.created
    for event, start in events:
        if event == "compute_shelve_offload_instance" and begun is not None:
            spans.append((begun, start))
            begun = None
        elif event == "compute_unshelve_instance" and begun is None:
            begun = start
    return spans if begun is None else [*spans, (begun, server.ended)]


def _events_of(step: _Step, rng: Random) -> Iterator[tuple[str, int, int]]:
    """Events of an action, spread over its seconds one after another."""
    names = _EVENTS[step.action]
    if step.action == "create" and rng.random() < 0.53:
        names = ("conductor_schedule_and_build_instances", *names)
    share = max(1, step.seconds // max(1, len(names)))
    for place, name in enumerate(names):
        start = min(step.start + place * share + (place == 0), step.start + step.seconds)
        yield name, start, step.start + step.seconds if place == len(names) - 1 else start + share


@lru_cache(maxsize=256)
def _spec_template(flavor: Flavor, version: str) -> str:
    """Request spec in Nova's versioned envelope, with %-places for what differs between servers."""

    def envelope(name: str, version: str, data: Mapping[str, object]) -> dict[str, object]:
        return {
            "nova_object.name": name, "nova_object.namespace": "nova",
            "nova_object.version": version, "nova_object.data": data,
        }  # fmt: skip

    flavor_data = {
        "id": flavor.id, "name": flavor.name, "memory_mb": flavor.memory_mb, "vcpus": flavor.vcpus,
        "root_gb": flavor.root_gb, "ephemeral_gb": flavor.ephemeral_gb, "flavorid": flavor.flavorid or flavor.name,
        "swap": 0, "extra_specs": dict(flavor.extra_specs),
    }  # fmt: skip
    spec = {
        "image": envelope("ImageMeta", "1.8", {"id": "9ddcf962-04cf-4f33-ab2e-a7b7a52bbf6c", "name": "cc-ubuntu"}),
        "numa_topology": None, "project_id": "@PROJECT@", "user_id": "@USER@", "availability_zone": "nova",
        "flavor": envelope("Flavor", "1.2", flavor_data), "num_instances": 1, "ignore_hosts": None,
        "force_hosts": None, "force_nodes": None, "requested_destination": None, "retry": None,
        "instance_group": None, "scheduler_hints": "@HINTS@", "instance_uuid": "@UUID@", "is_bfv": False,
    }  # fmt: skip
    document = json.dumps(envelope("RequestSpec", version, spec)).replace("%", "%%")
    for place in ("PROJECT", "USER", "UUID"):
        document = document.replace(f"@{place}@", f"%({place.lower()})s")
    return document.replace('"@HINTS@"', "%(hints)s")


def request_spec(server: Server, key: str) -> str:
    """Text of a server's request spec; the hint is a list of ids, or a plain text where the server says so."""
    version = _SPEC_VERSIONS[max(0, bisect_right([since for since, _ in _SPEC_VERSIONS], server.created) - 1)][1]
    if server.hint is None:
        hints = "{}"
    elif server.spec == "plain_hint":
        hints = json.dumps({"reservation": server.hint})
    else:
        hints = f'{{"reservation": ["{server.hint}"]}}'
    places = {"project": server.project, "user": server.user, "uuid": key, "hints": hints}
    document = _spec_template(server.flavor, version) % places
    return document[: len(document) // 2] if server.spec == "broken" else document
