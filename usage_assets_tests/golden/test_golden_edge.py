"""Rule 7 on sites worked out by hand: edge devices and the containers on them."""

import polars as pl

from usage_assets.checks.usage import conservation
from usage_assets.warehouse import Warehouse
from usage_assets_tests.golden.builder import Row, Rows
from usage_assets_tests.golden.stored import store
from usage_assets_tests.golden.worked import FEB, JAN, Worked

EDGE = ("blazar", "zun")


def _device(**more) -> tuple[Rows, str]:
    rows = Rows()
    return rows, rows.device("pi-1", "2023-06-01", id="d", **more)


def _booked(rows: Rows, device: str | None, start: str, end: str) -> tuple[str, str]:
    reservation = rows.reservation(rows.lease(start, start, end), "device")
    return reservation, rows.device_allocation(reservation, device, start)


def test_every_device_is_one_of_its_machine_name_else_of_its_device_type():
    rows, _ = _device(machine_name="raspberrypi4-64")
    rows.device("vm-1", "2024-01-10", "2024-01-20", id="e", device_type="vm", reservable=False)
    site = Worked(rows, databases=EDGE)
    assert site.kept("total", "node", "node_type", "devices", "nodes") == [
        ("d", "01-01", "02-01", "kept", "pi-1", "raspberrypi4-64", 1.0, None),
        ("e", "01-10", "01-20", "kept", "vm-1", "vm", 1.0, None),
    ]
    assert site.kept("reservable") == [("d", "01-01", "02-01", "kept")]
    assert site.hours("total", "devices") == 744 + 240
    assert site.hours("ondemand_capacity", "devices") == 240


def test_a_device_is_committed_once_while_it_is_reservable():
    rows = Rows()
    device = rows.device("pi-1", "2024-01-08", "2024-01-18")
    other = rows.device("pi-2", "2023-06-01", reservable=False)
    _, first = _booked(rows, device, "2024-01-05", "2024-01-20")
    _, second = _booked(rows, device, "2024-01-10", "2024-01-12")
    _, never = _booked(rows, other, "2024-01-10", "2024-01-12")
    _, nowhere = _booked(rows, "no such device", "2024-01-10", "2024-01-12")
    site = Worked(rows, databases=EDGE)
    assert site.kept("committed", "devices") == [
        (first, "01-08", "01-10", "clipped", 1.0),
        (first, "01-12", "01-18", "clipped", 1.0),
        (second, "01-10", "01-12", "kept", 1.0),
    ]
    assert site.hours("committed", "devices") == 240
    assert site.rejected("blazar_device_allocations") == [(never, "orphan"), (nowhere, "unknown_host")]


def test_a_container_occupies_from_started_at_to_its_end_and_ends_only_when_it_is_over():
    rows, _ = _device(machine_name="pi")
    done = rows.container("2024-01-10", "2024-01-12", host="pi-1", annotations="{}")
    runs = rows.container("2024-01-20", host="pi-1", annotations="{}", updated_at="2024-01-21")
    failed = rows.container("2024-01-25", "2024-01-26", host="pi-1", annotations="{}", status="Error")
    site = Worked(rows, databases=EDGE)
    assert site.kept("occupied_ondemand", "node_type", "devices") == [
        (done, "01-10", "01-12", "kept", "pi", 1.0),
        (runs, "01-20", "01-25", "clipped", "pi", 1.0),
        (runs, "01-26", "02-01", "clipped", "pi", 1.0),
        (failed, "01-25", "01-26", "kept", "pi", 1.0),
    ]
    assert site.hours("occupied", "devices") == 48 + 288


def test_a_container_that_starts_at_or_after_its_end_has_a_bad_time():
    rows, _ = _device()
    one = rows.container("2024-01-10", "2024-01-10", annotations="{}")
    two = rows.container("2024-01-10", "2024-01-05", annotations="{}", created_at="2024-01-04")
    site = Worked(rows, databases=EDGE)
    assert site.rejected("zun_container") == [(one, "bad_time"), (two, "bad_time")]
    assert site.hours("occupied", "devices") == 0


