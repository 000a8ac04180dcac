"""Cost of rows: each rule by a case worked by hand, then all of them against fractions."""

from datetime import datetime, timedelta
from decimal import Decimal

import duckdb
import pytest

from usage_assets.core.errors import UsageError
from usage_assets.pricing.cost import Columns, cost_query
from usage_assets.pricing.rates import Rates
from usage_assets_tests.unit.pricing.costing import BILLING, COLUMNS, SCOPES, Row, Site, exchange, load, rate

UNRATED = (None, "unrated")
UNCONVERTED = (None, "unconverted")


def rated(cost: str) -> tuple[Decimal, str]:
    return Decimal(cost), "rated"


def stated(cost: str) -> tuple[Decimal, str]:
    return Decimal(cost), "stated"


def test_cost_is_the_sum_over_meters_of_quantity_per_quantity_and_price():
    site = Site([rate("whole", "2.5", 1_000_000), rate("out", 10, 1_000_000), rate("seconds", "0.36", 3600)])
    # 1200 x 2.5e-6 + 300 x 1e-5 + 1.5 x 1e-4
    assert site.one(whole=1200, out=300, seconds=1.5) == rated("0.00615")


def test_the_sum_is_rounded_once_half_even():
    site = Site([rate("whole", "0.000000000001", 4), rate("out", "0.000000000001", 4)])
    assert site.one(whole=1, out=1) == rated("0")  # 1/4 + 1/4 of a unit: half, to the even one
    assert site.one(whole=3, out=3) == rated("0.000000000002")  # one and a half
    assert site.one(whole=5, out=5) == rated("0.000000000002")  # two and a half
    thirds = Site([rate("whole", 1, 3), rate("out", 1, 3), rate("part", 1, 7)])
    assert thirds.one(whole=2, out=1) == rated("1")
    assert thirds.one(whole=1) == rated("0.333333333333")
    assert thirds.one(whole=1, part=1) == rated("0.142857142857")


def test_the_row_valid_at_the_instant_prices_and_a_changed_price_is_a_new_row():
    noon = datetime(2026, 1, 10, 12)
    site = Site([rate(price=1, until=noon), rate(price=2, since=noon)])
    assert site.one(whole=1, at=noon - timedelta(microseconds=1)) == rated("1")
    assert site.one(whole=1, at=noon) == rated("2")
    assert site.one(whole=1, at=datetime(2025, 12, 31)) == UNRATED


def test_the_most_specific_row_of_each_meter_wins_alone():
    site = Site([rate(price=1), rate(price=2, scope=("p", None, None)), rate(price=3, scope=(None, "v", None)),
                 rate(price=4, scope=("p", "v", None)), rate(price=5, scope=(None, None, "i")),
                 rate("out", price=100)])  # fmt: skip
    assert site.one(whole=1, out=1) == rated("105")
    assert site.one(whole=1, item="j") == rated("4")
    assert site.one(whole=1, item="j", place="q") == rated("3")
    assert site.one(whole=1, item=None, vendor=None) == rated("2")
    assert site.one(whole=1, item=None, vendor=None, place=None) == rated("1")


def test_a_rate_of_a_part_takes_its_quantity_off_the_whole():
    both = Site([rate("whole", 10), rate("part", 1)])
    assert both.one(whole=100, part=40) == rated("640")
    assert both.one(whole=40, part=100) == rated("100")  # not below 0
    assert both.one(whole=40) == rated("400")
    assert both.one(part=5) == rated("5")
    assert Site([rate("whole", 10)]).one(whole=100, part=40) == rated("1000")
    elsewhere = Site([rate("whole", 10), rate("part", 1, scope=(None, None, "j"))])
    assert elsewhere.one(whole=100, part=40) == rated("1000")


def test_a_part_at_its_own_price_leaves_no_positive_whole_that_lacks_a_rate():
    site = Site([rate("whole", 10, scope=(None, None, "j")), rate("part", 1)])
    assert site.one(whole=40, part=40) == rated("40")
    assert site.one(whole=41, part=40) == UNRATED


def test_a_meter_that_some_row_names_needs_one_that_applies_and_others_are_free():
    site = Site([rate("whole", 1), rate("images", 5, scope=(None, None, "j"))])
    assert site.one(whole=1, meters={"images": Decimal(1)}) == UNRATED
    assert site.one(whole=1, meters={"images": Decimal(0)}) == rated("1")
    assert site.one(whole=1, meters={"audio": Decimal(9)}) == rated("1")
    assert site.one(item="j", whole=1, meters={"images": Decimal("1.5")}) == rated("8.5")
    free = Site([*site.rates, rate("images", 0)])
    assert free.one(whole=1, meters={"images": Decimal(1)}) == rated("1")


