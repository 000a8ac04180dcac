"""Rule 3 on sites worked out by hand: what leases hold."""

from usage_assets_tests.golden.builder import Rows, spec_text
from usage_assets_tests.golden.worked import DEC, FEB, JAN, Worked, one_machine

SOURCE = "blazar_computehost_allocations"


def test_an_allocation_starts_at_the_latest_of_lease_start_lease_creation_and_its_own_creation():
    rows = Rows()
    for name, created, start, allocated in (
        ("a", "2024-01-02", "2024-01-05", "2024-01-03"),
        ("b", "2024-01-06", "2024-01-05", "2024-01-03"),
        ("c", "2024-01-02", "2024-01-05", "2024-01-07 12:00"),
    ):
        rows.compute_node(name, "2023-06-01")
        host = rows.computehost(name, "2023-06-01")
        lease = rows.lease(created, start, "2024-01-10")
        rows.allocation(rows.reservation(lease), host, allocated, id=name)
    site = Worked(rows)
    assert site.kept("committed", "node") == [
        ("a", "01-05", "01-10", "kept", "a"),
        ("b", "01-06", "01-10", "kept", "b"),
        ("c", "01-07 12:00", "01-10", "kept", "c"),
    ]
    assert site.hours("committed") == 120 + 96 + 60


def test_an_allocation_ends_at_the_least_of_lease_end_lease_deletion_and_its_own_deletion():
    rows = Rows()
    for name, end, lease_deleted, deleted in (
        ("a", "2024-01-10", "2024-01-20", "2024-01-20"),  # a lease deleted after its end marks its allocations anew
        ("b", "2024-01-10", "2024-01-09", None),
        ("c", "2024-01-10", "2024-01-09", "2024-01-08"),
    ):
        rows.compute_node(name, "2023-06-01")
        host = rows.computehost(name, "2023-06-01")
        lease = rows.lease("2024-01-05", "2024-01-05", end, lease_deleted)
        rows.allocation(rows.reservation(lease), host, "2024-01-05", deleted, id=name)
    site = Worked(rows)
    assert site.kept("committed") == [
        ("a", "01-05", "01-10", "kept"),
        ("b", "01-05", "01-09", "kept"),
        ("c", "01-05", "01-08", "kept"),
    ]
    assert site.hours("committed") == 120 + 96 + 72


def test_a_lease_without_an_end_is_open_until_the_month_ends():
    rows, host = one_machine()
    _, _, allocation = rows.booked(host, "2024-01-21", None)
    site = Worked(rows, [JAN, FEB])
    assert site.kept("committed", "original_end_at") == [
        (allocation, "01-21", "02-01", "kept", None),
        (allocation, "02-01", "03-01", "kept", None),
    ]
    assert site.hours("committed") == 264 + 696


def test_a_double_booking_commits_the_machine_once_to_the_allocation_created_last():
    rows, host = one_machine()
    _, _, first = rows.booked(host, "2024-01-05", "2024-01-20")
    _, _, second = rows.booked(host, "2024-01-10", "2024-01-15")
    site = Worked(rows)
    assert site.kept("committed", "nodes", "vcpus") == [
        (first, "01-05", "01-10", "clipped", 1.0, 48.0),
        (first, "01-15", "01-20", "clipped", 1.0, 48.0),
        (second, "01-10", "01-15", "kept", 1.0, 48.0),
    ]
    assert site.hours("committed") == 360
    account = site.account(SOURCE, "committed")
    assert (account["hours_in"], account["hours_kept"], account["hours_clipped"]) == (480, 360, 120)


def test_a_booking_that_another_covers_wholly_is_a_duplicate():
    rows, host = one_machine()
    lease = rows.lease("2024-01-01", "2024-01-05", "2024-01-06")
    other = rows.lease("2024-01-01", "2024-01-04", "2024-01-07")
    early = rows.allocation(rows.reservation(lease), host, "2024-01-02", id="z")
    late = rows.allocation(rows.reservation(other), host, "2024-01-03")
    site = Worked(rows)
    assert site.kept("committed") == [(late, "01-04", "01-07", "kept")]
    assert site.rejected(SOURCE, "start_at", "end_at") == [(early, "duplicate", "01-05", "01-06")]


