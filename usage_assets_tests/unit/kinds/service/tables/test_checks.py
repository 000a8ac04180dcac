"""Checks of sums find what does not agree."""

from decimal import Decimal

import pytest

from usage_assets.checks.meaning import MEANING
from usage_assets.kinds.service.tables.assets import TABLE_ASSETS
from usage_assets.warehouse import Writer
from usage_assets_tests.unit.kinds.service.tables.made import APRIL, MARCH, build, check, opened, request, store


@pytest.fixture
def writer() -> Writer:
    writer = opened()
    store(
        writer,
        [
            request("a", "03-02 10:00:00", "03-02 10:00:10", cost=Decimal(1), team_id="t"),
            request("b", "03-03 10:00:00", "03-03 10:00:10", cost=Decimal(2)),
        ],
    )
    for asset in TABLE_ASSETS:
        build(writer, asset)
    return writer


@pytest.mark.parametrize(
    ("asset", "name", "change", "text"),
    [
        (
            "service_user_daily",
            "requests_in_facts",
            "requests = requests + 1",
            "the days and the facts differ: requests: 4, 2",
        ),
        (
            "service_model_daily",
            "cost_in_facts",
            "cost = cost + 0.000000000001",
            "the days and the facts differ: cost: 3.000000000002, 3.000000000000",
        ),
        (
            "service_user_monthly",
            "days_in_month",
            "cached_tokens = 5",
            "the month and its days differ: cached_tokens of ann big own: 5, 0",
        ),
        (
            "service_team_monthly",
            "days_in_month",
            "busy_seconds = 11 WHERE team_id = 't'",
            "the month and its days differ: busy_seconds of t big own: 11.0, 10.0",
        ),
        (
            "service_team_daily",
            "same_as_users",
            "cost = 1.5 WHERE team_id = 't'",
            "teams and users differ: cost of 2026-03-02 big own: 1.500000000000, 1.000000000000",
        ),
        (
            "service_model_daily",
            "same_as_users",
            "failed = 1 WHERE date = '2026-03-03'",
            "models and users differ: failed of 2026-03-03 big own: 1, 0",
        ),
    ],
)
def test_a_sum_that_differs_is_named(writer: Writer, asset: str, name: str, change: str, text: str) -> None:
    assert check(writer, asset, name)[MARCH].passed

    writer.con.execute(f"UPDATE timelines.{asset} SET {change}")

    found = check(writer, asset, name, (MARCH, APRIL))
    assert (found[MARCH].passed, found[MARCH].text, found[APRIL].passed) == (False, text, True)


def test_a_month_without_its_days_is_found(writer: Writer) -> None:
    writer.con.execute("DELETE FROM timelines.service_user_daily")

    assert check(writer, "service_user_daily", "requests_in_facts")[MARCH].figures == {"differences": 1}
    assert not check(writer, "service_user_monthly", "days_in_month")[MARCH].passed


def test_nothing_is_found_where_no_table_is_there() -> None:
    assert check(opened(), "service_team_daily", "same_as_users")[MARCH].passed
    assert check(opened(), "service_team_daily", "cost_in_facts")[MARCH].passed


def test_every_check_has_a_meaning() -> None:
    assert {one.name for asset in TABLE_ASSETS for one in asset.checks} <= set(MEANING)
