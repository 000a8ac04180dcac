"""Pruning removes old runs with everything that is kept of them, but none that holds a month's latest build."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.operations.places import INDEX, RUNS, Places
from usage_assets.operations.prune import prune
from usage_assets_tests.unit.operations.installation import grow, instance_of, known_runs, make

LATER = datetime.now(tz=UTC) + timedelta(days=1)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Three runs that built the same asset."""
    found = make(tmp_path)
    for _ in range(2):
        grow(found)
    return found


def removed(places: Places, before: datetime = LATER) -> tuple[int, int]:
    with instance_of(places) as instance:
        return prune(instance, before)


def left(places: Places, database: Path, query: str) -> set[str]:
    with closing(sqlite3.connect(places.home / database)) as con:
        return {run for (run,) in con.execute(query).fetchall()}


def latest(places: Places) -> str:
    with instance_of(places) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["a", "thing"]))
    assert event is not None
    return event.run_id


def test_the_run_that_holds_the_latest_build_stays(places: Places):
    newest = latest(places)
    assert removed(places) == (2, 1)
    assert set(known_runs(places)) == {newest}
    assert latest(places) == newest


def test_nothing_is_left_of_a_run_that_was_removed(places: Places):
    newest = latest(places)
    removed(places)
    assert left(places, INDEX, "SELECT run_id FROM event_logs") == {newest}
    assert left(places, RUNS, "SELECT run_id FROM run_tags") <= {newest}
    assert {path.stem for path in (places.home / INDEX).parent.glob("*-*-*.db")} == {newest}
    assert {path.name for path in (places.home / "storage").iterdir() if any(path.iterdir())} <= {newest}


def test_runs_that_are_young_enough_stay(places: Places):
    assert removed(places, datetime.now(tz=UTC) - timedelta(days=1)) == (0, 0)
    assert len(known_runs(places)) == 3


def test_files_that_an_earlier_release_left_of_removed_runs_go_too(places: Places):
    lost = (places.home / INDEX).parent / "00000000-0000-4000-8000-000000000000.db"
    lost.write_bytes(b"")
    removed(places)
    assert not lost.exists()


def test_what_was_removed_can_be_asked_for_and_the_storage_goes_on(places: Places):
    runs = set(known_runs(places)) - {latest(places)}
    with instance_of(places) as instance:
        for run in runs:
            assert instance.all_logs(run)
        prune(instance, LATER)
        for run in runs:
            assert instance.all_logs(run) == []
    grow(places)
