"""Projected lead time on sites worked out by hand: the least wait, as the bookings known when asked allowed it."""

import polars as pl
import pytest

from usage_assets_tests.golden.builder import Rows, at
from usage_assets_tests.golden.worked import DEC, FEB, JAN
from usage_assets_tests.golden.worked_leases import WorkedLeases

ASKED = "2024-01-10"
LENGTH = ("2024-01-20", "2024-01-22")  # what the lease in question plans: two days
FREE, CENSORED, UNKNOWN = (0.0, False), (None, True), (None, None)
TYPE_T = '["==","$node_type","t"]'


def hosts(*names: str, **more: object) -> tuple[Rows, list[str]]:
    """Reservable hosts of type `t`."""
    rows = Rows()
    return rows, [rows.computehost(name, "2023-06-01", node_type="t", **more) for name in names]


def book(rows: Rows, host: str, start: str, end: str | None, made: str = "2024-01-01", **more: object) -> str:
    """Another's lease of a host."""
    lease = rows.lease(made, start, end, **more)
    rows.allocation(rows.reservation(lease), host, made)
    return lease


def ask(rows: Rows, *wants: tuple[str | None, str | None], asked: str = ASKED) -> str:
    """The lease in question: two days of one host of type `t`, or what is said."""
    return rows.request(asked, *LENGTH, *(wants or ((TYPE_T, "1-1"),)))


def test_a_machine_without_bookings_is_free_now():
    rows, _ = hosts("h")
    lease = ask(rows)
    site = WorkedLeases(rows)
    assert site.projected(lease) == FREE
    assert site.of(lease, "requested", "projected_inexact") == (240, 0)


LONG = ("2024-01-05", "2024-01-11")
WAITS = {
    "the booking that runs ends": ([("2024-01-05", "2024-01-11 06:00")], {}, 30),
    "a gap that a later booking makes too short": ([("2024-01-11 12:00", "2024-01-14")], {}, 96),
    "a gap of just the length is enough": ([LONG, ("2024-01-13", "2024-01-16")], {}, 24),
    "cleaning before and after": ([LONG, ("2024-01-13 01:00", "2024-01-16")], {"cleaning_minutes": 30}, 24.5),
    "no room to clean": ([LONG, ("2024-01-13 01:00", "2024-01-16")], {"cleaning_minutes": 31}, 144 + 31 / 60),
    "cleaning after one that just ended": ([("2024-01-05", "2024-01-09 23:30")], {"cleaning_minutes": 60}, 0.5),
    "made afterwards, so not known": ([("2024-01-10 01:00", "2024-01-15", "2024-01-10 00:00:01")], {}, 0),
    "made at the same instant, so known": ([("2024-01-10 01:00", "2024-01-15", ASKED)], {}, 120),
    "at the horizon": ([("2024-01-05", "2024-01-20")], {"leadtime_horizon_days": 10}, 240),
    "past the horizon": ([("2024-01-05", "2024-01-20")], {"leadtime_horizon_days": 9}, None),
    "without an end": ([("2024-01-05", None)], {}, None),
}


@pytest.mark.parametrize(("bookings", "site", "hours"), WAITS.values(), ids=list(WAITS))
def test_the_wait_for_one_machine_by_its_bookings(bookings, site, hours):
    rows, (host,) = hosts("h")
    for booking in bookings:
        book(rows, host, *booking)
    lease = ask(rows)
    expected = CENSORED if hours is None else pytest.approx((hours, False))
    assert WorkedLeases(rows, **site).projected(lease) == expected


def test_of_several_machines_any_will_do_and_several_asked_for_must_be_free_at_once():
    rows, (one, two, three) = hosts("a", "b", "c")
    book(rows, one, "2024-01-05", "2024-01-12")
    book(rows, two, "2024-01-05", "2024-01-14")
    book(rows, three, "2024-01-11", "2024-01-30")
    single, pair, all_three = (ask(rows, (TYPE_T, f"{n}-9")) for n in (1, 2, 3))
    site = WorkedLeases(rows)
    assert site.projected(single) == (48, False)
    assert site.projected(pair) == (96, False)
    assert site.projected(all_three) == (480, False)


