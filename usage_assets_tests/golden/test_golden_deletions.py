"""Rows held as deleted without a date, on sites worked out by hand: they end, or are rejected, and are never open."""

import pytest

from usage_assets_tests.golden.builder import ZERO, Rows
from usage_assets_tests.golden.worked import FEB, JAN, Worked, one_machine
from usage_assets_tests.golden.worked_leases import WorkedLeases

SERVERS, ALLOCATIONS = "nova_instances", "blazar_computehost_allocations"
CHANGED = {"updated_at": "2024-01-05", "marked": True}


def test_what_a_production_cloud_wrote_of_its_reporting_ends_with_the_last_change():
    rows = Rows()
    rows.compute_node("h1", "2023-06-01")
    rows.compute_node("h2", "2023-06-01", marked=True, updated_at="2023-12-10")
    for date in (None, ZERO):
        server = rows.instance("h1", "2024-01-02", vcpus=2, vm_state="deleted", **CHANGED)
        rows.tables[SERVERS][-1]["deleted_at"] = date
        rows.spec(server)
    site = Worked(rows, [JAN, FEB])
    assert site.hours("occupied", "vcpus") == 2 * 144
    assert site.hours("total") == 744 + 696
    assert site.rejected(SERVERS) == []


@pytest.mark.parametrize(
    ("more", "event", "end"),
    [
        ({"terminated_at": "2024-01-04"}, None, "01-04"),
        ({"terminated_at": "2024-01-08"}, None, "01-08"),
        ({}, "2024-01-03", "01-03"),
        ({}, "2024-01-09", "01-09"),
        ({"terminated_at": "2024-01-08"}, "2024-01-07", "01-07"),
        ({"terminated_at": "2024-01-08", "gone_at": "2024-01-06"}, None, "01-06"),
        ({"deleted_at": "2024-01-20"}, None, "01-20"),
        ({"updated_at": None}, "2024-01-09", "01-09"),
    ],
)
def test_a_server_ends_when_it_was_terminated_else_with_its_last_change(more, event, end):
    rows, _ = one_machine()
    server = rows.instance("h", "2024-01-02", **(CHANGED | more))
    if event is not None:
        rows.event(server, "compute_terminate_instance", event)
    assert Worked(rows).kept("occupied_unknown") == [(server, "01-02", end, "kept")]


def test_a_server_deleted_nobody_knows_when_is_rejected_in_the_month_of_its_creation():
    rows, _ = one_machine()
    server = rows.instance("h", "2024-01-02", marked=True)
    failed = rows.instance("h", "2024-01-02", vm_state="deleted")
    rows.event(failed, "compute_terminate_instance", "2024-01-05", "Error")
    site = Worked(rows, [JAN, FEB])
    assert site.kept("occupied_unknown") == []
    assert site.rejected(SERVERS, "month", "start_at", "end_at") == [
        (server, "bad_time", JAN, None, None),
        (failed, "bad_time", JAN, None, None),
    ]
    account = site.account(SERVERS, "occupied")
    assert (account["rows_rejected"], account["hours_in"]) == (2, 0)


def test_months_that_were_read_before_the_mark_count_by_their_dates():
    rows, _ = one_machine()
    server = rows.instance("h", "2024-01-02", marked=None, vm_state="deleted", updated_at="2024-01-05")
    assert Worked(rows).kept("occupied_unknown") == [(server, "01-02", "02-01", "kept")]


@pytest.mark.parametrize(("state", "deleted", "end"), [("soft-delete", False, "02-01"), ("soft-delete", True, "01-10")])
def test_a_soft_deleted_server_still_occupies_until_it_is_deleted(state, deleted, end):
    rows, _ = one_machine()
    more = {"vm_state": state, "marked": deleted, "deleted_at": "2024-01-10", "updated_at": "2024-01-12"}
    server = rows.instance("h", "2024-01-02", **more)
    site = Worked(rows)
    assert site.kept("occupied_unknown") == [(server, "01-02", end, "kept")]
    assert site.kept("active") == [(server, "01-02", "01-10", "kept" if deleted else "clipped")]


def test_a_host_of_blazar_a_lease_and_an_allocation_end_with_their_last_change():
    rows = Rows()
    for name in ("a", "b", "c"):
        rows.compute_node(name, "2023-06-01")
    gone = rows.computehost("a", "2023-06-01", marked=True, updated_at="2024-01-12")
    host, other = rows.computehost("b", "2023-06-01"), rows.computehost("c", "2023-06-01")
    lease = rows.lease("2024-01-02", "2024-01-02", "2024-01-20")
    reservation = rows.reservation(lease)
    first = rows.allocation(reservation, gone, "2024-01-02")
    second = rows.allocation(reservation, host, "2024-01-02", marked=True, updated_at="2024-01-08")
    ended = rows.lease("2024-01-02", "2024-01-02", "2024-01-20", **CHANGED)
    third = rows.allocation(rows.reservation(ended), other, "2024-01-02")
    site = Worked(rows)
    assert site.kept("committed") == [
        (first, "01-02", "01-12", "clipped"),
        (second, "01-02", "01-08", "kept"),
        (third, "01-02", "01-05", "kept"),
    ]
    assert site.hours("reservable") == 11 * 24 + 2 * 744


def test_what_rests_on_a_row_deleted_nobody_knows_when_is_rejected_with_it():
    rows, host = one_machine()
    rows.computehost("h", "2023-12-01", marked=True)
    lease = rows.lease("2024-01-02", "2024-01-02", "2024-01-20", marked=True)
    reservation = rows.reservation(lease)
    first = rows.allocation(reservation, host, "2024-01-02")
    second = rows.allocation(reservation, host, "2024-01-02", "2024-01-08")
    other = rows.reservation(rows.lease("2024-01-10", "2024-01-10", "2024-01-20"))
    third = rows.allocation(other, host, "2024-01-10", marked=True)
    site = Worked(rows)
    assert site.kept("committed") == [(second, "01-02", "01-08", "kept")]
    assert site.rejected(ALLOCATIONS) == [(first, "bad_time"), (third, "bad_time")]
    assert site.hours("reservable") == 744
    leases = WorkedLeases(rows)
    assert leases.rejects.select("entity_id", "reason").rows() == [(lease, "bad_time")]


def test_a_lease_deleted_without_a_date_is_told_by_its_last_change():
    rows = Rows()
    lease = rows.lease("2024-01-02", "2024-01-04", "2024-01-20", marked=True, updated_at="2024-01-03")
    assert WorkedLeases(rows).of(lease, "outcome") == "cancelled"


def test_a_device_held_as_deleted_ends_with_its_last_change():
    rows = Rows()
    rows.device("pi-1", "2023-06-01", marked=True, updated_at="2024-01-03")
    lost = rows.device("pi-2", "2024-01-01", marked=True)
    site = Worked(rows, databases=("blazar", "zun"))
    assert site.hours("total", "devices") == 48
    assert site.rejected("blazar_devices", "metric") == [(lost, "bad_time", "reservable"), (lost, "bad_time", "total")]
