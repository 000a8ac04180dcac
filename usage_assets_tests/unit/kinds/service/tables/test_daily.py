"""Sums by day: which day a request belongs to, what is split, and what is counted how."""

from datetime import date
from decimal import Decimal

import pytest

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


@pytest.fixture
def writer() -> Writer:
    return opened()


def test_every_column_of_a_day_of_a_user(writer: Writer) -> None:
    store(
        writer,
        [
            request("a", "03-02 10:00:00", "03-02 10:00:10", submitted="03-02 09:59:58", cost=Decimal("0.000000000001"),
                    input_tokens=100, output_tokens=10, cached_tokens=40, session_id="s1"),
            request("b", "03-02 11:00:00", "03-02 11:00:20", cost=Decimal("1.1"), input_tokens=5, session_id="s2"),
            request("c", "03-02 12:00:00", "03-02 12:00:30", session_id="s2", output_tokens=7),
            request("d", "03-02 13:00:00", "03-02 13:00:05", final_state="failed", cost=Decimal("0.5"), error="X"),
            request("e", "03-02 14:00:00", "03-02 14:00:05", final_state="cancelled", session_id="(none)"),
            request("f", "03-02 15:00:00"),
            request("g", "03-02 16:00:00", "03-02 16:00:00", requests=4, duration_s=None, input_tokens=1000),
        ],
    )  # fmt: skip

    (row,) = build(writer, "service_user_daily").rows(named=True)

    assert row == {
        "site": "llm", "month": MARCH, "date": date(2026, 3, 2), "user_id": "ann", "model_id": "big", "provider": "own",
        "requests": 10, "succeeded": 7, "failed": 1, "cancelled": 1, "unfinished": 1,
        "input_tokens": 1105, "output_tokens": 17, "cached_tokens": 40,
        "cost": Decimal("1.600000000001"), "cost_unrated_requests": 5,
        "busy_seconds": 70.0, "latency_sum_s": 62.0, "latency_n": 3, "latency_p50_s": 20.0,
        "latency_p95_s": pytest.approx(29.0), "sessions": 2,
        "first_ts": at("03-02 10:00:10"), "last_ts": at("03-02 16:00:00"), "source": "events",
    }  # fmt: skip


def test_a_request_over_midnight_counts_where_it_ended_and_its_seconds_are_split(writer: Writer) -> None:
    store(writer, [request("a", "03-02 23:59:50", "03-03 00:00:05")])

    rows = build(writer, "service_user_daily").select("date", "requests", "busy_seconds", "latency_n", "first_ts")

    assert rows.rows() == [
        (date(2026, 3, 2), 0, 10.0, 0, None),
        (date(2026, 3, 3), 1, 5.0, 1, at("03-03 00:00:05")),
    ]


def test_seconds_before_the_edge_of_a_month_come_from_the_facts_of_the_next(writer: Writer) -> None:
    store(writer, [request("a", "03-30 12:00:00", "04-01 06:00:00")])
    build(writer, "service_user_daily", (FEB, MARCH, APRIL))

    rows = writer.sql("SELECT date, requests, busy_seconds FROM timelines.service_user_daily ORDER BY date").rows()

    # 42 hours are more than max_request_hours: its first day is out of reach
    assert rows == [(date(2026, 3, 31), 0, 86400.0), (date(2026, 4, 1), 1, 21600.0)]


def test_a_longer_reach_finds_all_days_of_a_long_request(writer: Writer) -> None:
    store(writer, [request("a", "03-30 12:00:00", "04-01 06:00:00")])

    rows = build(writer, "service_user_daily", site=MadeSite(max_request_hours=48))

    assert rows.select("date", "busy_seconds").rows() == [(date(2026, 3, 30), 43200.0), (date(2026, 3, 31), 86400.0)]


def test_an_instant_of_midnight_belongs_to_the_day_that_begins(writer: Writer) -> None:
    store(writer, [request("a", "03-02 23:59:00", "03-03 00:00:00"), request("b", "03-03 00:00:00")])

    rows = build(writer, "service_user_daily").select("date", "requests", "unfinished", "busy_seconds")

    assert rows.rows() == [(date(2026, 3, 2), 0, 0, 60.0), (date(2026, 3, 3), 2, 1, 0.0)]


def test_percentiles_interpolate_and_are_null_without_latencies(writer: Writer) -> None:
    store(
        writer,
        [request(f"r{n}", "03-02 10:00:00", f"03-02 10:00:{n:02}", user_id="bob") for n in (1, 2, 4, 10)]
        + [request("x", "03-02 10:00:00", "03-02 10:00:00", user_id="cy", duration_s=None)],
    )

    rows = build(writer, "service_user_daily").select("user_id", "latency_n", "latency_p50_s", "latency_p95_s")

    # 0.95 of the 3 steps between 1, 2, 4, 10 is 2.85: 4 + 0.85 x 6
    assert rows.rows() == [("bob", 4, 3.0, pytest.approx(9.1)), ("cy", 0, None, None)]


