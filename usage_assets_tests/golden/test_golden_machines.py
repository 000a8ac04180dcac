"""Rules 1, 2 and 9 on sites worked out by hand: what exists, what is reservable, of which type and size."""

from datetime import datetime

from usage_assets_tests.golden.builder import Rows
from usage_assets_tests.golden.worked import DEC, FEB, JAN, Worked, one_machine

SIZE = ("nodes", "vcpus", "vcpus_overcommit", "memory_mb", "disk_gb")


def test_a_host_re_created_under_its_name_is_one_machine_with_a_gap():
    rows = Rows()
    rows.compute_node("h", "2023-06-01", "2024-01-10")
    rows.compute_node("h", "2024-01-12")
    site = Worked(rows)
    assert site.kept("total") == [("h", "01-01", "01-10", "kept"), ("h", "01-12", "02-01", "kept")]
    assert site.hours("total") == 216 + 480
    assert site.hours("total", "vcpus") == 40 * 696


def test_of_overlapping_host_rows_the_latest_created_gives_the_size_and_the_machine_counts_once():
    rows = Rows()
    rows.compute_node("h", "2023-06-01", "2024-01-20")
    rows.compute_node("h", "2024-01-10", vcpus=32)
    site = Worked(rows)
    assert site.kept("total", "vcpus") == [
        ("h", "01-01", "01-10", "clipped", 40.0),
        ("h", "01-10", "02-01", "kept", 32.0),
    ]
    assert site.hours("total") == 744
    assert site.hours("total", "vcpus") == 40 * 216 + 32 * 528
    account = site.account("nova_compute_nodes", "total")
    assert account == {
        "rows_in": 2,
        "rows_kept": 2,
        "rows_rejected": 0,
        "rows_outside": 0,
        "hours_in": 456 + 528,
        "hours_kept": 744,
        "hours_clipped": 240,
        "hours_rejected": 0,
    }


def test_an_older_host_row_counts_again_after_the_later_one_within_it_ended():
    rows = Rows()
    rows.compute_node("h", "2023-06-01")
    rows.compute_node("h", "2024-01-10", "2024-01-12", vcpus=32)
    assert Worked(rows).kept("total", "vcpus") == [
        ("h", "01-01", "01-10", "clipped", 40.0),
        ("h", "01-10", "01-12", "kept", 32.0),
        ("h", "01-12", "02-01", "clipped", 40.0),
    ]


def test_of_host_rows_created_at_once_the_greater_id_counts_and_the_other_is_a_duplicate():
    rows = Rows()
    rows.compute_node("h", "2024-01-11", vcpus=8)
    rows.compute_node("h", "2024-01-11", vcpus=16)
    site = Worked(rows)
    assert site.kept("total", "vcpus") == [("h", "01-11", "02-01", "kept", 16.0)]
    assert site.rejected("nova_compute_nodes", "start_at", "end_at") == [("h", "duplicate", "01-11", "02-01")]
    assert site.account("nova_compute_nodes", "total")["hours_rejected"] == 504


def test_overcommit_multiplies_vcpus_and_a_ratio_of_null_or_zero_is_one():
    rows = Rows()
    for name, ratio in (("a", None), ("b", 0), ("c", 2.5)):
        rows.compute_node(name, "2023-06-01", cpu_allocation_ratio=ratio)
    assert Worked(rows).kept("total", *SIZE) == [
        ("a", "01-01", "02-01", "kept", 1.0, 40.0, 40.0, 1000.0, 100.0),
        ("b", "01-01", "02-01", "kept", 1.0, 40.0, 40.0, 1000.0, 100.0),
        ("c", "01-01", "02-01", "kept", 1.0, 40.0, 100.0, 1000.0, 100.0),
    ]


