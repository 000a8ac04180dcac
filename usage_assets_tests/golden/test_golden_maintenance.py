"""Rule 8 on sites worked out by hand: leases for maintenance and what they take."""

import pytest

from usage_assets.kinds import OPENSTACK
from usage_assets_tests.golden.builder import Rows, make_site, spec_text
from usage_assets_tests.golden.worked import FEB, JAN, Worked, one_machine, one_metal

OPS = {"projects": ["ops"]}
SIZE = ("nodes", "vcpus", "vcpus_overcommit", "memory_mb", "disk_gb", "gpus")
HOSTS = "blazar_computehosts"


def _flavor(rows: Rows, host: str, start: str, end: str, resource_type: str, **more) -> tuple[str, str]:
    """A flavor of 12 vCPUs, 500 MB and 50 GB on a host for project ops; its reservation and allocation."""
    reservation = rows.reservation(rows.lease(start, start, end, project_id="ops"), resource_type)
    sizes = {"vcpus": 12, "memory_mb": 500, "disk_gb": 50}
    rows.instance_reservation(reservation, created_at=start, **(sizes | more))
    return reservation, rows.allocation(reservation, host, start)


@pytest.mark.parametrize(
    ("said", "lease"),
    [
        (OPS, {"project_id": "ops"}),
        ({"lease_name": "^maint-of-"}, {"name": "maint-of-rack7"}),
        ({"projects": ["other"], "lease_name": "rack[0-9]$"}, {"name": "maint-of-rack7"}),
    ],
)
def test_a_lease_of_a_project_or_name_for_maintenance_is_neither_committed_nor_reservable(said, lease):
    rows, host = one_metal(node_type="t", gpus=4)
    _, _, user = rows.booked(host, "2024-01-02", "2024-01-05")
    _, _, ops = rows.booked(host, "2024-01-10", "2024-01-20", **lease)
    site = Worked(rows, maintenance=said)
    assert site.kept("maintenance", "node", "node_type", *SIZE) == [
        (ops, "01-10", "01-20", "kept", "h", "t", 1.0, 48.0, 48.0, 2000.0, 200.0, 4.0)
    ]
    assert site.kept("committed") == [(user, "01-02", "01-05", "kept")]
    assert site.kept("reservable") == [("h", "01-01", "01-10", "clipped"), ("h", "01-20", "02-01", "clipped")]
    assert site.hours("total") == 744
    assert (site.hours("reservable"), site.hours("maintenance"), site.hours("committed")) == (504, 240, 72)
    assert (site.hours("ondemand_capacity"), site.hours("available_reservable"), site.hours("idle")) == (0, 432, 72)


@pytest.mark.parametrize("lease", [{"project_id": "p"}, {"name": "Maint-of-rack7"}, {"name": None}])
def test_other_leases_are_committed_as_before(lease):
    rows, host = one_metal()
    _, _, allocation = rows.booked(host, "2024-01-10", "2024-01-20", **lease)
    site = Worked(rows, maintenance=OPS | {"lease_name": "^maint-of-"})
    assert site.kept("committed") == [(allocation, "01-10", "01-20", "kept")]
    assert site.kept("reservable") == [("h", "01-01", "02-01", "kept")]
    assert (site.hours("maintenance"), site.hours("occupied_maintenance")) == (0, 0)


def test_a_site_that_names_no_maintenance_has_no_such_series_and_counts_those_leases():
    rows, host = one_metal()
    _, _, allocation = rows.booked(host, "2024-01-10", "2024-01-20", project_id="ops", name="maint-of-rack7")
    site = Worked(rows)
    assert site.kept("committed") == [(allocation, "01-10", "01-20", "kept")]
    assert site.hours("reservable") == 744
    assert {"maintenance", "occupied_maintenance"}.isdisjoint(site.usage.usage["metric"])


def test_series_of_a_site_that_names_maintenance_are_dense():
    rows, _ = one_metal(node_type="t")
    usage = Worked(rows, maintenance=OPS).usage.usage
    for metric in ("maintenance", "occupied_maintenance"):
        mine = usage.filter(metric=metric, resource="nodes", node_type="t")
        assert (mine.height, mine["value"].to_list()) == (31, [0.0] * 31)


