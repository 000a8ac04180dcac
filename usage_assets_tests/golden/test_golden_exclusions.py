"""Exclusions on sites worked out by hand: what a rule takes out is rejected as excluded, never lost."""

from typing import Any

from usage_assets_tests.golden.builder import Rows, spec_text
from usage_assets_tests.golden.worked import DEC, FEB, JAN, Worked, one_machine, one_metal

SPAN = ("start_at", "end_at", "action")


def rule(table: str, start: str | None = None, end: str | None = None, **where: Any) -> dict[str, Any]:
    """A rule as a site's file says it."""
    return {"table": table, "where": where, "from": start, "to": end, "reason": "load test", "by": "ops"}


def conserved(account: Any) -> bool:
    """Hours in = kept + clipped + rejected, rows in = kept + rejected + outside."""
    hours = account["hours_kept"] + account["hours_clipped"] + account["hours_rejected"]
    rows = account["rows_kept"] + account["rows_rejected"] + account["rows_outside"]
    return abs(account["hours_in"] - hours) < 1e-6 and account["rows_in"] == rows


def test_a_server_of_an_excluded_project_is_rejected_with_who_and_why():
    rows, _ = one_machine()
    rows.spec(rows.instance("h", "2024-01-10", "2024-01-12", project_id="load"))
    rows.spec(rows.instance("h", "2024-01-10", "2024-01-12", project_id="real"))
    site = Worked(rows, exclusions=[rule("nova_instances", project_id="load")])
    assert [entity[1:] for entity in site.kept("occupied_ondemand")] == [("01-10", "01-12", "kept")]
    assert [entity[1:] for entity in site.rejected("nova_instances", *SPAN)] == [
        ("excluded", "01-10", "01-12", "excluded by ops: load test")
    ]
    account = site.account("nova_instances", "occupied")
    assert (account["rows_kept"], account["rows_rejected"], account["hours_rejected"]) == (1, 1, 48)
    assert conserved(account)


def test_a_rule_with_bounds_takes_out_a_part_and_the_row_is_kept_for_the_rest():
    rows, _ = one_machine()
    rows.spec(rows.instance("h", "2024-01-10", "2024-01-20"))
    site = Worked(rows, exclusions=[rule("nova_instances", "2024-01-12", "2024-01-14", project_id="p")])
    assert [entity[1:] for entity in site.kept("occupied_ondemand")] == [
        ("01-10", "01-12", "kept"),
        ("01-14", "01-20", "kept"),
    ]
    assert [entity[1:4] for entity in site.rejected("nova_instances", *SPAN)] == [("excluded", "01-12", "01-14")]
    account = site.account("nova_instances", "occupied")
    assert account == {
        "rows_in": 1,
        "rows_kept": 1,
        "rows_rejected": 0,
        "rows_outside": 0,
        "hours_in": 240,
        "hours_kept": 192,
        "hours_clipped": 0,
        "hours_rejected": 48,
    }
    assert site.hours("occupied", "vcpus") == 4 * 192


def test_of_two_rules_that_overlap_the_first_speaks_and_no_hour_is_taken_out_twice():
    rows, _ = one_machine()
    rows.spec(rows.instance("h", "2024-01-10", "2024-01-20"))
    first = rule("nova_instances", "2024-01-12", "2024-01-14", project_id="p")
    second = rule("nova_instances", "2024-01-13", "2024-01-16", user_id=["u", "w"]) | {"by": "staff"}
    site = Worked(rows, exclusions=[first, second])
    assert [entity[2:] for entity in site.rejected("nova_instances", *SPAN)] == [
        ("01-12", "01-14", "excluded by ops: load test"),
        ("01-14", "01-16", "excluded by staff: load test"),
    ]
    assert site.account("nova_instances", "occupied")["hours_rejected"] == 96


def test_every_column_of_a_rule_has_to_match_and_numbers_and_instants_match_by_their_text():
    rows, _ = one_machine()
    rows.spec(rows.instance("h", "2024-01-10", "2024-01-12", vcpus=4))
    rows.spec(rows.instance("h", "2024-01-10", "2024-01-12", vcpus=2))
    where: dict[str, Any] = {"vcpus": [4, 8], "created_at": "2024-01-10 00:00:00", "project_id": "p"}
    site = Worked(rows, exclusions=[rule("nova_instances", **where)])
    assert site.hours("occupied", "vcpus") == 2 * 48
    none = Worked(rows, exclusions=[rule("nova_instances", **(where | {"project_id": "q"}))])
    assert none.hours("occupied", "vcpus") == 6 * 48


def test_the_rest_of_a_row_that_nothing_holds_is_an_orphan_beside_its_excluded_part():
    rows, host = one_metal()
    _, reservation, _ = rows.booked(host, "2024-01-10", "2024-01-12")
    rows.spec(rows.instance("h", "2024-01-10", "2024-01-14"), spec_text([reservation]))
    site = Worked(rows, exclusions=[rule("nova_instances", "2024-01-09", "2024-01-12", project_id="p")])
    assert [entity[1:4] for entity in site.rejected("nova_instances", "start_at", "end_at")] == [
        ("excluded", "01-10", "01-12"),
        ("orphan", "01-12", "01-14"),
    ]
    account = site.account("nova_instances", "occupied")
    assert (account["rows_in"], account["rows_rejected"], account["hours_rejected"]) == (1, 1, 96)