def test_bare_metal_of_size_zero_has_the_size_of_its_blazar_host_nearest_in_time_and_the_type_of_the_one_before():
    rows = Rows()
    rows.ironic_node("h", "2023-06-01")
    rows.computehost("h", "2023-06-01", "2024-01-10", node_type="a", vcpus=48)
    rows.computehost("h", "2024-01-20", node_type="b", vcpus=24, gpus=4)
    site = Worked(rows)
    assert site.kept("total", "node_type", "vcpus", "gpus") == [
        ("h", "01-01", "01-15", "kept", "a", 48.0, None),
        ("h", "01-15", "01-20", "kept", "a", 24.0, None),
        ("h", "01-20", "02-01", "kept", "b", 24.0, 4.0),
    ]
    assert site.kept("reservable", "node_type", "vcpus") == [
        ("h", "01-01", "01-10", "kept", "a", 48.0),
        ("h", "01-20", "02-01", "kept", "b", 24.0),
    ]
    assert site.hours("total", node_type="a") == 19 * 24
    assert site.hours("total", "vcpus") == 48 * 14 * 24 + 24 * 17 * 24


def test_a_machine_is_typed_by_context_rows_where_no_blazar_host_of_the_month_says_it():
    rows = Rows()
    rows.compute_node("before", "2023-06-01")
    rows.computehost("before", "2023-06-01", "2023-09-01", node_type="old")
    rows.computehost("before", "2023-07-01", "2023-08-01", node_type="older")
    rows.compute_node("after", "2023-06-01")
    rows.computehost("after", "2024-03-05", node_type="new")
    site = Worked(rows)
    assert site.kept("total", "node_type") == [
        ("after", "01-01", "02-01", "kept", "new"),
        ("before", "01-01", "02-01", "kept", "old"),
    ]
    assert site.hours("reservable") == 0


def test_a_type_that_no_database_says_comes_from_the_sites_map_else_it_is_unknown():
    rows = Rows()
    for name in ("gpu-1", "plain-1"):
        rows.compute_node(name, "2023-06-01")
    site = Worked(rows, node_types={"^gpu-": {"type": "gpu_v100", "gpus": 4}})
    assert site.kept("total", "node_type", "gpus") == [
        ("gpu-1", "01-01", "02-01", "kept", "gpu_v100", 4.0),
        ("plain-1", "01-01", "02-01", "kept", "unknown", None),
    ]


def test_of_doubled_capabilities_the_latest_created_counts_and_the_machine_is_not_multiplied():
    rows, host = one_machine(node_type="first")
    rows.capability(host, "node_type", "second", created_at="2023-08-01")
    site = Worked(rows)
    assert site.kept("reservable", "node_type") == [("h", "01-01", "02-01", "kept", "second")]
    assert site.hours("total", node_type="second") == 744


def test_capabilities_of_old_blazar_releases_are_named_in_their_own_row():
    rows, host = one_machine()
    rows.add(
        "blazar_computehost_extra_capabilities",
        id="x",
        computehost_id=host,
        capability_name="node_type",
        capability_value="t",
    )
    assert Worked(rows).kept("total", "node_type") == [("h", "01-01", "02-01", "kept", "t")]


def test_a_host_row_that_ends_before_it_starts_never_ran_and_one_without_a_name_has_a_null_key():
    rows = Rows()
    rows.compute_node("h", "2024-01-10", "2024-01-05")
    rows.compute_node("i", "2024-01-10", "2024-01-10")
    rows.compute_node(None, "2024-01-22")
    site = Worked(rows)
    assert site.kept("total") == []
    assert site.rejected("nova_compute_nodes") == [(None, "null_key"), ("h", "never_ran"), ("i", "never_ran")]
    assert site.account("nova_compute_nodes", "total")["hours_rejected"] == 240


def test_a_null_created_at_is_the_earliest_other_time_and_a_row_without_any_time_is_bad():
    rows = Rows()
    rows.compute_node("h", None, "2024-01-20", updated_at="2024-01-15")
    rows.compute_node("timeless", None)
    site = Worked(rows, [JAN, FEB])
    assert site.kept("total") == [("h", "01-15", "01-20", "kept")]
    assert site.rejected("nova_compute_nodes", "month") == [("timeless", "bad_time", JAN)]
    assert site.hours("total") == 120


