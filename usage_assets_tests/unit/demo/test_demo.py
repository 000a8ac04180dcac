"""Contract of the made sites: the same arguments give the same rows, and nothing is odd but what is odd on purpose."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from usage_assets.demo import Scale, make_site
from usage_assets.demo.openstack.rows import MAINTENANCE_PROJECT, Tally, instant, text
from usage_assets.demo.openstack.schema import COLUMNS, column_names
from usage_assets.kinds.openstack.facts.inventory import read_inventory
from usage_assets.kinds.site_files import load_site
from usage_assets_tests import ROOT

SMALL = Scale(machines=0.12)
METAL_UNTIL = datetime(2016, 6, 15, tzinfo=UTC)
KVM_UNTIL = datetime(2024, 2, 15, tzinfo=UTC)

OVERLAPPING_COMMITMENTS = """
    WITH committed AS (
        SELECT a.id, h.hypervisor_hostname, max(l.start_date, l.created_at, a.created_at) AS start_at,
               min(l.end_date, coalesce(nullif(l.deleted_at, '0000-00-00 00:00:00'), '9999'),
                   coalesce(a.deleted_at, '9999')) AS end_at
        FROM computehost_allocations a
        JOIN reservations r ON r.id = a.reservation_id AND r.resource_type = 'physical:host'
        JOIN leases l ON l.id = r.lease_id
        JOIN computehosts h ON h.id = a.compute_host_id
    )
    SELECT one.hypervisor_hostname, max(one.start_at, other.start_at), min(one.end_at, other.end_at)
    FROM committed one JOIN committed other USING (hypervisor_hostname)
    WHERE one.id < other.id AND one.start_at < one.end_at AND other.start_at < other.end_at
      AND one.start_at < other.end_at AND other.start_at < one.end_at
    ORDER BY 2
