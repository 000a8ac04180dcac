"""Rules 4 and 5 on sites worked out by hand: what servers occupy, and how they were booked."""

import pytest

from usage_assets_tests.golden.builder import Rows, spec_text
from usage_assets_tests.golden.worked import DEC, FEB, JAN, Worked, one_machine, one_metal

SOURCE = "nova_instances"
SIZE = ("nodes", "vcpus", "vcpus_overcommit", "memory_mb", "disk_gb")


def _on_demand(rows: Rows, *arguments, **more) -> str:
    server = rows.instance(*arguments, **more)
    rows.spec(server)
    return server


@pytest.mark.parametrize(
    ("ends", "terminated", "hours"),
    [
        ({"deleted_at": "2024-01-12", "terminated_at": "2024-01-13"}, "2024-01-14", 48),
        ({"deleted_at": "2024-01-15", "terminated_at": "2024-01-13"}, "2024-01-14", 72),
        ({"deleted_at": "2024-01-16", "terminated_at": "2024-01-15"}, "2024-01-14", 96),
        ({}, "2024-01-15 12:00", 132),
        ({}, None, 528),
    ],
)
def test_a_server_occupies_from_created_at_to_the_least_of_deletion_termination_and_its_event(ends, terminated, hours):
    rows, _ = one_machine()
    server = _on_demand(rows, "h", "2024-01-10", vcpus=40, **ends)
    if terminated:
        rows.event(server, "compute_terminate_instance", "2024-01-11", "Error")
        rows.event(server, "compute_terminate_instance", "2024-01-25")
        rows.event(server, "compute_terminate_instance", terminated)
    assert Worked(rows).hours("occupied_ondemand") == hours


def test_on_kvm_a_server_counts_its_flavor_and_nodes_are_its_share_of_the_machine():
    rows = Rows()
    rows.compute_node("h", "2023-06-01", "2024-01-15", vcpus=40, cpu_allocation_ratio=16.0)
    rows.compute_node("h", "2024-01-15", vcpus=20)
    server = _on_demand(rows, "h", "2024-01-10", "2024-01-20")
    assert Worked(rows).kept("occupied_ondemand", *SIZE) == [
        (server, "01-10", "01-15", "kept", 0.1, 4.0, 4.0, 100.0, 15.0),
        (server, "01-15", "01-20", "kept", 0.2, 4.0, 4.0, 100.0, 15.0),
    ]


def test_on_bare_metal_a_server_has_the_machines_size_and_type():
    rows, _ = one_metal(node_type="t", gpus=4)
    server = _on_demand(rows, "h", "2024-01-10", "2024-01-20")
    site = Worked(rows)
    assert site.kept("occupied_ondemand", "node_type", "gpus", *SIZE) == [
        (server, "01-10", "01-20", "kept", "t", 4.0, 1.0, 48.0, 48.0, 2000.0, 200.0)
    ]
    assert site.hours("occupied_ondemand", "gpus") == 960


def test_where_no_host_row_covers_a_server_its_machine_is_the_row_before_else_the_one_after():
    rows = Rows()
    rows.compute_node("h", "2023-06-01", "2023-07-01", vcpus=40)
    rows.compute_node("h", "2024-03-01", vcpus=20)
    rows.compute_node("later", "2024-03-01", vcpus=10)
    one = _on_demand(rows, "h", "2024-01-10", "2024-01-20")
    two = _on_demand(rows, "later", "2024-01-10", "2024-01-20")
    assert Worked(rows).kept("occupied_ondemand", "nodes") == [
        (one, "01-10", "01-20", "kept", 0.1),
        (two, "01-10", "01-20", "kept", 0.4),
    ]