def test_the_bookings_of_the_lease_itself_are_no_hindrance():
    rows, (host,) = hosts("h")
    lease = ask(rows)
    reservation = rows.tables["blazar_reservations"][-1]["id"]
    rows.allocation(reservation, host, ASKED)
    assert WorkedLeases(rows).projected(lease) == FREE


@pytest.mark.parametrize(
    ("dropped", "expected"), [("2024-01-10", FREE), ("2024-01-09", FREE), ("2024-01-10 00:00:01", (24, False))]
)
def test_a_lease_deleted_by_then_holds_nothing(dropped, expected):
    rows, (host,) = hosts("h")
    book(rows, host, "2024-01-05", "2024-01-11", deleted=dropped)
    lease = ask(rows)
    assert WorkedLeases(rows).projected(lease) == expected


def test_an_allocation_deleted_or_gone_by_then_holds_nothing():
    for column in ("deleted_at", "gone_at"):
        rows, (host,) = hosts("h")
        book(rows, host, "2024-01-05", "2024-01-11")
        rows.tables["blazar_computehost_allocations"][-1][column] = at("2024-01-09")
        lease = ask(rows)
        assert WorkedLeases(rows).projected(lease) == FREE


def test_more_machines_than_there_are_are_never_free():
    rows, _ = hosts("a", "b")
    lease = ask(rows, (TYPE_T, "3-3"))
    assert WorkedLeases(rows).projected(lease) == CENSORED


def test_all_reservations_of_a_lease_start_at_once_and_alike_ones_add_up():
    rows, (one, two) = hosts("a", "b")
    other = rows.computehost("g", "2023-06-01", node_type="u")
    book(rows, one, "2024-01-05", "2024-01-12")
    book(rows, two, "2024-01-05", "2024-01-11")
    book(rows, other, "2024-01-11 12:00", "2024-01-13")
    of_u = '["==","$node_type","u"]'
    mixed, twice, alone = ask(rows, (TYPE_T, "1"), (of_u, "1")), ask(rows, (TYPE_T, "1"), (TYPE_T, "1")), ask(rows)
    site = WorkedLeases(rows)
    assert site.projected(alone) == (24, False)
    assert site.projected(twice) == (48, False)
    assert site.projected(mixed) == (72, False)


def test_filters_that_say_the_same_add_up_however_they_are_written():
    rows, (one, _) = hosts("a", "b")
    book(rows, one, "2024-01-05", "2024-01-12")
    spaced = ask(rows, (TYPE_T, "1"), ('["==", "$node_type", "t"]', "1"))
    any_host = ask(rows, ("", "1"), (None, "1"))
    site = WorkedLeases(rows)
    assert site.projected(spaced) == site.projected(any_host) == (48, False)


@pytest.mark.parametrize(
    "text", ["{", '["~","$node_type","t"]', '["==","node_type","t"]', '"t"', '["==","$cpu_info","x"]']
)
def test_a_filter_that_can_not_be_read_has_no_projection(text):
    rows, _ = hosts("h")
    lease = ask(rows, (text, "1-1"))
    assert WorkedLeases(rows).projected(lease) == UNKNOWN


@pytest.mark.parametrize("count", [None, "", "many", "0-1"])
def test_a_count_that_can_not_be_read_has_no_projection(count):
    rows, _ = hosts("h")
    lease = ask(rows, (TYPE_T, count))
    assert WorkedLeases(rows).projected(lease) == UNKNOWN


def test_a_reservation_whose_details_are_lost_and_a_plan_without_length_have_no_projection():
    rows, _ = hosts("h")
    lost = rows.lease(ASKED, *LENGTH)
    rows.reservation(lost)
    backwards = rows.request(ASKED, LENGTH[1], LENGTH[0], (TYPE_T, "1"))
    endless = rows.request(ASKED, LENGTH[0], None, (TYPE_T, "1"))
    site = WorkedLeases(rows)
    assert [site.projected(lease) for lease in (lost, backwards, endless)] == [UNKNOWN] * 3


def test_only_hosts_whose_row_covers_the_asking_are_counted():
    rows = Rows()
    rows.computehost("gone", "2023-06-01", ASKED, node_type="t")
    rows.computehost("later", "2024-01-10 00:00:01", node_type="t")
    early, late = ask(rows), ask(rows, asked="2024-01-10 00:00:01")
    before = ask(rows, asked="2024-01-09 23:59:59")
    site = WorkedLeases(rows)
    assert site.projected(early) == CENSORED
    assert site.projected(late) == site.projected(before) == FREE