def test_a_gone_row_that_was_still_open_ends_when_it_was_missed():
    rows = Rows()
    rows.compute_node("h", "2023-06-01", gone_at="2024-01-05 06:00")
    site = Worked(rows)
    assert site.kept("total") == [("h", "01-01", "01-05 06:00", "kept")]
    assert site.hours("total") == 102


def test_a_machine_is_reservable_only_while_it_exists_and_its_blazar_host_does():
    rows = Rows()
    rows.compute_node("h", "2024-01-03", "2024-01-20")
    rows.computehost("h", "2024-01-10", node_type="t")
    site = Worked(rows)
    assert site.kept("reservable", "vcpus", "node_type") == [("h", "01-10", "01-20", "clipped", 48.0, "t")]
    assert site.hours("reservable") == 240
    assert site.hours("ondemand_capacity") == 17 * 24 - 240
    assert site.account("blazar_computehosts", "reservable")["hours_clipped"] == 22 * 24 - 240


def test_a_duplicate_blazar_host_counts_once_and_the_latest_sizes_it():
    rows, _ = one_machine()
    rows.computehost("h", "2024-01-11", vcpus=24)
    site = Worked(rows)
    assert site.kept("reservable", "vcpus") == [
        ("h", "01-01", "01-11", "clipped", 48.0),
        ("h", "01-11", "02-01", "kept", 24.0),
    ]
    assert site.hours("reservable") == 744


def test_a_blazar_host_without_its_machine_is_an_orphan_and_one_under_another_a_duplicate():
    rows, _ = one_machine()
    rows.computehost("nobody", "2024-01-21")
    rows.computehost("h", "2024-01-31")
    rows.computehost("h", "2024-01-31", vcpus=96)
    site = Worked(rows)
    assert site.rejected("blazar_computehosts", "start_at", "end_at") == [
        ("h", "duplicate", "01-31", "02-01"),
        ("nobody", "orphan", "01-21", "02-01"),
    ]
    assert site.hours("reservable", "vcpus") == 48 * 720 + 96 * 24


def test_reservable_vcpus_are_blazars_and_their_overcommit_is_novas_at_that_time():
    rows = Rows()
    rows.compute_node("h", "2023-06-01", "2024-01-16", cpu_allocation_ratio=2.0)
    rows.compute_node("h", "2024-01-16", cpu_allocation_ratio=1.5)
    rows.computehost("h", "2023-06-01")
    assert Worked(rows).kept("reservable", *SIZE) == [
        ("h", "01-01", "01-16", "kept", 1.0, 48.0, 96.0, 2000.0, 200.0),
        ("h", "01-16", "02-01", "kept", 1.0, 48.0, 72.0, 2000.0, 200.0),
    ]


def test_reservable_and_disabled_as_the_dump_found_them_have_no_history_and_are_not_used():
    rows, _ = one_machine(reservable=False, disabled=True)
    assert Worked(rows).hours("reservable") == 744


def test_a_month_s_edge_cuts_what_lies_across_it_and_loses_nothing():
    rows = Rows()
    rows.compute_node("h", "2023-12-30", "2024-02-03")
    rows.computehost("h", "2023-12-31", "2024-02-02")
    site = Worked(rows, [DEC, JAN, FEB], first_month="2023-12")
    assert site.kept("total", "month", "original_start_at", "original_end_at") == [
        ("h", "01-01", "02-01", "kept", JAN, "12-30", "02-03"),
        ("h", "02-01", "02-03", "kept", FEB, "12-30", "02-03"),
        ("h", "12-30", "01-01", "kept", DEC, "12-30", "02-03"),
    ]
    assert site.hours("total") == 35 * 24
    assert site.hours("reservable") == 33 * 24


