"""`usage-assets backfill` as a process of its own: killed at any moment, interrupted, twice at once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from usage_assets import read
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.tiny import MADE, make_site, tables

ROOT = Path(__file__).parents[2]
LONG = 240
NO_WEBSERVER = "import usage_assets.cli.daemon as d; d.DEFAULT_URL = 'http://127.0.0.1:9'"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = make_site(tmp_path)
    (tmp_path / "sites").mkdir()
    databases = "\n".join(f"  {name}: {url}" for name, url in site.databases.items())
    (tmp_path / "sites" / "tiny.yaml").write_text(f"kind: openstack\nfirst_month: 2020-01\ndatabases:\n{databases}\n")
    monkeypatch.setenv("USAGE_SITES", str(tmp_path / "sites"))
    monkeypatch.setenv("BROWSER_PATH", "nowhere")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def start(*arguments: str) -> subprocess.Popen[str]:
    command = f"{NO_WEBSERVER}\nfrom usage_assets.cli import main\nmain()"
    args = [sys.executable, "-c", command, "backfill", "--site", "tiny", "--from", "2020-01", "--to", "2020-02"]
    return subprocess.Popen(
        [*args, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ,
        start_new_session=True,
    )


def statuses() -> list[str]:
    with dg.DagsterInstance.get() as instance:
        built = instance.get_run_records(dg.RunsFilter(job_name="openstack"), ascending=True)
        return [record.dagster_run.status.value for record in built]


def until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def test_a_backfill_that_is_killed_and_started_again_gives_the_tables_of_an_undisturbed_one(folder: Path):
    warehouse = Warehouse(folder / "data" / "warehouse.duckdb")
    with start() as killed:
        until(warehouse.path.exists)  # in the middle: the raw tables are being written
        os.killpg(killed.pid, signal.SIGKILL)  # with what mirrors its output
    with start() as again:
        said = again.communicate(timeout=LONG)[0]
    assert again.returncode == 0, said
    assert "of a killed process was reported as failed" in said
    assert "DEBUG" not in said
    assert statuses() == ["FAILURE", "SUCCESS"]
    with read.open() as published:
        assert published.sites() == ["tiny"]
    found = tables(warehouse, MADE)
    with start() as twice, start() as at_once:
        both = [each.communicate(timeout=LONG)[0] for each in (twice, at_once)]
    assert (twice.returncode, at_once.returncode) == (0, 0), both
    assert tables(warehouse, MADE) == found
    assert len(found["timelines.usage"]) > 0


def test_an_interrupt_cancels_the_run_and_ends_with_130(folder: Path):
    with start() as run:
        until(lambda: (folder / "home" / "storage").exists() and "STARTED" in statuses())
        run.send_signal(signal.SIGTERM)
        said = run.communicate(timeout=LONG)[0]
    assert run.returncode == 130, said
    assert "what is stored is whole" in said
    assert statuses() == ["CANCELED"]
