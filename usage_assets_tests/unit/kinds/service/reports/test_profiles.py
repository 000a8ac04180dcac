"""Profiles of models: what each measure is, which requests count, and which models have a row."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from usage_assets.kinds.service.facts.tables import MODEL_INVENTORY
from usage_assets.kinds.service.reports.advice_assets import ADVICE_ASSETS
from usage_assets.kinds.service.site.model import Recommend
from usage_assets.warehouse import Writer
from usage_assets_tests.unit.kinds.service.tables.made import (
    APRIL,
    FEB,
    MARCH,
    MadeSite,
    at,
    build,
    opened,
    request,
    store,
)

PROFILES = ADVICE_ASSETS[0]
FIRST_OF_APRIL = at("04-01 00:00:00")


@pytest.fixture
def writer() -> Writer:
    return opened()


def _held(writer: Writer, *rows: tuple[Any, ...]) -> None:
    """Rows of the inventory: month, model, valid_from, valid_to, bytes."""
    writer.ensure(MODEL_INVENTORY)
    frame = pl.DataFrame(
        [("llm", month, model, start, end, size, None, None) for month, model, start, end, size in rows],
        MODEL_INVENTORY.polars_schema,
        orient="row",
    )
    writer.put(MODEL_INVENTORY, frame)


def _profile(writer: Writer, site: MadeSite | None = None, days: int = 30, model: str = "big") -> dict[str, Any]:
    rows = build(writer, PROFILES, site=site).filter(model_id=model, window_days=days)
    return rows.row(0, named=True)


def test_every_measure_of_a_model(writer: Writer) -> None:
    store(
        writer,
        [
            request("old", "02-10 06:00:00", "02-10 06:00:01"),
            request("a", "03-20 00:00:00", "03-20 00:00:10"),
            request("b", "03-21 00:00:00", "03-21 00:00:20"),
            request("c", "03-22 00:00:00", "03-22 00:00:59"),
            request("d", "03-30 00:00:00", "03-30 00:00:07", final_state="failed"),
            request("e", "03-31 00:00:00", "03-31 00:00:00", requests=6, duration_s=None),
            request("f", "03-31 12:00:00"),
        ],
    )
    build(writer, "service_uses", (FEB, MARCH))

    row = _profile(writer)

    # durations 10, 20, 59: mean 89/3, deviation sqrt(((59/3)^2 + (29/3)^2 + (88/3)^2) / 2)
    assert row == {
        "site": "llm", "month": MARCH, "model_id": "big", "as_of": FIRST_OF_APRIL, "window_days": 30,
        "requests": 11, "succeeded": 9, "failed": 1, "uses_per_day": pytest.approx(11 / 30), "success_rate": 0.9,
        "mean_s": pytest.approx(89 / 3), "p50_s": 20.0, "p95_s": pytest.approx(20 + 0.9 * 39),
        "cv": pytest.approx(((59 / 3) ** 2 + (29 / 3) ** 2 + (88 / 3) ** 2) ** 0.5 / 2**0.5 / (89 / 3)),
        "first_used": at("02-10 06:00:00"), "last_used": at("03-31 00:00:00"), "days_since_use": 1.0,
        "trend": "unknown", "last_week": 8, "week_before": 3, "peak_hours": "[]",
        "next_use": at("03-31 12:00:00") + timedelta(days=1),
        "availability": "medium", "in_inventory": False, "inventory_since": None, "bytes": None,
    }  # fmt: skip


def test_days_count_from_the_first_use_and_are_one_at_least(writer: Writer) -> None:
    store(
        writer,
        [
            *(request(f"a{n}", "03-28 00:00:00", "03-28 00:00:01", model_id="new") for n in range(6)),
            *(request(f"b{n}", "03-31 22:00:00", "03-31 22:00:01", model_id="newest") for n in range(2)),
        ],
    )
    build(writer, "service_uses")

    assert _profile(writer, model="new")["uses_per_day"] == 1.5
    assert _profile(writer, model="newest")["uses_per_day"] == 2.0


def test_the_window_begins_with_its_first_instant_and_ends_before_as_of(writer: Writer) -> None:
    store(
        writer,
        [
            request("before", "03-24 23:00:00", "03-24 23:59:59"),
            request("first", "03-24 23:00:00", "03-25 00:00:00"),
            request("last", "03-31 23:00:00", "03-31 23:59:59"),
            request("after", "03-31 23:00:00", "04-01 00:00:00"),
        ],
    )
    build(writer, "service_uses", (MARCH, APRIL))

    assert _profile(writer, days=7)["requests"] == 2
    assert _profile(writer)["last_used"] == at("03-31 23:59:59")


def test_the_running_month_is_profiled_as_of_its_extraction(writer: Writer) -> None:
    store(writer, [request("a", "03-10 10:00:00", "03-10 11:00:00"), request("b", "03-12 10:00:00", "03-12 11:00:00")])
    assert PROFILES.select is not None
    queries = PROFILES.select(writer, MadeSite(), MARCH, {MARCH: at("03-11 11:00:00")})
    broken = writer.insert_month(PROFILES.table, queries, site="llm", month=MARCH, asset="p", run_id="r")

    rows = writer.frame(PROFILES.table).select("as_of", "window_days", "requests", "days_since_use")

    assert not broken
    assert sorted(rows.rows()) == [(at("03-11 11:00:00"), 7, 1, 1.0), (at("03-11 11:00:00"), 30, 1, 1.0)]


@pytest.mark.parametrize(
    ("before", "last", "trend"),
    [
        (10, 12, "rising"),
        (10, 11, "flat"),
        (15, 12, "falling"),
        (0, 20, "rising"),
        (20, 0, "falling"),
        (9, 10, "unknown"),
    ],
)
def test_the_trend_compares_two_weeks(writer: Writer, before: int, last: int, trend: str) -> None:
    store(
        writer,
        [request(f"b{n}", "03-20 10:00:00", "03-20 10:00:01") for n in range(before)]
        + [request(f"l{n}", "03-30 10:00:00", "03-30 10:00:01") for n in range(last)],
    )

    assert _profile(writer)["trend"] == trend


def test_peak_hours_are_those_of_the_zone_with_most_requests(writer: Writer) -> None:
    many = {15: 20, 16: 16, 17: 15}  # 16 is 80 % of 20; Chicago is 5 hours behind in the second half of March
    rows = [
        request(f"r{hour}-{n}", f"03-20 {hour}:00:00", f"03-20 {hour}:00:01")
        for hour, count in many.items()
        for n in range(count)
    ]
    store(writer, rows[:49])

    assert _profile(writer)["peak_hours"] == "[]"

    store(writer, rows[49:])

    assert _profile(writer)["peak_hours"] == "[15, 16]"
    assert _profile(writer, MadeSite(reporting_tz="America/Chicago"))["peak_hours"] == "[10, 11]"


def test_the_next_use_needs_five_gaps(writer: Writer) -> None:
    hours = [0, 1, 2, 4, 8]
    store(writer, [request(f"r{hour}", f"03-20 {hour:02}:00:00", f"03-20 {hour:02}:00:01") for hour in hours])

    assert _profile(writer)["next_use"] is None

    store(writer, [request("last", "03-20 09:30:00", "03-20 09:30:01")])

    # gaps 1, 1, 2, 4, 1.5: the median is 1.5 hours
    assert _profile(writer)["next_use"] == at("03-20 11:00:00")


def test_models_of_the_inventory_have_a_row_although_nobody_asks_them(writer: Writer) -> None:
    january = datetime(2026, 1, 1)
    _held(
        writer,
        (MARCH, "idle", january, None, 7),
        (MARCH, "gone", january, at("03-20 00:00:00"), 5),
        (FEB, "kept", january, at("02-20 00:00:00"), 3),
        (FEB, "kept", at("02-20 00:00:00"), None, 4),
        (MARCH, "kept", at("02-20 00:00:00"), None, 4),
        (FEB, "back", january, at("02-10 00:00:00"), 3),
        (MARCH, "back", at("03-05 00:00:00"), None, None),
    )
    store(writer, [request("a", "03-10 10:00:00", "03-10 11:00:00", model_id="(none)")])

    rows = build(writer, PROFILES).filter(window_days=30)

    assert rows.select("model_id", "inventory_since", "bytes", "requests", "uses_per_day", "first_used").rows() == [
        ("back", at("03-05 00:00:00"), None, 0, 0.0, None),
        ("idle", january, 7, 0, 0.0, None),
        ("kept", january, 4, 0, 0.0, None),
    ]


def test_a_model_used_long_ago_is_not_a_never_used_one(writer: Writer) -> None:
    store(writer, [request("a", "02-01 10:00:00", "02-01 12:00:00")])
    build(writer, "service_uses", (FEB, MARCH))
    writer.con.execute("DELETE FROM facts.service_requests")

    row = _profile(writer)

    assert (row["requests"], row["last_used"], row["first_used"]) == (0, at("02-01 12:00:00"), at("02-01 10:00:00"))
    assert row["days_since_use"] == pytest.approx(58.5)


def test_equal_windows_are_one(writer: Writer) -> None:
    store(writer, [request("a", "03-10 10:00:00", "03-10 11:00:00")])

    rows = build(writer, PROFILES, site=MadeSite(recommend=Recommend(window_days=7)))

    assert rows["window_days"].to_list() == [7]