"""


@pytest.fixture(scope="module")
def metal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "metal"
    make_site("demo_metal", folder, until=METAL_UNTIL, scale=SMALL)
    return folder


@pytest.fixture(scope="module")
def kvm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "kvm"
    make_site("demo_kvm", folder, until=KVM_UNTIL, scale=SMALL)
    return folder


def rows(folder: Path, database: str, query: str, *values: object) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(folder / f"{database}.db")
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def count(folder: Path, table: str, where: str = "1") -> int:
    database, _, name = table.partition(".")
    return rows(folder, database, f"SELECT count(*) FROM {name} WHERE {where}")[0][0]  # type: ignore[return-value]


def dump(folder: Path) -> dict[str, list[str]]:
    return {file.name: list(sqlite3.connect(file).iterdump()) for file in sorted(folder.glob("*.db"))}


def test_an_instant_is_written_as_utc_text() -> None:
    assert text(instant(2016, 2, 29, 13)) == "2016-02-29 13:00:00"


def test_a_tally_adds_up_to_its_rate() -> None:
    tally = Tally(0.25)
    assert [tally.next() for _ in range(8)] == [0, 0, 0, 1, 0, 0, 0, 1]


def test_every_table_has_its_columns(metal: Path) -> None:
    for table in COLUMNS:
        database, _, name = table.partition(".")
        found = rows(metal, database, "SELECT name FROM pragma_table_info(?)", name)
        assert tuple(column for (column,) in found) == column_names(table)


def test_row_counts_are_those_of_the_files(tmp_path: Path) -> None:
    counts = make_site("demo_metal", tmp_path / "site", until=datetime(2016, 2, 1, tzinfo=UTC), scale=SMALL)
    assert counts == {table: count(tmp_path / "site", table) for table in COLUMNS}
    assert list(tmp_path.iterdir()) == [tmp_path / "site"]


def test_the_same_arguments_give_the_same_rows(tmp_path: Path, metal: Path) -> None:
    make_site("demo_metal", tmp_path / "again", until=METAL_UNTIL, scale=SMALL)
    assert dump(tmp_path / "again") == dump(metal)


def test_another_seed_gives_other_rows(tmp_path: Path, metal: Path) -> None:
    make_site("demo_metal", tmp_path / "other", until=METAL_UNTIL, scale=SMALL, seed=2)
    assert dump(tmp_path / "other")["blazar.db"] != dump(metal)["blazar.db"]


@pytest.mark.parametrize("table", ["blazar.leases", "nova.instances", "blazar.computehost_allocations"])
def test_a_later_until_leaves_closed_rows_as_they_were(tmp_path: Path, metal: Path, table: str) -> None:
    make_site("demo_metal", tmp_path / "shorter", until=datetime(2016, 5, 2, tzinfo=UTC), scale=SMALL)
    database, _, name = table.partition(".")
    query = f"SELECT * FROM {name} WHERE deleted_at IS NOT NULL AND deleted_at < '2016-05-01' ORDER BY id"
    longer = {row[3]: row for row in rows(metal, database, query)}
    shorter = {row[3]: row for row in rows(tmp_path / "shorter", database, query)}
    changed = {key for key in shorter if longer.get(key) != shorter[key]}
    assert shorter
    assert not changed


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        make_site("demo_metal", tmp_path, until=datetime(2016, 2, 1, tzinfo=UTC), scale=SMALL)


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="demo_metal, demo_kvm, demo_edge"):
        make_site("demo_moon", tmp_path / "site", until=METAL_UNTIL)


def test_only_the_deliberate_double_bookings_exist(metal: Path) -> None:
    overlaps = rows(metal, "blazar", OVERLAPPING_COMMITMENTS)
    assert [(start, end) for _, start, end in overlaps] == [
        ("2016-04-03 00:00:00", "2016-04-04 00:00:00"),  # two leases of a machine
        ("2016-04-09 00:00:00", "2016-04-13 00:00:00"),  # a lease of both Blazar hosts of a machine
    ]


def test_satellites_are_orphans_only_on_purpose(metal: Path) -> None:
    assert count(metal, "blazar.reservations", "lease_id NOT IN (SELECT id FROM leases)") == 1
    orphans = "reservation_id NOT IN (SELECT id FROM reservations)"
    assert count(metal, "blazar.computehost_allocations", orphans) == 1


def test_machines_lose_gain_and_share_rows(metal: Path) -> None:
    pairs = rows(
        metal,
        "nova",
        "SELECT julianday(later.created_at) - julianday(first.deleted_at) FROM compute_nodes first "
        "JOIN compute_nodes later USING (hypervisor_hostname) WHERE first.id < later.id ORDER BY 1",
    )
    assert [round(days) for (days,) in pairs] == [-3, 0, 0, 2]  # type: ignore[call-overload]
    twice = rows(
        metal,
        "blazar",
        "SELECT count(*) FROM computehosts a JOIN computehosts b USING (hypervisor_hostname) "
        "WHERE a.id <> b.id AND a.created_at < b.created_at AND b.created_at < a.deleted_at",
    )
    assert twice == [(1,)]


@pytest.mark.parametrize(
    ("table", "where", "expected"),
    [
        ("nova.instances", "hidden = 1", 1),
        ("nova.instances", "created_at IS NULL", 1),
        ("nova.instances", "terminated_at = '0000-00-00 00:00:00'", 1),
        ("nova.instances", "deleted_at = '0000-00-00 00:00:00'", 1),
        ("nova.instances", "terminated_at < created_at AND terminated_at > '1000-01-01'", 1),
        ("nova.shadow_instances", "1", 1),
        ("nova_cell0.instances", "launched_at IS NULL", 1),
        ("nova_api.request_specs", "NOT json_valid(spec)", 1),
        ("blazar.leases", "deleted_at = '0000-00-00 00:00:00'", 1),
    ],
)
def test_irregular_rows_are_there(metal: Path, table: str, where: str, expected: int) -> None:
    assert count(metal, table, where) == expected


def test_deleting_an_ended_lease_overwrites_the_end_of_its_allocation(metal: Path) -> None:
    found = rows(
        metal,
        "blazar",
        "SELECT l.end_date, a.deleted_at FROM leases l JOIN reservations r ON r.lease_id = l.id "
        "JOIN computehost_allocations a ON a.reservation_id = r.id WHERE a.deleted_at > datetime(l.end_date, '1 hour')",
    )
    assert found == [("2016-04-17 00:00:00", "2016-04-25 00:00:00")]


def test_request_specs_name_the_reservation_in_a_list_and_once_as_text(metal: Path) -> None:
    specs = rows(metal, "nova_api", "SELECT spec FROM request_specs WHERE json_valid(spec)")
    hints = [json.loads(str(spec))["nova_object.data"]["scheduler_hints"]["reservation"] for (spec,) in specs]
    assert sum(isinstance(hint, str) for hint in hints) == 1
    assert all(700 < len(str(spec)) < 1500 for (spec,) in specs)


def test_servers_stay_inside_their_leases_but_for_one(metal: Path) -> None:
    leases = {
        reservation: (start, end)
        for reservation, start, end in rows(
            metal,
            "blazar",
            "SELECT r.id, l.start_date, min(l.end_date, coalesce(nullif(l.deleted_at, '0000-00-00 00:00:00'), '9999')) "
            "FROM reservations r JOIN leases l ON l.id = r.lease_id",
        )
    }
    hints = {}
    for uuid, spec in rows(metal, "nova_api", "SELECT instance_uuid, spec FROM request_specs WHERE json_valid(spec)"):
        hint = json.loads(str(spec))["nova_object.data"]["scheduler_hints"]["reservation"]
        hints[uuid] = hint if isinstance(hint, str) else hint[0]
    query = "SELECT uuid, created_at, terminated_at FROM instances WHERE terminated_at > created_at"
    outside = [
        (start, end)
        for uuid, start, end in rows(metal, "nova", query)
        if uuid in hints and not leases[hints[uuid]][0] <= start <= end <= leases[hints[uuid]][1]  # type: ignore[operator]
    ]
    assert [(str(start)[:10], str(end)[:10]) for start, end in outside] == [("2016-04-19", "2016-04-23")]


def test_kvm_servers_fit_on_their_hypervisors(kvm: Path) -> None:
    changes = rows(
        kvm,
        "nova",
        "SELECT node, at, sum(vcpus) FROM ("
        "SELECT node, created_at AS at, vcpus FROM instances WHERE node IS NOT NULL AND terminated_at > created_at "
        "UNION ALL SELECT node, terminated_at, -vcpus FROM instances WHERE node IS NOT NULL "
        "AND terminated_at > created_at) GROUP BY node, at ORDER BY node, at",
    )
    used: dict[object, int] = {}
    for node, _, change in changes:
        used[node] = used.get(node, 0) + int(str(change))
        assert used[node] <= 96 * 2


def test_reserved_flavors_fit_on_the_hypervisors_in_blazar(kvm: Path) -> None:
    changes = rows(
        kvm,
        "blazar",
        "WITH held AS (SELECT a.compute_host_id AS host, i.vcpus, max(l.start_date, l.created_at) AS start_at, "
        "l.end_date AS end_at FROM computehost_allocations a JOIN reservations r ON r.id = a.reservation_id "
        "JOIN leases l ON l.id = r.lease_id JOIN instance_reservations i ON i.reservation_id = r.id) "
        "SELECT host, at, sum(change) FROM (SELECT host, start_at AS at, vcpus AS change FROM held "
        "UNION ALL SELECT host, end_at, -vcpus FROM held) GROUP BY host, at ORDER BY host, at",
    )
    assert changes
    used: dict[object, int] = {}
    for host, _, change in changes:
        used[host] = used.get(host, 0) + int(str(change))
        assert 0 <= used[host] <= 96


def test_servers_of_a_reserved_flavor_name_their_reservation(kvm: Path) -> None:
    known = {key for (key,) in rows(kvm, "blazar", "SELECT flavor_id FROM instance_reservations")}
    types = {kind for (kind,) in rows(kvm, "blazar", "SELECT resource_type FROM reservations")}
    specs = rows(kvm, "nova_api", "SELECT spec FROM request_specs WHERE json_valid(spec)")
    flavors = [json.loads(str(spec))["nova_object.data"]["flavor"]["nova_object.data"] for (spec,) in specs]
    reserved = [flavor for flavor in flavors if flavor["name"].startswith("reservation:")]
    assert types == {"virtual:instance", "flavor:instance"}
    assert {flavor["flavorid"] for flavor in reserved} <= known
    assert all(f["extra_specs"]["aggregate_instance_extra_specs:reservation"] == f["flavorid"] for f in reserved)
    assert any(flavor["extra_specs"].get("pci_passthrough:alias") == "a100:1" for flavor in flavors)


def test_some_kvm_servers_are_nowhere(kvm: Path) -> None:
    assert count(kvm, "nova.instances", "vm_state = 'shelved_offloaded' AND node IS NULL") > 0
    assert count(kvm, "nova_cell0.instances") > 0


def test_maintenance_leases_have_the_name_and_the_project_of_the_operators(metal: Path) -> None:
    named = rows(metal, "blazar", "SELECT project_id FROM leases WHERE name LIKE 'maint-of-%-by-%-for-%'")
    assert {project for (project,) in named} == {MAINTENANCE_PROJECT}
    assert rows(metal, "keystone", "SELECT name FROM project WHERE id = ?", MAINTENANCE_PROJECT) == [("maintenance",)]


def test_servers_that_are_not_running_say_so(metal: Path) -> None:
    states = {state for (state,) in rows(metal, "nova", "SELECT DISTINCT vm_state FROM instances")}
    assert {"active", "stopped", "deleted"} <= states
    last = rows(
        metal,
        "nova",
        "SELECT i.vm_state, a.action FROM instances i JOIN instance_actions a ON a.instance_uuid = i.uuid "
        "WHERE i.vm_state <> 'deleted' AND a.action IN ('create', 'start', 'stop') "
        "GROUP BY i.uuid HAVING a.start_time = max(a.start_time)",
    )
    assert all(action == "stop" for state, action in last if state == "stopped")


def test_every_fate_of_a_lease_is_there(tmp_path: Path) -> None:
    make_site("demo_metal", tmp_path / "site", until=datetime(2018, 1, 1, tzinfo=UTC), scale=SMALL)
    leases = {status for (status,) in rows(tmp_path / "site", "blazar", "SELECT DISTINCT status FROM leases")}
    assert leases >= {"PENDING", "ACTIVE", "TERMINATED", "ERROR", "CREATING"}
    starts = rows(
        tmp_path / "site",
        "blazar",
        "SELECT status, julianday(updated_at) - julianday(time) > 0.01 FROM events WHERE event_type = 'start_lease'",
    )
    assert {("DONE", 0), ("DONE", 1), ("ERROR", 0), ("UNDONE", None)} <= set(starts)


def test_legacy_hours_add_up_to_their_total(metal: Path) -> None:
    query = "SELECT maint_hours, reserved_hours, used_hours, idle_hours, total_hours FROM node_usage_report_cache"
    found = rows(metal, "chameleon_usage", query)
    assert found
    hours: list[tuple[float, ...]] = [tuple(map(float, row)) for row in found]  # type: ignore[arg-type]
    assert all(sum(row[:4]) == pytest.approx(row[4]) for row in hours)
    assert all(part >= 0 for row in hours for part in row)


def test_a_site_of_devices_has_no_nova(tmp_path: Path) -> None:
    folder = tmp_path / "edge"
    make_site("demo_edge", folder, until=datetime(2024, 6, 1, tzinfo=UTC))
    assert count(folder, "nova.compute_nodes") == 0
    assert count(folder, "blazar.computehost_allocations") == 0
    held = "SELECT id FROM device_allocations WHERE device_id NOT IN (SELECT id FROM devices)"
    assert rows(folder, "blazar", held) == []
    reservations = {key for (key,) in rows(folder, "blazar", "SELECT id FROM reservations")}
    named = rows(folder, "zun", "SELECT annotations FROM container WHERE annotations IS NOT NULL")
    assert {json.loads(str(text))["zun.openstack.org/reservation_id"] for (text,) in named} <= reservations
    assert count(folder, "zun.container", "status = 'Running' AND started_at IS NOT NULL") > 0


def test_the_inventory_knows_every_machine_and_two_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "demo" / "demo_metal"
    make_site("demo_metal", folder, until=datetime(2025, 3, 1, tzinfo=UTC), scale=SMALL)
    monkeypatch.setenv("USAGE_DATA", str(tmp_path))
    site = load_site(ROOT / "sites" / "demo_metal.yaml")
    (path,) = site.files
    listed = set(read_inventory(site.key, path)["hostname"])
    known = {name for (name,) in rows(folder, "nova", "SELECT hypervisor_hostname FROM compute_nodes")}
    assert path == folder / "inventory.csv"
    assert listed - known == {"zen3-spare-1", "zen3-spare-2"}
    assert known <= listed
