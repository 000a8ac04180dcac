"""An installation of release 0.1.0 goes on under this one: its DAGSTER_HOME, its warehouse, its site file.

before_0_1_0.tar.xz is the tiny site after a backfill of two months by that release: Dagster's SQLite files as SQL, the
warehouse as DuckDB exports it, and the dagster.yaml of then, whose storage has the name that it had.
"""

import os
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import dagster as dg
import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from usage_assets.warehouse import Warehouse, migrations
from usage_assets_tests import ROOT
from usage_assets_tests.assets.tiny import make_site

pytestmark = pytest.mark.heavy

TABLES = (
    "facts.intervals",
    "timelines.usage",
    "timelines.usage_steps",
    "timelines.leadtime",
    "timelines.usage_by_host",
)
OLD_RUNS = {"3fa25650", "7241f855"}


@pytest.fixture
def installation(tmp_path: Path) -> dict[str, str]:
    """The files of then in a new folder, and the environment that names them."""
    with tarfile.open(Path(__file__).parent / "before_0_1_0.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    for text in list((tmp_path / "home").rglob("*.sql")):
        history = sqlite3.connect(text.with_suffix(".db"))
        history.executescript(text.read_text())
        history.close()
        text.unlink()
    stored = tmp_path / "warehouse"
    (tmp_path / "data").mkdir()
    with duckdb.connect(str(tmp_path / "data" / "warehouse.duckdb")) as con:
        con.execute((stored / "schema.sql").read_text())
        con.execute((stored / "load.sql").read_text().replace("{folder}", str(stored)))
    site = make_site(tmp_path)
    urls = "\n".join(f"  {name}: {url}" for name, url in site.databases.items())
    (tmp_path / "sites").mkdir()
    lines = f"kind: openstack\nname: Tiny\nfirst_month: 2020-01\ndatabases:\n{urls}\n"
    (tmp_path / "sites" / "tiny.yaml").write_text(lines)
    return {
        "USAGE_SITES": str(tmp_path / "sites"),
        "USAGE_DATA": str(tmp_path / "data"),
        "DAGSTER_HOME": str(tmp_path / "home"),
        "BROWSER_PATH": "nowhere",
        "PYTHONPATH": str(ROOT),
    }


def command(env: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "usage_assets", *words],
        env=os.environ | env, cwd=env["USAGE_DATA"], capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(path: Path) -> dict[str, pl.DataFrame]:
    with duckdb.connect(str(path), read_only=True) as con:
        return {name: con.sql(f"SELECT * FROM {name}").pl().sort(pl.all()) for name in TABLES}


def test_what_0_1_0_stored_is_read_upgraded_and_built_again_with_the_same_numbers(installation: dict[str, str]):
    path = Path(installation["USAGE_DATA"]) / "warehouse.duckdb"
    before = rows(path)
    assert all(frame.height for frame in before.values())

    command(installation, "status", "--site", "tiny")
    with Warehouse(path).read() as reader:
        version = reader.sql("SELECT max(version) FROM serving.schema_version").item()
    assert version == migrations.newest()
    assert "2020-02" in command(installation, "backfill", "--site", "tiny", "--from", "2020-01", "--to", "2020-02")

    after = rows(path)
    for name, frame in before.items():
        assert_frame_equal(after[name].select(frame.columns), frame)
    with dg.DagsterInstance.from_config(installation["DAGSTER_HOME"]) as instance:
        runs = {run.run_id[:8] for run in instance.get_runs()}
        key = dg.AssetKey(["openstack", "timelines", "usage"])
        assert len(instance.fetch_materializations(key, limit=20).records) >= 4
    assert runs > OLD_RUNS
