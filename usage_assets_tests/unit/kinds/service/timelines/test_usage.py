"""The usage timeline of a service by examples worked out by hand, and against the facts where events are random."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.service.facts.assets import FACTS
from usage_assets.kinds.service.timelines import steps
from usage_assets.kinds.service.timelines.assets import LEADTIME, USAGE_ASSETS
from usage_assets.kinds.service.timelines.checks import busy_seconds, flows_in_facts
from usage_assets.timelines.tables import LEADTIME as LEADTIME_TABLE
from usage_assets.timelines.tables import USAGE, USAGE_STEPS
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.service.stored import MARCH, SITE, at, build, event, site, store

APRIL = date(2026, 4, 1)
_ASSETS = [asset for asset in FACTS if asset.select] + [*USAGE_ASSETS, LEADTIME]
_EDGE = datetime(2026, 4, 1)


def _usage(warehouse: Warehouse, *, table: Any = USAGE) -> pl.DataFrame:
    with warehouse.read() as reader:
        return reader.frame(table, SITE).sort("timestamp", "node_type", "metric")


def _values(warehouse: Warehouse, metric: str, node_type: str = "m") -> dict[datetime, tuple]:
    """The buckets of a metric that are not zero: value and hours."""
    rows = _usage(warehouse).filter((pl.col("metric") == metric) & (pl.col("node_type") == node_type))
    found = {row["timestamp"]: (row["value"], row["hours"]) for row in rows.iter_rows(named=True)}
    return {key: pair for key, pair in found.items() if pair[0] != 0}


def _run(warehouse: Warehouse, *events: dict[str, Any], months: tuple[date, ...] = (MARCH,), **options: Any) -> None:
    store(warehouse, events)
    build(warehouse, _ASSETS, months, **options)


def test_a_request_over_midnight_runs_in_both_days_and_counts_where_it_is_asked_for_and_ends(warehouse: Warehouse):
    _run(warehouse, event("a", model_id="m", ts=at("10 18:00"), duration_s=18 * 3600.0, input_tokens=5,
                          output_tokens=7))  # fmt: skip
    assert _values(warehouse, "running") == {at("10"): (0.25, 6.0), at("11"): (0.5, 12.0)}
    assert _values(warehouse, "busy") == {at("10"): (21600.0, None), at("11"): (43200.0, None)}
    assert _values(warehouse, "running_max") == {at("10"): (1.0, None), at("11"): (1.0, None)}
    assert _values(warehouse, "submitted") == {at("10"): (1.0, None)}
    assert _values(warehouse, "succeeded") == {at("11"): (1.0, None)}
    assert _values(warehouse, "input_tokens") == {at("11"): (5.0, None)}
    assert _values(warehouse, "output_tokens") == {at("11"): (7.0, None)}
    assert _values(warehouse, "failed") == _values(warehouse, "cancelled") == _values(warehouse, "queued") == {}


def test_an_interval_over_many_buckets_fills_those_between(warehouse: Warehouse):
    _run(warehouse, event("a", model_id="m", ts=at("10 12:00"), duration_s=3 * 86400.0), max_request_hours=100)
    assert _values(warehouse, "running") == {
        at("10"): (0.5, 12.0), at("11"): (1.0, 24.0), at("12"): (1.0, 24.0), at("13"): (0.5, 12.0)}  # fmt: skip


def test_the_month_before_has_its_part_of_what_ended_in_the_next(warehouse: Warehouse):
    _run(warehouse, event("a", model_id="m", ts=datetime(2026, 3, 31, 18), queue_s=3 * 3600.0, duration_s=6 * 3600.0),
         months=(MARCH, APRIL))  # fmt: skip
    assert _values(warehouse, "running") == {at("31"): (0.125, 3.0), _EDGE: (0.125, 3.0)}
    assert _values(warehouse, "queued") == {at("31"): (0.125, 3.0)}
    assert _values(warehouse, "submitted") == {at("31"): (1.0, None)}
    assert _values(warehouse, "succeeded") == {_EDGE: (1.0, None)}


def test_unfinished_and_summed_requests_are_flows_only(warehouse: Warehouse):
    _run(warehouse, event("open", model_id="m", event_type="start", ts=at("10")),
         event("many", model_id="m", ts=at("11"), requests=40, duration_s=50.0))  # fmt: skip
    assert _values(warehouse, "submitted") == {at("10"): (1.0, None), at("11"): (40.0, None)}
    assert _values(warehouse, "succeeded") == {at("11"): (40.0, None)}
    assert _values(warehouse, "running") == _values(warehouse, "running_max") == {}


def test_every_bucket_model_and_metric_is_there_until_the_month_was_read(warehouse: Warehouse):
    _run(warehouse, event("a", model_id="m", ts=at("1")), event("b", model_id="n", ts=at("2"), duration_s=60.0),
         read_at=at("3 12:00"))  # fmt: skip
    rows = _usage(warehouse)
    assert rows["timestamp"].unique().sort().to_list() == [at("1"), at("2"), at("3")]
    assert set(rows.group_by("node_type", "metric").len()["len"]) == {3}
    assert rows.filter(pl.col("node_type") == "m")["metric"].n_unique() == 12


def test_the_last_bucket_is_as_long_as_was_seen_of_it(warehouse: Warehouse):
    load = event("l", event_type="model_load", model_id="m", ts=at("2"))
    _run(warehouse, load, read_at=at("2 12:00"))
    assert _values(warehouse, "loaded_models") == {at("2"): (1.0, 12.0)}


def test_the_most_at_once_is_held_over_from_the_bucket_before(warehouse: Warehouse):
    _run(
        warehouse,
        event("a", model_id="m", ts=at("10 12:00"), duration_s=2 * 86400.0),
        event("b", model_id="m", ts=at("11 06:00"), duration_s=3600.0),
        event("c", model_id="m", ts=at("12 00:00"), duration_s=12 * 3600.0),
    )
    most = {day: value for day, (value, _) in _values(warehouse, "running_max").items()}
    assert most == {at("10"): 1.0, at("11"): 2.0, at("12"): 2.0}


def test_one_that_ends_where_a_bucket_begins_is_not_in_it(warehouse: Warehouse):
    _run(warehouse, event("a", model_id="m", ts=at("10 12:00"), duration_s=12 * 3600.0))
    assert list(_values(warehouse, "running_max")) == [at("10")]


@pytest.mark.parametrize(("parallel", "node_type"), [(4, "*"), ({"m": 4}, "m")])
def test_capacity_of_all_or_of_a_model_is_free_where_nothing_runs(warehouse: Warehouse, parallel: Any, node_type: str):
    _run(warehouse, event("a", model_id="m", ts=at("1 00:00"), duration_s=12 * 3600.0), read_at=at("3"),
         max_parallel=parallel)  # fmt: skip
    assert _values(warehouse, "capacity", node_type) == {at("1"): (4.0, 96.0), at("2"): (4.0, 96.0)}
    assert _values(warehouse, "available", node_type) == {at("1"): (3.5, 84.0), at("2"): (4.0, 96.0)}


def test_buckets_of_a_known_gap_are_unknown(warehouse: Warehouse):
    gap = SimpleNamespace(source="usage_events", start=date(2026, 3, 2), end=date(2026, 3, 3))
    _run(warehouse, event("a", model_id="m", ts=at("1 23:00"), duration_s=7200.0), read_at=at("4"), known_gaps=(gap,))
    unknown = _usage(warehouse).filter(pl.col("value").is_null())
    assert set(unknown["timestamp"]) == {at("2")}
    assert unknown["metric"].n_unique() == 12
    running = _usage(warehouse, table=USAGE_STEPS).filter(pl.col("metric") == "running")
    assert running.select("timestamp", "value").rows() == [
        (at("1"), 0.0), (at("1 23:00"), 1.0), (at("2"), None), (at("3"), 0.0)]  # fmt: skip


def test_steps_have_a_row_at_the_months_start_and_one_per_change(warehouse: Warehouse):
    _run(
        warehouse,
        event("a", model_id="m", ts=at("10 12:00"), duration_s=60.0),
        event("b", model_id="m", ts=at("10 12:01"), duration_s=60.0),
    )
    rows = _usage(warehouse, table=USAGE_STEPS).filter(pl.col("metric") == "running")
    assert rows.select("timestamp", "value").rows() == [
        (at("1"), 0.0), (at("10 12:00"), 1.0), (at("10 12:02"), 0.0)]  # fmt: skip


def test_lead_times_of_one_instant_are_their_median_in_hours(warehouse: Warehouse):
    noon = {"model_id": "m", "ts": at("10 12:00")}
    _run(warehouse, event("a", **noon, queue_s=3600.0), event("b", **noon, queue_s=7200.0),
         event("c", **noon, queue_s=9999.0, requests=4), event("d", **noon, event_type="request"))  # fmt: skip
    assert _usage_leadtime(warehouse) == [(at("10 12:00"), "effective", "m", 1.5)]


def _usage_leadtime(warehouse: Warehouse) -> list[tuple]:
    with warehouse.read() as reader:
        rows = reader.frame(LEADTIME_TABLE, SITE).sort("timestamp")
    return rows.select("timestamp", "leadtime_type", "node_type", "value").rows()


def test_the_checks_find_a_bucket_that_was_changed(warehouse: Warehouse):
    _run(warehouse, event("a", model_id="m", ts=at("10 12:00"), duration_s=60.0, output_tokens=3))
    window = Window(SITE, (MARCH,))
    with warehouse.read() as reader:
        assert busy_seconds(reader, site(), window)[MARCH].passed
        assert flows_in_facts(reader, site(), window)[MARCH].passed
    with warehouse.write("test") as writer:
        writer.con.execute(
            f"UPDATE {USAGE.qualified} SET value = value + 1 WHERE timestamp::DATE = DATE '2026-03-10' "
            "AND metric IN ('busy', 'succeeded')"
        ).fetchall()
    with warehouse.read() as reader:
        assert busy_seconds(reader, site(), window)[MARCH].text == "1 bucket(s) differ, at worst by 1.000000 s"
        assert flows_in_facts(reader, site(), window)[MARCH].text.startswith("usage has +1 requests and +0 output")


_RANDOM = st.lists(
    st.fixed_dictionaries({
        "ts": st.integers(-200, 200).map(lambda n: _EDGE + timedelta(minutes=17 * n)),
        "queue_s": st.sampled_from([None, 0.000001, 3600.0, 40000.25]),
        "duration_s": st.sampled_from([None, 0.5, 7200.0, 86400.0]), "model_id": st.sampled_from(["m", "n"]),
    }),
    max_size=15,
)  # fmt: skip


@given(_RANDOM, st.sampled_from([2, 1000]))
def test_buckets_and_steps_hold_the_hours_of_the_intervals(found: list[dict[str, Any]], at_once: int):
    with TemporaryDirectory() as folder, patch.object(steps, "_INTERVALS_AT_ONCE", at_once):
        warehouse = Warehouse(Path(folder) / "warehouse.duckdb")
        events = [event(f"e{n}", **values) for n, values in enumerate(found)]
        _run(warehouse, *events, months=(MARCH, APRIL), bucket_minutes=360)
        with warehouse.read() as reader:
            intervals, rows = reader.frame(INTERVALS, SITE), reader.frame(USAGE, SITE)
            changes = reader.frame(USAGE_STEPS, SITE)
    expected: dict[tuple, float] = defaultdict(float)
    for row in intervals.iter_rows(named=True):
        start = row["start_at"]
        while start < row["end_at"]:
            number = (start - datetime(2026, 1, 1)) // timedelta(hours=6)
            until = min(row["end_at"], datetime(2026, 1, 1) + (number + 1) * timedelta(hours=6))
            bucket = datetime(2026, 1, 1) + number * timedelta(hours=6)
            expected[row["metric"], row["node_type"], bucket] += (until - start).total_seconds() / 3600
            start = until
    states = rows.filter(pl.col("metric").is_in(["running", "queued"]))
    for row in states.iter_rows(named=True):
        hours = expected.pop((row["metric"], row["node_type"], row["timestamp"]), 0.0)
        assert row["hours"] == pytest.approx(hours, abs=1e-9)
        assert row["value"] == pytest.approx(hours / 6, abs=1e-9)
    assert expected == {}
    for row in changes.iter_rows(named=True):
        same = (intervals["node_type"] == row["node_type"]) & (intervals["metric"] == row["metric"])
        covering = same & (intervals["start_at"] <= row["timestamp"]) & (intervals["end_at"] > row["timestamp"])
        assert row["value"] == covering.sum()