def test_a_server_that_was_never_launched_occupies_nothing():
    rows, _ = one_machine()
    server = _on_demand(rows, "h", "2024-01-10", "2024-01-12", launched_at=None)
    cell0 = _on_demand(rows, None, "2024-01-10", "2024-01-11", launched_at=None, table="nova_cell0_instances")
    site = Worked(rows)
    assert site.hours("occupied") == 0
    assert site.rejected(SOURCE, "metric") == [(server, "never_launched", "occupied")]
    assert site.rejected("nova_cell0_instances") == [(cell0, "never_launched")]
    assert site.account(SOURCE, "occupied")["hours_rejected"] == 48


def test_hidden_copies_of_resized_servers_are_skipped():
    rows, _ = one_machine()
    _on_demand(rows, "h", "2024-01-10", "2024-01-12", hidden=True)
    site = Worked(rows)
    assert site.hours("occupied") == 0
    assert site.rejected(SOURCE) == []


def test_shelved_time_starts_at_the_first_offload_and_ends_at_the_next_unshelve_and_cycles_repeat():
    rows, _ = one_machine()
    server = _on_demand(rows, "h", "2024-01-01", "2024-01-31", vcpus=40)
    for name, start in (
        ("shelve", "2024-01-05"),
        ("shelve_offload", "2024-01-06"),
        ("shelve_offload", "2024-01-07"),
        ("unshelve", "2024-01-10"),
        ("shelve", "2024-01-20"),
        ("unshelve", "2024-01-22"),
    ):
        rows.event(server, f"compute_{name}_instance", start)
    rows.event(server, "compute_unshelve_instance", "2024-01-08", "Error")
    rows.event(server, "compute_shelve_instance", "2024-01-25", None)
    site = Worked(rows)
    assert site.kept("occupied_ondemand") == [
        (server, "01-01", "01-06", "clipped"),
        (server, "01-10", "01-20", "clipped"),
        (server, "01-22", "01-31", "clipped"),
    ]
    assert site.hours("occupied") == 120 + 240 + 216
    account = site.account(SOURCE, "occupied")
    assert (account["hours_in"], account["hours_clipped"]) == (720, 96 + 48)


def test_a_server_found_offloaded_without_events_holds_no_host_since_its_row_was_last_changed():
    rows, _ = one_machine()
    server = rows.instance(None, "2024-01-10", vm_state="shelved_offloaded", updated_at="2024-01-20")
    rows.spec(server)
    site = Worked(rows, [JAN, FEB])
    assert site.kept("occupied_ondemand") == [(server, "01-10", "01-20", "clipped")]
    assert site.hours("occupied_ondemand", "vcpus") == 10 * 24 * 4


def test_events_that_say_since_when_a_server_is_offloaded_come_before_what_its_row_says():
    rows, _ = one_machine()
    told = rows.instance("h", "2024-01-10", vm_state="shelved_offloaded", updated_at="2024-01-20")
    rows.event(told, "compute_shelve_offload_instance", "2024-01-15")
    untold = rows.instance("h", "2024-01-10", vm_state="shelved_offloaded", updated_at="2024-01-20")
    rows.event(untold, "compute_shelve_instance", "2024-01-11")
    rows.event(untold, "compute_unshelve_instance", "2024-01-12")  # and was shelved again, of which nothing tells
    site = Worked(rows)
    assert site.kept("occupied_unknown") == [
        (told, "01-10", "01-15", "clipped"),
        (untold, "01-10", "01-11", "clipped"),
        (untold, "01-12", "01-20", "clipped"),
    ]


def test_a_server_shelved_and_never_unshelved_stays_so_into_later_months():
    rows, _ = one_machine()
    server = _on_demand(rows, "h", "2024-01-01")
    rows.event(server, "compute_shelve_offload_instance", "2024-01-11")
    site = Worked(rows, [JAN, FEB])
    assert site.kept("occupied_ondemand") == [(server, "01-01", "01-11", "clipped")]
    assert site.account(SOURCE, "occupied", FEB)["hours_rejected"] == 696


