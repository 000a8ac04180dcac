"""The warehouse: whole months in one transaction, bad months kept as they were, gates, locks."""

import os
import subprocess
import sys
import threading
from datetime import date
from types import SimpleNamespace

import polars as pl
import pytest

from usage_assets.core import locks
from usage_assets.core.errors import ContractError, DiskError, WarehouseError
from usage_assets.schema import Column, Rule, Table, Type
from usage_assets.warehouse import ReplaceAfter, Warehouse
from usage_assets.warehouse.bookkeeping import GATES, VERSIONS
from usage_assets_tests import ROOT

JAN, FEB = date(2020, 1, 1), date(2020, 2, 1)
THINGS = Table(
    name="things",
    stage="facts",
    description="Things.",
    key=("name",),
    columns=(Column("name", Type.TEXT, "Name", nullable=False), Column("n", Type.INT, "Count", "things")),
    rules=(Rule("n is not negative", "n >= 0", "Nothing holds less than nothing"),),
)

OTHERS = Table(
    name="others", stage="facts", description="Others.", key=("at",), columns=(Column("at", Type.INT, "When", "h"),)
)


def others(*at: int) -> pl.DataFrame:
    return pl.DataFrame([("a", JAN, each) for each in at], schema=OTHERS.polars_schema, orient="row")


def frame(*rows: tuple[date, str, int | None]) -> pl.DataFrame:
    return pl.DataFrame([("a", *row) for row in rows], schema=THINGS.polars_schema, orient="row")


def store(warehouse: Warehouse, rows: pl.DataFrame, months=(JAN, FEB), **more):
    with warehouse.write("test") as writer:
        return writer.replace(THINGS, rows, site="a", months=months, asset="k/facts/things", run_id="r", **more)


def stored(warehouse: Warehouse) -> list[tuple]:
    with warehouse.read() as reader:
        return reader.frame(THINGS).select("month", "name", "n").sort("month", "name").rows()


def gates(warehouse: Warehouse) -> dict[date, tuple[bool, str | None]]:
    with warehouse.read() as reader:
        return {row["month"]: (row["ok"], row["reason"]) for row in reader.frame(GATES).iter_rows(named=True)}


def test_replacing_a_month_leaves_the_others(warehouse: Warehouse):
    store(warehouse, frame((JAN, "x", 1), (FEB, "y", 2)))
    store(warehouse, frame((FEB, "z", 3)), months=(FEB,))
    assert stored(warehouse) == [(JAN, "x", 1), (FEB, "z", 3)]


def test_an_empty_frame_empties_its_months(warehouse: Warehouse):
    store(warehouse, frame((JAN, "x", 1)))
    store(warehouse, frame())
    assert stored(warehouse) == []
    assert gates(warehouse) == {JAN: (True, None), FEB: (True, None)}


def test_a_month_that_breaks_a_rule_keeps_its_old_rows_and_closes_its_gate(warehouse: Warehouse):
    store(warehouse, frame((JAN, "x", 1), (FEB, "y", 2)))
    done = store(warehouse, frame((JAN, "x", -5), (FEB, "y", 9)))
    assert stored(warehouse) == [(JAN, "x", 1), (FEB, "y", 9)]
    assert list(done.refused) == [JAN]
    ok, reason = gates(warehouse)[JAN]
    assert not ok
    assert "n is not negative broken by 1 row(s)" in str(reason)


def replace_tail(warehouse: Warehouse, others: pl.DataFrame, things: pl.DataFrame) -> list:
    with warehouse.write("test") as writer:
        parts = [ReplaceAfter(OTHERS, others, "at"), ReplaceAfter(THINGS, things, "n", {"name": ("x", "y")})]
        return writer.replace_tail(parts, since=5, site="a", month=JAN, asset="k/facts/things", run_id="r")  # type: ignore[arg-type]  # any order will do


def test_later_rows_take_the_place_of_what_reaches_beyond_in_all_tables_of_an_asset(warehouse: Warehouse):
    store(warehouse, frame((JAN, "x", 3), (JAN, "y", 9), (JAN, "z", 9), (FEB, "y", 9)))
    assert replace_tail(warehouse, others(6), frame((JAN, "y", 7))) == []
    assert stored(warehouse) == [(JAN, "x", 3), (JAN, "y", 7), (JAN, "z", 9), (FEB, "y", 9)]
    assert replace_tail(warehouse, others(), frame()) == []
    with warehouse.read() as reader:
        assert reader.frame(OTHERS).is_empty()
        versions = reader.frame(VERSIONS, "a", [JAN])
    assert stored(warehouse) == [(JAN, "x", 3), (JAN, "z", 9), (FEB, "y", 9)]
    assert (versions["version"].item(), versions["rows"].item()) == (3, 1)


