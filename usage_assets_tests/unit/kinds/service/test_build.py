"""The facts and timelines of a service, built as a run builds them: in order, with readiness, neighbours and checks."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from usage_assets.checks.declared import checks_of
from usage_assets.core.months import Window
from usage_assets.facts.assets import fact_assets
from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.kind import Service
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.orchestration.build import build_assets
from usage_assets.reports.explain import Question, explain
from usage_assets.timelines.assets import usage_assets
from usage_assets.timelines.tables import USAGE, USAGE_STEPS
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.service.stored import SITE, event, store

KIND = Service()
CHAT = ServiceSite.model_validate({
    "kind": "service", "key": SITE, "name": "Chat", "max_parallel": 9, "resolution": "6h",
    "sources": [{"reader": "records", "path": "/srv/events", "pattern": "*.jsonl"}],
})  # fmt: skip
MONTHS = tuple(date(2026, month, 1) for month in (1, 2, 3, 4))
_BEGIN = datetime(2026, 1, 31, 20)
ASSETS = [*fact_assets(KIND), *usage_assets(KIND)]
_TABLES = (SERVICE_REQUESTS, INTERVALS, USAGE, USAGE_STEPS)


def _events(hours: int = 24 * 40) -> list[dict[str, Any]]:
    """Requests of two events each, an hour apart, and one model that is loaded in between."""
    out = [event("load", event_type="model_load", model_id="m0", ts=_BEGIN)]
    for hour in range(0, hours, 3):
        ts = _BEGIN + timedelta(hours=hour)
        own = {"request_id": f"r{hour}", "model_id": f"m{hour % 2}"}
        out.append(event(f"a{hour}", event_type="request", ts=ts, **own))
        out.append(event(f"b{hour}", ts=ts + timedelta(hours=5), duration_s=4 * 3600.5, output_tokens=3, **own))
    return out


def _ready(warehouse: Warehouse, months: Sequence[date] = MONTHS, run_id: str = "0") -> None:
    with warehouse.write("test") as writer:
        for table in KIND.raw_tables:
            asset = KIND.asset("raw", table.name)
            writer.record_readiness(asset, SITE, list(months), {}, run_id)
            writer.record_write(SITE, asset, run_id, dict.fromkeys(months, 1))


def _built(warehouse: Warehouse, *windows: Sequence[date]) -> dict[str, pl.DataFrame]:
    for months in windows:
        build_assets(KIND, CHAT, Window(SITE, tuple(months)), warehouse, ASSETS, run_id="1")
    with warehouse.read() as reader:
        frames = {table.name: reader.frame(table, SITE) for table in _TABLES}
    return {name: rows.drop("meters", strict=False).sort(pl.all()) for name, rows in frames.items()}


def test_all_checks_of_facts_and_timelines_pass(warehouse: Warehouse):
    store(warehouse, _events())
    _ready(warehouse)
    found = _built(warehouse, MONTHS)
    assert found["service_requests"].height == 320
    assert found["intervals"].group_by("metric").len().sort("metric")["metric"].to_list() == [
        "loaded", "queued", "running"]  # fmt: skip
    with warehouse.read() as reader:
        failing = [
            (asset.path, check.name, month, finding.text)
            for asset in ASSETS
            for check in checks_of(KIND, asset)
            if check.evaluate is not None
            for month, finding in check.evaluate(reader, CHAT, Window(SITE, MONTHS)).items()
            if not finding.passed
        ]
    assert failing == []


def test_months_built_one_by_one_in_reverse_or_at_once_are_the_same(warehouse: Warehouse, tmp_path):
    other = Warehouse(tmp_path / "other" / "warehouse.duckdb")
    for each in (warehouse, other):
        store(each, _events())
        _ready(each)
    at_once = _built(warehouse, MONTHS)
    one_by_one = _built(other, *([month] for month in reversed(MONTHS)))
    for name, rows in at_once.items():
        assert_frame_equal(rows, one_by_one[name])


def test_events_of_the_next_month_complete_what_stood_unfinished(warehouse: Warehouse, tmp_path):
    february = datetime(2026, 2, 1)
    early = [row for row in _events(24) if row["ts"] < february]
    late = [row for row in _events(24) if row["ts"] >= february]
    store(warehouse, early)
    _ready(warehouse, MONTHS[:1])
    before = _built(warehouse, MONTHS[:1])
    assert before["service_requests"]["final_state"].to_list() == ["unfinished"] * 2
    store(warehouse, late)
    _ready(warehouse, MONTHS[1:2], run_id="2")
    after = _built(warehouse, MONTHS[1:2])
    other = Warehouse(tmp_path / "other" / "warehouse.duckdb")
    store(other, [*early, *late])
    _ready(other, MONTHS[:2])
    for name, rows in _built(other, MONTHS[:2]).items():
        assert_frame_equal(after[name], rows)


def test_an_instant_is_explained_by_the_requests_that_ran_then(warehouse: Warehouse):
    store(warehouse, _events())
    _ready(warehouse)
    _built(warehouse, MONTHS)
    with warehouse.read() as reader:
        answer = explain(reader, KIND, CHAT, Question(at=datetime(2026, 2, 10, 12), metric="running"))
    (term,) = answer.terms
    assert term.totals == term.steps == {"requests": 2.0}
    events = [(piece.row["entity_id"], [row["event_id"] for _, row in piece.origins]) for piece in term.pieces]
    assert sorted(events) == [("r228", ["a228", "b228"]), ("r231", ["a231", "b231"])]


def test_the_kind_of_each_metric_is_a_column(warehouse: Warehouse):
    store(warehouse, _events(24))
    _ready(warehouse, MONTHS[:2])
    _built(warehouse, MONTHS[:2])
    with warehouse.read() as reader:
        found = reader.sql(
            "SELECT DISTINCT metric, kind FROM timelines.usage LEFT JOIN timelines.usage_metrics USING (metric)"
        )
    assert dict(found.iter_rows()) == {
        "available": "stock", "busy": "flow", "cancelled": "flow", "capacity": "stock", "failed": "flow",
        "input_tokens": "flow", "loaded_models": "stock", "output_tokens": "flow", "queued": "stock",
        "queued_max": "stock", "running": "stock", "running_max": "stock", "submitted": "flow", "succeeded": "flow",
    }  # fmt: skip