def test_a_lost_node_is_the_host_of_the_last_successful_step_on_a_known_machine():
    rows = Rows()
    for name in ("a", "b", "c"):
        rows.compute_node(name, "2023-06-01")
    server = _on_demand(rows, None, "2024-01-10", "2024-01-20")
    for name, start, result, host in (
        ("compute__do_build_and_run_instance", "2024-01-10", "Success", "a"),
        ("compute_resize_instance", "2024-01-11", "Success", "b"),
        ("compute_reboot_instance", "2024-01-12", "Error", "c"),
        ("compute_reboot_instance", "2024-01-13", "Success", "some service"),
        ("conductor_migrate_server", "2024-01-14", "Success", "c"),
    ):
        rows.event(server, name, start, result, host=host)
    assert Worked(rows).kept("occupied_ondemand", "node", "nodes") == [(server, "01-10", "01-20", "kept", "b", 0.1)]


def test_steps_at_one_instant_are_told_apart_by_their_id():
    rows = Rows()
    for name in ("a", "b"):
        rows.compute_node(name, "2023-06-01")
    server = _on_demand(rows, None, "2024-01-10", "2024-01-20")
    rows.event(server, "compute_reboot_instance", "2024-01-11", host="a", id=900002)
    rows.event(server, "compute_reboot_instance", "2024-01-11", host="b", id=900001)
    assert Worked(rows).kept("occupied_ondemand", "node")[0][-1] == "a"


def test_a_server_on_no_known_machine_has_no_nodes_where_the_site_has_kvm_else_one():
    rows, _ = one_machine()
    lost, elsewhere = (_on_demand(rows, node, "2024-01-10", "2024-01-20") for node in (None, "never seen"))
    flavor = (4.0, 4.0, 100.0, 15.0)
    assert Worked(rows).kept("occupied_ondemand", *SIZE) == [
        (lost, "01-10", "01-20", "kept", None, *flavor),
        (elsewhere, "01-10", "01-20", "kept", None, *flavor),
    ]
    for row in rows.tables["nova_compute_nodes"]:
        row["hypervisor_type"] = "ironic"
    assert Worked(rows).kept("occupied_ondemand", *SIZE) == [
        (lost, "01-10", "01-20", "kept", 1.0, *flavor),
        (elsewhere, "01-10", "01-20", "kept", 1.0, *flavor),
    ]


def test_a_server_on_a_machine_that_only_blazar_knows_has_the_type_that_blazar_knows():
    rows, _ = one_machine()
    rows.computehost("purged", "2023-06-01", "2023-07-01", node_type="t")
    server = _on_demand(rows, "purged", "2024-01-10", "2024-01-20")
    assert Worked(rows).kept("occupied_ondemand", "node_type") == [(server, "01-10", "01-20", "kept", "t")]


@pytest.mark.parametrize("how", ["list", "plain text", "flavor"])
def test_a_reservation_is_named_by_a_list_of_hints_by_plain_text_or_by_the_flavor(how):
    rows, host = one_metal()
    _, reservation, _ = rows.booked(host, "2024-01-10", "2024-01-20")
    server = rows.instance("h", "2024-01-08", "2024-01-31")
    texts = {
        "list": spec_text([reservation, "another"]),
        "plain text": spec_text(reservation),
        "flavor": spec_text(flavor=f"reservation:{reservation}"),
    }
    rows.spec(server, texts[how])
    site = Worked(rows)
    assert site.kept("occupied_reservation", "reservation_id") == [(server, "01-10", "01-20", "clipped", reservation)]
    assert site.hours("occupied") == 240
    assert site.hours("idle") == 0


def test_a_server_that_outlives_its_lease_stops_counting_with_it_and_is_an_orphan_in_later_months():
    rows, host = one_metal()
    _, reservation, _ = rows.booked(host, "2024-01-10", "2024-01-20")
    server = rows.instance("h", "2024-01-10")
    rows.spec(server, spec_text([reservation]))
    site = Worked(rows, [JAN, FEB])
    assert site.kept("occupied_reservation") == [(server, "01-10", "01-20", "clipped")]
    assert site.rejected(SOURCE, "month", "start_at", "end_at") == [(server, "orphan", FEB, "02-01", "03-01")]
    assert site.account(SOURCE, "occupied", JAN)["hours_clipped"] == 22 * 24 - 240
    assert site.account(SOURCE, "occupied", FEB)["hours_rejected"] == 696