def test_later_rows_that_break_a_rule_leave_all_tables_of_an_asset_as_they_were(warehouse: Warehouse):
    store(warehouse, frame((JAN, "x", 3), (JAN, "y", 9)))
    (broken,) = replace_tail(warehouse, others(6), frame((JAN, "y", -7)))
    assert "n is not negative" in broken.rule
    assert stored(warehouse) == [(JAN, "x", 3), (JAN, "y", 9)]
    assert not gates(warehouse)[JAN][0]
    with warehouse.read() as reader:
        assert reader.frame(OTHERS).is_empty()


def test_a_doubled_key_refuses_its_month_only(warehouse: Warehouse):
    done = store(warehouse, frame((JAN, "x", 1), (JAN, "x", 2), (FEB, "y", 2)))
    assert stored(warehouse) == [(FEB, "y", 2)]
    assert "unique key" in done.refused[JAN][0].rule


def test_a_missing_required_value_refuses_its_month(warehouse: Warehouse):
    done = store(warehouse, frame((JAN, None, 1)))  # type: ignore[arg-type]  # on purpose
    assert done.refused[JAN][0].rule == "required columns are filled"


def test_columns_that_do_not_fit_refuse_the_whole_write(warehouse: Warehouse):
    store(warehouse, frame((JAN, "x", 1)))
    with pytest.raises(ContractError, match=r"missing \['n'\], not declared \['m'\]"):
        store(warehouse, frame((JAN, "x", 2)).rename({"n": "m"}))
    assert stored(warehouse) == [(JAN, "x", 1)]


def test_a_closed_month_keeps_its_rows_and_says_why(warehouse: Warehouse):
    store(warehouse, frame((JAN, "x", 1)))
    store(warehouse, frame((JAN, "x", 2)), blocked={JAN: "waits: its input was refused"})
    assert stored(warehouse) == [(JAN, "x", 1)]
    assert gates(warehouse)[JAN] == (False, "waits: its input was refused")


def test_an_owner_replaces_only_its_own_rows(warehouse: Warehouse):
    store(warehouse, frame((JAN, "mine", 1), (JAN, "theirs", 2)))
    store(warehouse, frame((JAN, "mine", 5)), owned={"name": ["mine"]})
    assert stored(warehouse) == [(JAN, "mine", 5), (JAN, "theirs", 2)]


def versions(warehouse: Warehouse) -> dict[date, tuple[int, int, str]]:
    with warehouse.read() as reader:
        rows = reader.frame(VERSIONS).iter_rows(named=True)
        return {row["month"]: (row["version"], row["rows"], row["run_id"]) for row in rows}


def test_each_write_of_a_month_counts_its_version_and_those_not_written_keep_theirs(warehouse: Warehouse):
    store(warehouse, frame((JAN, "x", 1), (FEB, "y", 2)))
    assert versions(warehouse) == {JAN: (1, 1, "r"), FEB: (1, 1, "r")}
    store(warehouse, frame((FEB, "y", 2), (FEB, "z", 3)), months=(FEB,))
    store(warehouse, frame((JAN, "x", -5), (FEB, "z", 3)))
    assert versions(warehouse) == {JAN: (1, 1, "r"), FEB: (3, 1, "r")}


def test_an_asset_of_several_tables_counts_once_per_transaction(warehouse: Warehouse):
    with warehouse.write("test") as writer:
        for n in (1, 2):
            rows = pl.concat([frame((JAN, f"{i}", i)) for i in range(n)])
            writer.replace(THINGS, rows, site="a", months=[JAN], asset="k/facts/things", run_id="r")
    assert versions(warehouse) == {JAN: (1, 2, "r")}


def test_names_with_quotes_and_brackets_are_bound_as_they_are(warehouse: Warehouse):
    names = ["it's", 'a "b"', "[c, d]", "e\\f", "", "NULL", " g "]
    store(warehouse, pl.concat([frame((JAN, name, 1)) for name in [*names, "other"]]))
    with warehouse.read() as reader:
        found = reader.sql("SELECT name FROM facts.things WHERE name IN (SELECT unnest($n::VARCHAR[]))", {"n": names})
    assert sorted(found["name"]) == sorted(names)


def test_a_fault_within_a_transaction_undoes_all_of_it(warehouse: Warehouse):
    store(warehouse, frame((JAN, "x", 1)))

    def fail() -> None:
        with warehouse.write("test") as writer:
            writer.replace(THINGS, frame((JAN, "x", 2)), site="a", months=[JAN], asset="k", run_id="r")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert stored(warehouse) == [(JAN, "x", 1)]


def test_a_result_left_open_by_an_error_does_not_hold_the_file(warehouse: Warehouse):
    store(warehouse, frame((JAN, "x", 1)))
    kept = []

    def fail(con) -> None:
        open_result = con.sql("SELECT * FROM range(1000000)")
        open_result.fetchone()
        raise RuntimeError

    try:
        with warehouse.read() as reader:
            fail(reader._con)
    except RuntimeError as error:
        kept.append(error)
    done = threading.Thread(target=stored, args=(warehouse,), daemon=True)
    done.start()
    done.join(10)
    assert not done.is_alive()
    assert kept


