"""Publishing: whole generations, the last good rows of what fails, CURRENT only ever moves to what is there."""

import json
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import duckdb
import polars as pl
import pytest

from usage_assets.core.errors import DiskError, SnapshotError
from usage_assets.schema import Column, Table, Type
from usage_assets.serving import publish as publishing
from usage_assets.serving.pointer import read_pointer, verify
from usage_assets.serving.publish import Publication, publish
from usage_assets.warehouse import Warehouse, migrations
from usage_assets_tests import ROOT
from usage_assets_tests.unit.serving.store import ALL, BOTH, FACTS, FEB, JAN, RAW, REPORTS, TIMELINES, asset, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "published"


def states(made: Publication, table: Table) -> dict[tuple[str, date], int]:
    with duckdb.connect(str(made.path), read_only=True) as con:
        found = con.execute(f"SELECT site, month, state FROM {table.qualified}").fetchall()
    return {(site, month): state for site, month, state in found}


def held(made: Publication) -> list[tuple]:
    return [(one.site, one.month, one.stage, one.since_generation) for one in made.held]


def test_a_generation_holds_what_the_warehouse_holds_and_is_what_current_says(warehouse: Warehouse, folder: Path):
    write(warehouse, 1)
    made = publish(warehouse, folder)
    assert made.changed
    assert (made.pointer.generation, made.path.name) == (1, "snapshot-1.duckdb")
    assert states(made, TIMELINES) == {("a", JAN): 1, ("a", FEB): 1}
    assert verify(folder) == read_pointer(folder) == made.pointer
    assert made.pointer.bytes == made.path.stat().st_size
    assert made.pointer.release == migrations.release()
    assert made.held == ()


def test_nothing_changed_makes_no_new_generation(warehouse: Warehouse, folder: Path):
    write(warehouse, 1)
    first = publish(warehouse, folder)
    again = publish(warehouse, folder)
    assert not again.changed
    assert again.pointer == first.pointer
    write(warehouse, 2, months=[FEB])
    assert publish(warehouse, folder).pointer.generation == 2


def test_a_check_that_fails_or_recovers_is_a_change_though_no_row_is(warehouse: Warehouse, folder: Path):
    write(warehouse, 1)
    publish(warehouse, folder)
    write(warehouse, 2, bad={FEB: FACTS})
    assert publish(warehouse, folder).pointer.generation == 2
    write(warehouse, 3, months=[FEB])
    last = publish(warehouse, folder)
    assert (last.pointer.generation, last.held) == (3, ())
    assert states(last, FACTS) == {("a", JAN): 2, ("a", FEB): 3}


def test_only_the_last_two_generations_are_kept(warehouse: Warehouse, folder: Path):
    for state in range(1, 5):
        write(warehouse, state)
        publish(warehouse, folder)
    assert sorted(path.name for path in folder.glob("*.duckdb")) == ["snapshot-3.duckdb", "snapshot-4.duckdb"]


@pytest.mark.parametrize("stage", range(4), ids=["raw", "facts", "timelines", "reports"])
def test_a_failing_month_keeps_its_last_good_rows_from_its_earliest_failing_stage_on(
    warehouse: Warehouse, folder: Path, stage: int
):
    write(warehouse, 1)
    publish(warehouse, folder)
    write(warehouse, 2, bad={FEB: ALL[stage]})
    made = publish(warehouse, folder)
    assert held(made) == [("a", FEB, ALL[stage].stage, 2)]
    assert "conservation: it does not add up" in made.held[0].reason
    for rank, table in enumerate(ALL):
        assert states(made, table) == {("a", JAN): 2, ("a", FEB): 1 if rank >= stage else 2}


def test_bookkeeping_goes_with_the_rows_and_what_fails_is_said_as_it_is_now(warehouse: Warehouse, folder: Path):
    write(warehouse, 1)
    publish(warehouse, folder)
    write(warehouse, 2, bad={FEB: FACTS})
    made = publish(warehouse, folder)
    with duckdb.connect(str(made.path), read_only=True) as con:
        versions = con.execute("SELECT asset, month, version, run_id FROM serving.versions ORDER BY ALL").fetchall()
        gates = con.execute("SELECT DISTINCT run_id FROM serving.gates WHERE month = ? ORDER BY 1", [FEB]).fetchall()
        failing = con.execute("SELECT month, asset FROM serving.failed_checks").fetchall()
        said = con.execute("SELECT site, month, stage, since_generation FROM serving.held_back").fetchall()
    assert (asset(RAW), FEB, 2, "run 2") in versions
    assert (asset(FACTS), FEB, 1, "run 1") in versions
    assert (asset(FACTS), JAN, 2, "run 2") in versions
    assert gates == [("run 1",), ("run 2",)]
    assert failing == [(FEB, asset(FACTS))]
    assert said == held(made)


