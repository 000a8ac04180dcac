"""Which rows are events: the rules in their order, and what becomes of values."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from usage_assets_tests.unit.kinds.service.raw.services import FEBRUARY, JANUARY, Service, event


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service.of(tmp_path)


def test_an_event_is_stored_with_all_that_it_says(service: Service):
    said: dict[str, Any] = {
        "user_id": "u", "team_id": "t", "session_id": "s", "request_id": "r", "model_id": "m", "provider": "p",
        "requests": 1, "input_tokens": 10, "output_tokens": 5, "cached_tokens": 2, "meters": {"images": 2, "s": "1.5"},
        "cost": 0.1, "currency": "EUR", "duration_s": 1.5, "queue_s": 0, "first_output_s": 0.25, "success": True,
        "error": "no", "parameters": {"temperature": 0.5}, "prompt_hash": "h", "time_of": "end",
    }  # fmt: skip
    service.put("a.jsonl", [event(**said)])
    service.dump()
    assert service.events() == [
        {
            "site": "gateway", "month": JANUARY, "event_id": "a", "ts": datetime(2026, 1, 5, 10),
            **{name: said[name] for name in ("user_id", "team_id", "session_id", "request_id", "model_id")},
            "model_raw": "m", "provider": "p", "event_type": "complete", "requests": 1, "input_tokens": 10,
            "output_tokens": 5, "cached_tokens": 2,
            "meters": {"images": Decimal(2), "s": Decimal("1.5")},
            "cost": Decimal("0.1"), "currency": "EUR", "cost_known": None, "duration_s": 1.5, "queue_s": 0.0,
            "first_output_s": 0.25, "success": True, "error": "no", "parameters": '{"temperature":0.5}',
            "prompt_hash": "h", "time_of": "end", "reader": "records", "source_file": "a.jsonl", "source_row": 1,
            "gone_at": None,
        }
    ]  # fmt: skip
    assert service.rejects() == []


def test_what_a_row_does_not_say_is_null_and_an_empty_text_too(service: Service):
    service.put("a.jsonl", [event(user_id="", model_id=" m ", meters={}, parameters="")])
    service.dump()
    (row,) = service.events("user_id", "model_id", "requests", "cost", "duration_s", "success", "meters", "time_of")
    assert tuple(row.values()) == (None, " m ", 1, None, None, None, None, "start")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"ts": None}, "bad_time"),
        ({"ts": "2026-01-05T10:00:00"}, "bad_time"),
        ({"ts": "2026-02-30T10:00:00Z"}, "bad_time"),
        ({"ts": "9999-12-31T23:59:59Z"}, "bad_time"),
        ({"ts": "2025-12-31T23:59:59.999999Z"}, "bad_time"),
        ({"ts": "infinity"}, "bad_time"),
        ({"ts": "2026-01-05T10:00:00Zz"}, "bad_time"),
        ({"ts": 1767607200}, "bad_time"),
        ({"ts": "soon", "event_type": "no", "cost": -1}, "bad_time"),
        ({"event_type": None}, "unknown_event_type"),
        ({"event_type": "Complete"}, "unknown_event_type"),
        ({"event_type": "audit", "input_tokens": "x"}, "unknown_event_type"),
        ({"input_tokens": "1.5"}, "bad_number"),
        ({"input_tokens": 1.5, "output_tokens": -1}, "bad_number"),
        ({"input_tokens": "ten"}, "bad_number"),
        ({"output_tokens": 10**19}, "bad_number"),
        ({"output_tokens": "1_000"}, "bad_number"),
        ({"output_tokens": "0x10"}, "bad_number"),
        ({"cost": "free"}, "bad_number"),
        ({"cost": float("nan")}, "bad_number"),
        ({"duration_s": "long"}, "bad_number"),
        ({"meters": {"images": "two"}}, "bad_number"),
        ({"meters": {"images": float("inf")}}, "bad_number"),
        ({"meters": [1]}, "bad_number"),
        ({"meters": "many"}, "bad_number"),
        ({"requests": 0}, "negative"),
        ({"requests": -3}, "negative"),
        ({"cached_tokens": -1}, "negative"),
        ({"cost": -0.000001}, "negative"),
        ({"meters": {"images": -1}}, "negative"),
    ],
)
def test_a_row_is_rejected_by_the_first_rule_that_it_breaks(service: Service, said: dict[str, Any], reason: str):
    row = {name: value for name, value in (event() | said).items() if value is not None}
    service.put("a.jsonl", [event("good"), row])
    service.dump()
    assert [row["event_id"] for row in service.events()] == ["good"]
    assert service.reasons() == [(2, reason)]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-05T10:00:00Z", datetime(2026, 1, 5, 10)),
        ("2026-01-05t10:00:00z", datetime(2026, 1, 5, 10)),
        ("2026-01-05 10:00Z", datetime(2026, 1, 5, 10)),
        ("2026-01-05T10:00:00.1234569Z", datetime(2026, 1, 5, 10, 0, 0, 123456)),
        ("2026-01-05T10:00:00.999999999+00:00", datetime(2026, 1, 5, 10, 0, 0, 999999)),
        ("2026-01-05T10:00:00,5Z", datetime(2026, 1, 5, 10, 0, 0, 500000)),
        ("2026-01-05T10:00:00+05:30", datetime(2026, 1, 5, 4, 30)),
        ("2026-01-05T10:00:00-0600", datetime(2026, 1, 5, 16)),
        ("2026-01-05T10:00:00+02", datetime(2026, 1, 5, 8)),
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1)),
    ],
)
def test_times_are_utc_and_finer_digits_are_cut_off(service: Service, text: str, at: datetime):
    service.put("a.jsonl", [event(ts=text)])
    service.dump()
    assert service.events("ts") == [{"ts": at}]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-05T10:00:00", datetime(2026, 1, 5, 16)),
        ("2026-01-05", datetime(2026, 1, 5, 6)),
        ("2026-03-08T01:59:59.9", datetime(2026, 3, 8, 7, 59, 59, 900000)),
        ("2026-03-08T02:30:00", datetime(2026, 3, 8, 8, 30)),  # skipped: by the offset before, as 03:30
        ("2026-03-08T03:00:00", datetime(2026, 3, 8, 8)),
        ("2026-11-01T00:59:59", datetime(2026, 11, 1, 5, 59, 59)),
        ("2026-11-01T01:30:00", datetime(2026, 11, 1, 6, 30)),  # twice: the first one
        ("2026-11-01T02:00:00", datetime(2026, 11, 1, 8)),
        ("2026-11-01T01:30:00-06:00", datetime(2026, 11, 1, 7, 30)),
    ],
)
def test_a_naive_time_is_of_the_wall_clock_of_the_site_s_zone(tmp_path: Path, text: str, at: datetime):
    service = Service.of(tmp_path, timezone="America/Chicago")
    service.put("a.jsonl", [event(ts=text)])
    service.dump(at.date().replace(day=1))
    assert service.events("ts") == [{"ts": at}]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"duration_s": -0.5, "queue_s": 2}, (None, 2.0, None)),
        ({"duration_s": float("nan")}, (None, None, None)),
        ({"duration_s": float("inf"), "first_output_s": 1}, (None, None, 1.0)),
        ({"duration_s": "1e400"}, (None, None, None)),
        ({"duration_s": 86_400.5, "queue_s": 86_400}, (None, 86_400.0, None)),
    ],
)
def test_a_time_that_can_not_be_is_cleared_and_listed_and_the_event_stays(
    service: Service, said: dict[str, Any], kept: tuple[float | None, ...]
):
    service.put("a.jsonl", [event(cost=3, **said)])
    service.dump()
    (row,) = service.events("duration_s", "queue_s", "first_output_s", "cost")
    assert tuple(row.values()) == (*kept, Decimal(3))
    assert service.reasons() == [(1, "cleared_time")]


def test_a_pre_summed_row_has_no_times(service: Service):
    service.put("a.jsonl", [event(requests=5, duration_s=10, queue_s=1, first_output_s=1)])
    service.dump()
    (row,) = service.events("requests", "duration_s", "queue_s", "first_output_s")
    assert tuple(row.values()) == (5, None, None, None)
    assert service.rejects() == []


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        (0.1, "0.1"),
        ("1e-7", "0.0000001"),
        ("0.0000000000005", "0"),
        ("0.0000000000015", "0.000000000002"),
        ("0.0000000000025", "0.000000000002"),
        ("0.00000000000250001", "0.000000000003"),
        ("12345678901234567890.123456789012", "12345678901234567890.123456789012"),
        (0, "0"),
    ],
)
def test_money_is_exact_and_rounded_half_even(service: Service, text: Any, amount: str):
    service.put("a.jsonl", [event(cost=text)])
    service.dump()
    assert service.events("cost") == [{"cost": Decimal(amount)}]


def test_counts_may_be_large_and_written_with_a_point(service: Service):
    service.put("a.jsonl", [event(input_tokens=10**18, output_tokens=12.0, cached_tokens="1e3")])
    service.dump()
    (row,) = service.events("input_tokens", "output_tokens", "cached_tokens")
    assert tuple(row.values()) == (10**18, 12, 1000)


def test_aliases_name_models_and_the_source_s_spelling_is_kept(tmp_path: Path):
    service = Service.of(tmp_path, aliases={"small-2026-01-15": "small"})
    service.put("a.jsonl", [event(model_id="small-2026-01-15"), event("b", model_id="Small")])
    service.dump()
    assert service.events("model_id", "model_raw") == [
        {"model_id": "small", "model_raw": "small-2026-01-15"},
        {"model_id": "Small", "model_raw": "Small"},
    ]


def test_further_event_types_are_kept_where_the_site_accepts_them(tmp_path: Path):
    service = Service.of(tmp_path, accept=["audit"])
    service.put("a.jsonl", [event(event_type="audit"), event("b", event_type="model_load")])
    service.dump()
    assert service.events("event_type") == [{"event_type": "audit"}, {"event_type": "model_load"}]


def test_prompts_are_dropped_and_only_their_hash_is_kept(service: Service):
    service.put(
        "a.jsonl",
        [
            event("a", prompt="tell me", parameters={"n": 1, "prompt": "tell me"}),
            event("b", parameters={"messages": [{"content": "secret"}], "top_p": 1}),
            event("c", parameters={"deep": {"prompt": "secret"}}),
            event("d", parameters="secret words"),
            event("e", cost=-1, prompt="secret", parameters={"prompt": "secret", "n": 1}),
        ],
    )
    service.dump()
    digest = "dc3a56ef5b2c3ce4f2d1ff5a6b4dcb2c5d5a44b43e0c1f6ac5d2a3f2e1d0c9b8"
    rows = service.events("parameters", "prompt_hash")
    assert [row["parameters"] for row in rows] == ['{"n":1}', '{"top_p":1}', None, None]
    assert len({row["prompt_hash"] for row in rows[:2]} - {None, digest}) == 2
    assert "secret" not in str(rows)
    assert "secret" not in str(service.rejects())
    assert service.rejects("row")[0]["row"].endswith('"parameters":"{\\"n\\":1}","cost":"-1"}')


def test_prompts_are_kept_where_the_site_says_so(tmp_path: Path):
    service = Service.of(tmp_path, keep_prompts=True)
    service.put("a.jsonl", [event(prompt="tell me", parameters={"n": 1})])
    service.dump()
    assert service.events("parameters") == [{"parameters": '{"n":1,"prompt":"tell me"}'}]


def test_people_have_one_hash_in_events_and_rejects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USAGE_HASH_SALT", "s" * 40)
    service = Service.of(tmp_path, personal={"user_id": "hash", "team_id": "drop"})
    service.put("a.jsonl", [event(user_id="ann", team_id="x"), event("b", user_id="ann", team_id="x", cost=-1)])
    service.dump()
    (kept,), (rejected,) = service.events("user_id", "team_id"), service.rejects("row")
    assert len(kept["user_id"]) == 16
    assert kept["team_id"] is None
    assert f'"user_id":"{kept["user_id"]}"' in rejected["row"]
    assert "ann" not in str(service.events()) + str(service.rejects())
    assert "team_id" not in rejected["row"]


def test_ids_are_opaque_texts(service: Service):
    odd = ["../../etc/passwd", "<script>alert(1)</script>", "x" * 1_000_000, "é", "é", "A", "a", "'; DROP TABLE x"]
    service.put("a.jsonl", [event(f"e{number}", user_id=text) for number, text in enumerate(odd)])
    service.dump()
    assert [row["user_id"] for row in service.events("user_id")] == odd


def test_a_line_that_is_no_object_is_unreadable_and_says_where_it_stands(service: Service):
    lines: list[Any] = [
        event("a"),
        '{"ts": "2026-01',
        "",
        "[1]",
        "null",
        '"text"',
        event("b", "2026-02-01T00:00:00Z"),
        "{",
    ]
    service.put("a.jsonl", lines)
    service.dump(JANUARY, FEBRUARY)
    assert [row["event_id"] for row in service.events()] == ["a", "b"]
    assert [row["source_row"] for row in service.events()] == [1, 7]
    assert service.reasons() == [(number, "unreadable") for number in (2, 4, 5, 6, 8)]
    assert {row["row"] for row in service.rejects()} == {None}
