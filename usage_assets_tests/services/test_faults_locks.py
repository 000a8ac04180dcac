"""The warehouse is held by somebody else: a run waits, then says by whom; nothing changes, and the next one works."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from usage_assets.core.errors import WarehouseError
from usage_assets.warehouse import Warehouse
from usage_assets_tests.services.processes import environment
from usage_assets_tests.unit.sources.sources import Data, make_sqlite, run, stored, tables_of

JAN = date(2020, 1, 1)
ONE = {"id": 1, "uuid": "a", "created_at": "2020-01-05 00:00:00"}
TWO = {"id": 2, "uuid": "b", "created_at": "2020-01-06 00:00:00"}
_FILE = "import duckdb, sys; con = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'reading')"
_LOCK = (
    "from pathlib import Path; from usage_assets.core.locks import file_lock; import sys; "
    "lock = file_lock(Path(sys.argv[1]).parent / '.warehouse.lock', 'nightly of chi_tacc', "
    "shared=sys.argv[2] == 'reading', wait_seconds=0); lock.__enter__()"
)
_THEN = "; print('held', flush=True); sys.stdin.read()"


@contextmanager
def holding(code: str, warehouse: Warehouse, how: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds something of the warehouse for the block."""
    command = [sys.executable, "-c", code + _THEN, str(warehouse.path), how]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield other
        finally:
            other.kill()


def dump(folder: Path, warehouse: Warehouse, *rows: dict) -> None:
    data: Data = {"nova.instances": rows}
    run(make_sqlite(folder / "source", data), warehouse, JAN, tables=tables_of(data))


def ids(warehouse: Warehouse) -> list[int]:
    return stored(warehouse, "nova_instances", ["id"]).to_series().to_list()


@pytest.mark.parametrize(
    "held",
    [
        (_FILE, "writing", r"\S*python\S* \(PID {pid}\)"),
        (_FILE, "reading", r"\S*python\S* \(PID {pid}\)"),
        (_LOCK, "writing", "process {pid}: nightly of chi_tacc"),
        (_LOCK, "reading", "another reader"),
    ],
    ids=["a program writes the file", "a program reads the file", "a run holds the lock", "a reader holds the lock"],
)
def test_a_run_waits_for_who_holds_the_warehouse_and_then_names_him(
    tmp_path, warehouse, monkeypatch, held: tuple[str, str, str]
):
    code, how, holder = held
    dump(tmp_path, warehouse, ONE)
    monkeypatch.setenv("USAGE_LOCK_WAIT", "0.5")
    with holding(code, warehouse, how) as other:
        began = time.monotonic()
        with pytest.raises(WarehouseError) as caught:
            dump(tmp_path, warehouse, ONE, TWO)
        waited = time.monotonic() - began
        said = str(caught.value)
    assert re.search(rf"{warehouse.path.name}|the warehouse", said)
    assert re.search(f"held by {holder.format(pid=other.pid)} for more than 0.5 s", said), said
    assert "USAGE_LOCK_WAIT" in said
    assert waited >= 0.5
    assert ids(warehouse) == [1]
    dump(tmp_path, warehouse, ONE, TWO)
    assert ids(warehouse) == [1, 2]


@pytest.mark.parametrize("code", [_FILE, _LOCK], ids=["the file", "the lock"])
def test_a_run_goes_on_when_who_held_the_warehouse_ends_in_time(tmp_path, warehouse, monkeypatch, code: str):
    dump(tmp_path, warehouse, ONE)
    monkeypatch.setenv("USAGE_LOCK_WAIT", "30")
    child = code + "; print('held', flush=True); import time; time.sleep(0.7)"
    with subprocess.Popen(
        [sys.executable, "-c", child, str(warehouse.path), "writing"],
        stdout=subprocess.PIPE, text=True, env=environment(),
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        dump(tmp_path, warehouse, ONE, TWO)
        assert other.poll() is not None
    assert ids(warehouse) == [1, 2]


def test_a_killed_holder_is_not_named_for_the_reader_that_came_after_it(tmp_path, warehouse, monkeypatch):
    dump(tmp_path, warehouse, ONE)
    with holding(_LOCK, warehouse, "writing") as killed:
        pass
    assert f"process {killed.pid}" in (warehouse.path.parent / ".warehouse.lock").read_text()
    monkeypatch.setenv("USAGE_LOCK_WAIT", "0")
    with holding(_LOCK, warehouse, "reading"), pytest.raises(WarehouseError, match="held by another reader"):
        dump(tmp_path, warehouse, ONE, TWO)
