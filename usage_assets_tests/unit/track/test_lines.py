"""Events as lines of JSON, whatever values they hold."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.track.lines import LONGEST_LINE, event_ids, line, unknown_columns

_TS = 1_764_331_200_000_007


class _Rude:
    def __str__(self) -> str:
        raise RuntimeError


def row_of(**fields: Any) -> dict[str, Any]:
    """An event's columns as a reader gets them, without those that it always has."""
    text = line((_TS, "complete", fields), "e1", {})
    assert text is not None
    assert text.count(b"\n") == 1
    row = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    always = {"event_id": "e1", "ts": "2025-11-28T12:00:00.000007Z", "event_type": "complete"}
    assert {name: row.pop(name) for name in always} == always
    return row


def test_an_event_begins_with_id_time_and_type():
    fields = {"model_id": "small", "event_id": "not mine", "ts": "never"}
    assert line((_TS, "complete", fields), "e1", {"model_id": "default", "provider": "own"}) == (
        b'{"event_id":"e1","ts":"2025-11-28T12:00:00.000007Z","event_type":"complete",'
        b'"model_id":"small","provider":"own"}\n'
    )


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (Decimal("NaN"), None),
        (Decimal("sNaN"), None),
        (Decimal("1E-999999"), None),
        pytest.param(10**5000, None, id="a number of 5000 digits"),
        (Decimal("1E+50"), None),
        (10**18, 10**18),
        (Decimal("1.10"), "1.10"),
        (Decimal("1E-9"), "0.000000001"),
        ("two\nlines", "two\nlines"),
        ("ü \ud800", "ü ?"),
        (datetime(2025, 1, 1, tzinfo=UTC), "2025-01-01T00:00:00+00:00"),
        (b"bytes", "b'bytes'"),
        (_Rude(), "_Rude"),
    ],
)
def test_a_value_is_written_as_json_has_it_or_left_out(value: object, read: object):
    assert row_of(user_id=value).get("user_id") == read


def test_values_within_parameters_and_meters_are_written_alike():
    meters = {"images": float("inf"), "audio_seconds": Decimal("0.5"), "steps": 4}
    parameters = MappingProxyType({"size": (512, 512), "tags": {"a"}, 1: None, "prompt": "a secret"})
    assert row_of(meters=meters, parameters=parameters) == {
        "meters": {"audio_seconds": "0.5", "steps": 4},
        "parameters": {"size": [512, 512], "tags": ["a"]},
    }


def test_a_value_that_holds_itself_ends():
    endless: dict[str, object] = {"seed": 1}
    endless["self"] = endless
    assert row_of(parameters=endless)["parameters"]["seed"] == 1


def test_parameters_that_are_no_mapping_are_left_out():
    assert row_of(parameters="a secret prompt") == {}


def test_names_that_are_no_columns_are_left_out_and_known():
    event = (_TS, "complete", {"input_token": 3, "_begin": 1, "user_id": "alice"})
    assert unknown_columns(event) == {"input_token"}
    assert row_of(**event[2]) == {"user_id": "alice"}


def test_a_long_event_loses_its_parameters_and_then_itself():
    long = "x" * LONGEST_LINE
    assert row_of(user_id="alice", parameters={"a": long}) == {"user_id": "alice"}
    assert line((_TS, "complete", {"user_id": long}), "e1", {}) is None


def test_ids_differ_within_a_process_and_between_two():
    one, other = event_ids(), event_ids()
    assert len({one(), one(), other(), other()}) == 4


@given(
    st.dictionaries(
        st.sampled_from(("user_id", "input_tokens", "cost", "meters", "parameters", "duration_s")),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(st.characters()),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
    )
)
def test_whatever_the_values_an_event_is_one_line_of_json(fields: dict[str, Any]):
    row_of(**fields)
