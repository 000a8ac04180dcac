"""`usage-assets backfill` as a process of its own: killed at any moment, interrupted, twice at once."""

import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import TagType, get_tag_type

from usage_assets.cli.outcome import INTERRUPTION
from usage_assets.serving import read
from usage_assets.warehouse import Warehouse
from usage_assets_tests import ROOT
from usage_assets_tests.assets.tiny import MADE, make_site, tables

pytestmark = pytest.mark.heavy

LONG = 240
NO_WEBSERVER = """
import usage_assets.cli.daemon as d, usage_assets.cli.progress as p
d.DEFAULT_URL = 'http://127.0.0.1:9'
p._LINE_SECONDS = 0.2
"""
SLOW = """
import time, usage_assets.timelines.assets as timelines
built = timelines.build_usage
timelines.build_usage = lambda *given, **named: (time.sleep(100), built(*given, **named))[1]
"""
MAIN = "\nfrom usage_assets.cli import main\nmain()"
BACKFILL = ["backfill", "--site", "tiny", "--from", "2020-01", "--to", "2020-02"]


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
    return subprocess.Popen(
        [sys.executable, "-c", NO_WEBSERVER + MAIN, *BACKFILL, *arguments],
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


def has_started(folder: Path) -> bool:
    """Whether a run is under way, by the file alone: to open Dagster's storage while it is made breaks it."""
    path = folder / "home" / "history" / "runs.db"
    if not path.exists():
        return False
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as con, suppress(sqlite3.OperationalError):
        return ("STARTED",) in con.execute("SELECT status FROM runs").fetchall()
    return False


def until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


@pytest.mark.kills
def test_a_backfill_that_is_killed_and_started_again_gives_the_tables_of_an_undisturbed_one(folder: Path):
    warehouse = Warehouse(folder / "data" / "warehouse.duckdb")
    with start() as killed:
        until(warehouse.path.exists)  # in the middle: the raw tables are being written
        os.killpg(killed.pid, signal.SIGKILL)
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
        until(lambda: has_started(folder))
        run.send_signal(signal.SIGTERM)
        said = run.communicate(timeout=LONG)[0]
    assert run.returncode == 130, said
    assert said.count(INTERRUPTION) == 1
    assert "Traceback" not in said
    assert statuses() == ["CANCELED"]


def test_without_a_terminal_it_says_who_builds_and_how_far_it_is(folder: Path):
    with start() as run:
        said = run.communicate(timeout=LONG)[0]
    assert run.returncode == 0, said
    looked = "no daemon: the webserver at http://127.0.0.1:9 gave no answer (nothing listens there)"
    assert f"{looked}; building in this process" in said
    parts = [int(part) for part in re.findall(r"site tiny 2020-01..2020-02: (\d+) %, ", said)]
    assert len(set(parts)) > 2
    assert parts == sorted(parts)
    assert not list((folder / "home").glob("**/compute_logs/*.err"))
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs()
        assert len(runs) == 2
        for each in runs:
            assert each.remote_job_origin is not None
            assert each.remote_job_origin.repository_origin.get_label() == "__repository__@usage_assets"
            shown = {tag for tag in each.tags if get_tag_type(tag) == TagType.USER_PROVIDED}
            assert shown <= {"usage/site", "usage/trigger"}


def test_on_a_terminal_the_bar_moves_and_ctrl_c_ends_with_one_sentence(folder: Path):
    child, terminal = pty.fork()
    if child == 0:
        command = [sys.executable, "-c", NO_WEBSERVER + SLOW + MAIN, *BACKFILL]
        os.execve(command[0], command, os.environ | {"TERM": "xterm", "COLUMNS": "150"})
    said, end, pressed = b"", time.monotonic() + LONG, False
    while time.monotonic() < end:
        try:
            said += os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
        if not pressed and b" timelines " in said:
            os.write(terminal, b"\x03")
            pressed = True
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode())
    assert code == 130, text
    assert len({int(part) for part in re.findall(r" (\d+)%", text)}) > 3, text
    assert text.count(INTERRUPTION) == 1
    assert "Traceback" not in text
    assert text.replace("\r", "").rstrip().endswith(INTERRUPTION)
    assert statuses() == ["CANCELED"]