def test_a_container_that_never_started_holds_nothing():
    rows, _ = _device()
    one = rows.container("2024-01-10", started_at=None, annotations="{}")
    site = Worked(rows, databases=EDGE)
    assert site.rejected("zun_container") == [(one, "never_launched")]
    assert site.account("zun_container", "occupied")["hours_in"] == 0


def test_a_container_of_a_reservation_is_clipped_to_the_time_that_holds_its_device():
    rows, device = _device(machine_name="pi")
    reservation, _ = _booked(rows, device, "2024-01-10", "2024-01-20")
    one = rows.container("2024-01-05", "2024-01-15", reservation, host="pi-1")
    late = rows.container("2024-01-21", "2024-01-25", reservation, host="pi-1")
    site = Worked(rows, databases=EDGE)
    assert site.kept("occupied_reservation", "reservation_id") == [(one, "01-10", "01-15", "clipped", reservation)]
    assert site.rejected("zun_container") == [(late, "orphan")]
    assert site.hours("idle", "devices") == 120


def test_a_container_whose_host_is_no_device_is_on_the_device_of_its_reservation():
    rows, device = _device(machine_name="pi")
    reservation, _ = _booked(rows, device, "2024-01-10", "2024-01-20")
    one = rows.container("2024-01-12", "2024-01-15", reservation, host="some worker")
    site = Worked(rows, databases=EDGE)
    assert site.kept("occupied_reservation", "node", "node_type") == [(one, "01-12", "01-15", "kept", "pi-1", "pi")]
    assert site.hours("idle", "devices", "pi") == 240 - 72


def test_a_device_is_occupied_once_and_the_latest_created_container_owns_the_time():
    rows, device = _device(machine_name="pi")
    reservation, _ = _booked(rows, device, "2024-01-02", "2024-01-12")
    first = rows.container("2024-01-03", "2024-01-07", reservation, host="pi-1")
    second = rows.container("2024-01-05", "2024-01-09", reservation, host="pi-1")
    within = rows.container("2024-01-06", "2024-01-07", reservation, host="pi-1", created_at="2024-01-02")
    site = Worked(rows, databases=EDGE)
    assert site.kept("occupied_reservation", "node", "devices") == [
        (first, "01-03", "01-05", "clipped", "pi-1", 1.0),
        (second, "01-05", "01-09", "kept", "pi-1", 1.0),
    ]
    assert site.rejected("zun_container") == [(within, "duplicate")]
    assert [site.hours(metric, "devices") for metric in ("occupied", "active", "idle")] == [144, 144, 240 - 144]
    account = site.account("zun_container", "occupied")
    assert [account[f"hours_{name}"] for name in ("in", "kept", "clipped", "rejected")] == [96 + 96 + 24, 144, 48, 24]


def test_containers_created_at_once_are_told_apart_by_their_uuid():
    rows, _ = _device()
    for name in ("b", "c", "a"):
        rows.container("2024-01-10", "2024-01-12", host="pi-1", annotations="{}", uuid=name)
    site = Worked(rows, databases=EDGE)
    assert site.kept("occupied_ondemand") == [("c", "01-10", "01-12", "kept")]


def test_a_capsule_and_its_members_are_one_holder_booked_as_the_capsule_is():
    rows, device = _device(machine_name="pi")
    reservation, _ = _booked(rows, device, "2024-01-02", "2024-01-12")
    rows.container("2024-01-03", "2024-01-05", reservation, host="pi-1", uuid="capsule", id=1, container_type=1)
    for name, note in (("one", None), ("two", "{}")):
        member: Row = {"uuid": name, "capsule_id": 1, "container_type": 2, "created_at": "2024-01-04"}
        rows.container("2024-01-03", "2024-01-06", host="pi-1", annotations=note, **member)
    site = Worked(rows, databases=EDGE)
    assert site.kept("occupied_reservation") == [
        ("capsule", "01-03", "01-05", "kept"),
        ("two", "01-05", "01-06", "clipped"),
    ]
    assert site.rejected("zun_container") == [("one", "duplicate")]
    assert site.hours("occupied", "devices") == 72


