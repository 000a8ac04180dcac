"""Events that programs write by `usage_assets.track` are read without a mapping, to the last digit."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from usage_assets.core.months import Window
from usage_assets.kinds.service.raw.dump import dump
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.track import Tracker
from usage_assets.warehouse import Warehouse

WINDOW = Window("made", (date(2026, 3, 1),))


@pytest.fixture
def site(tmp_path: Path) -> ServiceSite:
    source = {"reader": "records", "path": str(tmp_path / "events"), "pattern": "*.jsonl"}
    found = {"key": "made", "kind": "service", "name": "Made", "first_month": "2026-03", "sources": [source]}
    return ServiceSite.model_validate(found)


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    return Tracker(tmp_path / "events", flush_seconds=60, provider="campus")


def test_every_column_is_read_as_it_was_written(site: ServiceSite, tracker: Tracker, warehouse: Warehouse):
    at = datetime(2026, 3, 5, 12, 0, 0, 250_000, tzinfo=UTC)
    tracker.event(
        "complete", ts=at, request_id="r1", user_id='../"<b>ü', team_id="t", session_id="s", model_id="m", requests=1,
        input_tokens=2**53 + 1, output_tokens=3, cached_tokens=2,
        meters={"images": 2, "audio_s": Decimal("1.123456789")},
        cost=Decimal("0.123456789012"), currency="EUR", duration_s=1.5, queue_s=0.25, first_output_s=0.125,
        success=True, parameters={"seed": 7, "prompt": "a secret"}, prompt_hash="ab",
    )  # fmt: skip
    tracker.event("failed", ts=at, user_id="bob", error="ValueError")
    tracker.close()
    result = dump(site, WINDOW, warehouse, run_id="12345678")
    assert [(item.table.name, item.rows) for item in result.months] == [
        ("usage_events", 2),
        ("rejected_events", 0),
    ]
    columns = """request_id, user_id, team_id, session_id, model_id, model_raw, provider, event_type, requests,
        input_tokens, output_tokens, cached_tokens, meters['images'], meters['audio_s'], cost, currency, duration_s,
        queue_s, first_output_s, success, error, parameters, prompt_hash, ts"""
    with warehouse.read() as reader:
        rows = reader.sql(f"SELECT {columns} FROM raw.usage_events ORDER BY event_type").rows()
    naive = at.replace(tzinfo=None)
    assert rows == [
        ("r1", '../"<b>ü', "t", "s", "m", "m", "campus", "complete", 1, 2**53 + 1, 3, 2, Decimal(2),
         Decimal("1.123456789"), Decimal("0.123456789012"), "EUR", 1.5, 0.25, 0.125, True, None, '{"seed":7}', "ab",
         naive),
        (None, "bob", None, None, None, None, "campus", "failed", 1, *11 * [None], "ValueError", None, None, naive),
    ]  # fmt: skip


def test_files_that_grow_are_read_on_and_a_repeated_delivery_changes_nothing(
    site: ServiceSite, tracker: Tracker, warehouse: Warehouse, tmp_path: Path
):
    def stored() -> list[tuple[str, int]]:
        dump(site, WINDOW, warehouse, run_id="12345678")
        with warehouse.read() as reader:
            return reader.sql("SELECT user_id, input_tokens FROM raw.usage_events ORDER BY ALL").rows()

    for number, user in enumerate(("ann", "bob")):
        tracker.event("complete", ts=datetime(2026, 3, 5, tzinfo=UTC), user_id=user, input_tokens=number)
        assert tracker.flush()
        assert stored() == [("ann", 0), ("bob", 1)][: number + 1]
    (path,) = (tmp_path / "events").glob("*.jsonl")
    path.with_name(f"z{path.name}").write_bytes(path.read_bytes())
    assert stored() == [("ann", 0), ("bob", 1)]
    tracker.close()
