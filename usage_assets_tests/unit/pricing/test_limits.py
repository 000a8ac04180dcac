"""Limits files: what they give, which are refused, and alerts of any rows against the rules charge by charge."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.core.errors import SiteError
from usage_assets.pricing.limits import THRESHOLDS, Limit, Limits, read_limits
from usage_assets_tests.unit.pricing.spending import Charge, alerts, by_hand, limit, limits

FIRST = datetime(2026, 3, 7)
HALF_DAY = timedelta(hours=12)


def test_a_limits_file_has_lists_and_pairs_and_defaults(tmp_path: Path):
    path = tmp_path / "limits.jsonl"
    path.write_text(
        '{"scope_type": "owner_item", "scope_id": ["u", "m"], "window": "day", "amount": 10.5}\n'
        '{"site": "p", "scope_type": "owner", "scope_id": "u", "window": "month", "amount": "100", "currency": "USD", '
        '"thresholds": [1, 0.25], "reporting_tz": "America/Chicago", "valid_from": "2026-01-01", "enabled": false}\n'
    )
    assert read_limits(path) == [
        Limit(place="limits.jsonl:1", valid_from=datetime(1, 1, 1), scope_type="owner_item", scope_id='["u","m"]',
              window="day", amount=Decimal("10.5"), thresholds=THRESHOLDS),
        Limit(place="limits.jsonl:2", valid_from=datetime(2026, 1, 1), scope_type="owner", scope_id="u", window="month",
              amount=Decimal(100), site="p", currency="USD", thresholds=(Decimal("0.25"), Decimal(1)),
              reporting_tz="America/Chicago", enabled=False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (limit(1, scope_type="group"), "scope_type: group is none of item, owner, owner_item, place"),
        (limit(1, "year"), "window: year is none of request, session, day, week, month"),
        (limit(-1), "amount: -1 is below 0"),
        (limit(1, currency="EUR"), "currency: EUR is not the site's, USD"),
        (limit(1, thresholds=["0", "1"]), "thresholds: name at least one, each above 0, none twice"),
        (limit(1, thresholds=["1", "1"]), "thresholds: name at least one, each above 0, none twice"),
        (limit(1, thresholds=[]), "thresholds: name at least one"),
        (limit(1, reporting_tz="Mars/Base"), "reporting_tz: 'Mars/Base' is no time zone"),
        (limit(1, scope_type="owner_item"), 'scope_id: u is no JSON list of 2 texts, such as ["a","b"]'),
        (limit(1, scope_id='["u"]', scope_type="owner_item"), 'scope_id: ["u"] is no JSON list of 2 texts'),
        (limit(1, until=datetime(2019, 1, 1)), "valid_to: 2019-01-01 00:00:00 is not after valid_from"),
    ],
)
def test_a_limit_that_can_not_be_judged_is_refused(row: Limit, said: str):
    with pytest.raises(SiteError) as caught:
        limits(row)
    assert str(caught.value).startswith(f"limits.csv:2: {said}")


def test_rows_of_one_scope_and_window_must_not_overlap():
    with pytest.raises(
        SiteError, match=r"^l:3 and l:2: limits of owner u per day overlap from 2026-02-01T00:00:00Z on"
    ):
        limits(limit(1, place="l:2"), limit(1, place="l:3", since=datetime(2026, 2, 1), enabled=False))
    assert len(limits(limit(1), limit(1, "week"), limit(1, scope_id="*"), limit(1, site="p", scope_id="v")).rows) == 4


def test_rows_of_other_sites_are_left_out_and_imported_ones_count_where_the_file_has_none():
    found = limits(limit(1), limit(2, site="q"), imported=[limit(3), limit(4, "week"), limit(5, site="q")])
    assert [row.amount for row in found.rows] == [1, 4]


def test_the_periods_that_are_open_begin_in_each_zone_of_the_rows():
    found = limits(limit(1), limit(1, scope_id="v", reporting_tz="America/Chicago"))
    assert found.open_starts("day", datetime(2026, 3, 10, 4)) == {datetime(2026, 3, 10), datetime(2026, 3, 9, 5)}


WINDOWS = st.sampled_from(["request", "session", "day", "week", "month"])
ZONES = st.sampled_from([None, None, "America/Chicago", "America/Santiago"])


@st.composite
def some_limit(draw: st.DrawFn, window: str, owner: str, start: int, end: int | None) -> Limit:
    """A limit that is valid for some half days."""
    thresholds = draw(st.sampled_from([["1"], ["0.5", "1"], ["0.3", "0.8", "1", "1.5"]]))
    until = None if end is None else FIRST + end * HALF_DAY
    return limit(draw(st.integers(0, 12)), window, owner, since=FIRST + start * HALF_DAY, reporting_tz=draw(ZONES),
                 until=until, enabled=draw(st.sampled_from([True, True, False])), thresholds=thresholds)  # fmt: skip


@st.composite
def some_limits(draw: st.DrawFn) -> Limits:
    """Limits of owners that do not overlap."""
    rows = []
    for window in draw(st.sets(WINDOWS, min_size=1)):
        for owner in draw(st.sets(st.sampled_from(["u", "v", "*"]), min_size=1)):
            edges = sorted(draw(st.sets(st.integers(0, 8), min_size=1, max_size=3)))
            spans = zip(edges, [*edges[1:], draw(st.sampled_from([None, 20]))], strict=True)
            rows += [draw(some_limit(window, owner, start, end)) for start, end in spans]
    tz = draw(st.sampled_from(["UTC", "America/Chicago"]))
    return limits(*rows, tz=tz, week_start=draw(st.integers(0, 6)))


@st.composite
def some_charges(draw: st.DrawFn) -> list[Charge]:
    """Charges of a few owners, some at one instant."""
    costs = st.none() | st.integers(0, 4).map(Decimal)
    owners, sessions = st.sampled_from(["u", "v", "w", "(none)", None]), st.sampled_from([None, "s", "t"])
    return [
        Charge(f"r{n}", FIRST + draw(st.integers(0, 12)) * HALF_DAY / 3, draw(costs), draw(owners), sid=draw(sessions))
        for n in draw(st.permutations(range(draw(st.integers(0, 14)))))
    ]


@given(some_charges(), some_limits(), st.sampled_from([FIRST + HALF_DAY, FIRST + 9 * HALF_DAY]))
def test_alerts_are_those_of_the_rules_worked_charge_by_charge(charges: list[Charge], found: Limits, as_of: datetime):
    keys = ("window", "scope_id", "period", "threshold", "request_id", "spent", "amount")
    made = [tuple(alert[key] for key in keys) for alert in alerts(charges, found, as_of)]
    assert len(made) == len(set(made))
    assert set(made) == by_hand(charges, found, as_of)
