"""Reading what is published: every answer is one whole generation, however many are published meanwhile."""

import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from usage_assets.core.errors import SnapshotError
from usage_assets.serving import read
from usage_assets.serving.publish import publish
from usage_assets.warehouse import Warehouse
from usage_assets_tests import ROOT
from usage_assets_tests.unit.serving.store import BOTH, FACTS, FEB, JAN, TIMELINES, write

PAIR = "SELECT (SELECT sum(state) FROM facts.things) AS f, (SELECT -sum(state) FROM timelines.things) AS t"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "published"


@pytest.fixture
def published(warehouse: Warehouse, folder: Path) -> Path:
    """Generation 1: two sites, two months."""
    for site in ("a", "b"):
        write(warehouse, 1, site=site, rows=2)
    publish(warehouse, folder)
    return folder


def publish_state(warehouse: Warehouse, folder: Path, state: int) -> None:
    write(warehouse, state, tables=[FACTS, TIMELINES])
    publish(warehouse, folder)


def test_an_answer_is_a_polars_frame_an_arrow_table_or_a_pandas_frame(published: Path):
    with read.open(published) as reader:
        frame = reader.table("facts.things", site="a", months=("2020-02", "2020-02"), columns=["month", "state", "n"])
        want = pl.DataFrame({"month": [FEB, FEB], "state": [1, 1], "n": [0, 1]})
        assert frame.sort("n").equals(want)
        assert isinstance(reader.sql("SELECT 1 AS x", as_="arrow"), pa.Table)
        try:
            import pandas as pd  # type: ignore[import-untyped,unused-ignore]  # it may be installed without its types
        except ImportError:
            with pytest.raises(SnapshotError, match="pandas is not installed: pip install pandas"):
                reader.sql("SELECT 1 AS x", as_="pandas")
        else:
            assert isinstance(reader.sql("SELECT 1 AS x", as_="pandas"), pd.DataFrame)


def test_it_says_what_there_is(published: Path):
    with read.open(published) as reader:
        assert reader.generation == 1
        assert reader.written_at.tzinfo is None
        assert reader.sites() == ["a", "b"]
        assert {"facts.things", "timelines.things", "serving.versions", "serving.held_back"} <= set(reader.tables())


def test_the_folder_of_the_environment_is_read_unless_another_is_named(warehouse: Warehouse):
    write(warehouse, 1)
    publish(warehouse)
    with read.open() as reader:
        assert reader.sites() == ["a"]


def test_values_are_bound(published: Path):
    with read.open(published) as reader:
        assert reader.sql("SELECT count(*) AS n FROM facts.things WHERE site = $s", {"s": "a' OR 1=1 --"}).item() == 0
        assert reader.sql("SELECT count(*) AS n FROM facts.things WHERE month = ?", [JAN]).item() == 4


def test_a_range_without_rows_has_the_columns(published: Path):
    with read.open(published) as reader:
        empty = reader.table("facts.things", months=(date(2030, 1, 1), date(2030, 2, 1)))
    assert empty.schema == FACTS.polars_schema
    assert empty.is_empty()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"name": "facts.nothing"}, "has no table 'facts.nothing'; there are: facts.things"),
        ({"name": "facts.things; DROP"}, "has no table"),
        ({"name": "facts.things", "site": "z"}, "has no site 'z'; there are: a, b"),
        ({"name": "facts.things", "columns": ["n", "x"]}, "facts.things has no column 'x'; there are: month, n"),
        ({"name": "facts.things", "months": ("January", "2020-02")}, "'January' is not a month"),
        ({"name": "facts.things", "as_": "csv"}, "as_ is 'csv'"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(map(str, value)),
)
def test_what_is_not_there_is_named_with_what_is(published: Path, asked: dict, said: str):
    with read.open(published) as reader, pytest.raises(SnapshotError, match=said):
        reader.table(**asked)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1; SELECT 2",
        "DELETE FROM facts.things",
        "CREATE TABLE memory.main.x (a INT)",
        "SET memory_limit = '10GB'",
        "ATTACH '/tmp/other.duckdb'",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "INSTALL httpfs",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM statement",
        "SELEC",
        "",
    ],
)
def test_only_one_select_that_reads_the_snapshot_is_answered(published: Path, statement: str):
    with read.open(published) as reader, pytest.raises(SnapshotError):
        reader.sql(statement)


