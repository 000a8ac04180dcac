"""Recommendations: each rule at its threshold, what adds up, what preloading may hold, and what people decided."""

import json
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.core.errors import UsageError
from usage_assets.kinds.service.reports import outcomes, recommend
from usage_assets.kinds.service.reports.advice_tables import (
    MODEL_PROFILES,
    RECOMMENDATION_DECISIONS,
    RECOMMENDATION_OUTCOMES,
    RECOMMENDATIONS,
)
from usage_assets.kinds.service.reports.decisions import Told, accept, dismiss
from usage_assets.kinds.service.reports.recommend import advise, coming_hours
from usage_assets.kinds.service.site.model import Recommend
from usage_assets.schema import violations
from usage_assets.warehouse import Writer
from usage_assets_tests.unit.kinds.service.tables.made import APRIL, MARCH, MadeSite, at, opened

AS_OF = at("04-01 00:00:00")
GIB = 2**30


def profile(model: str = "big", **given: Any) -> dict[str, Any]:
    """A profile to which no rule applies, but for what is given."""
    return {
        "site": "llm", "month": MARCH, "model_id": model, "as_of": AS_OF, "window_days": 30, "requests": 20,
        "succeeded": 18, "failed": 2, "uses_per_day": 0.4, "success_rate": 0.9, "mean_s": 10.0, "p50_s": 10.0,
        "p95_s": 10.0, "cv": 0.1, "first_used": at("01-01 00:00:00"), "last_used": AS_OF - timedelta(days=1),
        "days_since_use": 1.0, "trend": "flat", "last_week": 5, "week_before": 5, "peak_hours": "[]", "next_use": None,
        "availability": "medium", "in_inventory": False, "inventory_since": None, "bytes": None,
    } | given  # fmt: skip


def _rules(*profiles: dict[str, Any], site: MadeSite | None = None) -> list[tuple[Any, ...]]:
    rows = advise(site or MadeSite(), profiles)
    return [(row["kind"], row["model_id"], row["rule"], row["confidence"], row["priority"]) for row in rows]


@pytest.mark.parametrize(
    ("given", "rule", "confidence", "reason"),
    [
        ({"days_since_use": 30.1, "requests": 0}, ("cleanup", "unused"), 0.501,
         "big: last used 30.1 days ago, more than 30 days."),
        ({"days_since_use": 60.0}, ("cleanup", "unused"), 0.75, "big: last used 60.0 days ago, more than 30 days."),
        ({"days_since_use": 400.0}, ("cleanup", "unused"), 1.0, "big: last used 400.0 days ago, more than 30 days."),
        ({"uses_per_day": 0.05, "requests": 1}, ("cleanup", "rarely used"), 0.3,
         "big: 0.050 requests a day over 30 days, under 0.1."),
        ({"success_rate": 0.2, "succeeded": 4, "failed": 16}, ("cleanup", "mostly failing"), 0.3,
         "big: 20.0 % of 20 requests succeeded, under 50 %."),
        ({"first_used": None, "last_used": None, "days_since_use": None, "in_inventory": True, "requests": 0,
          "inventory_since": AS_OF - timedelta(days=31)}, ("cleanup", "never used"), 0.9,
         "big: in the inventory for 31.0 days, more than 30 days, and never asked."),
        ({"uses_per_day": 1.5, "success_rate": 0.95}, ("preload", "often used"), 0.75,
         "big: 1.500 requests a day, more than 0.5, of which 95.0 % succeeded, more than 90 %."),
        ({"trend": "rising", "last_week": 12, "week_before": 10}, ("preload", "rising"), 0.5,
         "big: 12 requests in the last 7 days after 10 in the 7 before, at least 1.2 times as many."),
        ({"peak_hours": "[1, 2, 23]"}, ("preload", "peak ahead"), 0.4,
         "big: its busiest hours of the day include 1, within the next 2 hours."),
        ({"window_days": 7, "mean_s": 450.0}, ("performance", "slow"), 0.75,
         "big: requests took 450.0 s on average over 7 days, more than 300 s."),
        ({"window_days": 7, "success_rate": 0.75, "succeeded": 15, "failed": 5}, ("performance", "unreliable"), 0.25,
         "big: 75.0 % of 20 requests of 7 days succeeded, under 80 %."),
        ({"window_days": 7, "cv": 1.5}, ("performance", "uneven"), 0.75,
         "big: the standard deviation of durations is 1.500 times their mean, more than 0.5."),
    ],
)  # fmt: skip
def test_a_rule_says_its_confidence_and_its_numbers(
    given: dict[str, Any], rule: tuple[str, str], confidence: float, reason: str
) -> None:
    rows = advise(MadeSite(), [profile(), profile(**given)])

    (row,) = [row for row in rows if row["rule"] == rule[1]]

    assert ((row["kind"], row["rule"]), row["confidence"], row["reason"]) == (rule, confidence, reason)