def test_optional_meters_are_billed_only_where_a_row_applies():
    site = Site(
        [rate("whole", 1), rate("runs", 7, scope=(None, None, "j")), rate("seconds", 7, since=datetime(2027, 1, 1))]
    )
    assert site.one(whole=1, runs=1, seconds=2.0) == rated("1")
    assert site.one(whole=1, runs=1, seconds=2.0, item="j") == rated("8")


def test_without_a_row_for_a_known_quantity_a_row_is_unrated_and_zero_is_known():
    site = Site([rate("whole", 1)])
    assert site.one() == UNRATED
    assert site.one(runs=1) == UNRATED
    assert site.one(whole=0) == rated("0")
    assert Site().one(whole=5) == UNRATED


def test_rows_that_are_not_billed_or_have_no_instant_are_not_rated():
    site = Site([rate("whole", 1)])
    assert site.one(whole=1, billed=False) == UNRATED
    assert site.one(whole=1, at=None) == UNRATED
    assert site.one(whole=1, at=None, billed=False, stated=Decimal(3)) == stated("3")


def test_what_the_source_states_precedes_rates():
    site = Site([rate("whole", 1)])
    assert site.one(whole=5, stated=Decimal("0.000000000001")) == stated("0.000000000001")
    assert site.one(whole=5, stated=Decimal(0)) == stated("0")
    assert site.one(whole=5, stated=Decimal(2), stated_currency="USD") == stated("2")


def test_a_stated_zero_may_be_unknown_but_for_those_marked_as_known():
    site = Site([rate("whole", 1)]).with_billing(zero_is_unknown=True)
    assert site.one(whole=5, stated=Decimal(0)) == rated("5")
    assert site.one(whole=5, stated=Decimal(0), zero_known=False) == rated("5")
    assert site.one(whole=5, stated=Decimal(0), zero_known=True) == stated("0")
    assert site.one(stated=Decimal(0)) == UNRATED
    assert site.one(whole=5, stated=Decimal("0.1")) == stated("0.1")


def test_a_stated_amount_is_converted_at_its_instant_and_else_no_rate_is_tried():
    change = datetime(2026, 1, 10)
    site = Site([rate("whole", 1)], [exchange("EUR", "1.1", until=change), exchange("EUR", "1.05", change)])
    assert site.one(whole=5, stated=Decimal(2), stated_currency="EUR", at=datetime(2026, 1, 9)) == stated("2.2")
    assert site.one(whole=5, stated=Decimal(2), stated_currency="EUR", at=change) == stated("2.1")
    assert site.one(whole=5, stated=Decimal(2), stated_currency="GBP") == UNCONVERTED
    assert site.one(whole=5, stated=Decimal(2), stated_currency="EUR", at=datetime(2025, 1, 9)) == UNCONVERTED
    half = Site([], [exchange("EUR", "0.5")])
    assert half.one(stated=Decimal("0.000000000005"), stated_currency="EUR") == stated("0.000000000002")


def test_rates_in_other_currencies_are_converted_within_the_one_exact_sum():
    site = Site([rate("whole", 1, 3, currency="EUR"), rate("out", 1, 3)], [exchange("EUR", 2)])
    assert site.one(whole=1, out=1) == rated("1")  # 2/3 + 1/3
    lost = Site([rate("whole", 1, currency="GBP"), rate("out", 1)])
    assert lost.one(whole=1, out=1) == UNCONVERTED
    assert lost.one(out=1) == rated("1")
    assert lost.one(whole=0) == UNCONVERTED


def test_tiers_price_the_parts_of_what_the_rows_of_a_month_reach_in_order():
    site = Site([rate(price=10), rate(price=5, tier=100), rate(price=1, tier=200)])
    at = datetime(2026, 1, 10)
    rows = [
        Row("b", at, whole=60),  # 40 of 10 after a, 20 of 5
        Row("a", at, whole=60),  # first by its key
        Row("c", at + timedelta(seconds=1), whole=150),  # 80 of 5, 70 of 1
        Row("d", datetime(2026, 2, 1), whole=100),  # a new month
    ]
    assert [row[1] for row in site.price(*rows)] == [600, 500, 470, 1000]


