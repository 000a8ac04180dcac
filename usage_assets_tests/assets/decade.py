"""A site of five machines and ten years, 2016 to 2025: a lease a month and what real databases know too late."""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from usage_assets.core.months import Window, months_between
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import Database, OpenStackSite
from usage_assets_tests.unit.sources.sources import make_sqlite

MONTHS = months_between(date(2016, 1, 1), date(2025, 12, 1))
WINDOW = Window("decade", MONTHS)
NOVA_SINCE, BLAZAR_SINCE = date(2018, 1, 1), date(2020, 1, 1)
SIZE = {"vcpus": 48, "memory_mb": 1000, "local_gb": 200}
TYPES = {1: "compute", 2: "compute", 3: "gpu", 4: "compute"}  # machine 5 is not in Blazar
PROJECTS = ("p1", "p2")
OPERATORS = "ops"


def at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _machines() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "blazar.resource_properties", {"id": "t", "resource_type": "physical:host", "property_name": "node_type"}
    for number in range(1, 6):
        born = "2019-03-05 10:00:00" if number == 4 else "2015-12-01 00:00:00"
        left = "2022-08-09 12:00:00" if number == 4 else None
        row = {"id": number, "hypervisor_hostname": f"node{number}", "created_at": born, "deleted_at": left}
        yield "nova.compute_nodes", {**row, "hypervisor_type": "ironic", "host": "ironic-1", **SIZE}
        if number in TYPES:
            life = {"created_at": born, "deleted_at": left}
            yield "blazar.computehosts", {**row, "id": str(number), **SIZE, "reservable": True}
            yield "blazar.computehost_extra_capabilities", {
                "id": f"c{number}", "computehost_id": str(number), "property_id": "t",
                "capability_value": TYPES[number], **life,
            }  # fmt: skip


def _lease(
    key: str, machine: int, start: datetime, end: datetime, *, project: str, ahead: timedelta
) -> Iterator[tuple[str, dict[str, Any]]]:
    created = at(start - ahead)
    name = f"maint-of-node{machine}-by-me-for-disk" if project == OPERATORS else key
    yield "blazar.leases", {
        "id": key, "name": name, "project_id": project, "user_id": f"u-{project}", "created_at": created,
        "start_date": at(start), "end_date": at(end), "status": "TERMINATED",
    }  # fmt: skip
    yield "blazar.reservations", {
        "id": f"r-{key}", "lease_id": key, "resource_id": f"h-{key}", "resource_type": "physical:host",
        "created_at": created, "status": "deleted",
    }  # fmt: skip
    yield "blazar.computehost_reservations", {
        "id": f"h-{key}", "reservation_id": f"r-{key}", "created_at": created, "count_range": "1-1",
        "resource_properties": json.dumps(["==", "$node_type", TYPES[machine]]), "hypervisor_properties": "",
    }  # fmt: skip
    yield "blazar.computehost_allocations", {
        "id": f"a-{key}", "compute_host_id": str(machine), "reservation_id": f"r-{key}", "created_at": created,
    }  # fmt: skip
    for kind, due in (("start_lease", start), ("end_lease", end)):
        done = at(due + timedelta(seconds=20))
        yield "blazar.events", {
            "id": f"{kind}-{key}", "lease_id": key, "event_type": kind, "time": at(due), "status": "DONE",
            "created_at": created, "updated_at": done,
        }  # fmt: skip


