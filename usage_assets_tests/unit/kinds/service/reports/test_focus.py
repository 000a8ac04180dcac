"""The cost export: charges add up to the facts to the last digit, and corrections are told."""

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.core.errors import UsageError
from usage_assets.kinds.service.reports.export import export_files, write_files
from usage_assets.kinds.service.reports.focus import COLUMNS, focus_files, focus_rows, read_export
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


def charges(writer: Writer, previous: pl.DataFrame | None = None) -> pl.DataFrame:
    return focus_rows(writer, reported(writer), previous)


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


def test_charges_of_a_closed_month_that_changed_are_corrections():
    first = charges(closed(charge("same", "1"), charge("more", "2", 3), charge("gone", "4", 4)))
    assert first["ChargeClass"].to_list() == [None] * 3
    changed = closed(charge("same", "1"), charge("more", "2.5", 3), charge("new", "8", 5))
    found = charges(changed, first).select("ChargePeriodStart", "BilledCost", "PricingQuantity", "ChargeClass").rows()
    day = [datetime(2026, 3, number, tzinfo=UTC) for number in range(1, 6)]
    assert found == [
        (day[1], Decimal(1), 1, None),
        (day[2], Decimal("2.5"), 1, "Correction"),
        (day[3], Decimal(0), 0, "Correction"),
        (day[4], Decimal(8), 1, "Correction"),
    ]


def test_a_month_that_was_not_final_is_not_corrected():
    first = charges(stored([charge("r1", "1")]))
    assert charges(closed(charge("r1", "2")), first)["ChargeClass"].to_list() == [None]


def test_the_earlier_export_is_found_beside_the_new_one(tmp_path: Path):
    march = Period.of_month(MARCH)
    before, after = closed(charge("r1", "1")), closed(charge("r1", "2"))
    for number, writer in enumerate((before, after)):
        version(writer, "service/facts/service_requests", MARCH, number)
    names = []
    for writer in (before, after, after):
        files = export_files(writer, SITE, march, "focus", tmp_path)
        names.append(sorted(path.name for path in write_files(files, tmp_path)))
    # the same data once more gives the same files: what it is compared with is the export before
    assert names[1] == names[2] != names[0]
    (parquet,) = (name for name in names[2] if name.endswith("_focus.parquet"))
    assert read_export(tmp_path / parquet)["ChargeClass"].to_list() == ["Correction"]


def test_both_forms_have_the_same_charges_and_instants_in_utc():
    writer = stored([charge("r1", "0.1", user_id="=cmd")])
    report, rows = reported(writer), charges(writer)
    files = focus_files(report, rows)
    assert set(files) == {f"{report.stem}_focus.csv", f"{report.stem}_focus.parquet"}
    assert pl.read_parquet(io.BytesIO(files[f"{report.stem}_focus.parquet"])).equals(rows)
    (csv,) = pl.read_csv(io.BytesIO(files[f"{report.stem}_focus.csv"]), infer_schema=False).iter_rows(named=True)
    assert (csv["BilledCost"], csv["ChargePeriodStart"]) == ("0.100000000000", "2026-03-02T00:00:00Z")
    assert csv["BillingPeriodEnd"] == "2026-04-01T00:00:00Z"
    assert csv["x_UserId"] == "'=cmd"


def test_a_range_of_days_has_its_charges_only():
    writer = stored(
        [charge("r1", "1"), charge("r2", "2", 3), request("r3", "04-01 01:00", "04-01 01:01", cost=Decimal(4))]
    )
    report = reported(writer, "2026-03-03", "2026-04-30")
    found = focus_rows(writer, report).select("ChargePeriodStart", "BillingPeriodStart", "BilledCost").rows()
    assert [(day.date(), month.date(), cost) for day, month, cost in found] == [
        (date(2026, 3, 3), MARCH, Decimal(2)),
        (date(2026, 4, 1), APRIL, Decimal(4)),
    ]


@pytest.mark.parametrize("content", [b"", b"PAR1nonsense"])
def test_a_file_that_is_no_export_is_an_error(tmp_path: Path, content: bytes):
    path = tmp_path / "llm_2026-03_0_focus.parquet"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"llm_2026-03_0_focus\.parquet can't be read"):
        read_export(path)
    pl.DataFrame({"BilledCost": [1]}).write_parquet(path)
    with pytest.raises(UsageError, match="lacks BillingAccountId"):
        read_export(path)
