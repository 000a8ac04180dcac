"""A dump that is killed at any moment leaves months as they were, or whole."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path

import pytest

from usage_assets.demo.htcondor.pool import make_pool
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.htcondor.raw.pools import read, site_of

pytestmark = pytest.mark.kills

_SCRIPT = """
import sys
from datetime import date
from pathlib import Path
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.kinds.htcondor.raw.pools import read, site_of
print("ready", flush=True)
read(site_of(Path(sys.argv[1])), Warehouse(Path(sys.argv[2])), date(2025, 10, 1), date(2025, 11, 1))
print("done", flush=True)
"""


def counts(warehouse: Warehouse) -> dict[date, int]:
    with warehouse.read() as reader:
        tables = reader.sql("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'gpu_state'").item()
        found = reader.sql("SELECT month, count(*) FROM raw.gpu_state GROUP BY month").rows() if tables else []
    return dict(found)


def test_a_killed_dump_leaves_each_month_as_it_was_or_whole(tmp_path: Path, warehouse: Warehouse):
    folder = tmp_path / "pool"
    make_pool(folder, datetime(2025, 10, 20, 5), datetime(2025, 11, 9, 6), machines=20, gpus=80)
    whole = Warehouse(tmp_path / "whole" / "warehouse.duckdb")
    read(site_of(folder), whole, date(2025, 10, 1), date(2025, 11, 1))
    expected = counts(whole)
    chance = random.Random(5)
    command = [sys.executable, "-c", _SCRIPT, str(folder), str(warehouse.path)]
    for _ in range(4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"USAGE_DATA": str(tmp_path)})
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(chance.random() * 1.2)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        process.stdout.close()
        if warehouse.path.exists():
            assert counts(warehouse).items() <= expected.items()
    done = read(site_of(folder), warehouse, date(2025, 10, 1), date(2025, 11, 1))
    assert not any(month.refused for month in done)
    assert counts(warehouse) == expected
    assert not list((warehouse.path.parent / ".staging").iterdir())