def test_members_of_a_capsule_on_no_known_device_hold_one_and_other_containers_there_one_more():
    rows, _ = _device()
    rows.container("2024-01-03", "2024-01-05", annotations="{}", uuid="capsule", id=1, container_type=1)
    rows.container("2024-01-03", "2024-01-05", annotations="{}", uuid="member", capsule_id=1, container_type=2)
    rows.container("2024-01-03", "2024-01-05", annotations="{}", uuid="other")
    for name, host in (("x", "Worker"), ("y", "worker")):
        rows.container("2024-01-03", "2024-01-05", annotations="{}", uuid=name, host=host)
    site = Worked(rows, databases=EDGE)
    assert [row[0] for row in site.kept("occupied_ondemand")] == ["capsule", "other", "y"]
    assert site.hours("occupied", "devices", "unknown") == 3 * 48


def test_a_device_is_its_id_whether_it_has_a_name_or_not():
    rows = Rows()
    rows.device(None, "2023-06-01", id="d1")
    reservation, allocation = _booked(rows, "d1", "2024-01-02", "2024-01-12")
    one = rows.container("2024-01-03", "2024-01-05", reservation, host="pi-1")
    site = Worked(rows, databases=EDGE)
    assert site.kept("committed", "node") == [(allocation, "01-02", "01-12", "kept", "d1")]
    assert site.kept("occupied_reservation", "node") == [(one, "01-03", "01-05", "kept", "d1")]
    assert site.kept("total", "node", "devices") == [("d1", "01-01", "02-01", "kept", "d1", 1.0)]
    assert site.hours("committed", "devices") == 240


def test_a_name_that_was_given_again_means_the_device_that_has_it_at_the_time():
    rows, _ = _device(machine_name="pi", deleted="2024-01-10")
    rows.device("PI-1", "2024-01-20", id="e", machine_name="nano")
    one = rows.container("2024-01-05", "2024-01-25", host="pi-1", annotations="{}")
    site = Worked(rows, databases=EDGE)
    assert site.kept("occupied_ondemand", "node", "node_type") == [
        (one, "01-05", "01-20", "kept", "pi-1", "pi"),
        (one, "01-20", "01-25", "kept", "PI-1", "nano"),
    ]


def test_devices_count_beside_machines_without_zun_and_nobody_knows_who_holds_them(warehouse: Warehouse):
    rows, device = _device(machine_name="pi")
    _booked(rows, device, "2024-01-10", "2024-01-11")
    rows.compute_node("h", "2023-06-01")
    rows.instance("h", "2024-01-10", "2024-01-20")
    databases = ("nova", "nova_cell0", "nova_api", "blazar")
    site = Worked(rows, databases=databases)
    hours = {metric: site.hours(metric, "devices") for metric in ("total", "reservable", "committed")}
    assert hours == {"total": 744, "reservable": 744, "committed": 24}
    assert [site.hours(metric) for metric in ("total", "occupied")] == [744, 24]
    held = site.usage.usage.filter(
        pl.col("resource") == "devices", pl.col("metric").is_in(["occupied", "active", "idle"])
    )
    assert held["value"].null_count() == held.height > 0
    window = store(warehouse, rows, site.site, [JAN, FEB])
    with warehouse.read() as reader:
        found = conservation(reader, site.site, window)
    assert all(finding.passed for finding in found.values()), found


def test_a_cloud_of_machines_alone_has_no_devices_in_months_without_any():
    rows = Rows()
    rows.device("pi-1", "2024-02-10", id="d")
    rows.compute_node("h", "2023-06-01")
    usage = Worked(rows, months=(JAN, FEB), databases=("nova", "blazar")).usage
    for frame in (usage.usage, usage.steps):
        assert frame.filter(resource="devices")["month"].unique().to_list() == [FEB]