def test_a_machine_is_what_its_latest_row_says_and_its_name_is_its_identity():
    rows = Rows()
    old = rows.computehost("h", "2023-06-01", node_type="t")
    rows.computehost("h", "2024-01-05", node_type="u")
    book(rows, old, "2024-01-09", "2024-01-12")  # a booking of the old row holds the machine
    of_t, of_u = ask(rows), ask(rows, ('["==","$node_type","u"]', "1"))
    site = WorkedLeases(rows)
    assert site.projected(of_t) == CENSORED
    assert site.projected(of_u) == (48, False)


def test_filters_join_compare_numbers_and_name_columns_and_capabilities():
    rows = Rows()
    small = rows.computehost("small", "2023-06-01", node_type="t", vcpus=9)
    big = rows.computehost("big", "2023-06-01", node_type="u", vcpus=100, hypervisor_type="ironic")
    rows.capability(small, "speed", "10")
    rows.capability(big, "speed", "9")
    book(rows, big, "2024-01-05", "2024-01-11")
    on_small, on_big, on_any, on_none = FREE, (24, False), FREE, CENSORED
    wanted = {
        '[">","$vcpus","10"]': on_big,
        '["<=","$vcpus",9]': on_small,
        '["<","$speed","10"]': on_big,
        '[">=","$speed","10"]': on_small,
        '["!=","$node_type","t"]': on_big,
        '["!=","$nothing","t"]': on_none,
        '["==","$hypervisor_hostname","big"]': on_big,
        '["==","$hypervisor_type","ironic"]': on_big,
        '["in","$node_type",["t","x"]]': on_small,
        '["or",["==","$node_type","t"],["==","$node_type","u"]]': on_any,
        '["and",["==","$node_type","t"],["==","$vcpus","100"]]': on_none,
        '["and",["or",["==","$speed","9"],["==","$speed","1"]],["==","$vcpus","100"]]': on_big,
        f'["==","$id","{big}"]': on_big,
        "": on_any,
        "[]": on_any,
    }
    leases = {text: ask(rows, (text, "1")) for text in wanted}
    both = ask(rows)
    rows.tables["blazar_computehost_reservations"][-1]["hypervisor_properties"] = '[">","$vcpus","50"]'
    null = ask(rows, (None, "1"))
    rows.tables["blazar_computehost_reservations"][-1]["hypervisor_properties"] = None
    site = WorkedLeases(rows)
    assert {text: site.projected(lease) for text, lease in leases.items()} == wanted
    assert (site.projected(both), site.projected(null)) == (on_none, on_any)


def test_bookings_changed_since_are_counted_where_they_mattered():
    rows, (host, other) = hosts("h", "i")
    book(rows, host, "2024-01-05", "2024-01-11", updated_at="2024-01-12")
    book(rows, host, "2024-01-20", "2024-01-21", updated_at="2024-01-12")  # after the start found
    book(rows, other, "2024-01-05", "2024-01-13", updated_at="2024-01-09")  # as it was when asked
    lease = ask(rows)
    assert WorkedLeases(rows).of(lease, "projected", "projected_inexact") == (24, 1)


def test_months_built_one_by_one_or_together_are_alike():
    rows, (one, two) = hosts("a", "b")
    book(rows, one, "2023-12-20", "2024-01-20", made="2023-12-20")
    book(rows, two, "2024-01-25", "2024-02-20", made="2023-12-25")
    for day in ("2023-12-26", "2024-01-03", "2024-01-31", "2024-02-02"):
        rows.request(day, "2024-02-25", "2024-02-27", (TYPE_T, "2-2"))
        rows.request(day, "2024-02-25", "2024-02-27", ("", "1"))
    together = WorkedLeases(rows, [DEC, JAN, FEB], first_month="2023-12").rows.sort("lease_id")
    apart = [WorkedLeases(rows, [month], first_month="2023-12").rows for month in (FEB, DEC, JAN)]
    assert together.equals(apart[0].vstack(apart[1]).vstack(apart[2]).sort("lease_id"))
    asked = together.filter(pl.col("is_censored").is_not_null()).sort("created_at", "projected")
    assert asked["projected"].to_list() == [0, 600, 0, 408, 0, 480, 0, 432]