def test_a_table_of_another_version_is_refused(warehouse: Warehouse):
    store(warehouse, frame())
    wider = Table(name="things", stage="facts", description="", columns=(Column("other", Type.TEXT, ""),))
    with pytest.raises(WarehouseError, match="made by another version"), warehouse.write("test") as writer:
        writer.ensure(wider)


def test_a_reader_of_an_empty_warehouse_sees_no_rows(warehouse: Warehouse):
    with warehouse.read() as reader:
        assert not reader.has(THINGS)
        assert reader.frame(THINGS).is_empty()
        with pytest.raises(WarehouseError, match="the warehouse is empty"):
            reader.sql("SELECT 1")


HOLD = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from usage_assets.warehouse import Warehouse
with Warehouse(Path(sys.argv[1])).write("the other run"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_who_waits_in_vain_is_told_who_holds_and_a_kill_frees(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(warehouse.path)], stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        monkeypatch.setenv("USAGE_LOCK_WAIT", "0.1")
        with pytest.raises(WarehouseError, match=rf"held by process {other.pid}: the other run"):
            store(warehouse, frame())
        other.kill()
        other.wait()
    store(warehouse, frame((JAN, "x", 1)))
    assert stored(warehouse) == [(JAN, "x", 1)]


def test_runs_of_one_site_exclude_each_other_and_those_of_others_go_on(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("USAGE_LOCK_WAIT", "0.05")
    third = warehouse.site("a", "third")
    with warehouse.site("a", "first"), warehouse.site("b", "second"), pytest.raises(WarehouseError, match="held by"):
        third.__enter__()


def test_who_waits_says_for_what_and_who_holds_it(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("USAGE_LOCK_WAIT", "0.5")
    monkeypatch.setattr(locks, "SAID_SECONDS", 0.02)
    with warehouse.site("a", "run 1234abcd, facts of site a 2020-01"), pytest.raises(WarehouseError):
        warehouse.site("a", "another").__enter__()
    holder = f"process {os.getpid()}: run 1234abcd, facts of site a 2020-01"
    assert caplog.messages == [f"waiting for site a, held by {holder}"]
    caplog.clear()
    with warehouse.read(), pytest.raises(WarehouseError):
        warehouse.compact()
    assert caplog.messages == ["waiting for the warehouse, held by another reader"]


def test_compacting_keeps_every_row_and_view(warehouse: Warehouse):
    for n in range(5):
        store(warehouse, pl.concat([frame((JAN, f"{n}-{i}", i)) for i in range(200)]))
    with warehouse.write("test") as writer:
        writer.con.execute("CREATE VIEW facts.seen AS SELECT name FROM facts.things").fetchall()
    before = stored(warehouse)
    old, new = warehouse.compact()
    assert stored(warehouse) == before
    assert 0 < new <= old
    with warehouse.read() as reader:
        assert reader.sql("SELECT count(*) AS n FROM facts.seen")["n"].to_list() == [200]


KILLED_COMPACTING = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
import usage_assets.warehouse.file
from usage_assets.warehouse import ReplaceAfter, Warehouse
usage_assets.warehouse.file.put_in_place = lambda fresh, target: os.kill(os.getpid(), signal.SIGKILL)
Warehouse(Path(sys.argv[1])).compact()
"""


def test_a_killed_compaction_leaves_the_old_file_and_the_next_one_removes_what_it_had_begun(warehouse: Warehouse):
    store(warehouse, frame((JAN, "x", 1)))
    command = [sys.executable, "-c", KILLED_COMPACTING, str(warehouse.path)]
    assert subprocess.run(command, check=False, cwd=ROOT).returncode == -9
    assert list(warehouse.path.parent.glob("*.compact"))
    assert stored(warehouse) == [(JAN, "x", 1)]
    warehouse.compact()
    assert stored(warehouse) == [(JAN, "x", 1)]
    assert not list(warehouse.path.parent.glob("*.compact*"))


def test_compacting_without_room_on_the_disk_changes_nothing(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    store(warehouse, frame((JAN, "x", 1)))
    before = warehouse.path.read_bytes()
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(total=1, used=1, free=1000))
    with pytest.raises(DiskError, match=r"0 MB are free, .* to compact the warehouse; nothing was changed"):
        warehouse.compact()
    assert warehouse.path.read_bytes() == before


def test_compacting_waits_for_readers(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    store(warehouse, frame((JAN, "x", 1)))
    monkeypatch.setenv("USAGE_LOCK_WAIT", "0.05")
    with warehouse.read(), pytest.raises(WarehouseError, match="held by another reader"):
        warehouse.compact()