def test_only_rated_rows_of_the_scope_reach_its_tiers():
    site = Site([rate(price=10, scope=(None, None, "i")), rate(price=5, tier=100, scope=(None, None, "i")),
                 rate(price=1), rate("out", 1, scope=(None, None, "z"))])  # fmt: skip
    at = datetime(2026, 1, 10)
    rows = [
        Row("a", at, whole=100, stated=Decimal(1)),
        Row("b", at, whole=100, item="j"),
        Row("c", at, whole=100, out=1),
        Row("d", at, whole=100, billed=False),
        Row("e", at, whole=90),
        Row("f", at, whole=20, vendor="w"),
    ]
    assert [row[1] for row in site.price(*rows)] == [1, 100, None, None, 900, 150]


def test_tiers_go_on_where_their_prices_change_within_a_month():
    change = datetime(2026, 1, 15)
    site = Site([rate(price=10, until=change), rate(price=8, since=change), rate(price=4, tier=100, since=change)])
    rows = [Row("a", change - timedelta(days=1), whole=90), Row("b", change, whole=20)]
    assert [row[1] for row in site.price(*rows)] == [900, 120]


def test_tiers_of_what_is_left_of_the_whole_and_of_fractions():
    site = Site([rate(price=10), rate(price=1, tier="50"), rate("part", 1), rate("seconds", 2),
                 rate("seconds", 1, tier="0.5")])  # fmt: skip
    rows = [Row("a", whole=100, part=60, seconds=0.25), Row("b", whole=20, seconds=0.5)]
    # 40 x 10 + 60 + 0.5; 10 x 10 + 10 x 1 + 0.25 x 2 + 0.25
    assert [row[1] for row in site.price(*rows)] == [Decimal("460.5"), Decimal("110.75")]


def test_floats_count_by_their_shortest_decimal_text():
    site = Site([rate("seconds", 1)])
    assert site.one(seconds=0.1) == rated("0.1")
    assert site.one(seconds=1e-07) == rated("0.0000001")
    assert site.one(seconds=86400.000001) == rated("86400.000001")
    assert site.one(seconds=999999999.999999) == rated("999999999.999999")
    assert site.one(seconds=0.1 + 0.2) == rated("0.3")  # 0.30000000000000004 to 9 places
    assert site.one(seconds=12345678901.25) == rated("12345678901.25")
    assert site.one(seconds=1 / 3) == rated("0.333333333")


def test_what_does_not_fit_128_bits_is_exact_all_the_same():
    site = Site([rate("whole", "0.123456789012", "0.000000007"), rate("out", "0.333333333333", "0.000000003")],
                [exchange("EUR", "1.000000000001")])  # fmt: skip
    assert site.one(whole=10**18, out=7) == rated("17636684144571429349206349.205571428571")
    big = Decimal("99999999999999.123456789012")
    assert site.one(stated=big, stated_currency="EUR") == stated("100000000000099.123456789011")


def test_a_cost_of_more_digits_than_money_has_is_an_error():
    site = Site([rate("whole", 10**9, "0.000000001")])
    with pytest.raises(UsageError, match="has more than 26 digits: look at its quantities"):
        site.one(whole=10**18)


def test_a_key_of_several_columns_and_values_of_quotes_are_kept():
    with duckdb.connect() as con:
        load(con, [Row("a'\"", item="x'y", whole=2)])
        columns = Columns(key=["id", "place"], at="at", scopes=COLUMNS.scopes, quantities={"whole": "whole"})
        rates = Rates.of([rate(price=3, scope=(None, None, "x'y"))], SCOPES)
        found = con.sql(
            cost_query(
                con,
                "(SELECT *, 1 AS segment, 2 AS code, 3 AS currency, 4 AS value FROM made)",
                columns,
                rates=rates,
                billing=BILLING,
            )
        )
        assert found.columns == ["id", "place", "cost", "cost_source"]
        assert [str(kind) for kind in found.types] == ["VARCHAR", "VARCHAR", "DECIMAL(38,12)", "VARCHAR"]
        assert found.fetchall() == [("a'\"", "p", Decimal(6), "rated")]


def test_a_column_that_the_rows_lack_is_named():
    with duckdb.connect() as con:
        load(con, [])
        columns = Columns(key=["id"], at="at", scopes=COLUMNS.scopes, quantities={"whole": "hole"})
        with pytest.raises(UsageError, match="the rows to price have no column hole; they have id, at"):
            cost_query(con, "made", columns, rates=Rates.of([rate()], SCOPES), billing=BILLING)


def test_no_rows_have_no_costs():
    assert Site([rate(), rate(tier=5)]).price() == []
