"""Leases on sites worked out by hand: what became of each, and how long it took by plan and in fact."""

import pytest

from usage_assets_tests.golden.builder import ZERO, Rows, at
from usage_assets_tests.golden.worked import DEC, FEB, JAN
from usage_assets_tests.golden.worked_leases import WorkedLeases

ASKED, START, END = "2024-01-10 12:00", "2024-01-12", "2024-01-15"
DONE = "2024-01-12 00:01"


def plain(**more: object) -> tuple[Rows, str]:
    """A lease of one host from START to END that holds it since ASKED."""
    rows = Rows()
    host = rows.computehost("h", "2023-06-01", node_type="t")
    lease = rows.lease(ASKED, START, END, **more)
    rows.allocation(rows.reservation(lease, created_at=ASKED), host, ASKED)
    return rows, lease


def test_requested_is_from_asking_to_the_planned_start_and_effective_to_the_start_event():
    rows, lease = plain(status="ACTIVE")
    rows.start_event(lease, "DONE", DONE)
    site = WorkedLeases(rows)
    assert site.of(lease, "outcome", "basis", "requested") == ("started", "event", 36.0)
    assert site.of(lease, "effective") == pytest.approx(36 + 1 / 60)
    assert site.of(lease, "node_type", "nodes", "resource_type") == ("t", 1, "physical:host")
    assert site.of(lease, "project_id", "user_id", "status") == ("p", "u", "ACTIVE")


@pytest.mark.parametrize(
    ("done", "more", "basis", "hours"),
    [
        ("2024-01-12", {}, "event", 36),
        ("2024-01-13", {}, "event", 60),
        ("2024-01-13 00:00:01", {}, "schedule", 36),  # a day after: the event says something else
        ("2024-01-11 23:59:59", {}, "schedule", 36),
        (None, {}, "schedule", 36),
        (DONE, {"deleted_at": "2024-01-20"}, "schedule", 36),  # deleting may have touched it
    ],
)
def test_the_start_event_tells_the_start_within_a_day_of_the_plan_while_it_is_not_deleted(done, more, basis, hours):
    rows, lease = plain()
    rows.start_event(lease, "DONE", done, **more)
    site = WorkedLeases(rows)
    assert site.of(lease, "outcome", "basis", "effective") == ("started", basis, hours)


def test_a_lease_without_a_start_event_started_as_planned():
    rows, lease = plain()
    assert WorkedLeases(rows).of(lease, "outcome", "basis", "effective") == ("started", "schedule", 36)


@pytest.mark.parametrize(
    ("end", "more", "outcome"),
    [
        ("2024-01-11 23:59:59.999999", {}, "never_ran"),
        ("2024-01-11", {"status": "ERROR"}, "never_ran"),
        ("2024-01-11", {"deleted_at": "2024-01-10 13:00"}, "never_ran"),
        (START, {}, "started"),
        (None, {}, "started"),
    ],
)
def test_a_lease_whose_end_lies_before_its_start_never_ran_whatever_else_is_said_of_it(end, more, outcome):
    rows = Rows()
    lease = rows.lease(ASKED, START, end, **more)
    rows.start_event(lease, "DONE", DONE)
    assert WorkedLeases(rows).of(lease, "outcome", "requested") == (outcome, 36.0)


def test_a_start_cut_to_the_minute_is_at_once():
    rows = Rows()
    cut = rows.lease("2024-01-10 12:00:45", "2024-01-10 12:00", END)
    almost = rows.lease("2024-01-10 12:01:29", "2024-01-10 12:00", END)
    before = rows.lease("2024-01-10 12:01:30", "2024-01-10 12:00", END)
    site = WorkedLeases(rows)
    assert site.of(cut, "requested", "effective") == (0, 0)
    assert site.of(almost, "requested", "effective") == (0, 0)
    assert site.of(before, "requested", "effective") == (-0.025, 0)


