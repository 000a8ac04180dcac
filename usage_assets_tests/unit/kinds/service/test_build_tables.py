"""Sums and advice of a service, built as a run builds them, and refused where what they are made of is gone."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from usage_assets.checks.declared import checks_of
from usage_assets.core.months import Window
from usage_assets.facts.assets import fact_assets
from usage_assets.kinds.service.kind import Service
from usage_assets.kinds.service.raw.tables import USAGE_EVENTS
from usage_assets.kinds.service.reports import retention
from usage_assets.kinds.service.reports.advice_assets import ADVICE_ASSETS
from usage_assets.kinds.service.reports.advice_tables import MODEL_PROFILES, RECOMMENDATION_OUTCOMES, RECOMMENDATIONS
from usage_assets.kinds.service.site.model import Retention, ServiceSite
from usage_assets.kinds.service.tables.assets import TABLE_ASSETS
from usage_assets.orchestration.build import build_assets
from usage_assets.timelines.assets import usage_assets
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import CHECKED, GATES, VERSIONS
from usage_assets_tests.unit.kinds.service.stored import SITE, event, store

KIND = Service()
CHAT = ServiceSite.model_validate({
    "kind": "service", "key": SITE, "name": "Chat", "resolution": "6h", "first_month": "2026-01",
    "sources": [{"reader": "records", "path": "/srv/events", "pattern": "*.jsonl"}],
})  # fmt: skip
MONTHS = tuple(date(2026, month, 1) for month in (1, 2, 3, 4))
MADE = (*TABLE_ASSETS, *ADVICE_ASSETS)
ASSETS = [*fact_assets(KIND), *usage_assets(KIND), *KIND.tables]
_BEGIN = datetime(2026, 1, 20, 20)


def _events(hours: int = 24 * 40) -> list[dict[str, Any]]:
    """Requests that take four hours, every third hour, each tried twice; a third of them fails."""
    out = []
    for hour in range(0, hours, 3):
        ts = _BEGIN + timedelta(hours=hour)
        failed = {"event_type": "failed", "error": "Timeout"}
        own = {
            "request_id": f"r{hour}",
            "model_id": f"m{hour % 2}",
            "user_id": f"u{hour % 5}",
            "cost": "0.000000000007",
        }
        out.append(event(f"a{hour}", ts=ts, duration_s=60.0, **own, **failed))
        outcome = failed if hour % 9 == 0 else {}
        out.append(
            event(f"b{hour}", ts=ts + timedelta(minutes=5), duration_s=4 * 3600.5, output_tokens=3, **own, **outcome)
        )
    return out


def _ready(warehouse: Warehouse) -> None:
    with warehouse.write("test") as writer:
        for table in KIND.raw_tables:
            asset = KIND.asset("raw", table.name)
            writer.record_readiness(asset, SITE, list(MONTHS), {}, "0")
            writer.record_write(SITE, asset, "0", dict.fromkeys(MONTHS, 1))


def _built(warehouse: Warehouse, *windows: Sequence[date]) -> dict[str, pl.DataFrame]:
    for months in windows:
        build_assets(KIND, CHAT, Window(SITE, tuple(months)), warehouse, ASSETS, run_id="1")
    with warehouse.read() as reader:
        frames = {asset.table.name: reader.frame(asset.table, SITE) for asset in MADE}
    return {name: rows.drop("failures", strict=False).sort(pl.all()) for name, rows in frames.items()}


def test_a_request_that_was_tried_twice_is_one_and_all_checks_pass(warehouse: Warehouse) -> None:
    store(warehouse, _events())
    _ready(warehouse)

    found = _built(warehouse, MONTHS)

    assert found["service_user_daily"]["requests"].sum() == 320
    assert found["service_user_monthly"]["cost"].sum() == sum(found["service_model_daily"]["cost"])
    with warehouse.read() as reader:
        failing = [
            (asset.path, check.name, month, finding.text)
            for asset in MADE
            for check in checks_of(KIND, asset)
            if check.evaluate is not None
            for month, finding in check.evaluate(reader, CHAT, Window(SITE, MONTHS)).items()
            if not finding.passed
        ]
    assert failing == []


def test_months_built_one_by_one_in_reverse_or_at_once_are_the_same(warehouse: Warehouse, tmp_path: Path) -> None:
    other = Warehouse(tmp_path / "other" / "warehouse.duckdb")
    for each in (warehouse, other):
        store(each, _events())
        _ready(each)

    at_once = _built(warehouse, MONTHS)
    one_by_one = _built(other, *([month] for month in reversed(MONTHS)))

    assert {name for name, rows in at_once.items() if not rows.is_empty()} == {asset.table.name for asset in MADE}
    for name, rows in at_once.items():
        assert_frame_equal(rows, one_by_one[name])


def test_advice_of_a_month_expires_and_is_followed_by_the_next(warehouse: Warehouse) -> None:
    store(warehouse, _events())
    _ready(warehouse)
    _built(warehouse, MONTHS[:2])
    found = _built(warehouse, MONTHS[2:3])

    status = found[RECOMMENDATIONS.name].group_by("month").agg(pl.col("status").unique()).sort("month")
    assert status.rows() == [(MONTHS[0], ["expired"]), (MONTHS[1], ["expired"]), (MONTHS[2], ["open"])]
    assert set(found[RECOMMENDATION_OUTCOMES.name]["month"]) == set(MONTHS[:2])
    assert set(found[MODEL_PROFILES.name]["as_of"]) == {datetime(2026, month, 1) for month in (2, 3, 4)}


def test_a_month_whose_events_are_gone_keeps_its_rows_and_says_why(warehouse: Warehouse) -> None:
    store(warehouse, _events())
    _ready(warehouse)
    before = _built(warehouse, MONTHS)
    site = CHAT.model_copy(update={"retention": Retention(raw_events_days=1)})
    with warehouse.write("test") as writer:
        writer.ensure(CHECKED)
        (planned,) = retention.plan(writer, KIND, site, datetime(2026, 3, 2))
        assert planned.kept_because == "facts/service_requests of 2026-01 was not checked since it was written"
        writer.con.execute(
            f"INSERT INTO {CHECKED.qualified} BY NAME SELECT site, month, asset, run_id, written_at AS checked_at "
            f"FROM {VERSIONS.qualified}"
        )
        (removed,) = retention.apply(writer, KIND, site, datetime(2026, 3, 2))
    assert (removed.part.asset, removed.month) == (f"raw/{USAGE_EVENTS.name}", MONTHS[0])

    after = _built(warehouse, MONTHS[:2])

    for name, rows in before.items():
        assert_frame_equal(after[name], rows)
    with warehouse.read() as reader:
        gates = reader.frame(GATES, SITE, MONTHS[:2], where="asset = 'service/facts/service_requests'").sort("month")
    why = "raw/usage_events of 2026-01 was removed: facts/service_requests can't be built again, its rows stay"
    assert gates.select("ok", "reason").rows() == [(False, why), (False, why)]
