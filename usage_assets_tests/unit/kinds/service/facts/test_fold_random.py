"""Folding of random events is that of the oracle, whichever months are built and however requests are parted."""

from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from usage_assets.kinds.service.facts import events as reading
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.service.facts import oracle
from usage_assets_tests.unit.kinds.service.stored import fold, store

MONTHS = (date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1))
_EDGE = datetime(2026, 3, 1)
_WORDS = st.sampled_from([None, "a", "B", "\u00e4"])
_COUNTS = st.sampled_from([None, 0, 7])
_SECONDS = st.sampled_from([None, 0.0, 0.25, 90.5, 7200.0, 86400.0])


def _events(furthest_hours: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Some events around the edge of a month, at instants that often are equal."""
    one = st.fixed_dictionaries({
        "request_id": st.sampled_from([None, "r", "s", "R"]),
        "ts": st.integers(-furthest_hours * 6, furthest_hours * 6).map(lambda n: _EDGE + timedelta(minutes=10 * n)),
        "event_type": st.sampled_from([*oracle.OUTCOMES, "complete", "request", "start", "model_load"]),
        "success": st.sampled_from([None, True, False]), "time_of": st.sampled_from(["start", "end"]),
        "requests": st.sampled_from([1, 1, 1, 5]), "duration_s": _SECONDS, "queue_s": _SECONDS,
        "user_id": _WORDS, "team_id": _WORDS, "session_id": _WORDS, "model_id": _WORDS, "provider": _WORDS,
        "error": _WORDS, "prompt_hash": _WORDS, "input_tokens": _COUNTS, "output_tokens": _COUNTS,
        "cached_tokens": _COUNTS, "cost": st.sampled_from([None, "0", "0.000000000001"]),
        "currency": st.sampled_from([None, "USD", "EUR"]),
        "meters": st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2.5"])).map(lambda m: m or None),
    })  # fmt: skip
    ids = st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGH"), unique=True)
    return st.tuples(st.lists(one, max_size=12), ids).map(
        lambda pair: [{**event, "event_id": f"e-{name}"} for event, name in zip(*pair, strict=False)]
    )


def _built(events: list[dict[str, Any]], months: tuple[date, ...], at_once: int) -> pl.DataFrame:
    with TemporaryDirectory() as folder, patch.object(reading, "_EVENTS_AT_ONCE", at_once):
        warehouse = Warehouse(Path(folder) / "warehouse.duckdb")
        store(warehouse, events)
        return fold(warehouse, months)


def _comparable(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with meters as sorted pairs: a map has no order."""
    found = [{key: float(value) for key, value in (meters or {}).items()} for meters in rows["meters"].to_list()]
    texts = pl.Series("meters", [str(sorted(meters.items())) for meters in found], dtype=pl.String)
    return rows.with_columns(texts).sort("month", "request_id")


def _expected(events: list[dict[str, Any]]) -> pl.DataFrame:
    rows = oracle.requests(events, "USD")
    schema = {name: SERVICE_REQUESTS.polars_schema[name] for name in SERVICE_REQUESTS.names if name != "meters"}
    found = pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)
    meters = pl.Series("meters", [row["meters"] for row in rows], dtype=pl.Object)
    return _comparable(found.with_columns(meters).select(SERVICE_REQUESTS.names))


@given(_events(40), st.sampled_from([1, 3, 1000]))
def test_requests_are_those_of_the_oracle_and_each_lies_in_one_month(events: list[dict[str, Any]], at_once: int):
    found = _comparable(_built(events, MONTHS, at_once))
    assert_frame_equal(found, _expected(events))
    assert found["request_id"].is_unique().all()


@given(_events(24 * 25))
def test_so_are_requests_whose_events_lie_weeks_apart(events: list[dict[str, Any]]):
    assert_frame_equal(_comparable(_built(events, MONTHS, 3)), _expected(events))


@given(_events(40))
def test_months_built_in_reverse_and_twice_are_the_same(events: list[dict[str, Any]]):
    there, back = _built(events, MONTHS, 1000), _built(events, (*MONTHS[::-1], *MONTHS), 1000)
    assert_frame_equal(_comparable(there), _comparable(back))
