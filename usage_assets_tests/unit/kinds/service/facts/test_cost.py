"""Costs of requests by a site's rates: which quantities are billed, and what is not."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.service.stored import at, event, fold, store

_HEAD = "provider,model_id,meter,price,per_quantity,currency,from_quantity,valid_from\n"


def _rates(folder: Path, *lines: str, head: str = _HEAD) -> Path:
    path = folder / f"{len(lines)}_{len(head)}.csv"
    path.write_text(head + "\n".join(lines) + "\n")
    return path


def _costs(warehouse: Warehouse, **options: Any) -> dict[str, tuple]:
    rows = fold(warehouse, **options).select("request_id", "cost", "cost_source").rows()
    return {name: (cost, source) for name, cost, source in rows}


def test_tokens_of_a_known_model_are_rated_and_those_of_a_new_one_are_not(warehouse: Warehouse, tmp_path: Path):
    rates = _rates(tmp_path, ",m,input_tokens,2,1000,USD,,2026-01-01", ",m,output_tokens,8,1000,USD,,2026-01-01")
    used = {"input_tokens": 500, "output_tokens": 250}
    store(warehouse, [
        event("known", model_id="m", **used), event("new", model_id="n", **used),
        event("stated", model_id="m", cost="0.5", **used), event("asked", model_id="m", event_type="request", **used),
        event("failed", model_id="m", event_type="failed", **used),
    ])  # fmt: skip
    assert _costs(warehouse, rates=rates) == {
        "known": (Decimal(3), "rated"), "new": (None, "unrated"), "stated": (Decimal("0.5"), "stated"),
        "asked": (None, "unrated"), "failed": (Decimal(3), "rated"),
    }  # fmt: skip


def test_only_succeeded_requests_are_billed_as_requests_and_cached_tokens_at_their_own_price(
    warehouse: Warehouse, tmp_path: Path
):
    rates = _rates(tmp_path, ",,requests,1,1,USD,,2026-01-01", ",,input_tokens,1,10,USD,,2026-01-01",
                   ",,cached_tokens,1,100,USD,,2026-01-01", ",,duration_s,1,1,USD,,2026-01-01")  # fmt: skip
    tokens = {"input_tokens": 100, "cached_tokens": 40}
    store(warehouse, [event("good", duration_s=0.5, **tokens), event("bad", event_type="failed", **tokens)])
    # 60 / 10 + 40 / 100 = 6.4; one request 1, half a second 0.5
    assert _costs(warehouse, rates=rates) == {"good": (Decimal("7.9"), "rated"), "bad": (Decimal("6.4"), "rated")}


def test_tiers_rise_over_all_requests_of_a_month_in_the_order_of_their_ends(warehouse: Warehouse, tmp_path: Path):
    rates = _rates(tmp_path, ",,output_tokens,1,1,USD,,2026-01-01", ",,output_tokens,0.5,1,USD,10,2026-01-01")
    store(warehouse, [
        event("2", ts=at("11"), output_tokens=8),
        event("a", request_id="1", event_type="request", ts=at("10")),
        event("b", request_id="1", ts=at("10 01:00"), output_tokens=6),
    ])  # fmt: skip
    # the first 6 at 1, then 4 at 1 and 4 at 0.5
    assert _costs(warehouse, rates=rates) == {"1": (Decimal(6), "rated"), "2": (Decimal(6), "rated")}


def test_stated_amounts_are_converted_at_their_end_or_unknown(warehouse: Warehouse, tmp_path: Path):
    exchange = _rates(tmp_path, "EUR,USD,1.5,2026-03-11,", head="from_currency,to_currency,rate,valid_from,valid_to\n")
    store(warehouse, [
        event("before", ts=at("10"), cost="2", currency="EUR"), event("since", ts=at("11"), cost="2", currency="EUR"),
        event("own", cost="2"), event("none"),
    ])  # fmt: skip
    assert _costs(warehouse, exchange_rates=exchange) == {
        "before": (None, "unconverted"), "since": (Decimal(3), "stated"), "own": (Decimal(2), "stated"),
        "none": (None, "unrated"),
    }  # fmt: skip


def test_a_zero_that_may_be_a_lacking_price_is_rated(warehouse: Warehouse, tmp_path: Path):
    rates = _rates(tmp_path, ",,output_tokens,1,1,USD,,2026-01-01")
    store(warehouse, [
        event("a", cost="0", output_tokens=2), event("b", cost="0", cost_known=True, output_tokens=2),
    ])  # fmt: skip
    assert _costs(warehouse, rates=rates, zero_cost="unknown") == {
        "a": (Decimal(2), "rated"), "b": (Decimal(0), "stated")}  # fmt: skip
