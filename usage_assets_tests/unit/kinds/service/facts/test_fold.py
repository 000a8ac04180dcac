"""Each rule of folding by an example worked out by hand."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.service.stored import NOON, at, event, fold, folded, store


def of_one(event_id: str, kind: str, ts: str, **values: object) -> dict:
    return event(event_id, request_id="r", event_type=kind, ts=at(ts), **values)


def test_an_event_without_request_id_is_a_request_of_its_own(warehouse: Warehouse):
    row = folded(warehouse, event("e1", duration_s=2.5, queue_s=0.5))
    assert (row["request_id"], row["event_id"], row["final_state"], row["attempts"]) == ("e1", "e1", "succeeded", 1)
    assert (row["submitted_at"], row["started_at"]) == (NOON, NOON + timedelta(seconds=0.5))
    assert row["ended_at"] == NOON + timedelta(seconds=3)
    assert (row["duration_s"], row["lead_s"]) == (2.5, 0.5)


def test_an_outcome_that_says_its_end_began_before_it(warehouse: Warehouse):
    row = folded(warehouse, event("e1", time_of="end", duration_s=2.5, queue_s=0.5))
    assert row["ended_at"] == NOON
    assert row["started_at"] == NOON - timedelta(seconds=2.5)
    assert row["submitted_at"] == NOON - timedelta(seconds=3)


def test_without_a_stated_duration_an_outcome_alone_has_none(warehouse: Warehouse):
    row = folded(warehouse, event("e1"))
    assert (row["submitted_at"], row["started_at"], row["ended_at"]) == (NOON, NOON, NOON)
    assert (row["duration_s"], row["lead_s"]) == (None, 0.0)


def test_success_that_is_not_known_is_no_failure_and_one_that_is_false_is(warehouse: Warehouse):
    store(warehouse, [event("a", success=None), event("b", success=False), event("c", success=True)])
    assert fold(warehouse)["final_state"].to_list() == ["succeeded", "failed", "succeeded"]


def test_success_of_a_beginning_is_never_read(warehouse: Warehouse):
    store(warehouse, [event("a", event_type="request", success=True), event("b", event_type="start", success=True)])
    assert fold(warehouse)["final_state"].to_list() == ["unfinished", "unfinished"]


def test_measured_times_beat_a_stated_duration(warehouse: Warehouse):
    row = folded(
        warehouse,
        of_one("1", "request", "10 12:00:00"),
        of_one("2", "start", "10 12:00:04"),
        of_one("3", "complete", "10 12:00:10", duration_s=99.0, queue_s=1.0),
    )
    assert (row["submitted_at"], row["started_at"], row["ended_at"]) == (
        at("10 12:00:00"), at("10 12:00:04"), at("10 12:00:10"))  # fmt: skip
    assert (row["duration_s"], row["lead_s"]) == (6.0, 4.0)


def test_without_a_start_it_began_its_stated_duration_before_its_end(warehouse: Warehouse):
    row = folded(
        warehouse, of_one("1", "request", "10 12:00:00"), of_one("2", "complete", "10 12:00:10", duration_s=7.0)
    )
    assert (row["started_at"], row["duration_s"], row["lead_s"]) == (at("10 12:00:03"), 7.0, 3.0)


def test_without_a_duration_either_it_began_after_its_queue(warehouse: Warehouse):
    row = folded(warehouse, of_one("1", "request", "10 12:00:00"), of_one("2", "failed", "10 12:00:10", queue_s=4.0))
    assert (row["started_at"], row["duration_s"]) == (at("10 12:00:04"), 6.0)


def test_with_nothing_but_a_request_and_an_outcome_it_began_when_it_was_asked_for(warehouse: Warehouse):
    row = folded(warehouse, of_one("1", "request", "10 12:00:00"), of_one("2", "complete", "10 12:00:10"))
    assert (row["started_at"], row["duration_s"], row["lead_s"]) == (at("10 12:00:00"), 10.0, 0.0)


def test_a_request_that_only_starts_was_asked_for_then(warehouse: Warehouse):
    row = folded(warehouse, of_one("2", "start", "10 12:00:04"), of_one("3", "complete", "10 12:00:10"))
    assert (row["submitted_at"], row["started_at"]) == (at("10 12:00:04"), at("10 12:00:04"))


def test_the_earliest_good_outcome_decides_also_where_a_failure_follows(warehouse: Warehouse):
    row = folded(
        warehouse,
        of_one("1", "failed", "10 12:00:00", error="timeout"),
        of_one("2", "complete", "10 12:01:00", output_tokens=20),
        of_one("3", "complete", "10 12:02:00", output_tokens=30),
        of_one("4", "failed", "10 12:03:00"),
    )
    assert (row["event_id"], row["final_state"], row["attempts"]) == ("2", "succeeded", 4)
    assert (row["output_tokens"], row["error"]) == (20, None)


def test_without_a_good_outcome_the_latest_decides(warehouse: Warehouse):
    row = folded(
        warehouse,
        of_one("1", "failed", "10 12:00:00", error="timeout"),
        of_one("2", "complete", "10 12:01:00", success=False),
        of_one("3", "cancelled", "10 12:02:00"),
    )
    assert (row["event_id"], row["final_state"], row["error"]) == ("3", "cancelled", None)


@pytest.mark.parametrize(("kind", "decides"), [("complete", "A"), ("failed", "a")])
def test_equal_instants_are_told_apart_by_the_code_points_of_the_event_id(
    warehouse: Warehouse, kind: str, decides: str
):
    row = folded(warehouse, of_one("a", kind, "10 12:00"), of_one("A", kind, "10 12:00"))
    assert row["event_id"] == decides


def test_what_the_deciding_event_lacks_the_newest_other_one_gives(warehouse: Warehouse):
    row = folded(
        warehouse,
        of_one("1", "request", "10 12:00:00", user_id="first", team_id="t", input_tokens=5),
        of_one("2", "start", "10 12:00:01", user_id="second", model_id="m"),
        of_one("3", "complete", "10 12:00:02", input_tokens=7),
        of_one("4", "failed", "10 12:00:03", user_id=None, session_id="s", error="late"),
    )
    assert (row["user_id"], row["team_id"], row["session_id"], row["model_id"]) == ("second", "t", "s", "m")
    assert (row["input_tokens"], row["output_tokens"], row["error"]) == (7, None, None)


def test_each_meter_is_filled_by_itself_and_attempts_are_not_added_up(warehouse: Warehouse):
    row = folded(
        warehouse,
        of_one("1", "failed", "10 12:00:00", meters={"images": "1", "pages": "9"}),
        of_one("2", "failed", "10 12:00:01", meters={"images": "2"}),
        of_one("3", "complete", "10 12:00:02", meters={"images": "4", "seconds": "0.5"}),
    )
    assert row["meters"] == {
        "images": Decimal(4), "pages": Decimal(9), "seconds": Decimal("0.5")}  # fmt: skip


def test_unknown_users_models_and_providers_are_named_so_and_teams_stay_null(warehouse: Warehouse):
    row = folded(warehouse, event("e1"))
    assert [row[name] for name in ("user_id", "model_id", "provider", "team_id")] == ["(none)"] * 3 + [None]


def test_only_failed_requests_have_an_error(warehouse: Warehouse):
    store(warehouse, [
        event("a", event_type="failed", error="E"), event("b", event_type="failed"), event("c", error="E"),
        event("d", event_type="cancelled", error="E"), event("e", event_type="request", error="E"),
    ])  # fmt: skip
    assert fold(warehouse)["error"].to_list() == ["E", "(none)", None, None, None]


def test_a_start_after_the_end_is_a_clock_that_ran_backwards(warehouse: Warehouse):
    row = folded(
        warehouse,
        of_one("1", "request", "10 12:00:09"),
        of_one("2", "start", "10 12:00:08"),
        of_one("3", "complete", "10 12:00:05"),
    )
    assert row["submitted_at"] == row["started_at"] == row["ended_at"] == at("10 12:00:05")
    assert (row["duration_s"], row["lead_s"]) == (0.0, 0.0)


def test_submitted_is_the_earliest_over_all_outcomes(warehouse: Warehouse):
    row = folded(
        warehouse,
        of_one("1", "failed", "10 12:00:00", time_of="end", duration_s=5.0),
        of_one("2", "complete", "10 12:00:20", time_of="start", duration_s=1.0),
    )
    assert (row["submitted_at"], row["started_at"], row["ended_at"]) == (
        at("10 11:59:55"), at("10 12:00:20"), at("10 12:00:21"))  # fmt: skip
    assert (row["lead_s"], row["duration_s"]) == (25.0, 1.0)


def test_an_unfinished_request_has_no_end_and_starts_only_by_its_start(warehouse: Warehouse):
    store(warehouse, [
        event("a", event_type="request", duration_s=3.0, queue_s=1.0),
        of_one("1", "request", "10 12:00:00"), of_one("2", "start", "10 12:00:02"),
    ])  # fmt: skip
    rows = {row["request_id"]: row for row in fold(warehouse).iter_rows(named=True)}
    assert [rows["a"][name] for name in ("started_at", "ended_at", "duration_s", "lead_s")] == [None] * 4
    assert (rows["r"]["started_at"], rows["r"]["lead_s"], rows["r"]["event_id"]) == (at("10 12:00:02"), 2.0, "2")


def test_a_row_that_stands_for_many_requests_carries_no_times(warehouse: Warehouse):
    row = folded(warehouse, event("e1", requests=40, duration_s=3.0, queue_s=1.0, output_tokens=9))
    assert (row["requests"], row["attempts"], row["output_tokens"]) == (40, 1, 9)
    assert (row["submitted_at"], row["ended_at"], row["duration_s"], row["lead_s"]) == (NOON, NOON, None, 0.0)


def test_events_of_models_and_of_the_service_are_no_requests(warehouse: Warehouse):
    kinds = ("model_load", "model_unload", "model_download", "health_check", "of_my_own")
    store(warehouse, [event(kind, event_type=kind) for kind in kinds])
    assert fold(warehouse).is_empty()


def test_a_stated_cost_keeps_its_currency_and_counts_in_the_sites_own_only(warehouse: Warehouse):
    store(warehouse, [
        event("a", cost="0.25"), event("b", cost="0.25", currency="EUR"), event("c"), event("d", cost="0"),
    ])  # fmt: skip
    found = fold(warehouse, zero_cost="stated").select("stated_cost", "stated_currency", "cost", "cost_source").rows()
    assert found == [
        (Decimal("0.25"), None, Decimal("0.25"), "stated"), (Decimal("0.25"), "EUR", None, "unconverted"),
        (None, None, None, "unrated"), (Decimal(0), None, Decimal(0), "stated"),
    ]  # fmt: skip


def test_a_zero_is_no_cost_where_the_source_may_lack_the_price(warehouse: Warehouse):
    store(warehouse, [event("a", cost="0"), event("b", cost="0", cost_known=True), event("c", cost="1")])
    found = fold(warehouse, zero_cost="unknown").select("cost", "cost_source").rows()
    assert found == [(None, "unrated"), (Decimal(0), "stated"), (Decimal(1), "stated")]


def test_a_cost_brings_its_own_currency(warehouse: Warehouse):
    row = folded(
        warehouse,
        of_one("1", "failed", "10 12:00:00", cost="2", currency="EUR"),
        of_one("2", "complete", "10 12:00:01", currency="USD"),
    )
    assert (row["stated_cost"], row["stated_currency"], row["cost_source"]) == (Decimal(2), "EUR", "unconverted")


def test_a_request_over_a_months_edge_is_whole_and_in_the_month_of_its_end(warehouse: Warehouse):
    begin, end = datetime(2026, 3, 31, 23, 50), datetime(2026, 4, 1, 0, 20)
    store(warehouse, [
        event("1", request_id="r", event_type="request", ts=begin), event("2", request_id="r", ts=end),
        event("alone", ts=begin, duration_s=3600.0),
    ])  # fmt: skip
    april = begin.date().replace(month=4, day=1)
    found = fold(warehouse, [begin.date().replace(day=1), april])
    assert found.select("month", "request_id", "attempts", "duration_s").rows() == [
        (april, "alone", 1, 3600.0), (april, "r", 1, 1800.0)]  # fmt: skip


def test_events_far_apart_are_one_request_in_one_of_two_months_that_touch(warehouse: Warehouse):
    first, last = datetime(2026, 3, 3), datetime(2026, 4, 27)
    store(warehouse, [event("1", request_id="r", ts=first), event("2", request_id="r", ts=last)])
    march = first.date().replace(day=1)
    found = fold(warehouse, [march, march.replace(month=4)])
    assert found.select("month", "event_id", "attempts").rows() == [(march, "1", 2)]


def test_a_queue_and_a_duration_of_the_longest_each_lose_no_request(warehouse: Warehouse):
    asked = datetime(2026, 3, 30, 12)
    store(warehouse, [event("1", ts=asked, queue_s=20 * 3600.0, duration_s=23 * 3600.0)])
    march = asked.date().replace(day=1)
    found = fold(warehouse, [march, march.replace(month=4)])
    assert found.select("month", "ended_at").rows() == [(march.replace(month=4), datetime(2026, 4, 1, 7))]