def test_where_leases_overlap_the_latest_allocation_owns_the_time_for_maintenance_or_not():
    rows, host = one_metal()
    _, _, first = rows.booked(host, "2024-01-05", "2024-01-20", project_id="ops")
    _, _, user = rows.booked(host, "2024-01-08", "2024-01-12")
    _, _, last = rows.booked(host, "2024-01-10", "2024-01-11", project_id="ops")
    site = Worked(rows, maintenance=OPS)
    assert site.kept("maintenance") == [
        (first, "01-05", "01-08", "clipped"),
        (first, "01-12", "01-20", "clipped"),
        (last, "01-10", "01-11", "kept"),
    ]
    assert site.kept("committed") == [(user, "01-08", "01-10", "clipped"), (user, "01-11", "01-12", "clipped")]
    assert (site.hours("reservable"), site.hours("committed"), site.hours("available_reservable")) == (456, 72, 384)
    account = site.account("blazar_computehost_allocations", "committed")
    assert (account["hours_in"], account["hours_kept"], account["hours_clipped"]) == (480, 360, 120)


def test_a_host_wholly_in_maintenance_in_a_month_is_a_duplicate_there():
    rows, host = one_metal()
    rows.booked(host, "2023-12-20", "2024-02-10", project_id="ops")
    site = Worked(rows, [JAN, FEB], maintenance=OPS)
    assert site.kept("reservable") == [("h", "02-10", "03-01", "clipped")]
    assert site.rejected(HOSTS, "metric", "month") == [("h", "duplicate", "reservable", JAN)]
    assert site.account(HOSTS, "reservable", JAN) == {
        "rows_in": 1, "rows_kept": 0, "rows_rejected": 1, "rows_outside": 0,
        "hours_in": 744, "hours_kept": 0, "hours_clipped": 0, "hours_rejected": 744,
    }  # fmt: skip
    assert site.account(HOSTS, "reservable", FEB)["hours_clipped"] == 9 * 24


def test_a_server_booked_in_such_a_lease_is_occupied_maintenance_and_part_of_occupied():
    rows, host = one_metal()
    lease, reservation, _ = rows.booked(host, "2024-01-10", "2024-01-20", project_id="ops")
    server = rows.instance("h", "2024-01-08", "2024-01-15")
    rows.spec(server, spec_text([reservation]))
    late = rows.instance("h", "2024-01-25", "2024-01-26")
    rows.spec(late, spec_text([reservation]))
    site = Worked(rows, maintenance=OPS)
    assert site.kept("occupied_maintenance", "reservation_id", "lease_id", "project_id") == [
        (server, "01-10", "01-15", "clipped", reservation, lease, "p")
    ]
    assert site.kept("occupied_reservation") == []
    assert site.rejected("nova_instances", "metric") == [(late, "orphan", "occupied_maintenance")]
    assert (site.hours("occupied"), site.hours("occupied_maintenance"), site.hours("active")) == (120, 120, 120)
    assert (site.hours("maintenance"), site.hours("idle")) == (240, 0)


def test_a_user_whose_booking_maintenance_covers_still_counts_while_the_allocation_holds():
    rows, host = one_metal()
    _, reservation, user = rows.booked(host, "2024-01-05", "2024-01-20")
    _, _, ops = rows.booked(host, "2024-01-10", "2024-01-12", project_id="ops")
    server = rows.instance("h", "2024-01-05", "2024-01-20")
    rows.spec(server, spec_text([reservation]))
    site = Worked(rows, maintenance=OPS)
    assert site.kept("occupied_reservation") == [(server, "01-05", "01-20", "kept")]
    assert site.kept("maintenance") == [(ops, "01-10", "01-12", "kept")]
    assert [start for _, start, _, _ in site.kept("committed")] == ["01-05", "01-12"]
    assert user == site.kept("committed")[0][0]
    assert site.hours("idle") == -48