def test_what_was_never_good_is_absent(warehouse: Warehouse, folder: Path):
    write(warehouse, 1, bad={FEB: FACTS})
    made = publish(warehouse, folder)
    assert states(made, RAW) == {("a", JAN): 1, ("a", FEB): 1}
    assert states(made, FACTS) == states(made, TIMELINES) == {("a", JAN): 1}


def test_rows_held_back_stay_those_of_the_same_generation_until_the_check_passes(warehouse: Warehouse, folder: Path):
    write(warehouse, 1)
    publish(warehouse, folder)
    for state in (2, 3, 4):
        write(warehouse, state, bad={FEB: TIMELINES})
        made = publish(warehouse, folder)
        assert held(made) == [("a", FEB, "timelines", 2)]
        assert states(made, TIMELINES) == {("a", JAN): state, ("a", FEB): 1}
    write(warehouse, 5)
    assert states(publish(warehouse, folder), TIMELINES) == {("a", JAN): 5, ("a", FEB): 5}


def test_rows_that_no_check_has_seen_yet_are_held_back_like_failing_ones(warehouse: Warehouse, folder: Path):
    write(warehouse, 1)
    publish(warehouse, folder)
    write(warehouse, 2, tables=[RAW])
    write(warehouse, 3, tables=[FACTS, TIMELINES], checked=False, months=[FEB])
    made = publish(warehouse, folder)
    assert [(one.month, one.stage) for one in made.held] == [(FEB, "facts")]
    assert "kind/facts/things was not checked since it was written" in made.held[0].reason
    assert states(made, RAW) == {("a", JAN): 2, ("a", FEB): 2}
    assert states(made, TIMELINES) == {("a", JAN): 1, ("a", FEB): 1}


def test_other_sites_go_on(warehouse: Warehouse, folder: Path):
    write(warehouse, 1)
    write(warehouse, 1, site="b")
    publish(warehouse, folder)
    write(warehouse, 2, bad=dict.fromkeys(BOTH, RAW))
    write(warehouse, 2, site="b")
    made = publish(warehouse, folder)
    assert states(made, FACTS) == {("a", JAN): 1, ("a", FEB): 1, ("b", JAN): 2, ("b", FEB): 2}


def test_a_warning_holds_nothing_back(warehouse: Warehouse, folder: Path):
    from usage_assets.checks.record import Evaluated, record
    from usage_assets.specs.finding import Finding

    write(warehouse, 1)
    record(
        warehouse, "a", [JAN], "r", [Evaluated(asset(FACTS), "rejects_share", "WARN", {JAN: Finding(False, "many")})]
    )
    assert publish(warehouse, folder).held == ()


def test_views_and_the_schema_version_are_what_they_were(warehouse: Warehouse, folder: Path):
    write(warehouse, 1)
    with warehouse.write("test") as writer:
        writer.con.execute("CREATE VIEW timelines.seen AS SELECT state FROM timelines.things").fetchall()
    made = publish(warehouse, folder)
    with duckdb.connect(str(made.path), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM timelines.seen").fetchall() == [(2,)]
        assert con.execute("SELECT max(version) FROM serving.schema_version").fetchall() == [(migrations.newest(),)]


def test_rows_held_back_from_a_snapshot_of_an_older_release_are_brought_to_this_ones_shape(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    write(warehouse, 1)
    publish(warehouse, folder)
    wider = Table("things", "facts", "", (*FACTS.columns[2:], Column("unit", Type.TEXT, "", nullable=False)))
    more = migrations.Migration(
        migrations.newest() + 1,
        "facts have a unit",
        lambda con: migrations.add_column(con, "facts.things", "unit", "VARCHAR", "'hours'"),
    )
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, more))
    monkeypatch.setattr("usage_assets.warehouse.file._current", {})  # as in the process of the new release
    with warehouse.write("test") as writer:
        frame = pl.DataFrame([("a", FEB, 2, 0, "days")], schema=wider.polars_schema, orient="row")
        writer.replace(wider, frame, site="a", months=[FEB], asset=asset(FACTS), run_id="run 2")
    made = publish(warehouse, folder)
    with duckdb.connect(str(made.path), read_only=True) as con:
        found = con.execute("SELECT month, state, unit FROM facts.things ORDER BY month").fetchall()
    assert found == [(JAN, 1, "hours"), (FEB, 1, "hours")]


def test_a_warehouse_of_an_older_release_whose_rows_have_no_versions_is_published_as_it_is(
    warehouse: Warehouse, folder: Path
):
    write(warehouse, 1, checked=False)
    with warehouse.write("test") as writer:
        writer.con.execute("DROP TABLE serving.versions").fetchall()
    assert publish(warehouse, folder).held == ()
    assert not publish(warehouse, folder).changed


