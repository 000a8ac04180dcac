"""Rule 7 on sites worked out by hand: edge devices and the containers on them."""

from usage_assets_tests.golden.builder import Rows
from usage_assets_tests.golden.worked import Worked

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
        (runs, "01-20", "02-01", "kept", "pi", 1.0),
        (failed, "01-25", "01-26", "kept", "pi", 1.0),
    ]
    assert site.hours("occupied", "devices") == 48 + 288 + 24


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