@pytest.mark.parametrize(
    "given",
    [
        {"days_since_use": 30.0},
        {"uses_per_day": 0.1},
        {"success_rate": 0.5},
        {"success_rate": 0.2, "requests": 19},
        {"first_used": None, "days_since_use": None, "inventory_since": AS_OF - timedelta(days=30)},
        {"uses_per_day": 0.5, "success_rate": 0.95},
        {"uses_per_day": 0.6, "success_rate": 0.9},
        {"uses_per_day": 0.6, "success_rate": 0.95, "requests": 19},
        {"uses_per_day": 0.6, "success_rate": None, "succeeded": 0},
        {"trend": "rising", "uses_per_day": 0.1},
        {"trend": "rising", "requests": 19},
        {"trend": "rising", "succeeded": 0},
        {"peak_hours": "[2, 23]"},
        {"window_days": 7, "mean_s": 300.0},
        {"window_days": 7, "mean_s": 301.0, "requests": 19},
        {"window_days": 7, "success_rate": 0.8},
        {"window_days": 7, "cv": 0.5},
        {"mean_s": 900.0, "cv": 3.0, "success_rate": 0.7},
    ],
)
def test_at_its_threshold_a_rule_does_not_hold(given: dict[str, Any]) -> None:
    assert _rules(profile(**given)) == []


def test_rules_of_one_kind_add_up_and_give_the_priority() -> None:
    both = profile(days_since_use=60.0, uses_per_day=0.0, requests=0, bytes=5 * GIB)

    rows = advise(MadeSite(), [both])

    # 0.75 and 0.6: 1 - 0.25 x 0.4
    assert [(row["rule"], row["confidence"], row["combined_confidence"]) for row in rows] == [
        ("unused", 0.75, 0.9),
        ("rarely used", 0.6, 0.9),
    ]
    assert {row["priority"] for row in rows} == {"high"}


@pytest.mark.parametrize(
    ("size", "others", "priority"),
    [(5 * GIB, 1000 * GIB, "high"), (5 * GIB - 1, 1000 * GIB, "medium"), (GIB, 9 * GIB, "high"), (None, 0, "medium")],
)
def test_cleanup_is_urgent_for_large_models_only(size: int | None, others: int, priority: str) -> None:
    rest = profile("rest", bytes=others, in_inventory=True, inventory_since=AS_OF)
    old = profile(days_since_use=90.0, bytes=size, in_inventory=True, inventory_since=AS_OF)

    assert _rules(old, rest) == [("cleanup", "big", "unused", 1.0, priority)]


@pytest.mark.parametrize(("mean", "priority"), [(480.0, "high"), (479.0, "medium"), (301.0, "medium")])
def test_performance_needs_no_size_to_be_urgent(mean: float, priority: str) -> None:
    ((*_, found),) = _rules(profile(), profile(window_days=7, mean_s=mean))

    assert found == priority


def test_cleanup_and_performance_are_for_models_of_the_inventory() -> None:
    here = {"in_inventory": True, "inventory_since": AS_OF - timedelta(days=1)}
    found = _rules(
        profile("away", days_since_use=40.0),
        profile("away", window_days=7, mean_s=600.0),
        profile("here", days_since_use=40.0, **here),
        profile("here", window_days=7, mean_s=600.0, **here),
        profile("away", uses_per_day=2.0, success_rate=1.0),
    )

    assert {(kind, model) for kind, model, *_ in found} == {
        ("cleanup", "here"),
        ("performance", "here"),
        ("preload", "away"),
    }


