"""The cost export: charges add up to the facts to the last digit, and corrections are told."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.core.errors import UsageError
from usage_assets.kinds.service.reports import focus
from usage_assets.kinds.service.reports.export import write_report
from usage_assets.kinds.service.reports.focus import COLUMNS, Earlier, focus_rows
from usage_assets.kinds.service.reports.period import Period
from usage_assets.warehouse import Writer
from usage_assets_tests.unit.kinds.service.reports.made import SITE, read_at, reported, stored, version
from usage_assets_tests.unit.kinds.service.tables.made import APRIL, MARCH, request

# FOCUS 1.2: columns that every export has, and those of them that are never null
MANDATORY = {
    "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "BillingAccountId", "BillingAccountName",
    "BillingCurrency", "BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd",
    "ChargeCategory", "ChargeDescription", "InvoiceIssuerName", "PricingQuantity", "PricingUnit", "ProviderName",
    "PublisherName", "ServiceCategory", "ServiceName",
}  # fmt: skip
DAY = datetime(2026, 3, 2, tzinfo=UTC)


def charges(writer: Writer) -> pl.DataFrame:
    """The charges of March."""
    return pl.concat([pl.DataFrame(schema=COLUMNS), *focus_rows(writer, reported(writer))])


def exported(writer: Writer, folder: Path, number: int) -> pl.DataFrame:
    """The charges of March as a further export into a folder has them."""
    version(writer, "service/facts/service_requests", MARCH, number)
    _, parquet = write_report(writer, SITE, Period.of_month(MARCH), "focus", folder)
    return pl.read_parquet(parquet)


def charge(name: str, cost: str | None, day: int = 2, **given: Any) -> dict[str, Any]:
    known = None if cost is None else Decimal(cost)
    return request(name, f"03-{day:02} 10:00", f"03-{day:02} 10:01", cost=known, **given)


def closed(*rows: dict[str, Any]) -> Writer:
    """A warehouse whose March was read long after its end."""
    writer = stored(list(rows))
    read_at(writer, {MARCH: datetime(2026, 5, 1)})
    return writer


def test_a_row_is_a_day_of_a_user_team_model_and_provider():
    rows = charges(
        stored(
            [
                charge("r1", "0.25", team_id="physics", session_id="s", input_tokens=10, output_tokens=2),
                charge("r2", "0.5", team_id="physics", session_id="s"),
                charge("r3", None, team_id="physics"),
                charge("r4", "1", user_id="(none)", provider="(none)"),
            ]
        )
    )
    anybody, ann = rows.iter_rows(named=True)
    assert ann == {
        "BilledCost": Decimal("0.75"), "EffectiveCost": Decimal("0.75"), "ListCost": Decimal("0.75"),
        "ContractedCost": Decimal("0.75"), "BillingAccountId": "llm", "BillingAccountName": "Chat & co",
        "BillingCurrency": "EUR", "BillingPeriodStart": datetime(2026, 3, 1, tzinfo=UTC),
        "BillingPeriodEnd": datetime(2026, 4, 1, tzinfo=UTC), "ChargePeriodStart": DAY,
        "ChargePeriodEnd": datetime(2026, 3, 3, tzinfo=UTC), "ChargeCategory": "Usage", "ChargeClass": None,
        "ChargeDescription": "Requests to big", "InvoiceIssuerName": "Chat & co", "PricingQuantity": 2,
        "PricingUnit": "Requests", "ProviderName": "own", "PublisherName": "own", "ServiceProviderName": "own",
        "HostProviderName": "own", "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI", "ServiceName": "Chat & co", "SubAccountId": "physics",
        "SubAccountName": "physics", "ResourceId": "big", "ResourceName": "big", "ResourceType": "Model",
        "SkuId": None, "SkuMeter": None, "SkuPriceId": None, "ConsumedQuantity": 12, "ConsumedUnit": "Tokens",
        "Tags": '{"session":"s","user":"ann"}', "x_UserId": "ann", "x_MonthState": "not read",
    }  # fmt: skip
    # who ran the model is not known: the service itself answers for it
    assert (anybody["Tags"], anybody["ProviderName"], anybody["SubAccountId"]) == ("{}", "Chat & co", None)


@given(st.lists(st.tuples(st.decimals(0, 1000, places=12), st.integers(1, 3), st.sampled_from("ab")), max_size=30))
def test_charges_add_up_to_the_known_costs_of_the_facts(costs: list[tuple[Decimal, int, str]]):
    known = [charge(f"r{n}", str(cost), day, user_id=user) for n, (cost, day, user) in enumerate(costs)]
    rows = charges(stored([*known, charge("x", None)]))
    assert sum(rows["BilledCost"], Decimal()) == sum((cost for cost, _, _ in costs), Decimal())
    assert rows.height == len({(day, user) for _, day, user in costs})
    assert rows.select(MANDATORY & set(rows.columns)).null_count().sum_horizontal().sum() == 0
    assert set(COLUMNS) >= MANDATORY


def test_charges_of_a_closed_month_that_changed_are_corrections(tmp_path: Path):
    before = closed(charge("same", "1"), charge("more", "2", 3), charge("gone", "4", 4, user_id="(none)"))
    assert exported(before, tmp_path, 1)["ChargeClass"].to_list() == [None] * 3
    changed = closed(charge("same", "1"), charge("more", "2.5", 3), charge("new", "8", 5))
    found = exported(changed, tmp_path, 2)
    day = [datetime(2026, 3, number, tzinfo=UTC) for number in range(1, 6)]
    assert found.select("ChargePeriodStart", "BilledCost", "PricingQuantity", "ChargeClass", "Tags").rows() == [
        (day[1], Decimal(1), 1, None, '{"user":"ann"}'),
        (day[2], Decimal("2.5"), 1, "Correction", '{"user":"ann"}'),
        (day[3], Decimal(0), 0, "Correction", "{}"),
        (day[4], Decimal(8), 1, "Correction", '{"user":"ann"}'),
    ]


def test_a_month_that_was_not_final_is_not_corrected(tmp_path: Path):
    exported(stored([charge("r1", "1")]), tmp_path, 1)
    assert exported(closed(charge("r1", "2")), tmp_path, 2)["ChargeClass"].to_list() == [None]


def test_the_same_data_once_more_gives_the_same_bytes_beside_an_earlier_export(tmp_path: Path):
    exported(closed(charge("r1", "1")), tmp_path, 1)
    first = {path.name for path in tmp_path.iterdir()}
    after = closed(charge("r1", "2"))
    assert exported(after, tmp_path, 2)["ChargeClass"].to_list() == ["Correction"]
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files) == 4
    assert first < set(files)
    exported(after, tmp_path, 2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_parts_of_a_day_are_the_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writer = closed(*(charge(f"r{n}", str(n), 2 + n % 2, user_id=f"u{n}") for n in range(9)))
    whole = exported(writer, tmp_path / "whole", 1)
    monkeypatch.setattr(focus, "AT_ONCE", 2)
    assert exported(writer, tmp_path / "parts", 1).equals(whole)
    (csv,) = (tmp_path / "parts").glob("*.csv")
    assert csv.read_bytes() == (tmp_path / "whole" / csv.name).read_bytes()
    assert whole["x_UserId"].to_list() == ["u0", "u2", "u4", "u6", "u8", "u1", "u3", "u5", "u7"]


def test_both_forms_have_the_same_charges_and_instants_in_utc(tmp_path: Path):
    writer = stored([charge("r1", "0.1", user_id="=cmd")])
    text, parquet = write_report(writer, SITE, Period.of_month(MARCH), "focus", tmp_path)
    stem = reported(writer).stem
    assert (text.name, parquet.name) == (f"{stem}_focus.csv", f"{stem}_focus.parquet")
    assert pl.read_parquet(parquet).equals(charges(writer))
    (row,) = pl.read_csv(text, infer_schema=False).iter_rows(named=True)
    assert list(row) == list(COLUMNS)
    assert (row["BilledCost"], row["ChargePeriodStart"]) == ("0.100000000000", "2026-03-02T00:00:00Z")
    assert row["BillingPeriodEnd"] == "2026-04-01T00:00:00Z"
    assert row["x_UserId"] == "'=cmd"


def test_a_range_of_days_has_its_charges_only():
    writer = stored(
        [charge("r1", "1"), charge("r2", "2", 3), request("r3", "04-01 01:00", "04-01 01:01", cost=Decimal(4))]
    )
    report = reported(writer, "2026-03-03", "2026-04-30")
    found = pl.concat(focus_rows(writer, report)).select("ChargePeriodStart", "BillingPeriodStart", "BilledCost").rows()
    assert [(day.date(), month.date(), cost) for day, month, cost in found] == [
        (date(2026, 3, 3), MARCH, Decimal(2)),
        (date(2026, 4, 1), APRIL, Decimal(4)),
    ]


@pytest.mark.parametrize("content", [b"", b"PAR1nonsense"])
def test_a_file_that_is_no_export_is_an_error(tmp_path: Path, content: bytes):
    path = tmp_path / "llm_2026-03_0_focus.parquet"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"llm_2026-03_0_focus\.parquet can't be read"):
        Earlier.of(path)
    pl.DataFrame({"BilledCost": [1]}).write_parquet(path)
    with pytest.raises(UsageError, match="lacks BillingAccountId"):
        Earlier.of(path)