def test_an_allocation_replaced_mid_lease_moves_the_commitment_to_the_other_machine():
    rows, broken = one_machine(node_type="t")
    rows.compute_node("spare", "2023-06-01")
    spare = rows.computehost("spare", "2023-06-01", node_type="t")
    reservation = rows.reservation(rows.lease("2024-01-05", "2024-01-05", "2024-01-25"))
    rows.allocation(reservation, broken, "2024-01-05", "2024-01-10 06:00", id="old")
    rows.allocation(reservation, spare, "2024-01-10 06:00", id="new")
    site = Worked(rows)
    assert site.kept("committed", "node") == [
        ("new", "01-10 06:00", "01-25", "kept", "spare"),
        ("old", "01-05", "01-10 06:00", "kept", "h"),
    ]
    assert site.hours("committed", node_type="t") == 480


def test_orphan_reservations_and_allocations_are_rejected_with_their_own_hours():
    rows, host = one_machine()
    rows.allocation(rows.reservation("no such lease"), host, "2024-01-05", "2024-01-06", id="a")
    rows.allocation("no such reservation", host, "2024-01-05", "2024-01-07", id="b")
    rows.allocation(None, host, "2024-01-05", "2024-01-08", id="c")
    reservation = rows.reservation(rows.lease("2024-01-05", "2024-01-05", "2024-01-10"))
    rows.allocation(reservation, "no such host", "2024-01-05", id="d")
    rows.allocation(reservation, None, "2024-01-05", id="e")
    site = Worked(rows)
    assert site.kept("committed") == []
    assert site.rejected(SOURCE) == [
        ("a", "no_lease"),
        ("b", "no_reservation"),
        ("c", "null_key"),
        ("d", "unknown_host"),
        ("e", "null_key"),
    ]
    assert site.account(SOURCE, "committed")["hours_rejected"] == 24 + 48 + 72 + 120 + 120


def test_a_lease_deleted_before_its_start_never_ran():
    rows, host = one_machine()
    lease = rows.lease("2024-01-02", "2024-01-20", "2024-01-25", "2024-01-10")
    rows.allocation(rows.reservation(lease), host, "2024-01-02", "2024-01-10", id="a")
    site = Worked(rows)
    assert site.kept("committed") == []
    assert site.rejected(SOURCE) == [("a", "never_ran")]
    assert site.account(SOURCE, "committed")["hours_in"] == 0


def test_a_lease_that_ends_before_it_starts_never_ran():
    rows, host = one_machine()
    rows.booked(host, "2024-01-20", "2024-01-15")
    site = Worked(rows)
    assert [reason for _, reason in site.rejected(SOURCE)] == ["never_ran"]
    assert site.hours("committed") == 0


def test_a_lease_of_another_month_that_was_made_in_this_one_is_outside():
    rows, host = one_machine()
    lease = rows.lease("2024-01-02", "2024-02-20", "2024-02-25")
    rows.allocation(rows.reservation(lease), host, "2024-01-02")
    site = Worked(rows, [JAN, FEB])
    account = site.account(SOURCE, "committed", JAN)
    assert (account["rows_in"], account["rows_outside"], account["hours_in"]) == (1, 1, 0)
    assert site.account(SOURCE, "committed", FEB)["hours_kept"] == 120


def test_a_commitment_is_clipped_to_the_time_its_machine_is_reservable():
    rows = Rows()
    rows.compute_node("h", "2024-01-10", "2024-01-20")
    host = rows.computehost("h", "2023-06-01", "2024-01-18")
    _, _, allocation = rows.booked(host, "2024-01-05", "2024-01-25")
    site = Worked(rows)
    assert site.kept("committed") == [(allocation, "01-10", "01-18", "clipped")]
    assert site.account(SOURCE, "committed")["hours_clipped"] == 480 - 192
    rows.tables["nova_compute_nodes"].clear()
    assert Worked(rows).rejected(SOURCE) == [(allocation, "orphan")]


def test_a_lease_goes_on_when_its_host_is_re_created_in_blazar_under_another_id():
    rows = Rows()
    rows.compute_node("h", "2023-06-01")
    old = rows.computehost("h", "2023-06-01", "2024-01-12")
    rows.computehost("h", "2024-01-13", vcpus=24)
    _, _, allocation = rows.booked(old, "2024-01-10", "2024-02-03")
    site = Worked(rows, [JAN, FEB])
    assert site.kept("committed", "vcpus") == [
        (allocation, "01-10", "01-12", "clipped", 48.0),
        (allocation, "01-13", "02-01", "clipped", 24.0),
        (allocation, "02-01", "02-03", "kept", 24.0),
    ]