@pytest.mark.parametrize(
    ("deleted", "status", "holds", "outcome"),
    [
        ("2024-01-10 13:00", "CREATING", True, "rolled_back"),
        ("2024-01-10 12:01", "PENDING", False, "rolled_back"),
        ("2024-01-10 12:01:01", "PENDING", False, "cancelled"),
        ("2024-01-10 12:00:30", "PENDING", True, "cancelled"),
        (START, "PENDING", True, "cancelled"),
        ("2024-01-12 00:00:01", "TERMINATED", True, "started"),
        (None, "CREATING", True, "started"),
    ],
)
def test_a_lease_is_rolled_back_while_created_and_cancelled_before_its_start(deleted, status, holds, outcome):
    rows = Rows()
    lease = rows.lease(ASKED, START, END, deleted, status=status)
    reservation = rows.reservation(lease)
    if holds:
        rows.allocation(reservation, rows.computehost("h", "2023-06-01"), ASKED)
    site = WorkedLeases(rows)
    assert site.of(lease, "outcome") == outcome
    assert (site.of(lease, "effective") is None) == (outcome != "started")


def test_a_lease_that_vanished_at_the_source_before_its_start_was_cancelled():
    rows, lease = plain(gone_at="2024-01-11")
    assert WorkedLeases(rows).of(lease, "outcome", "deleted_at") == ("cancelled", at("2024-01-11"))


def test_a_lease_that_starts_after_the_dump_is_pending():
    rows, lease = plain(status="ERROR")
    assert WorkedLeases(rows, extracted=at("2024-01-11 23:59")).of(lease, "outcome", "effective") == (
        "pending",
        None,
    )
    assert WorkedLeases(rows, extracted=at(START)).of(lease, "outcome") == "failed"


@pytest.mark.parametrize(
    ("event", "lease_status", "reservation", "outcome"),
    [
        ("ERROR", "ACTIVE", "active", "failed"),
        ("DONE", "ERROR", "active", "failed"),
        ("UNDONE", "PENDING", "error", "failed"),
        (None, "PENDING", "error", "failed"),
        ("DONE", "ACTIVE", "error", "started"),
        ("UNDONE", "PENDING", "pending", "not_run"),
        ("IN_PROGRESS", "STARTING", "pending", "not_run"),
        ("DONE", "TERMINATED", "deleted", "started"),
    ],
)
def test_what_became_of_a_lease_whose_start_has_passed(event, lease_status, reservation, outcome):
    rows = Rows()
    lease = rows.lease(ASKED, START, END, status=lease_status)
    rows.reservation(lease, status=reservation)
    if event:
        rows.start_event(lease, event, DONE)
    assert WorkedLeases(rows).of(lease, "outcome") == outcome


def test_of_doubled_events_the_one_created_last_counts_and_no_lease_is_doubled():
    rows, lease = plain()
    rows.start_event(lease, "ERROR", DONE, created_at="2024-01-10")
    rows.start_event(lease, "DONE", DONE, created_at="2024-01-11")
    site = WorkedLeases(rows)
    assert site.rows.height == 1
    assert site.of(lease, "outcome", "basis") == ("started", "event")


def test_a_lease_lies_in_the_month_of_its_asking_only():
    rows = Rows()
    early = rows.lease("2023-12-30", "2024-01-02", "2024-02-10")
    late = rows.lease("2024-01-31 23:59:59", "2024-02-02", "2024-02-10")
    site = WorkedLeases(rows, [DEC, JAN, FEB], first_month="2023-12")
    assert sorted(site.rows.select("lease_id", "month").rows()) == [(early, DEC), (late, JAN)]
    january = site.accounts.filter(month=JAN).select("rows_in", "rows_kept", "rows_outside", "rows_rejected").row(0)
    assert january == (2, 1, 1, 0)


def test_a_lease_without_created_at_was_asked_for_at_its_earliest_time_and_without_any_is_rejected():
    rows = Rows()
    told = rows.lease(None, "2024-01-05", END, updated_at="2024-01-04")
    never = rows.lease(ZERO, None, None)
    site = WorkedLeases(rows)
    assert site.of(told, "created_at", "requested") == (at("2024-01-04"), 24)
    assert site.rows["lease_id"].to_list() == [told]
    assert site.rejects.select("entity_id", "metric", "source", "reason", "month").rows() == [
        (never, "leadtime", "blazar_leases", "bad_time", JAN)
    ]