def test_without_room_named_the_ten_most_used_are_preloaded() -> None:
    uses = {f"m{n:02}": 1.0 + n // 2 for n in range(12)}

    found = _rules(*(profile(model, uses_per_day=use, success_rate=1.0) for model, use in uses.items()))

    assert {model for _, model, *_ in found} == {f"m{n:02}" for n in range(2, 12)}
    tied = _rules(*(profile(f"m{n:02}", uses_per_day=0.9, success_rate=1.0) for n in range(12)))
    assert [(model, priority) for _, model, _, _, priority in tied] == [(f"m{n:02}", "medium") for n in range(10)]


def test_room_goes_to_what_is_used_most_per_byte_as_long_as_it_fits() -> None:
    sizes = {"small": (1.0, 10), "huge": (90.0, 1000), "middle": (2.0, 40), "unknown": (50.0, None), "next": (1.0, 30)}
    models = [profile(model, uses_per_day=use, bytes=size, success_rate=1.0) for model, (use, size) in sizes.items()]

    # per byte 0.1, 0.09 (too large), 0.05 (fits: 50 of 60), 0.033 (30 do not fit any more)
    assert {model for _, model, *_ in _rules(*models, site=MadeSite(preload_bytes=60))} == {"small", "middle"}
    assert _rules(*models, site=MadeSite(preload_bytes=0)) == []


def test_coming_hours_are_of_the_zone_and_end_before_the_last() -> None:
    assert coming_hours(at("04-01 00:00:00"), 2, "UTC") == {0, 1}
    assert coming_hours(at("04-01 00:30:00"), 2, "UTC") == {0, 1, 2}
    assert coming_hours(at("04-01 00:00:00"), 1, "Asia/Kolkata") == {5, 6}
    # the clock leaves out 2 o'clock
    assert coming_hours(at("03-08 07:00:00"), 2, "America/Chicago") == {1, 3}


def test_evidence_has_every_input_and_reads_back() -> None:
    (row,) = advise(MadeSite(), [profile(days_since_use=45.5, bytes=GIB)])

    assert json.loads(row["evidence"]) == {
        "as_of": "2026-04-01T00:00:00",
        "days_since_use": 45.5,
        "last_used": "2026-03-31T00:00:00",
        "unused_days": 30,
        "window_days": 30,
    }
    assert row["expected_effect"] == "removing it frees its space: 1.0 GiB"


def test_thresholds_are_those_of_the_site() -> None:
    site = MadeSite(recommend=Recommend(window_days=30, unused_days=10, min_requests=5))

    assert _rules(profile(days_since_use=40.0, requests=1), site=site) == [("cleanup", "big", "unused", 0.75, "medium")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from([7, 30]),
            st.floats(0, 100),
            st.one_of(st.none(), st.floats(0, 1)),
            st.one_of(st.none(), st.floats(0, 5000)),
            st.one_of(st.none(), st.integers(0, 10**12)),
        ),
        unique_by=lambda each: each[:2],
    )
)
def test_rows_keep_their_contract_and_come_once_each(models: list[tuple[Any, ...]]) -> None:
    profiles = [
        profile(name, window_days=days, uses_per_day=uses, success_rate=rate, mean_s=mean, cv=mean, bytes=size)
        for name, days, uses, rate, mean, size in models
    ]
    inputs = recommend.Inputs(
        pl.DataFrame(profiles, MODEL_PROFILES.polars_schema, orient="row"), RECOMMENDATION_DECISIONS.empty(), MARCH
    )
    rows = recommend.make(MadeSite(), [MARCH], inputs, {}).rows
    writer = opened()
    writer.con.register("made", rows.to_arrow())

    assert violations(writer.con, "made", RECOMMENDATIONS) == []
    for row in rows.iter_rows(named=True):
        assert row["combined_confidence"] >= row["confidence"] - 0.0005


