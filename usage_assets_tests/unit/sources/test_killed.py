"""A dump that is killed at any moment leaves the last good state, and the next one is as if nothing had happened."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.sources.sources import everything, make_sqlite, run, tables_of, world

pytestmark = pytest.mark.kills

JAN, FEB = date(2020, 1, 1), date(2020, 2, 1)

_CHILD = """
import os, signal, sys
from datetime import date
from pathlib import Path
import usage_assets.sources.sql.evidence, usage_assets.sources.sql.stage, usage_assets.warehouse
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.sources.sources import run

where, number, folder, urls, tables = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5]
owner, name = {
    "reading": (usage_assets.sources.sql.stage.Stage, "read"),
    "comparing": (usage_assets.sources.sql.evidence, "compare"),
    "writing": (usage_assets.warehouse.Writer, "replace"),
}[where]
real, calls = getattr(owner, name), []

def killed(*args, **kwargs):
    calls.append(1)
    found = real(*args, **kwargs)
    if len(calls) == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return found

setattr(owner, name, killed)
run(eval(urls), Warehouse(folder), date(2020, 1, 1), date(2020, 2, 1), tables=[BY_NAME[t] for t in tables.split(",")])
"""


@pytest.mark.parametrize(("where", "number"), [("reading", 3), ("comparing", 2), ("writing", 5)])
def test_a_killed_dump_changes_nothing_and_the_next_one_ends_as_if_undisturbed(tmp_path: Path, where: str, number: int):
    data = {table: rows for table, rows in world().items() if table.startswith("nova")}
    tables = tables_of(data)
    disturbed, undisturbed = (Warehouse(tmp_path / name / "w.duckdb") for name in ("disturbed", "undisturbed"))
    before = make_sqlite(tmp_path / "before", data | {"nova.instances": data["nova.instances"][:3]})
    after = make_sqlite(tmp_path / "after", data)
    for warehouse in (disturbed, undisturbed):
        run(before, warehouse, JAN, FEB, tables=tables)
    stored = everything(disturbed)

    names = ",".join(table.name for table in tables)
    command = [sys.executable, "-c", _CHILD, where, str(number), str(disturbed.path), repr(after), names]
    assert subprocess.run(command, check=False).returncode == -9

    assert all(frame.equals(stored[name]) for name, frame in everything(disturbed).items())
    for warehouse in (disturbed, undisturbed):
        run(after, warehouse, JAN, FEB, tables=tables)
    left, right = everything(disturbed), everything(undisturbed)
    assert not left["nova_instances"].equals(stored["nova_instances"])
    assert all(frame.equals(right[name]) for name, frame in left.items())
