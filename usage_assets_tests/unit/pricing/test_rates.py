"""Rates and exchange rates: which row wins, and which files are refused."""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from usage_assets.core.errors import SiteError
from usage_assets.pricing.exchange import ExchangeRates, read_exchange_rates
from usage_assets.pricing.rates import Rates, read_rates

SCOPES = ("place", "vendor", "item")
HEADER = "place,vendor,item,meter,price,per_quantity,currency,from_quantity,valid_from,valid_to\n"
JANUARY, MARCH = datetime(2026, 1, 15), datetime(2026, 3, 15)


def rates(folder: Path, *rows: str) -> Rates:
    (folder / "rates.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return read_rates(folder / "rates.csv", SCOPES)


def refused(folder: Path, *rows: str) -> str:
    with pytest.raises(SiteError) as caught:
        rates(folder, *rows)
    return str(caught.value)


def prices(found: Rates, scope: tuple[str | None, ...], at: datetime = JANUARY) -> list[Decimal]:
    return [row.price for row in found.ladder("hours", scope, at)]


def test_the_scope_that_stands_last_counts_more_than_all_before_it(tmp_path: Path):
    found = rates(
        tmp_path,
        ",,,hours,1,1,USD,,2026-01-01,",
        "p,,,hours,2,1,USD,,2026-01-01,",
        ",v,,hours,3,1,USD,,2026-01-01,",
        "p,v,,hours,4,1,USD,,2026-01-01,",
        ",,i,hours,5,1,USD,,2026-01-01,",
    )
    assert prices(found, ("q", "w", "j")) == [1]
    assert prices(found, ("p", "w", "j")) == [2]
    assert prices(found, ("q", "v", "j")) == [3]
    assert prices(found, ("p", "v", "j")) == [4]
    assert prices(found, ("p", "v", "i")) == [5]
    assert prices(found, (None, None, None)) == [1]
    assert found.ladder("days", ("p", "v", "i"), JANUARY) == []
    assert found.named("vendor") == ["v"]
    assert found.meters == ["hours"]


def test_what_is_said_of_other_places_names_no_meter_here(tmp_path: Path):
    rows = [
        f"{place},,,{meter},1,1,USD,,2026-01-01," for place, meter in (("p", "hours"), ("", "days"), ("q", "images"))
    ]
    found = rates(tmp_path, *rows)
    assert found.within("place", "p").meters == ["days", "hours"]
    assert found.within("place", "q").meters == ["days", "images"]


def test_a_changed_price_is_a_new_row_from_its_first_instant_on(tmp_path: Path):
    found = rates(tmp_path, ",,i,hours,1,1,USD,,2026-01-01,2026-02-01", ",,i,hours,2,1,USD,,2026-02-01,")
    assert prices(found, (None, None, "i"), datetime(2026, 1, 31, 23, 59, 59, 999999)) == [1]
    assert prices(found, (None, None, "i"), datetime(2026, 2, 1)) == [2]
    assert prices(found, (None, None, "i"), datetime(2025, 12, 31)) == []


def test_where_a_specific_row_has_ended_the_general_one_applies(tmp_path: Path):
    found = rates(tmp_path, ",,i,hours,9,1,USD,,2026-01-01,2026-02-01", ",,,hours,1,1,USD,,2026-01-01,")
    assert prices(found, (None, None, "i")) == [9]
    assert prices(found, (None, None, "i"), MARCH) == [1]


def test_rows_that_overlap_are_refused_with_both_places(tmp_path: Path):
    said = refused(tmp_path, ",,i,hours,1,1,USD,,2026-01-01,2026-03-01", ",,i,hours,2,1,USD,0,2026-02-01,")
    assert said == (
        "rates.csv:3 and rates.csv:2: rates of meter hours of item=i and one from_quantity overlap from "
        "2026-02-01T00:00:00Z on; end one of them before (valid_to of the earlier row = valid_from of the later one)"
    )


def test_rows_of_other_scopes_meters_and_tiers_do_not_overlap(tmp_path: Path):
    found = rates(
        tmp_path,
        ",,i,hours,1,1,USD,,2026-01-01,",
        ",v,i,hours,1,1,USD,,2026-01-01,",
        ",,i,days,1,1,USD,,2026-01-01,",
        ",,i,hours,0.5,1,USD,100,2026-01-01,",
    )
    assert prices(found, (None, None, "i")) == [1, Decimal("0.5")]


def test_tiers_begin_at_zero_at_every_instant(tmp_path: Path):
    assert refused(tmp_path, ",,i,hours,1,1,USD,100,2026-01-01,").startswith(
        "rates.csv:2: from_quantity: tiers of meter hours of item=i begin at 100 from 2026-01-01T00:00:00Z on"
    )
    ended = refused(tmp_path, ",,i,hours,1,1,USD,0,2026-01-01,2026-02-01", ",,i,hours,1,1,USD,100,2026-01-01,")
    assert "rates.csv:3" in ended
    assert "from 2026-02-01T00:00:00Z on" in ended


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (",,,hours,-1,1,USD,,2026-01-01,", "rates.csv:2: price: -1.000000000000 is below 0"),
        (",,,hours,1,0,USD,,2026-01-01,", "rates.csv:2: per_quantity: 0E-9 must be above 0"),
        (",,,hours,1,1,USD,-1,2026-01-01,", "rates.csv:2: from_quantity: -1.000000000 is below 0"),
        (",,,hours,1,1,USD,,2026-01-01,2026-01-01", "rates.csv:2: valid_to: 2026-01-01 00:00:00 is not after"),
        (",,,,1,1,USD,,2026-01-01,", "rates.csv:2: meter: is missing"),
    ],
)
def test_a_row_that_can_not_price_is_refused(tmp_path: Path, row: str, said: str):
    assert refused(tmp_path, row).startswith(said)


def test_only_a_pair_that_is_named_is_converted_while_its_row_is_valid(tmp_path: Path):
    path = tmp_path / "exchange.jsonl"
    row = '{"from_currency":"EUR","to_currency":"USD","rate":%s,"valid_from":"%s","valid_to":"%s"}\n'
    path.write_text(row % ("1.1", "2026-01-01", "2026-02-01") + row % ("1.2", "2026-02-01", "2026-03-01"))
    found = read_exchange_rates(path)
    assert found.at("EUR", "USD", datetime(2026, 1, 31)) == Fraction(11, 10)
    assert found.at("EUR", "USD", datetime(2026, 2, 1)) == Fraction(6, 5)
    assert found.at("EUR", "USD", datetime(2026, 3, 1)) is None
    assert found.at("USD", "EUR", JANUARY) is None
    assert found.at("USD", "USD", MARCH) == 1
    assert ExchangeRates().at("EUR", "USD", JANUARY) is None


def test_exchange_rates_that_overlap_or_are_nothing_are_refused(tmp_path: Path):
    path = tmp_path / "exchange.csv"
    head = "from_currency,to_currency,rate,valid_from\n"
    path.write_text(head + "EUR,USD,1,2026-01-01\nEUR,USD,2,2026-02-01\n")
    with pytest.raises(SiteError, match=r"exchange\.csv:3 and exchange\.csv:2: exchange rates of EUR to USD overlap"):
        read_exchange_rates(path)
    path.write_text(head + "EUR,USD,0,2026-01-01\n")
    with pytest.raises(SiteError, match=r"exchange\.csv:2: rate: 0E-12 must be above 0"):
        read_exchange_rates(path)