def test_a_reservation_counts_only_on_the_machine_that_it_holds():
    rows, host = one_metal()
    rows.ironic_node("other", "2023-06-01")
    rows.computehost("other", "2023-06-01")
    _, reservation, _ = rows.booked(host, "2024-01-10", "2024-01-20")
    server = rows.instance("other", "2024-01-10", "2024-01-15")
    rows.spec(server, spec_text([reservation]))
    site = Worked(rows)
    assert site.hours("occupied") == 0
    assert site.rejected(SOURCE, "metric") == [(server, "orphan", "occupied_reservation")]


def test_in_a_double_booking_the_servers_of_both_leases_run_within_their_own():
    rows, host = one_machine()
    _, early, _ = rows.booked(host, "2024-01-05", "2024-01-20")
    _, late, _ = rows.booked(host, "2024-01-10", "2024-01-15")
    one, two = rows.instance("h", "2024-01-06", "2024-01-20"), rows.instance("h", "2024-01-06", "2024-01-20")
    rows.spec(one, spec_text([early]))
    rows.spec(two, spec_text([late]))
    site = Worked(rows)
    assert site.kept("occupied_reservation") == [
        (one, "01-06", "01-20", "kept"),
        (two, "01-10", "01-15", "clipped"),
    ]
    assert site.hours("occupied_reservation", "vcpus") == 4 * (336 + 120)


@pytest.mark.parametrize(
    "spec",
    [
        *(None, "", "{", '{"nova_object.data": {"scheduler_hints"', "null", "[]", "7", "{}"),
        *('"nova_object.data"', '["scheduler_hints"]', '{"nova_object.data": "scheduler_hints"}'),
    ],
)
def test_a_missing_or_broken_spec_is_of_unknown_booking_never_on_demand(spec):
    rows, _ = one_machine()
    server = rows.instance("h", "2024-01-10", "2024-01-20", vcpus=40)
    if spec is not None:
        rows.spec(server, spec)
    site = Worked(rows)
    assert site.kept("occupied_unknown") == [(server, "01-10", "01-20", "kept")]
    assert (site.hours("occupied_ondemand"), site.hours("occupied_unknown"), site.hours("occupied")) == (0, 240, 240)


@pytest.mark.parametrize("hints", [None, {}, {"reservation": []}, {"group": ["x"]}])
def test_a_readable_spec_without_a_reservation_is_on_demand(hints):
    rows, _ = one_machine()
    server = rows.instance("h", "2024-01-10", "2024-01-20")
    rows.spec(server, spec_text(hints=hints))
    assert Worked(rows).kept("occupied_ondemand") == [(server, "01-10", "01-20", "kept")]


def test_of_several_specs_the_latest_readable_one_counts_and_the_server_counts_once():
    rows, host = one_metal()
    _, reservation, _ = rows.booked(host, "2024-01-10", "2024-01-20")
    server = rows.instance("h", "2024-01-10", "2024-01-20")
    rows.spec(server, created_at="2024-01-10 00:01")
    rows.spec(server, spec_text([reservation]), created_at="2024-01-10 00:02")
    rows.spec(server, "{", created_at="2024-01-10 00:03")
    site = Worked(rows)
    assert site.kept("occupied_reservation") == [(server, "01-10", "01-20", "kept")]
    assert site.hours("occupied") == 240