def test_teams_count_users_and_a_request_without_one_is_in_none(writer: Writer) -> None:
    store(
        writer,
        [
            request("a", "03-02 10:00:00", "03-02 10:00:01", team_id="t", user_id="ann"),
            request("b", "03-02 10:00:00", "03-02 10:00:01", team_id="t", user_id="bob"),
            request("c", "03-02 10:00:00", "03-02 10:00:01", team_id="t", user_id="bob"),
            request("d", "03-02 10:00:00", "03-02 10:00:01", team_id="t", user_id="(none)"),
            request("e", "03-02 10:00:00", "03-02 10:00:01", user_id="(none)"),
        ],
    )
    for name in ("service_team_daily", "service_team_monthly"):
        rows = build(writer, name).select("team_id", "requests", "users")

        assert rows.rows() == [("(none)", 1, 0), ("t", 4, 2)]


def test_models_have_their_peak_hour_prompts_and_classes_of_failures(writer: Writer) -> None:
    store(
        writer,
        [
            request("a", "03-02 09:00:00", "03-02 09:00:01", prompt_hash="p", session_id="s"),
            request("b", "03-02 08:10:00", "03-02 08:10:01", prompt_hash="p", user_id="bob"),
            request("c", "03-02 08:20:00", "03-02 08:20:01", final_state="failed", error="Timeout", prompt_hash="q"),
            request("d", "03-02 09:30:00", "03-02 09:30:01", final_state="failed", error="Timeout"),
            request("e", "03-02 23:30:00", "03-03 00:10:00", final_state="failed", error="(none)"),
        ],
    )

    rows = build(writer, "service_model_daily").select(
        "date", "requests", "users", "peak_hour", "distinct_prompts", "sessions", "failures"
    )

    assert rows.rows() == [
        (date(2026, 3, 2), 4, 2, 8, 2, 1, {"Timeout": Decimal(2)}),
        (date(2026, 3, 3), 1, 1, 23, 0, 0, {"(none)": Decimal(1)}),
    ]


def test_the_hour_of_most_requests_weighs_rows_that_stand_for_several(writer: Writer) -> None:
    store(
        writer,
        [
            request("a", "03-02 08:00:00", "03-02 08:00:01"),
            request("b", "03-02 08:00:00", "03-02 08:00:01"),
            request("c", "03-02 20:00:00", "03-02 20:00:00", requests=3, duration_s=None),
        ],
    )

    (row,) = build(writer, "service_model_daily").rows(named=True)

    assert (row["peak_hour"], row["failures"]) == (20, {})


def test_a_day_with_seconds_only_has_no_peak_hour_and_no_users(writer: Writer) -> None:
    store(writer, [request("a", "03-02 23:59:00", "03-03 00:01:00", prompt_hash="p")])

    first = build(writer, "service_model_daily").row(0, named=True)

    assert (first["requests"], first["busy_seconds"], first["users"], first["peak_hour"]) == (0, 60.0, 0, None)
    assert (first["distinct_prompts"], first["first_ts"], first["failures"]) == (0, None, {})


def test_rows_of_an_older_tracker_stay_when_days_are_built_again(writer: Writer) -> None:
    store(writer, [request("a", "03-02 10:00:00", "03-02 10:00:01")])
    build(writer, "service_user_daily")
    writer.con.execute(
        "INSERT INTO timelines.service_user_daily BY NAME SELECT * REPLACE ('old' AS user_id, '*' AS model_id, "
        "'*' AS provider, 'legacy' AS source) FROM timelines.service_user_daily"
    )

    rows = build(writer, "service_user_daily")
    months = build(writer, "service_user_monthly")

    assert rows["source"].to_list() == ["events", "legacy"]
    assert months.select("user_id", "requests").rows() == [("ann", 1)]


def test_totals_have_every_day_of_a_range_also_its_last(writer: Writer) -> None:
    store(
        writer, [request(f"r{d}", f"03-{d:02} 10:00:00", f"03-{d:02} 10:00:01", cost=Decimal(d)) for d in (1, 30, 31)]
    )
    build(writer, "service_user_daily")
    range_sql = "SELECT sum(cost) FROM timelines.service_totals WHERE date BETWEEN '2026-03-01' AND '2026-03-31'"
    days = "SELECT date, requests, cost FROM timelines.service_totals WHERE site = 'llm' ORDER BY date"

    found = writer.sql(days).rows()

    assert found == [(date(2026, 3, d), 1, Decimal(d)) for d in (1, 30, 31)]
    assert writer.con.execute(range_sql).fetchall() == [(Decimal(62),)]


def test_uses_keep_the_first_and_last_of_each_model_and_user(writer: Writer) -> None:
    store(
        writer,
        [
            request("a", "02-28 23:50:00", "03-01 00:10:00"),
            request("b", "03-05 10:00:00", "03-05 10:00:01", user_id="(none)"),
            request("c", "03-09 10:00:00", user_id="bob", requests=2),
        ],
    )

    rows = build(writer, "service_uses").drop("site", "month").rows()

    assert rows == [
        ("model", "big", at("02-28 23:50:00"), at("03-05 10:00:01"), 4),
        ("user", "ann", at("02-28 23:50:00"), at("03-01 00:10:00"), 1),
        ("user", "bob", at("03-09 10:00:00"), None, 2),
    ]
