"""Spending alerts: each rule by a case worked by hand."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256

import duckdb
import pytest

from usage_assets.core.errors import UsageError
from usage_assets.pricing.alerts import alerts_query
from usage_assets.pricing.status import status_query
from usage_assets_tests.unit.pricing.spending import CHARGES, NOON, Charge, alerts, crossed, hours, limit, limits, load

CHICAGO = "America/Chicago"


def test_an_alert_says_which_charge_crossed_and_how_much_was_spent():
    charges = [Charge("a", hours(-9), "4.5"), Charge("b", hours(-6), "0.5"), Charge("c", hours(0), 4)]
    found = alerts(charges, limits(limit(9)))
    assert found[0] == {
        "site": "p", "scope_type": "owner", "scope_id": "u", "window": "day", "period": "2026-03-10",
        "threshold": Decimal("0.5"), "period_start": datetime(2026, 3, 10), "crossed_at": hours(-9),
        "event_id": "e-a", "request_id": "a", "spent": Decimal("4.5"), "amount": Decimal(9), "percent": Decimal(50),
        "projected_period_end_spend": Decimal(36),  # 3 of 24 hours
        "id": sha256(b'["p","owner","u","day","2026-03-10","0.5"]').hexdigest(),
    }  # fmt: skip
    assert [(a["threshold"], a["request_id"], a["percent"]) for a in found[1:]] == [
        (Decimal("0.8"), "c", Decimal(100)), (Decimal("0.95"), "c", Decimal(100)), (1, "c", Decimal(100)),
    ]  # fmt: skip
    assert found[3]["id"] == sha256(b'["p","owner","u","day","2026-03-10","1"]').hexdigest()


def test_a_threshold_is_reached_by_equality_to_the_last_place_and_once():
    row = limits(limit("0.1", thresholds=["0.333333333333"]))  # 0.0333333333333
    below = Charge("a", hours(-1), "0.033333333333")
    assert crossed([below], row) == []
    assert crossed([below, Charge("b", cost="0.000000000001"), Charge("c", hours(1), 5)], row) == [
        ("2026-03-10", "0.333333333333", "b")
    ]


def test_charges_of_one_instant_cross_in_order_of_their_ids():
    charges = [Charge("b"), Charge("a"), Charge("B"), Charge("ä")]
    assert crossed(charges, limits(limit(3, thresholds=["0.5", "1"]))) == [
        ("2026-03-10", "0.5", "a"), ("2026-03-10", "1", "b"),
    ]  # fmt: skip


def test_the_first_positive_charge_crosses_an_amount_of_zero():
    charges = [Charge("a", cost=0), Charge("b", cost=None), Charge("c", cost="0.01"), Charge("d")]
    found = alerts(charges, limits(limit(0, thresholds=["0.5", "1"])))
    assert [(a["request_id"], a["percent"]) for a in found] == [("c", None), ("c", None)]


def test_percent_and_projection_are_rounded_half_even_and_there_is_none_at_the_first_instant():
    midnight = datetime(2026, 3, 10)
    found = alerts([Charge("a", midnight, 2)], limits(limit(3, thresholds=["0.5"])))[0]
    assert (found["percent"], found["projected_period_end_spend"]) == (Decimal("66.666667"), None)
    found = alerts([Charge("a", midnight + timedelta(hours=7), 1)], limits(limit(1, thresholds=["0.5"])))[0]
    assert found["projected_period_end_spend"] == Decimal("3.428571428571")
    even = alerts([Charge("a", midnight, "0.000000005")], limits(limit(1, thresholds=["0.000000001"])))[0]
    assert even["percent"] == 0


def test_days_are_those_of_the_reporting_zone_and_have_23_or_25_hours():
    edge = datetime(2026, 3, 8, 6)  # midnight before the clocks go forward
    charges = [
        Charge("a", edge - timedelta(microseconds=1)),
        Charge("b", edge),
        Charge("c", edge + timedelta(hours=23)),
    ]
    found = alerts(charges, limits(limit(1, thresholds=["1"]), tz=CHICAGO))
    assert [(a["period"], a["request_id"]) for a in found] == [
        ("2026-03-07", "a"), ("2026-03-08", "b"), ("2026-03-09", "c"),
    ]  # fmt: skip
    half = alerts([Charge("a", edge + timedelta(hours=11.5), 2)], limits(limit(1, thresholds=["1"]), tz=CHICAGO))[0]
    assert half["projected_period_end_spend"] == 4
    autumn = datetime(2026, 11, 1, 5)
    half = alerts([Charge("a", autumn + timedelta(hours=12.5), 2)], limits(limit(1, thresholds=["1"]), tz=CHICAGO))[0]
    assert half["projected_period_end_spend"] == 4


def test_a_row_may_have_a_zone_of_its_own_and_a_day_begins_where_midnight_is_skipped():
    start = datetime(2025, 9, 7, 4)  # 01:00 in Santiago
    rows = limits(limit(1, thresholds=["1"], reporting_tz="America/Santiago"))
    found = alerts([Charge("a", start - timedelta(seconds=1)), Charge("b", start)], rows)
    assert [(a["period"], a["period_start"]) for a in found] == [
        ("2025-09-06", datetime(2025, 9, 6, 4)), ("2025-09-07", start),
    ]  # fmt: skip


def test_weeks_and_months_add_up_from_their_first_day():
    charges = [
        Charge("a", datetime(2026, 3, 8, 12)),
        Charge("b", datetime(2026, 3, 9)),
        Charge("c", datetime(2026, 3, 14)),
    ]
    week = limit(2, "week", thresholds=["1"])
    assert crossed(charges, limits(week)) == [("2026-03-09", "1", "c")]
    assert crossed(charges, limits(week, week_start=6)) == [("2026-03-08", "1", "b")]
    assert crossed(charges, limits(limit(3, "month", thresholds=["1"]))) == [("2026-03", "1", "c")]


def test_requests_and_sessions_are_periods_without_start_and_projection():
    charges = [Charge("a", cost=2, sid="s"), Charge("b", hours(400), 1, sid="s"), Charge("c", cost=9),
               Charge("d", cost=9, sid="(none)")]  # fmt: skip
    session = alerts(charges, limits(limit(3, "session", thresholds=["1"])))
    assert [(a["period"], a["request_id"], a["period_start"], a["projected_period_end_spend"]) for a in session] == [
        ("s", "b", None, None)
    ]
    request = alerts(charges, limits(limit(2, "request", thresholds=["1"])))
    assert [(a["period"], a["spent"], a["period_start"]) for a in request] == [
        ("a", 2, None),
        ("c", 9, None),
        ("d", 9, None),
    ]


def test_spend_counts_from_the_start_of_the_period_and_the_row_judged_is_the_one_valid_then():
    charges = [Charge("a", hours(-3), 6), Charge("b", hours(1), "0.1"), Charge("c", hours(2), "0.1")]
    rows = limits(limit(100, until=hours(0)), limit(5, since=hours(0)))
    found = alerts(charges, rows)
    assert [(a["request_id"], a["spent"], a["amount"]) for a in found] == [("b", Decimal("6.1"), 5)] * 4


def test_a_threshold_crossed_is_not_crossed_again_when_the_limit_changes():
    charges = [Charge("a", hours(-3), 6), Charge("b", hours(1), 6)]
    found = alerts(charges, limits(limit(10, until=hours(0), thresholds=["0.5"]), limit(20, since=hours(0))))
    assert [(a["threshold"], a["request_id"], a["amount"]) for a in found] == [(Decimal("0.5"), "a", 10)]


def test_a_row_that_has_not_begun_or_has_ended_judges_nothing():
    assert crossed([Charge("a")], limits(limit(1, since=hours(1)))) == []
    assert crossed([Charge("a")], limits(limit(1, until=hours(0)))) == []
    assert crossed([Charge("a")], limits(limit(1, enabled=False))) == []


def test_each_value_is_judged_on_its_own_but_for_those_with_a_valid_row():
    charges = [Charge(who, cost=5, owner=who) for who in ("u", "v", "w", "x")]
    rows = limits(
        limit(4, scope_id="*", thresholds=["1"]),
        limit(6, scope_id="v", thresholds=["1"]),
        limit(1, scope_id="w", thresholds=["1"], enabled=False),
        limit(1, scope_id="x", thresholds=["1"], until=hours(-1)),
    )
    assert [(a["scope_id"], a["amount"]) for a in alerts(charges, rows)] == [("u", 4), ("x", 4)]


def test_a_value_is_judged_by_its_own_row_again_and_again_by_the_one_for_each():
    charges = [Charge("a", hours(-1)), Charge("b", hours(0)), Charge("c", hours(1))]
    rows = limits(limit(1, scope_id="*", thresholds=["1", "2"]),
                  limit(1, since=hours(0), until=hours(1), thresholds=["1.5", "2"], enabled=False))  # fmt: skip
    assert crossed(charges, rows) == [("2026-03-10", "1", "a"), ("2026-03-10", "2", "c")]


def test_what_is_not_known_is_never_judged():
    charges = [Charge("a", owner=None), Charge("b", owner="(none)"), Charge("c", item="(none)")]
    rows = limits(limit(0, scope_id="*"), limit(0, scope_id="(none)"), limit(0, scope_id="*", scope_type="owner_item"),
                  limit(0, scope_id='["u","(none)"]', scope_type="owner_item"))  # fmt: skip
    assert {(a["scope_type"], a["request_id"]) for a in alerts(charges, rows)} == {("owner", "c")}


def test_pairs_are_the_json_text_of_both():
    charges = [Charge("a", owner='ü"', item="m/1"), Charge("b", owner="u", item="m")]
    rows = limits(limit(1, scope_id='["\\u00fc\\"", "m/1"]', scope_type="owner_item", thresholds=["1"]))
    found = alerts(charges, rows)
    assert [(a["scope_id"], a["request_id"]) for a in found] == [('["ü\\"","m/1"]', "a")]
    each = alerts(charges, limits(limit(1, scope_id="*", scope_type="owner_item", thresholds=["1"])))
    assert [a["scope_id"] for a in each] == ['["u","m"]', '["ü\\"","m/1"]']


def test_a_scope_of_a_place_adds_up_all_its_charges():
    charges = [Charge("a", owner="u"), Charge("b", owner=None, item=None)]
    rows = limits(limit(2, scope_id="p", scope_type="place", thresholds=["1"]))
    assert crossed(charges, rows) == [("2026-03-10", "1", "b")]


def test_only_charges_before_the_instant_count():
    rows = limits(limit(1, thresholds=["1"]))
    assert crossed([Charge("a")], rows, NOON) == []
    assert crossed([Charge("a")], rows, NOON + timedelta(microseconds=1)) == [("2026-03-10", "1", "a")]
    assert crossed([], rows) == []


def test_a_repeated_run_gives_the_same_ids_whatever_comes_after():
    rows = limits(limit(2))
    first = alerts([Charge("a")], rows)
    again = alerts([Charge("a"), Charge("b", hours(1)), Charge("c", hours(2))], rows)
    assert again[0] == first[0]
    assert len({alert["id"] for alert in again}) == len(again) == 4


def test_a_limit_per_session_needs_a_column_of_sessions():
    with duckdb.connect() as con:
        load(con, [Charge("a")])
        without = replace(CHARGES, session_id=None)
        with pytest.raises(UsageError, match="site p: a limit of owner is per session, but charges have no sessions"):
            alerts_query(con, without, limits(limit(1, "session")), hours(1))


def test_columns_of_charges_may_have_any_name():
    names = ("label", "tz", "lowest", "scope_id", "period_start", "starts", "amount", "period")
    more = ", ".join(f"1 AS {name}" for name in names)
    with duckdb.connect() as con:
        load(con, [Charge("a")])
        charges = replace(CHARGES, relation=f"(SELECT *, {more} FROM charged)")
        assert len(con.sql(alerts_query(con, charges, limits(limit(1), limit(1, "request")), hours(1)))) == 8
        assert len(con.sql(status_query(con, charges, limits(limit(1)), hours(1), listed=[]))) == 1


@pytest.mark.parametrize("digits", ["123456789.123456789012", "0.000000000001"])
def test_amounts_are_exact_to_the_last_place(digits: str):
    rows = limits(limit(digits, thresholds=["1"]))
    less = Decimal(digits) - Decimal("0.000000000001")
    assert crossed([Charge("a", cost=digits)], rows) == [("2026-03-10", "1", "a")]
    assert crossed([Charge("a", cost=less)], rows) == []
