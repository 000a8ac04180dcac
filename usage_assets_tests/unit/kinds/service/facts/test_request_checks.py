"""What the checks of requests find."""

from datetime import date, datetime, timedelta
from pathlib import Path

from usage_assets.core.months import Window
from usage_assets.kinds.service.facts.checks import cost_known, outcome_known, request_id_unique
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.service.stored import MARCH, SITE, at, event, fold, site, store

_WINDOW = Window(SITE, (MARCH,))


def test_an_id_that_is_used_again_months_later_is_found_and_one_of_its_own_event_is_not(warehouse: Warehouse):
    may = datetime(2026, 5, 3)
    store(warehouse, [
        event("1", request_id="r"), event("2", request_id="r", ts=may), event("own", request_id="own"),
    ])  # fmt: skip
    fold(warehouse, [MARCH, date(2026, 5, 1)])
    with warehouse.read() as reader:
        found = request_id_unique(reader, site(), _WINDOW)[MARCH]
    assert not found.passed
    assert found.text.startswith("1 request_id(s) are in another month too, for example 'r' in 2026-05")


def test_ids_that_are_used_once_are_unique(warehouse: Warehouse):
    store(warehouse, [event("1", request_id="r"), event("2", request_id="s", ts=datetime(2026, 4, 3))])
    fold(warehouse, [MARCH, date(2026, 4, 1)])
    with warehouse.read() as reader:
        assert request_id_unique(reader, site(), _WINDOW)[MARCH].passed


def test_a_request_without_outcome_is_late_after_a_day(warehouse: Warehouse):
    end = datetime(2026, 4, 1)
    store(warehouse, [
        event("old", event_type="request", ts=end - timedelta(hours=25)),
        event("new", event_type="request", ts=end - timedelta(hours=23)), event("done", ts=at("3")),
    ])  # fmt: skip
    fold(warehouse)
    with warehouse.read() as reader:
        found = outcome_known(reader, site(), _WINDOW)[MARCH]
    assert found.text == "1 of 3 requests were asked for more than a day ago and have no outcome"


def test_unknown_costs_are_told_where_costs_are_known_at_all(warehouse: Warehouse):
    store(warehouse, [event("a"), event("b", event_type="failed")])
    fold(warehouse)
    with warehouse.read() as reader:
        assert cost_known(reader, site(), _WINDOW)[MARCH].passed
        found = cost_known(reader, site(rates=Path("rates.csv")), _WINDOW)[MARCH]
    assert found.text == "the cost of 1 of 1 succeeded requests is not known (100.0%): no rate applies"