def _server(
    number: int, machine: int, start: datetime, end: datetime, *, project: str, reservation: str | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A server that is off for six hours, a day after its start."""
    uuid = f"s{number}"
    yield "nova.instances", {
        "id": number, "uuid": uuid, "node": f"node{machine}", "host": "ironic-1", "project_id": project,
        "user_id": f"u-{project}", "created_at": at(start), "launched_at": at(start), "terminated_at": at(end),
        "deleted_at": at(end), "hidden": 0, "vm_state": "deleted", "power_state": 0, "vcpus": 48,
        "memory_mb": 1000, "root_gb": 20, "ephemeral_gb": 0,
    }  # fmt: skip
    hints = {"reservation": [reservation]} if reservation else {}
    yield "nova_api.request_specs", {
        "id": number, "instance_uuid": uuid, "created_at": at(start),
        "spec": json.dumps({"nova_object.data": {"scheduler_hints": hints}}),
    }  # fmt: skip
    steps = (("stop", start + timedelta(days=1)), ("start", start + timedelta(days=1, hours=6)))
    for place, (action, moment) in enumerate(steps):
        key = number * 2 + place
        times = {"created_at": at(moment), "start_time": at(moment)}
        yield "nova.instance_actions", {"id": key, "instance_uuid": uuid, "action": action, **times}
        yield "nova.instance_actions_events", {
            "id": key, "action_id": key, "event": f"compute_{action}_instance", "result": "Success", "host": "ironic-1",
            "finish_time": at(moment), **times,
        }  # fmt: skip


def _use() -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    for place, month in enumerate(MONTHS):
        first = datetime(month.year, month.month, 1)
        for machine, project in ((1, PROJECTS[0]), (3, PROJECTS[1])):
            number += 1
            start, end = first + timedelta(days=2 + machine), first + timedelta(days=16, hours=5 * machine)
            key = f"l{number}"
            ahead = timedelta(days=place % 20, hours=1)
            yield from _lease(key, machine, start, end, project=project, ahead=ahead)
            stay = start + timedelta(hours=1), end - timedelta(hours=2)
            yield from _server(number, machine, *stay, project=project, reservation=f"r-{key}")
        if month.month == 5:
            start = first + timedelta(days=9)
            yield from _lease(
                f"m{place}", 2, start, start + timedelta(days=3), project=OPERATORS, ahead=timedelta(minutes=0)
            )
        if month.month % 3 == 0:
            start = first + timedelta(days=20)
            long = start + timedelta(days=15)  # into the next month
            yield from _server(5_000 + place, 5, start, long, project=PROJECTS[0], reservation=None)


def _legacy() -> Iterator[tuple[str, dict[str, Any]]]:
    """The caches of the machines above, two of three hours of a lease in use; they end in the middle of 2025."""
    day = date(2016, 1, 1)
    while day < date(2025, 7, 1):
        for node_type, machines in (("compute", 2), ("gpu", 1)):
            held = 24.0 if 4 < day.day < 17 else 0.0
            total = 24.0 * machines
            yield "chameleon_usage.node_usage_report_cache", {
                "date": f"{day} 00:00:00", "node_type": node_type, "maint_hours": 0.0, "reserved_hours": held / 3,
                "used_hours": held * 2 / 3, "idle_hours": total - held, "total_hours": total,
            }  # fmt: skip
            yield "chameleon_usage.node_count_cache", {"date": f"{day}", "node_type": node_type, "cnt": machines}
        day += timedelta(days=1)


def _names() -> Iterator[tuple[str, dict[str, Any]]]:
    for project in (*PROJECTS, OPERATORS):
        yield "keystone.project", {"id": project, "name": f"Project {project}"}


def make_site(folder: Path) -> OpenStackSite:
    """The databases, and the site that names them and says what they never knew."""
    data: dict[str, list[dict[str, Any]]] = {"nova.services": [], "blazar.instance_reservations": []}
    for part in (_machines(), _use(), _legacy(), _names()):
        for table, row in part:
            if table.replace(".", "_") in BY_NAME:
                data.setdefault(table, []).append(row)
    urls = make_sqlite(folder / "source", data)
    known = OpenStackSite.model_fields
    more: dict[str, Any] = {"maintenance": {"projects": [OPERATORS]}} if "maintenance" in known else {}
    return OpenStackSite.model_validate(
        {
            "kind": "openstack", "key": "decade", "name": "A decade", "first_month": "2016-01", **more,
            "databases": {name: url for name, url in urls.items() if name in get_args(Database)},
            "known_gaps": [{"source": "nova_compute_nodes", "to": f"{NOVA_SINCE}"},
                           {"source": "blazar_computehosts", "to": f"{BLAZAR_SINCE}"}],
        }
    )  # fmt: skip
