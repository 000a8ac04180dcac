"""Intervals, residency and the inventory by examples worked out by hand."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from usage_assets.core.errors import SiteError
from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.service.facts import inventory, residency
from usage_assets.kinds.service.facts.intervals import LOADED, QUEUED, RUNNING, Spans
from usage_assets.kinds.service.facts.tables import MODEL_RESIDENCY
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.service.stored import MARCH, SITE, at, event, fold, site, store

APRIL = date(2026, 4, 1)


def _intervals(warehouse: Warehouse, spans: Spans, months: Sequence[date], **read: datetime) -> list[tuple]:
    extracted = {MARCH: read["read_at"]} if read else {}
    with warehouse.write("test") as writer:
        for month in months:
            broken = writer.insert_month(
                INTERVALS, spans.select(writer, site(), month, extracted), site=SITE, month=month, asset=spans.metric,
                run_id="test", owned={"metric": (spans.metric,)},
            )  # fmt: skip
            assert broken == []
    with warehouse.read() as reader:
        rows = reader.frame(INTERVALS, SITE).sort("start_at", "entity_id")
    assert set(rows["metric"]) <= {spans.metric}
    return rows.select("entity_id", "node_type", "start_at", "end_at", "requests").rows()


def test_requests_run_from_start_to_end_and_wait_before(warehouse: Warehouse):
    store(warehouse, [event("a", model_id="m", ts=at("10 12:00"), queue_s=5.0, duration_s=10.0)])
    fold(warehouse)
    assert _intervals(warehouse, RUNNING, [MARCH]) == [("a", "m", at("10 12:00:05"), at("10 12:00:15"), 1.0)]


def test_they_wait_from_submission_to_start(warehouse: Warehouse):
    store(warehouse, [event("a", model_id="m", ts=at("10 12:00"), queue_s=5.0), event("b", ts=at("10 12:00"))])
    fold(warehouse)
    assert _intervals(warehouse, QUEUED, [MARCH]) == [("a", "m", at("10 12:00:00"), at("10 12:00:05"), 1.0)]


def test_what_has_no_length_no_end_or_stands_for_many_never_runs(warehouse: Warehouse):
    store(warehouse, [
        event("instant"), event("many", requests=5, duration_s=9.0, queue_s=9.0),
        event("s", request_id="open", event_type="start"),
        event("q", request_id="open", event_type="request", ts=at("9")),
    ])  # fmt: skip
    fold(warehouse)
    assert _intervals(warehouse, RUNNING, [MARCH]) == _intervals(warehouse, QUEUED, [MARCH]) == []


def test_a_request_over_the_edge_is_cut_and_in_both_months(warehouse: Warehouse):
    edge = datetime(2026, 4, 1)
    store(warehouse, [event("a", ts=datetime(2026, 3, 31, 23), duration_s=7200.0)])
    fold(warehouse, [MARCH, APRIL])
    assert _intervals(warehouse, RUNNING, [MARCH, APRIL]) == [
        ("a", "(none)", datetime(2026, 3, 31, 23), edge, 1.0), ("a", "(none)", edge, datetime(2026, 4, 1, 1), 1.0),
    ]  # fmt: skip


def test_the_account_of_a_month_conserves_rows_and_hours(warehouse: Warehouse):
    store(warehouse, [
        event("a", ts=datetime(2026, 3, 31, 23), duration_s=7200.0), event("b", duration_s=1800.0), event("c"),
        event("other", ts=datetime(2026, 4, 9), duration_s=60.0),
    ])  # fmt: skip
    fold(warehouse, [MARCH, APRIL])
    with warehouse.write("test") as writer:
        query = RUNNING.account(writer, site(), MARCH)
        (row,) = writer.sql(query.sql, query.params).iter_rows(named=True)
    assert row == {
        "source": "records", "rows_in": 3, "rows_kept": 2, "rows_rejected": 0, "rows_outside": 1, "hours_in": 1.5,
        "hours_kept": 1.5, "hours_clipped": 0.0, "hours_rejected": 0.0,
    }  # fmt: skip


def _resident(warehouse: Warehouse, months: Sequence[date], **options: Any) -> list[tuple]:
    with warehouse.write("test") as writer:
        for month in months:
            queries = residency.select(writer, site(**options), month, {})
            broken = writer.insert_month(
                MODEL_RESIDENCY, queries, site=SITE, month=month, asset="residency", run_id="test"
            )
            assert broken == []
    with warehouse.read() as reader:
        rows = reader.frame(MODEL_RESIDENCY, SITE).sort("month", "model_id", "loaded_at")
    return rows.select("month", "model_id", "loaded_at", "unloaded_at", "bytes").rows()


def _load(name: str, ts: str, kind: str = "load", **values: Any) -> dict[str, Any]:
    return event(name, event_type=f"model_{kind}", model_id="m", ts=at(ts), **values)


def test_a_second_load_and_a_first_unload_change_nothing(warehouse: Warehouse):
    store(warehouse, [
        _load("1", "2", "unload"), _load("2", "3", meters={"bytes": "7"}), _load("3", "4"), _load("4", "5", "unload"),
        _load("5", "6", "unload"),
    ])  # fmt: skip
    assert _resident(warehouse, [MARCH]) == [(MARCH, "m", at("3"), at("5"), 7)]


def test_a_model_that_stays_loaded_is_so_in_later_months_also_where_its_events_are_gone(warehouse: Warehouse):
    store(warehouse, [_load("1", "3")])
    expected = [(MARCH, "m", at("3"), None, None), (APRIL, "m", at("3"), None, None)]
    assert _resident(warehouse, [MARCH, APRIL]) == expected
    with warehouse.write("test") as writer:
        writer.con.execute("DELETE FROM raw.usage_events").fetchall()
    assert _resident(warehouse, [APRIL]) == expected


def test_loaded_models_are_so_until_the_month_was_read(warehouse: Warehouse):
    store(warehouse, [_load("1", "3"), _load("2", "5", "unload"), _load("3", "7")])
    _resident(warehouse, [MARCH])
    assert _intervals(warehouse, LOADED, [MARCH], read_at=at("9")) == [
        ("m", "m", at("3"), at("5"), 1.0), ("m", "m", at("7"), at("9"), 1.0)]  # fmt: skip


def _inventory(folder: Path, text: str) -> Any:
    path = folder / "inventory.csv"
    path.write_text("model_id,size_bytes,valid_from,valid_to\n" + text)
    return site(inventory=path)


def _months(reading: Any, months: Sequence[date]) -> pl.DataFrame:
    records = inventory.read(None, reading, months)  # type: ignore[arg-type]  # it reads a file only
    return inventory.make(reading, months, records, {}).rows


def test_the_inventory_of_a_month_is_what_is_valid_in_it(tmp_path: Path):
    text = "old,1,2026-01-01,2026-03-01\nnow,2,2026-02-01,2026-03-02\nnext,3,2026-04-01,\n"
    found = _months(_inventory(tmp_path, text), [MARCH, APRIL])
    assert found.select("month", "model_id", "size_bytes").rows() == [(MARCH, "now", 2), (APRIL, "next", 3)]


def test_rows_of_one_model_that_overlap_are_refused(tmp_path: Path):
    reading = _inventory(tmp_path, "m,1,2026-01-01,2026-03-02\nm,2,2026-03-01,\n")
    with pytest.raises(SiteError, match=r"inventory.csv:3 and inventory.csv:2: rows of one model overlap"):
        inventory.read(None, reading, [MARCH])  # type: ignore[arg-type]  # it reads a file only


def test_a_loaded_model_has_its_size_by_the_inventory(warehouse: Warehouse, tmp_path: Path):
    reading = _inventory(tmp_path, "m,9,2026-01-01,2026-03-04\nm,8,2026-03-04,\n")
    with warehouse.write("test") as writer:
        rows = _months(reading, [MARCH])
        writer.replace(inventory.MODEL_INVENTORY, rows, site=SITE, months=[MARCH], asset="a", run_id="test")
    store(warehouse, [_load("1", "3")])
    assert _resident(warehouse, [MARCH]) == [(MARCH, "m", at("3"), None, 9)]