def test_one_server_holds_a_bare_metal_machine_at_a_time_the_one_created_last():
    rows, _ = one_metal()
    old = _on_demand(rows, "h", "2024-01-05", "2024-01-20", uuid="z")
    new = _on_demand(rows, "h", "2024-01-10", "2024-01-12")
    short = _on_demand(rows, "h", "2024-01-09", "2024-01-30", launched_at=None)
    newest = _on_demand(rows, "h", "2024-01-11", "2024-01-12")
    first, second = (_on_demand(rows, "h", "2024-01-25", "2024-01-26") for _ in range(2))
    site = Worked(rows)
    assert site.kept("occupied_ondemand") == [
        (new, "01-10", "01-11", "clipped"),
        (newest, "01-11", "01-12", "kept"),
        (max(first, second), "01-25", "01-26", "kept"),
        (old, "01-05", "01-10", "clipped"),
        (old, "01-12", "01-20", "clipped"),
    ]
    assert site.rejected(SOURCE) == sorted([(short, "never_launched"), (min(first, second), "duplicate")])
    assert site.hours("occupied") == 15 * 24 + 24
    assert site.hours("occupied", "vcpus") == 48 * 16 * 24


def test_a_server_outside_its_lease_takes_no_machine_from_one_that_counts():
    rows, host = one_metal()
    _, reservation, _ = rows.booked(host, "2024-01-10", "2024-01-20")
    inside = rows.instance("h", "2024-01-10", "2024-01-20")
    rows.spec(inside, spec_text([reservation]))
    late = rows.instance("h", "2024-01-12", "2024-01-31")
    rows.spec(late, spec_text(["a reservation that ended"]))
    site = Worked(rows)
    assert site.kept("occupied_reservation") == [(inside, "01-10", "01-20", "kept")]
    assert [entity for entity, _ in site.rejected(SOURCE)] == [late]


def test_a_server_that_ends_before_it_starts_never_ran_and_a_null_created_at_is_its_launch():
    rows, _ = one_machine()
    backwards = _on_demand(rows, "h", "2024-01-10", "2024-01-05")
    timeless = _on_demand(rows, "h", None, "2024-01-20", launched_at="2024-01-15")
    site = Worked(rows)
    assert site.rejected(SOURCE) == [(backwards, "never_ran")]
    assert site.kept("occupied_ondemand") == [(timeless, "01-15", "01-20", "kept")]


def test_a_server_across_months_counts_in_each_what_lies_there():
    rows, _ = one_metal()
    server = _on_demand(rows, "h", "2023-12-31 18:00", "2024-02-01 06:00")
    rows.event(server, "compute_shelve_offload_instance", "2024-01-31 12:00")
    rows.event(server, "compute_unshelve_instance", "2024-02-01 03:00")
    site = Worked(rows, [DEC, JAN, FEB], first_month="2023-12")
    assert site.kept("occupied_ondemand", "month") == [
        (server, "01-01", "01-31 12:00", "clipped", JAN),
        (server, "02-01 03:00", "02-01 06:00", "clipped", FEB),
        (server, "12-31 18:00", "01-01", "kept", DEC),
    ]
    assert site.hours("occupied") == 6 + 732 + 3


def test_a_gone_server_that_was_still_open_ends_when_it_was_missed():
    rows, _ = one_machine()
    server = _on_demand(rows, "h", "2024-01-10", gone_at="2024-01-11 12:00")
    assert Worked(rows).kept("occupied_ondemand") == [(server, "01-10", "01-11 12:00", "kept")]


def test_utilization_is_of_reservable_without_on_demand_use_and_of_total_with_it():
    rows, host = one_metal()
    rows.ironic_node("i", "2023-06-01")
    _, reservation, _ = rows.booked(host, "2024-01-10", "2024-01-11")
    rows.spec(rows.instance("h", "2024-01-10", "2024-01-10 12:00"), spec_text([reservation]))

    def on_the_tenth() -> float:
        usage = Worked(rows).usage.usage.filter(metric="utilization", resource="nodes").sort("timestamp")
        return usage["value"].to_list()[9]

    assert on_the_tenth() == 0.5
    _on_demand(rows, "i", "2024-01-20", "2024-01-21")
    assert on_the_tenth() == 0.25