def test_nodes_and_type_are_those_of_the_machines_held_at_the_time_of_asking():
    rows = Rows()
    first = rows.computehost("h1", "2023-06-01", "2024-01-11", node_type="old")
    rows.computehost("h1", "2024-01-11", node_type="new")
    second = rows.computehost("h2", "2023-06-01", node_type="b")
    lease = rows.lease(ASKED, START, END)
    reservation = rows.reservation(lease)
    rows.asked(reservation, '["==","$node_type","asked"]', "5-5")
    for host in (first, second, second):
        rows.allocation(reservation, host, ASKED)
    assert WorkedLeases(rows).of(lease, "node_type", "nodes") == ("b, old", 2)


def test_without_machines_the_filter_names_the_type_and_the_range_the_number():
    rows = Rows()
    one = rows.request(ASKED, START, END, ('["==","$node_type","x"]', "2-4"), ('["in","$node_type",["y","x"]]', "1"))
    other = rows.request(ASKED, START, END, ('["and",[">","$vcpus","8"],["==","$node_type","z"]]', "3-3"))
    silent = rows.request(ASKED, START, END, ("", None))
    site = WorkedLeases(rows)
    assert site.of(one, "node_type", "nodes") == ("x, y", 3)
    assert site.of(other, "node_type", "nodes") == ("z", 3)
    assert site.of(silent, "node_type", "nodes") == ("unknown", None)


def test_the_site_file_names_the_type_of_machines_that_the_databases_do_not():
    rows = Rows()
    host = rows.computehost("gpu-1", "2023-06-01")
    lease, _, _ = rows.booked(host, "2024-01-10", "2024-01-12")
    assert WorkedLeases(rows).of(lease, "node_type") == "unknown"
    assert WorkedLeases(rows, node_types={"^gpu": {"type": "v100"}}).of(lease, "node_type") == "v100"


def test_leases_of_devices_and_flavors_have_lead_times_but_no_projection():
    rows = Rows()
    device = rows.device("edge", "2023-06-01", machine_name="pi")
    edge = rows.lease(ASKED, START, END)
    rows.device_allocation(rows.reservation(edge, "device"), device, ASKED)
    flavor = rows.lease(ASKED, START, END)
    reservation = rows.reservation(flavor, "flavor:instance")
    rows.instance_reservation(reservation)
    rows.allocation(reservation, rows.computehost("h", "2023-06-01", node_type="t"), ASKED)
    site = WorkedLeases(rows)
    assert site.of(edge, "node_type", "nodes", "requested", "resource_type") == ("pi", 1, 36, "device")
    assert site.of(flavor, "node_type", "nodes", "requested") == ("t", 1, 36)
    assert site.projected(edge) == site.projected(flavor) == (None, None)


def test_the_timeline_has_a_point_per_lease_and_type_and_the_median_of_those_of_one_instant():
    rows = Rows()
    for start in ("2024-01-11 12:00", "2024-01-12 12:00", "2024-01-14 12:00"):
        rows.lease(ASKED, start, "2024-01-20")
    rows.lease("2024-01-20", "2024-03-30", "2024-04-02", "2024-01-21")
    points = WorkedLeases(rows).timeline.select("timestamp", "leadtime_type", "node_type", "value").rows()
    assert points == [
        (at(ASKED), "effective", "unknown", 48.0),
        (at(ASKED), "requested", "unknown", 48.0),
        (at("2024-01-20"), "requested", "unknown", 70 * 24.0),
    ]


def test_leases_that_the_site_file_excludes_when_they_are_asked_for_are_rejected():
    rows = Rows()
    before, within = (rows.lease(day, "2024-01-20", "2024-01-22", project_id="x") for day in ("2024-01-03", ASKED))
    other = rows.lease(ASKED, "2024-01-20", "2024-01-22")
    rule = {"table": "blazar_leases", "where": {"project_id": "x"}, "from": "2024-01-05", "reason": "load", "by": "ops"}
    site = WorkedLeases(rows, exclusions=[rule])
    assert sorted(site.rows["lease_id"]) == sorted([before, other])
    assert site.rejects.select("entity_id", "reason", "action").rows() == [
        (within, "excluded", "excluded by ops: load")
    ]
    assert site.accounts.select("rows_in", "rows_kept", "rows_rejected", "rows_outside").row(0) == (3, 2, 1, 0)