def test_more_rows_than_fit_in_memory_are_sorted_all_the_same(published: Path):
    big = "SELECT count(*) AS n FROM (SELECT *, row_number() OVER (ORDER BY h) FROM (SELECT hash(range) AS h, "
    with read.open(published, memory_limit="48MB", threads=1) as reader:
        assert reader.sql(f"{big} hash(range + 1) AS i, range::VARCHAR AS s FROM range(1500000)))").item() == 1_500_000


def test_nothing_published_says_what_to_do(folder: Path):
    with pytest.raises(SnapshotError, match="nothing is published yet; run usage-assets publish"):
        read.open(folder)


def test_a_reader_moves_on_and_a_pinned_one_stays(warehouse: Warehouse, published: Path):
    with read.open(published) as reader, read.open(published, pinned=True, memory_limit="100MB") as pinned:
        assert not reader.refresh()
        publish_state(warehouse, published, 2)
        assert reader.refresh()
        assert reader.generation == 2
        publish_state(warehouse, published, 3)
        time.sleep(1.1)
        assert reader.sql(PAIR).row(0) == (2 * 3 + 4, -2 * 3 - 4)
        assert reader.generation == 3
        assert not (published / "snapshot-1.duckdb").exists()
        assert pinned.sql(PAIR).row(0) == (8, -8)
        assert pinned.generation == 1


def test_a_closed_reader_says_so(published: Path):
    reader = read.open(published)
    reader.close()
    reader.close()
    with pytest.raises(SnapshotError, match="this reader was closed"):
        reader.sites()


def test_a_generation_removed_before_it_was_opened_is_looked_up_again(
    warehouse: Warehouse, published: Path, monkeypatch: pytest.MonkeyPatch
):
    real = read.read_pointer
    asked: list[int] = []

    def slow(folder: Path):
        pointer = real(folder)
        if not asked:
            asked.append(pointer.generation)
            for state in (2, 3):
                publish_state(warehouse, folder, state)
        return pointer

    monkeypatch.setattr(read, "read_pointer", slow)
    with read.open(published) as reader:
        assert asked == [1]
        assert reader.generation == 3


def test_a_snapshot_that_is_gone_is_told_and_a_reader_at_work_goes_on(published: Path):
    with read.open(published) as reader:
        (published / "snapshot-1.duckdb").unlink()
        assert reader.sites() == ["a", "b"]
        with pytest.raises(SnapshotError, match="usage-assets publish makes a new one"):
            read.open(published)


@pytest.mark.heavy
def test_four_threads_read_through_thirty_publishings_without_an_error_or_a_torn_answer(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(read, "_LOOK_SECONDS", 0.01)
    publish_state(warehouse, folder, 1)
    stop = threading.Event()
    faults: list[str] = []
    seen: list[set[int]] = []

    def ask(reader: read.Published) -> None:
        mine: set[int] = set()
        newest = 0
        while not stop.is_set():
            try:
                f, t = reader.sql(PAIR).row(0)
                rows = reader.table("facts.things", site="a")
            except Exception as error:
                faults.append(repr(error))
                return
            if f != -t or rows["state"].n_unique() != 1 or rows.height != len(BOTH) or f < newest:
                faults.append(f"torn or older: {f}, {t}, {rows['state'].to_list()} after {newest}")
            newest = f
            mine.add(f)
            time.sleep(0.01)
        seen.append(mine)

    with read.open(folder) as reader:
        threads = [threading.Thread(target=ask, args=(reader,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for state in range(2, 32):
                publish_state(warehouse, folder, state)
            time.sleep(0.2)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert reader.generation == 31
    assert faults == []
    assert len(seen) == 4
    assert all(len(mine) > 5 for mine in seen)


OTHER = """
import sys
from usage_assets import read
read._LOOK_SECONDS = 0.0
with read.open(sys.argv[1]) as reader:
    print("ready", flush=True)
    seen = set()
    while reader.generation < int(sys.argv[2]):
        f, t = reader.sql(sys.argv[3]).row(0)
        assert f == -t, (f, t)
        seen.add(f)
print(len(seen), "dagster" in sys.modules, flush=True)
"""


@pytest.mark.heavy
def test_other_processes_read_through_publishings_too_and_need_no_dagster(warehouse: Warehouse, folder: Path):
    publish_state(warehouse, folder, 1)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OTHER, str(folder), "8", PAIR], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for state in range(2, 9):
        publish_state(warehouse, folder, state)
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert out.split()[1] == "False"