def test_an_allocation_counts_in_a_month_that_its_named_host_did_not_live_to_see():
    rows = Rows()
    rows.compute_node("h", "2023-06-01")
    dead = rows.computehost("h", "2023-06-01", "2023-07-01")
    rows.computehost("h", "2023-08-01", "2023-09-01")
    rows.computehost("h", "2024-01-01")
    _, _, allocation = rows.booked(dead, "2024-01-10", "2024-01-12")
    assert Worked(rows).kept("committed") == [(allocation, "01-10", "01-12", "kept")]


def test_an_allocation_of_instances_counts_with_its_flavor_and_shares_of_the_host_add_up():
    rows, host = one_machine()
    for vcpus in (12, 6):
        reservation = rows.reservation(rows.lease("2024-01-10", "2024-01-10", "2024-01-20"), "virtual:instance")
        rows.instance_reservation(reservation, vcpus=99, created_at="2024-01-09")
        rows.instance_reservation(reservation, vcpus=vcpus, created_at="2024-01-10")
        rows.allocation(reservation, host, "2024-01-10", id=f"a{vcpus}")
    site = Worked(rows)
    columns = ("nodes", "vcpus", "vcpus_overcommit", "memory_mb", "disk_gb")
    assert site.kept("committed", *columns) == [
        ("a12", "01-10", "01-20", "kept", 0.25, 12.0, 12.0, 100.0, 10.0),
        ("a6", "01-10", "01-20", "kept", 0.125, 6.0, 6.0, 100.0, 10.0),
    ]
    assert site.hours("committed") == 90


def test_without_an_instance_reservation_nothing_is_committed_but_its_servers_count():
    rows, host = one_machine()
    reservation = rows.reservation(rows.lease("2024-01-10", "2024-01-10", "2024-01-20"), "flavor:instance")
    rows.allocation(reservation, host, "2024-01-10")
    server = rows.instance("h", "2024-01-11", "2024-01-30")
    rows.spec(server, spec_text(flavor=f"reservation:{reservation}"))
    site = Worked(rows)
    assert site.usage.usage.filter(metric="committed")["value"].fill_null(0).sum() == 0
    assert site.kept("occupied_reservation") == [(server, "01-11", "01-20", "clipped")]


def test_reservations_of_networks_and_addresses_never_commit_a_machine():
    rows, host = one_machine()
    for kind in ("network", "virtual:floatingip"):
        reservation = rows.reservation(rows.lease("2024-01-10", "2024-01-10", "2024-01-20"), kind)
        rows.allocation(reservation, host, "2024-01-10")
    assert Worked(rows).hours("committed") == 0


def test_an_allocation_or_lease_that_the_source_lost_ends_when_it_was_missed():
    rows, host = one_machine()
    reservation = rows.reservation(rows.lease("2024-01-10", "2024-01-10", "2024-01-20"))
    rows.allocation(reservation, host, "2024-01-10", id="a", gone_at="2024-01-12")
    lease = rows.lease("2024-01-22", "2024-01-22", "2024-01-30", gone_at="2024-01-23")
    rows.allocation(rows.reservation(lease), host, "2024-01-22", id="b")
    assert Worked(rows).kept("committed") == [("a", "01-10", "01-12", "kept"), ("b", "01-22", "01-23", "kept")]


def test_a_lease_across_months_holds_in_each_what_lies_there():
    rows, host = one_machine()
    rows.booked(host, "2023-12-30 12:00", "2024-02-02 06:00")
    site = Worked(rows, [DEC, JAN, FEB], first_month="2023-12")
    assert [row[1:] for row in site.kept("committed", "month")] == [
        ("01-01", "02-01", "kept", JAN),
        ("02-01", "02-02 06:00", "kept", FEB),
        ("12-30 12:00", "01-01", "kept", DEC),
    ]
    assert site.hours("committed") == 36 + 744 + 30


def test_two_machines_of_one_lease_are_two_nodes_and_idle_is_what_no_server_uses():
    rows, host = one_machine(node_type="t")
    rows.compute_node("i", "2023-06-01")
    other = rows.computehost("i", "2023-06-01", node_type="t")
    _, reservation, _ = rows.booked(host, "2024-01-10", "2024-01-20")
    rows.allocation(reservation, other, "2024-01-10")
    site = Worked(rows)
    assert site.hours("committed", node_type="t") == 480
    assert site.hours("idle", node_type="t") == 480
    assert site.hours("available_reservable", node_type="t") == 2 * 744 - 480


def test_allocations_without_created_at_start_with_their_lease():
    rows, host = one_machine()
    lease = rows.lease(None, "2024-01-10", "2024-01-20")
    allocation = rows.allocation(rows.reservation(lease), host, None)
    assert Worked(rows).kept("committed") == [(allocation, "01-10", "01-20", "kept")]
