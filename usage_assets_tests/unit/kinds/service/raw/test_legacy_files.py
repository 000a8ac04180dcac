"""JSON of an older tracker, read object by object."""

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.kinds.service.raw import legacy_files
from usage_assets.kinds.service.raw.legacy_files import (
    LegacyError,
    Usage,
    find_files,
    limits,
    members,
    profiles,
    usages,
)

TOTALS = {
    "total_requests": 4, "successful_requests": 3, "failed_requests": 1, "total_input_tokens": 100,
    "total_output_tokens": 20, "total_cost": 0.1, "avg_latency_ms": 1500.0, "providers_used": {"openai": 4},
    "models_used": {"small": 3, "large": 1}, "session_count": 1, "unique_sessions": ["s1", "s2"],
}  # fmt: skip
ROW = {
    "period": "day", "date": date(2025, 3, 5), "user_id": "u1", "requests": 4, "succeeded": 3, "failed": 1,
    "input_tokens": 100, "output_tokens": 20, "cost": Decimal("0.100000000000"), "latency_sum_s": 6.0, "latency_n": 4,
    "sessions": 2, "updated_at": None, "source_file": "daily_usage.json",
}  # fmt: skip


def _put(folder: Path, name: str, said: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    return path


def _read(folder: Path) -> list[Any]:
    out: list[Any] = []
    for file in find_files(folder):
        out += {"usage": usages, "limits": limits, "users": profiles}[file.content](file)
    return out


def test_files_are_found_by_their_names_and_others_left_alone(tmp_path):
    for name in (
        "daily_usage.json", "monthly_usage.json", "spending_limits.json", "user_profiles.json", "user_profiles.jsonl",
        "spending_limits/user_u9.json", "partitioned/ab/u1/2025-03/daily_2025-03-05.json",
        "partitioned/ab/u1/2025-03/monthly_2025-03.json", "partitioned/ab/u1/daily_2025-03-05.json", "other.json",
        "elsewhere/user_u9.json", "daily_usage.json.bak",
    ):  # fmt: skip
        _put(tmp_path, name, {})
    found = [(file.name, file.content, file.period, file.user, file.date) for file in find_files(tmp_path)]
    assert found == [
        ("daily_usage.json", "usage", "day", None, None),
        ("monthly_usage.json", "usage", "month", None, None),
        ("partitioned/ab/u1/2025-03/daily_2025-03-05.json", "usage", "day", "u1", "2025-03-05"),
        ("partitioned/ab/u1/2025-03/monthly_2025-03.json", "usage", "month", "u1", "2025-03"),
        ("spending_limits.json", "limits", "day", None, None),
        ("spending_limits/user_u9.json", "limits", "day", "u9", None),
        ("user_profiles.json", "users", "day", None, None),
        ("user_profiles.jsonl", "users", "day", None, None),
    ]


def test_totals_of_a_user_and_day_are_a_row_and_its_counts(tmp_path):
    _put(tmp_path, "daily_usage.json", {"u1": {"2025-03-05": TOTALS}})
    (found,) = _read(tmp_path)
    assert found.row == ROW
    assert found.counts == (("model", "small", 3), ("model", "large", 1), ("provider", "openai", 4))


def test_months_and_partitioned_files_are_rows_of_the_same_shape(tmp_path):
    _put(tmp_path, "monthly_usage.json", {"u1": {"2025-03": TOTALS | {"updated_at": "2025-03-31T12:00:00+02:00"}}})
    name = "partitioned/ab/dir/2025-03/daily_2025-03-05.json"
    _put(tmp_path, name, TOTALS | {"user_id": "u2", "unique_sessions": 5})
    month, day = _read(tmp_path)
    updated = datetime(2025, 3, 31, 10)
    assert month.row == ROW | {
        "period": "month", "date": date(2025, 3, 1), "updated_at": updated, "source_file": "monthly_usage.json",
    }  # fmt: skip
    assert day.row == ROW | {"user_id": "u2", "sessions": 5, "source_file": name}


def test_costs_are_decimals_of_all_their_digits_rounded_half_even(tmp_path):
    text = '{"u": {"2025-03-05": {"total_cost": 123456789.123456789012}, "2025-03-06": {"total_cost": 1e-13},'
    text += '"2025-03-07": {"total_cost": 0.0000000000005}, "2025-03-08": {"total_cost": 0.0000000000015}}}'
    _put(tmp_path, "daily_usage.json", text)
    assert [found.row["cost"] for found in _read(tmp_path)] == [
        Decimal("123456789.123456789012"), Decimal(0), Decimal(0), Decimal("0.000000000002"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("period", "said", "fault"),
    [
        ("2025-02-30", TOTALS, "'2025-02-30' is no day"),
        ("2025-03-05", TOTALS | {"total_requests": 1.5}, "total_requests: 1.5 is no whole number"),
        ("2025-03-05", TOTALS | {"total_cost": -1}, "total_cost: -1 is no amount"),
        ("2025-03-05", TOTALS | {"total_cost": "much"}, "total_cost: much is no amount"),
        ("2025-03-05", TOTALS | {"total_requests": True}, "total_requests: True is no amount"),
        ("2025-03-05", [], "is no object"),
    ],
)
def test_an_object_that_means_nothing_is_a_fault_beside_the_others(tmp_path, period, said, fault):
    _put(tmp_path, "daily_usage.json", {"u1": {period: said, "2025-03-06": TOTALS}})
    bad, good = _read(tmp_path)
    assert isinstance(bad, LegacyError)
    assert fault in str(bad)
    assert isinstance(good, Usage)


def test_outcomes_never_exceed_their_total(tmp_path):
    _put(tmp_path, "daily_usage.json", {"u": {"2025-03-05": TOTALS | {"total_requests": 2, "failed_requests": 1}}})
    (found,) = _read(tmp_path)
    assert (found.row["requests"], found.row["succeeded"], found.row["failed"]) == (2, 1, 1)


LIMITS = {
    "user_id": "u1", "daily_limit": 10.0, "weekly_limit": None, "monthly_limit": 100, "per_request_limit": 0.5,
    "per_session_limit": 2, "provider_limits": {"openai": 50}, "model_limits": {"small": 5},
    "updated_at": "2025-03-05T10:00:00",
}  # fmt: skip


def _scopes(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["scope_type"], row["other"], row["window"], row["amount"]) for row in found]


def test_limits_are_rows_of_each_window_and_pair(tmp_path):
    _put(tmp_path, "spending_limits.json", {"limits": [LIMITS]})
    (found,) = _read(tmp_path)
    assert _scopes(found) == [
        ("user", None, "request", Decimal("0.5")),
        ("user", None, "session", Decimal(2)),
        ("user", None, "day", Decimal(10)),
        ("user", None, "month", Decimal(100)),
        ("user_provider", "openai", "month", Decimal(50)),
        ("user_model", "small", "month", Decimal(5)),
        (None, None, None, None),
    ]
    assert {row["thresholds"] for row in found} == {'["0.5", "0.8", "0.95"]'}
    assert {(row["user_id"], row["enabled"], row["updated_at"]) for row in found} == {
        ("u1", True, datetime(2025, 3, 5, 10))
    }


def test_limits_may_stand_under_their_users_or_in_a_file_each(tmp_path):
    own = {"daily": 3, "alert_thresholds": [0.9], "enabled": False}
    _put(tmp_path, "spending_limits.json", {"u1": own})
    _put(tmp_path, "spending_limits/user_u2.json", own)
    one, two = _read(tmp_path)
    assert [(row["user_id"], row["window"], row["thresholds"], row["enabled"]) for row in (one[0], two[0])] == [
        ("u1", "day", '["0.9"]', False),
        ("u2", "day", '["0.9"]', False),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "user_profiles.json",
            '{"users": [{"user_id": "u1", "username": "a", "user_tier": "free", "is_active": true}]}',
        ),
        ("user_profiles.json", '[{"user_id": "u1", "username": "a", "tier": "free", "active": true}]'),
        ("user_profiles.json", '{"u1": {"username": "a", "tier": "free", "active": true}}'),
        ("user_profiles.jsonl", '\n{"user_id": "u1", "username": "a", "tier": "free", "active": true}\n\n'),
    ],
)
def test_profiles_are_users_in_each_shape(tmp_path, name, text):
    _put(tmp_path, name, text)
    assert _read(tmp_path) == [
        {"user_id": "u1", "username": "a", "email": None, "tier": "free", "active": True, "updated_at": None,
         "source_file": name},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"u": {"2025-03-05": ', "no JSON"),
        ('{"u": {}} more', "there is more after its end"),
        ('{"u" {}}', "a : is missing"),
        ("{1: {}}", "1 is no name"),
        ('{"u": NaN}', "NaN is no number"),
        ("", "a { is missing"),
        ('{"u": []', "a } is missing"),
    ],
)
def test_a_file_that_is_no_json_says_where(tmp_path, text, fault):
    path = _put(tmp_path, "daily_usage.json", text)
    with pytest.raises(LegacyError, match=fault):
        list(members(path))


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "daily_usage.json"
    path.write_bytes(b'{"\xff": {}}')
    with pytest.raises(LegacyError, match="it is not all UTF-8"):
        list(members(path))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(said=st.dictionaries(st.text(max_size=4), _VALUES, max_size=5), indent=st.sampled_from([None, 2]),
       chunk=st.integers(1, 7))  # fmt: skip
def test_members_are_those_of_the_whole_whatever_is_read_at_a_time(tmp_path_factory, said, indent, chunk):
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(said, indent=indent))
    expected = [
        (name, element)
        for name, value in said.items()
        for element in (value if isinstance(value, list) else [value])
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(legacy_files, "CHUNK", chunk)
        assert list(members(path)) == expected