def test_a_row_that_ended_the_instant_its_month_began_is_outside():
    rows = Rows()
    rows.compute_node("h", "2023-06-01", "2024-01-01")
    account = Worked(rows).account("nova_compute_nodes", "total")
    assert (account["rows_in"], account["rows_outside"], account["hours_in"]) == (1, 1, 0)


def test_the_running_month_ends_at_its_extraction():
    rows, host = one_machine()
    rows.booked(host, "2024-01-08", "2024-01-20")
    rows.booked(host, "2024-01-25", "2024-01-28")
    site = Worked(rows, extracted=datetime(2024, 1, 10, 12))
    assert site.kept("total") == [("h", "01-01", "01-10 12:00", "kept")]
    assert [row[1:4] for row in site.kept("committed")] == [("01-08", "01-10 12:00", "kept")]
    account = site.account("blazar_computehost_allocations", "committed")
    assert (account["rows_kept"], account["rows_outside"], account["hours_in"]) == (1, 1, 60)
    last = site.usage.usage.filter(metric="committed", resource="nodes").sort("timestamp")
    assert len(last) == 10
    assert last.select("value", "hours").rows()[-1] == (1.0, 12.0)


def test_the_metrics_of_a_known_gap_and_what_derives_from_them_are_null_there():
    rows, _ = one_machine()
    gaps = [{"source": "blazar_computehosts", "from": "2023-01-01", "to": "2024-01-11"}]
    usage = Worked(rows, known_gaps=gaps).usage.usage.filter(resource="nodes").sort("timestamp")
    for metric in ("reservable", "committed", "ondemand_capacity", "available_reservable", "idle"):
        values = usage.filter(metric=metric)["value"].to_list()
        assert values[:10] == [None] * 10, metric
        assert None not in values[10:], metric
    assert usage.filter(metric="total")["value"].to_list() == [1.0] * 31


def test_daily_values_are_time_weighted_means_and_sum_to_the_months_resource_hours():
    rows = Rows()
    rows.compute_node("h", "2024-01-10 06:00", "2024-01-12 18:00", vcpus=10)
    site = Worked(rows)
    days = site.usage.usage.filter(metric="total", resource="vcpus").sort("timestamp")["value"].to_list()
    assert days == [0.0] * 9 + [7.5, 10.0, 7.5] + [0.0] * 19
    assert site.hours("total", "vcpus") == 600
    steps = site.usage.steps.filter(metric="total", resource="vcpus").sort("timestamp")
    assert steps.select("timestamp", "value").rows() == [
        (datetime(2024, 1, 1), 0.0),
        (datetime(2024, 1, 10, 6), 10.0),
        (datetime(2024, 1, 12, 18), 0.0),
    ]


def test_a_site_without_blazar_counts_what_nova_knows_and_derives_nothing_from_what_it_does_not():
    rows = Rows()
    rows.compute_node("h", "2023-06-01")
    rows.spec(rows.instance("h", "2024-01-10", "2024-01-20", vcpus=20))
    site = Worked(rows, databases=("nova", "nova_api"))
    assert set(site.usage.usage["metric"]) == {
        "total",
        "occupied_ondemand",
        "occupied_unknown",
        "occupied",
        "active",
        "stopped",
        "utilization",
    }
    assert (site.hours("total"), site.hours("occupied_ondemand"), site.hours("occupied")) == (744, 120, 120)
    tenth = site.usage.usage.filter(metric="utilization", resource="vcpus", timestamp=datetime(2024, 1, 10))
    assert tenth["value"].to_list() == [0.5]


def test_months_that_are_not_asked_for_leave_no_rows():
    rows, host = one_machine()
    rows.booked(host, "2023-12-10", "2024-02-10")
    site = Worked(rows, [DEC, FEB], first_month="2023-12")
    for frame in (site.facts.intervals, site.facts.rejects, site.facts.accounts, site.usage.usage, site.usage.steps):
        assert set(frame["month"]) <= {DEC, FEB}
    assert site.hours("committed") == 22 * 24 + 9 * 24