def test_an_excluded_machine_does_not_exist_then_and_another_row_of_its_hostname_takes_over():
    rows = Rows()
    rows.compute_node("h", "2023-06-01", vcpus=8)
    rows.compute_node("h", "2024-01-05", vcpus=16)
    rows.computehost("h", "2023-06-01", node_type="a")
    both = Worked(rows, exclusions=[rule("nova_compute_nodes", "2024-01-10", "2024-01-12", vcpus=16)])
    assert both.kept("total", "vcpus") == [
        ("h", "01-01", "01-05", "clipped", 8.0),
        ("h", "01-05", "01-10", "kept", 16.0),
        ("h", "01-10", "01-12", "clipped", 8.0),
        ("h", "01-12", "02-01", "kept", 16.0),
    ]
    none = Worked(rows, exclusions=[rule("nova_compute_nodes", "2024-01-10", "2024-01-12", hypervisor_hostname="h")])
    assert none.hours("total") == none.hours("reservable") == 744 - 48
    assert conserved(none.account("nova_compute_nodes", "total"))
    assert none.account("nova_compute_nodes", "total")["hours_rejected"] == 48 + 48
    assert none.account("blazar_computehosts", "reservable")["hours_clipped"] == 48


def test_an_excluded_host_is_not_reservable_and_its_allocation_is_an_orphan():
    rows, host = one_metal()
    rows.booked(host, "2024-01-10", "2024-01-12")
    site = Worked(rows, exclusions=[rule("blazar_computehosts", hypervisor_hostname="h")])
    assert (site.hours("total"), site.hours("reservable"), site.hours("committed")) == (744, 0, 0)
    assert [entity[1:] for entity in site.rejected("blazar_computehost_allocations")] == [("orphan",)]


def test_an_excluded_allocation_holds_nothing_an_older_one_takes_over_and_its_server_is_an_orphan():
    rows, host = one_metal()
    lease, reservation, allocation = rows.booked(host, "2024-01-10", "2024-01-14")
    rows.spec(rows.instance("h", "2024-01-10", "2024-01-14"), spec_text([reservation]))
    gone = Worked(rows, exclusions=[rule("blazar_computehost_allocations", id=allocation)])
    assert (gone.hours("committed"), gone.hours("occupied_reservation")) == (0, 0)
    assert [entity[1:] for entity in gone.rejected("nova_instances")] == [("orphan",)]
    older = rows.allocation(rows.reservation(lease), host, "2024-01-09")
    taken = Worked(rows, exclusions=[rule("blazar_computehost_allocations", id=allocation)])
    assert taken.kept("committed") == [(older, "01-10", "01-14", "kept")]


def test_an_excluded_lease_takes_out_its_allocations_and_what_runs_in_them():
    rows, host = one_metal()
    lease, reservation, allocation = rows.booked(host, "2024-01-10", "2024-01-14", name="stress-1")
    rows.spec(rows.instance("h", "2024-01-10", "2024-01-14"), spec_text([reservation]))
    part = Worked(rows, exclusions=[rule("blazar_leases", "2024-01-12", name="stress-1")])
    assert part.kept("committed") == [(allocation, "01-10", "01-12", "kept")]
    assert part.hours("occupied_reservation") == 48
    assert part.account("nova_instances", "occupied")["hours_clipped"] == 48
    whole = Worked(rows, exclusions=[rule("blazar_leases", id=lease)])
    assert whole.rejected("blazar_computehost_allocations") == [(allocation, "excluded")]
    assert whole.hours("occupied_reservation") == 0
    by_reservation = Worked(rows, exclusions=[rule("blazar_reservations", id=reservation)])
    assert by_reservation.rejected("blazar_computehost_allocations") == [(allocation, "excluded")]


def test_devices_containers_and_their_allocations_can_be_excluded():
    rows = Rows()
    device = rows.device("d", "2023-06-01")
    lease = rows.lease("2024-01-10", "2024-01-10", "2024-01-14")
    reservation = rows.reservation(lease, "device")
    rows.device_allocation(reservation, device, "2024-01-10")
    rows.container("2024-01-10", "2024-01-14", reservation, host="d")
    one = Worked(rows, exclusions=[rule("zun_container", "2024-01-12", project_id="p")])
    assert (one.hours("committed", "devices"), one.hours("occupied_reservation", "devices")) == (96, 48)
    two = Worked(rows, exclusions=[rule("blazar_leases", "2024-01-12", id=lease)])
    assert (two.hours("committed", "devices"), two.hours("occupied_reservation", "devices")) == (48, 48)
    three = Worked(rows, exclusions=[rule("blazar_devices", "2024-01-12", name="d")])
    assert (three.hours("total", "devices"), three.hours("committed", "devices")) == (264, 48)
    assert three.account("blazar_devices", "total")["hours_rejected"] == 480
    assert three.account("blazar_devices", "reservable")["hours_rejected"] == 480


def test_a_month_that_a_rule_does_not_reach_is_as_it_was():
    rows, _ = one_machine()
    rows.spec(rows.instance("h", "2023-12-10", "2024-02-10"))
    rules = [rule("nova_instances", "2024-01-01", "2024-02-01", project_id="p")]
    site = Worked(rows, (DEC, JAN, FEB), exclusions=rules)
    assert [entity[1:] for entity in site.kept("occupied_ondemand")] == [
        ("02-01", "02-10", "kept"),
        ("12-10", "01-01", "kept"),
    ]
    assert site.account("nova_instances", "occupied", FEB)["hours_rejected"] == 0
    assert site.account("nova_instances", "occupied", JAN)["rows_rejected"] == 1


def test_a_row_rejected_for_another_reason_keeps_it():
    rows, _ = one_machine()
    rows.instance("h", "2024-01-10", "2024-01-12", launched_at=None)
    site = Worked(rows, exclusions=[rule("nova_instances", project_id="p")])
    assert [entity[1:] for entity in site.rejected("nova_instances")] == [("never_launched",)]
