"""Costs of any rows and rates are those of the rules worked row by row with fractions, by either way of computing."""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import duckdb
from hypothesis import example, given
from hypothesis import strategies as st

from usage_assets.core.errors import SiteError
from usage_assets.pricing import offers, tariffs
from usage_assets.pricing.exchange import ExchangeRates
from usage_assets.pricing.rates import Rate, Rates
from usage_assets.pricing.sql import scaled, scaled_float
from usage_assets_tests.unit.pricing.costing import SCOPES, Oracle, Row, Site, exchange, rate

DAY = timedelta(days=1)
FIRST = datetime(2026, 1, 28)
instants = st.sampled_from([FIRST + DAY * n / 2 for n in range(12)])
amounts = st.decimals(0, 10**5, places=12) | st.sampled_from([Decimal(0), Decimal("0.000000000001"), Decimal("2.5")])
quantities = st.none() | st.integers(0, 1000) | st.integers(0, 10**18)
pers = st.sampled_from([Decimal(1), Decimal(3), Decimal(7), Decimal(1000), Decimal(10**6), Decimal("0.07")])
currencies = st.sampled_from(["USD", "USD", "EUR", "GBP"])
meters = st.dictionaries(st.sampled_from(["images", "o'audio"]), st.decimals(0, 10**9, places=9), max_size=2)


@st.composite
def some_rates(draw: st.DrawFn) -> list[Rate]:
    """Rates of a few scopes, some with tiers, of which none overlap."""
    out: list[Rate] = []
    for _ in range(draw(st.integers(0, 6))):
        scope = tuple(draw(st.sampled_from([None, value])) for value in ("p", "v", "i"))
        meter = draw(st.sampled_from(["whole", "out", "part", "runs", "seconds", "images", "o'audio"]))
        since, until = FIRST - DAY, draw(st.none() | instants.filter(lambda at: at > FIRST))
        price, per, currency = draw(amounts), draw(pers), draw(currencies)
        tiers = draw(st.sampled_from([[0], [0], [0, 500], [0, 100, 10**17]]))
        out += [
            rate(
                meter,
                (price / 2**n).quantize(Decimal("1e-12")),
                per,
                scope,
                tier=tier,
                since=since,
                until=until,
                currency=currency,
            )
            for n, tier in enumerate(tiers)
        ]
    try:
        Rates.of(out, SCOPES)
    except SiteError:
        return out[:1] if not out[0].from_quantity else []
    return out


@st.composite
def some_rows(draw: st.DrawFn) -> list[Row]:
    """Rows with all that may be known or not."""

    def pick(values: list[Any]) -> Any:
        return draw(st.sampled_from(values))

    def row(number: int) -> Row:
        return Row(
            id=f"r{number}", at=draw(st.none() | instants | instants | instants), place="p", vendor=pick(["v", "w"]),
            item=pick(["i", "j", None]), runs=draw(quantities), whole=draw(quantities), out=draw(quantities),
            part=draw(quantities), seconds=draw(st.none() | st.integers(0, 10**10).map(lambda us: us / 10**6)),
            meters=draw(st.none() | meters), billed=pick([True, True, True, False]),
            stated=draw(st.none() | st.none() | amounts), stated_currency=draw(st.none() | currencies),
            zero_known=pick([None, True, False]),
        )  # fmt: skip

    return [row(number) for number in range(draw(st.integers(1, 8)))]


exchanges = st.sampled_from([
    [], [exchange("EUR", "1.082500000003", FIRST - DAY)],
    [exchange("EUR", "1.1", FIRST, FIRST + DAY), exchange("EUR", "0.9", FIRST + DAY), exchange("GBP", "1.3", FIRST)],
])  # fmt: skip


@given(some_rates(), some_rows(), exchanges, st.booleans())
def test_costs_are_those_of_the_rules_worked_with_fractions(rates, rows, exchange_rates, zero_is_unknown):
    site = Site(rates, exchange_rates).with_billing(zero_is_unknown=zero_is_unknown)
    assert site.price(*rows) == Oracle(site).price(rows)


@given(some_rates(), some_rows(), exchanges)
def test_fractions_and_whole_numbers_of_128_bits_give_the_same_costs(rates, rows, exchange_rates):
    site = Site(rates, exchange_rates)
    with patch.object(tariffs, "LARGEST", 0), patch.object(offers, "LARGEST", 0):  # nothing fits
        by_fractions = site.price(*rows)
    assert by_fractions == site.price(*rows)


@given(st.integers(0, 10**16).map(lambda us: us / 10**6) | st.floats(0, 10**10))
@example(5e-324)
@example(5e-11)
def test_a_float_counts_with_nine_places_of_its_shortest_text(number):
    with duckdb.connect() as con:
        query = (
            f"SELECT {scaled_float('x', 9)}, {scaled('CAST(x AS VARCHAR)', 9)} FROM (SELECT CAST($x AS DOUBLE) AS x)"
        )
        fast, by_text = con.execute(query, {"x": number}).fetchall()[0]
    assert fast == by_text or number < 5e-10  # whose text DuckDB rounds up
    assert abs(Fraction(repr(number)) * 10**9 - fast) <= Fraction(1, 2)


@given(exchanges, instants)
def test_exchange_rates_are_those_valid_at_the_instant(rows, at):
    found = ExchangeRates.of(rows)
    for currency in ("EUR", "GBP"):
        valid = [row.rate for row in rows if row.from_currency == currency and row.covers(at)]
        assert found.at(currency, "USD", at) == (valid[0] if valid else None)