def _built(writer: Writer, profiles: list[dict[str, Any]]) -> pl.DataFrame:
    """Profiles stored, and the recommendations of March built of them."""
    writer.ensure(MODEL_PROFILES)
    writer.con.execute(f"DELETE FROM {MODEL_PROFILES.qualified}")
    writer.put(MODEL_PROFILES, pl.DataFrame(profiles, MODEL_PROFILES.polars_schema, orient="row"))
    rows = recommend.make(MadeSite(), [MARCH], recommend.read(writer, MadeSite(), [MARCH]), {}).rows
    writer.replace(RECOMMENDATIONS, rows, site="llm", months=[MARCH], asset="r", run_id="r")
    return writer.frame(RECOMMENDATIONS)


def test_a_decision_stays_when_the_month_is_built_again() -> None:
    writer = opened()
    models = [profile("a", days_since_use=50.0), profile("b", days_since_use=50.0), profile("c", days_since_use=50.0)]
    assert _built(writer, models)["status"].to_list() == ["open"] * 3

    accept(writer, Told("llm", MARCH, "cleanup", "a", "unused"), who="ann")
    dismiss(writer, Told("llm", MARCH, "cleanup", "a", "unused"), who="bob", note="still needed")
    accept(writer, Told("llm", MARCH, "cleanup", "b", "unused"))

    statuses = [("a", "dismissed"), ("b", "accepted"), ("c", "open")]
    assert writer.frame(RECOMMENDATIONS).sort("model_id").select("model_id", "status").rows() == statuses
    assert _built(writer, models).sort("model_id").select("model_id", "status").rows() == statuses
    decided = writer.frame(RECOMMENDATION_DECISIONS).sort("model_id").select("model_id", "status", "who", "note")
    assert decided.rows() == [("a", "dismissed", "bob", "still needed"), ("b", "accepted", None, None)]


def test_a_decision_on_what_was_never_recommended_is_refused() -> None:
    writer = opened()

    with pytest.raises(UsageError, match="site llm 2026-03: there is no cleanup recommendation by the rule 'unused'"):
        accept(writer, Told("llm", MARCH, "cleanup", "a", "unused"))


def test_open_advice_expires_when_the_next_month_has_profiles() -> None:
    writer = opened()
    later = profile("a", month=APRIL, as_of=at("05-01 00:00:00"))

    assert _built(writer, [profile("a", days_since_use=50.0), later])["status"].to_list() == ["expired"]


@pytest.mark.parametrize(
    ("later", "result"),
    [
        ({"days_since_use": 80.0}, "holds"),
        ({"days_since_use": 0.5, "uses_per_day": 3.0}, "no longer"),
        ({"in_inventory": False}, "model gone"),
        (None, "model gone"),
    ],
)
def test_what_followed_a_recommendation(later: dict[str, Any] | None, result: str) -> None:
    writer = opened()
    here = {"in_inventory": True, "inventory_since": datetime(2026, 1, 1)}
    may = at("05-01 00:00:00")
    after = [] if later is None else [profile("a", **{**here, "month": APRIL, "as_of": may, **later})]
    other = profile("other", month=APRIL, as_of=may, **here)
    _built(writer, [profile("a", days_since_use=50.0, **here), other, *after])

    rows = outcomes.make(MadeSite(), [MARCH], outcomes.read(writer, MadeSite(), [MARCH]), {}).rows

    assert rows.select("model_id", "rule", "status", "followed_at", "result", "uses_per_day_before").rows() == [
        ("a", "unused", "expired", may, result, 0.4)
    ]
    assert rows.schema == RECOMMENDATION_OUTCOMES.polars_schema


def test_nothing_followed_while_the_next_month_is_not_there() -> None:
    writer = opened()
    _built(writer, [profile("a", days_since_use=50.0)])

    assert outcomes.make(MadeSite(), [MARCH], outcomes.read(writer, MadeSite(), [MARCH]), {}).rows.is_empty()