def test_nothing_to_publish_is_said(warehouse: Warehouse, folder: Path):
    with pytest.raises(SnapshotError, match="no warehouse to publish yet"):
        publish(warehouse, folder)
    assert not (folder / "CURRENT").exists()


def test_a_full_disk_leaves_current_as_it_was(warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch):
    write(warehouse, 1)
    first = publish(warehouse, folder)
    write(warehouse, 2)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "sync", full)
        with pytest.raises(SnapshotError, match=r"generation 2 could not be made .*No space left.*generation 1 stays"):
            publish(warehouse, folder)
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
        with pytest.raises(DiskError, match="are needed to publish the warehouse"):
            publish(warehouse, folder)
    assert verify(folder) == first.pointer
    assert sorted(path.name for path in folder.iterdir()) == [".publish.lock", "CURRENT", "snapshot-1.duckdb"]


def test_a_current_that_cannot_be_read_is_written_anew_above_every_generation(warehouse: Warehouse, folder: Path):
    write(warehouse, 1)
    publish(warehouse, folder)
    (folder / "CURRENT").write_text("{")
    with pytest.raises(SnapshotError, match="can't be read"):
        read_pointer(folder)
    assert publish(warehouse, folder).pointer.generation == 2
    verify(folder)


def test_a_file_that_is_not_what_was_published_is_told(warehouse: Warehouse, folder: Path):
    write(warehouse, 1)
    made = publish(warehouse, folder)
    with made.path.open("r+b") as file:
        file.seek(5000)
        file.write(b"x")
    with pytest.raises(SnapshotError, match="is not what was published"):
        verify(folder)


def test_what_killed_publishings_left_is_removed(warehouse: Warehouse, folder: Path):
    write(warehouse, 1)
    publish(warehouse, folder)
    for name in (".snapshot-2.part", ".snapshot-2.part.wal", ".CURRENT.part", ".previous.part", "snapshot-2.duckdb"):
        (folder / name).write_bytes(b"half")
    write(warehouse, 2)
    assert publish(warehouse, folder).pointer.generation == 2
    assert sorted(path.name for path in folder.iterdir()) == [
        ".publish.lock", "CURRENT", "snapshot-1.duckdb", "snapshot-2.duckdb"
    ]  # fmt: skip


def test_publishings_at_once_wait_for_each_other_and_make_one_generation(warehouse: Warehouse, folder: Path):
    write(warehouse, 1)
    made: list[Publication] = []
    threads = [threading.Thread(target=lambda: made.append(publish(warehouse, folder))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.changed for one in made) == [False, False, False, True]
    assert {one.pointer.generation for one in made} == {1}


def test_publishing_while_a_run_writes_takes_whole_transactions(warehouse: Warehouse, folder: Path):
    write(warehouse, 0)
    publish(warehouse, folder)  # rows to fall back to, where the run has written its own and not yet checked them
    stop = threading.Event()

    def run() -> None:
        state = 0
        while not stop.is_set():
            state += 1
            write(warehouse, state)
            stop.wait(0.05)  # a lock that is taken again at once is hardly ever another's

    writer = threading.Thread(target=run)
    writer.start()
    try:
        for _ in range(8):
            made = publish(warehouse, folder)
            found = {state for table in (FACTS, TIMELINES, REPORTS) for state in states(made, table).values()}
            assert len(found) == 1
    finally:
        stop.set()
        writer.join()


KILLED = """
import sys
from pathlib import Path
from usage_assets.serving.publish import publish
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.serving.store import write
warehouse, state = Warehouse(Path(sys.argv[1])), int(sys.argv[3])
print("ready", flush=True)
while True:
    state += 1
    write(warehouse, state)
    publish(warehouse, Path(sys.argv[2]))
"""


@pytest.mark.kills
def test_killed_at_any_moment_current_names_a_whole_file(warehouse: Warehouse, folder: Path):
    import random
    import time

    chance = random.Random(4)
    write(warehouse, 0, rows=20_000)
    last = publish(warehouse, folder).pointer.generation
    for number in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(warehouse.path), str(folder), str(number * 1000)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0.02, 0.6))
            process.kill()
        pointer = verify(folder)
        assert pointer.generation >= last
        last = pointer.generation
        with duckdb.connect(str(pointer.path(folder)), read_only=True) as con:
            assert con.execute("SELECT count(DISTINCT state) FROM facts.things").fetchall() == [(1,)]
    write(warehouse, 99_999)
    assert publish(warehouse, folder).pointer.generation > last
    assert json.loads((folder / "CURRENT").read_text())["file"] == verify(folder).file
    assert len(list(folder.glob("*.duckdb"))) == 2
