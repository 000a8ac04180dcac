"""Spending status: each rule by a case worked by hand."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from usage_assets.pricing.status import status_since
from usage_assets_tests.unit.pricing.spending import NOON, Charge, hours, limit, limits, status

CHICAGO = "America/Chicago"
WEEK = ("day", "month", "week")


def one(charges: list[Charge], *rows: Any, as_of: datetime = NOON, tz: str = "UTC", **more: Any) -> dict[str, Any]:
    """The status of the window of the first row, of owner u."""
    found = status(charges, limits(*rows, tz=tz), as_of, **more)
    return next(s for s in found if (s["scope_type"], s["scope_id"], s["window"]) == ("owner", "u", rows[0].window))


def test_a_status_says_what_was_spent_of_the_present_period_and_what_remains():
    charges = [
        Charge("a", datetime(2026, 2, 20), 100), Charge("b", datetime(2026, 3, 1), 3),
        Charge("c", datetime(2026, 3, 9), 4, unrated=2), Charge("d", NOON, 50, unrated=1),
        Charge("e", hours(-1), None, unrated=1),
    ]  # fmt: skip
    assert one(charges, limit(21, "month")) == {
        "site": "p", "scope_type": "owner", "scope_id": "u", "window": "month", "as_of": NOON, "period": "2026-03",
        "unlimited": False, "amount": Decimal(21), "spent": Decimal(7), "remaining": Decimal(14),
        "percent": Decimal("33.333333"), "burn_per_day": Decimal("0.571428571429"),
        "projected_crossing_date": None,  # 14 / (4/7) = 24.5 days: after the month
        "unrated_requests": 3,
    }  # fmt: skip


def test_the_crossing_is_projected_to_a_local_date_before_the_periods_end():
    charges = [Charge("a", hours(-24), 7)]  # one a day
    assert one(charges, limit(17, "month"))["projected_crossing_date"] == date(2026, 3, 20)
    assert one(charges, limit("28.4", "month"))["projected_crossing_date"] == date(2026, 3, 31)
    assert one(charges, limit("28.5", "month"))["projected_crossing_date"] is None  # the first instant of April
    # ten days and 18 hours after noon: still the 20th in Chicago
    assert one(charges, limit("17.7", "month"), tz=CHICAGO)["projected_crossing_date"] == date(2026, 3, 20)
    assert one(charges, limit("17.7", "month"))["projected_crossing_date"] == date(2026, 3, 21)


def test_the_burn_is_that_of_seven_times_24_hours():
    charges = [Charge("a", hours(-168), 7), Charge("b", hours(-168.001), 7), Charge("c", hours(0), 7)]
    assert one(charges, limit(100, "month"))["burn_per_day"] == 1
    assert one([], limit(100, "month"))["burn_per_day"] == 0
    assert one([], limit(100, "month"))["projected_crossing_date"] is None


def test_a_limit_that_is_crossed_already_has_the_local_date_of_the_instant():
    charges = [Charge("a", hours(-9), 5)]
    found = one(charges, limit(5), as_of=hours(-8), tz=CHICAGO)  # 04:00 UTC is 23:00 of the day before
    assert (found["period"], found["projected_crossing_date"]) == ("2026-03-09", date(2026, 3, 9))
    over = one(charges, limit(4))
    assert (over["remaining"], over["percent"], over["projected_crossing_date"]) == (-1, 125, date(2026, 3, 10))


def test_an_amount_of_zero_has_no_percent_and_is_crossed_by_any_spend():
    unspent = one([], limit(0))
    assert (unspent["percent"], unspent["remaining"], unspent["projected_crossing_date"]) == (None, 0, None)
    spent = one([Charge("a", hours(-1), "0.01")], limit(0))
    assert (spent["percent"], spent["projected_crossing_date"]) == (None, date(2026, 3, 10))


def test_the_row_valid_at_the_instant_is_shown_and_that_of_the_value_before_that_of_each():
    rows = [limit(1, until=hours(0)), limit(2, since=hours(0)), limit(9, scope_id="*")]
    assert one([], *rows)["amount"] == 2
    assert one([], *rows, as_of=hours(-1))["amount"] == 1
    others = status([Charge("a", hours(-1), owner="v")], limits(*rows), NOON, listed=[])
    assert [(s["scope_id"], s["window"], s["amount"]) for s in others] == [("u", "day", 2), ("v", "day", 9)]


def test_scopes_without_a_row_are_listed_as_unlimited_as_are_exempt_ones():
    charges = [
        Charge("a", hours(-1), 3, item="m"),
        Charge("b", hours(-1), owner=None),
        Charge("c", hours(1), owner="w"),
    ]
    found = status(charges, limits(limit(5), limit(1, enabled=False, scope_id="v")), NOON, listed=["owner", "item"])
    assert [(s["scope_type"], s["scope_id"], s["window"], s["unlimited"]) for s in found] == [
        *(("item", "m", window, True) for window in WEEK),
        ("owner", "u", "day", False), ("owner", "u", "month", True), ("owner", "u", "week", True),
    ]  # fmt: skip
    month = found[4]
    assert (month["spent"], month["amount"], month["remaining"], month["percent"]) == (3, None, None, None)
    exempt = one([Charge("a", hours(-1))], limit(5, enabled=False), limit(1, scope_id="*"))
    assert (exempt["unlimited"], exempt["amount"]) == (True, None)


def test_requests_and_sessions_have_no_status_and_without_a_list_none_is_unlimited():
    rows = limits(limit(1, "request"), limit(1, "session"))
    assert status([Charge("a", hours(-1), sid="s")], rows, NOON, listed=[]) == []
    assert {s["unlimited"] for s in status([Charge("a", hours(-1))], rows, NOON)} == {True}


def test_charges_are_needed_from_the_earliest_period_and_the_burn_on():
    assert status_since(limits(), datetime(2026, 3, 31)) == datetime(2026, 3, 1)
    assert status_since(limits(tz=CHICAGO), datetime(2026, 3, 1, 12)) == datetime(2026, 2, 22, 12)
    assert limits(limit(1, "week")).charges_since(NOON) == datetime(2026, 3, 9)
    assert limits(limit(1, "request")).charges_since(NOON) == NOON