@pytest.mark.parametrize("resource_type", ["virtual:instance", "flavor:instance"])
def test_a_flavor_in_maintenance_takes_its_amounts_from_its_host(resource_type):
    rows = Rows()
    rows.compute_node("h", "2023-06-01", cpu_allocation_ratio=2.0)
    host = rows.computehost("h", "2023-06-01", node_type="t")
    _, one = _flavor(rows, host, "2024-01-10", "2024-01-20", resource_type)
    _, two = _flavor(rows, host, "2024-01-15", "2024-01-25", resource_type)
    site = Worked(rows, maintenance=OPS)
    assert site.kept("maintenance", *SIZE) == [
        (one, "01-10", "01-20", "kept", 0.25, 12.0, 12.0, 500.0, 50.0, None),
        (two, "01-15", "01-25", "kept", 0.25, 12.0, 12.0, 500.0, 50.0, None),
    ]
    assert site.kept("reservable", *SIZE) == [
        ("h", "01-01", "01-10", "kept", 1.0, 48.0, 96.0, 2000.0, 200.0, None),
        ("h", "01-10", "01-15", "kept", 0.75, 36.0, 84.0, 1500.0, 150.0, None),
        ("h", "01-15", "01-20", "kept", 0.5, 24.0, 72.0, 1000.0, 100.0, None),
        ("h", "01-20", "01-25", "kept", 0.75, 36.0, 84.0, 1500.0, 150.0, None),
        ("h", "01-25", "02-01", "kept", 1.0, 48.0, 96.0, 2000.0, 200.0, None),
    ]
    assert (site.hours("maintenance"), site.hours("reservable"), site.hours("ondemand_capacity")) == (120, 624, 0)
    assert site.account(HOSTS, "reservable")["hours_kept"] == 744


def test_flavors_in_maintenance_take_no_more_than_the_host_has():
    rows, host = one_machine()
    _flavor(rows, host, "2024-01-10", "2024-01-20", "flavor:instance", vcpus=60, memory_mb=1500, disk_gb=0)
    site = Worked(rows, maintenance=OPS)
    assert site.kept("reservable", *SIZE)[1] == ("h", "01-10", "01-20", "kept", 0, 0, 0, 500.0, 200.0, None)
    assert site.hours("maintenance") == 240 * 60 / 48


def test_a_flavor_that_nobody_describes_takes_nothing():
    rows, host = one_machine()
    lease = rows.lease("2024-01-10", "2024-01-10", "2024-01-20", project_id="ops")
    allocation = rows.allocation(rows.reservation(lease, "flavor:instance"), host, "2024-01-10")
    site = Worked(rows, maintenance=OPS)
    assert site.kept("maintenance", *SIZE) == [(allocation, "01-10", "01-20", "kept", *(None,) * 6)]
    assert site.kept("reservable", "nodes") == [("h", "01-01", "02-01", "kept", 1.0)]


def test_devices_in_maintenance_are_not_reservable_and_containers_in_them_are_occupied_maintenance():
    rows = Rows()
    one, two = (rows.device(name, "2023-06-01", id=name, machine_name="pi") for name in ("pi-1", "pi-2"))
    reservation = rows.reservation(rows.lease("2024-01-10", "2024-01-10", "2024-01-20", project_id="ops"), "device")
    held = rows.device_allocation(reservation, one, "2024-01-10")
    always = rows.reservation(rows.lease("2023-12-01", "2023-12-01", "2024-03-01", project_id="ops"), "device")
    rows.device_allocation(always, two, "2023-12-01")
    container = rows.container("2024-01-12", "2024-01-15", reservation, host="pi-1")
    site = Worked(rows, databases=("blazar", "zun"), maintenance=OPS)
    assert (held, "01-10", "01-20", "kept", 1.0) in site.kept("maintenance", "devices")
    assert site.kept("reservable") == [("pi-1", "01-01", "01-10", "clipped"), ("pi-1", "01-20", "02-01", "clipped")]
    assert site.rejected("blazar_devices") == [("pi-2", "duplicate")]
    assert site.kept("occupied_maintenance", "node_type") == [(container, "01-12", "01-15", "kept", "pi")]
    assert site.hours("total", "devices") == 2 * 744
    assert site.hours("reservable", "devices") == 504
    assert site.hours("maintenance", "devices") == 240 + 744
    assert (site.hours("ondemand_capacity", "devices"), site.hours("occupied", "devices")) == (0, 72)


def test_what_reservable_is_made_of_includes_leases_only_where_maintenance_is_named():
    rows, _ = one_metal()
    gap = [{"source": "blazar_leases", "to": "2024-01-05"}]
    with_it, without = Worked(rows, known_gaps=gap, maintenance=OPS), Worked(rows, known_gaps=gap)
    assert with_it.hours("reservable") == 27 * 24
    assert without.hours("reservable") == 744


def test_reservable_waits_for_leases_only_where_maintenance_is_named():
    (reservable,) = (fact for fact in OPENSTACK.facts if fact.name == "reservable")
    plain, maintained = make_site(), make_site(maintenance=OPS)
    assert "openstack/raw/blazar_leases" not in OPENSTACK.inputs(plain, reservable)
    assert "openstack/raw/blazar_leases" in OPENSTACK.inputs(maintained, reservable)
