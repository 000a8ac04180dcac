"""The demo pool: the same arguments give the same rows, a later end only adds, and the traps are in it."""

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from usage_assets.demo import make_site
from usage_assets.demo.htcondor.gpu_hosts import HOSTS, OWNER_CHANGE
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.site_files import load_site
from usage_assets_tests import ROOT

UNTIL = datetime(2026, 3, 10, tzinfo=UTC)
SITE = ROOT / "sites" / "demo_pool.yaml"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "pool"
    make_site("demo_pool", folder, until=UNTIL)
    return folder


def rows(folder: Path, month: str) -> pl.DataFrame:
    return pl.read_parquet(folder / f"gpu_state_{month}.parquet")


def dump(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as con:
        return con.execute("SELECT * FROM gpu_state").fetchall()


def test_old_months_are_sqlite_and_later_ones_parquet(pool: Path):
    names = {path.name for path in pool.iterdir()}
    assert names == {f"gpu_state_{month}" for month in
                     ("2025-11.db", "2025-12.db", "2026-01.parquet", "2026-02.parquet", "2026-03.parquet")}  # fmt: skip


def test_the_same_arguments_give_the_same_rows_and_another_seed_others(pool: Path, tmp_path: Path):
    make_site("demo_pool", tmp_path / "again", until=UNTIL)
    make_site("demo_pool", tmp_path / "other", until=UNTIL, seed=2)
    assert rows(pool, "2026-02").equals(rows(tmp_path / "again", "2026-02"))
    assert dump(pool / "gpu_state_2025-11.db") == dump(tmp_path / "again" / "gpu_state_2025-11.db")
    assert not rows(pool, "2026-02").equals(rows(tmp_path / "other", "2026-02"))


def test_a_later_end_only_adds_polls(pool: Path, tmp_path: Path):
    make_site("demo_pool", tmp_path / "shorter", until=datetime(2026, 2, 10, tzinfo=UTC))
    short = rows(tmp_path / "shorter", "2026-02")
    long = rows(pool, "2026-02")
    assert short.equals(long.filter(pl.col("timestamp") <= short["timestamp"].max()))
    assert long.height > short.height


def test_what_a_real_pool_has_is_in_it(pool: Path):
    feb = rows(pool, "2026-02")
    assert len(HOSTS) == 25
    assert sum(sum(host.units) for host in HOSTS) == 132
    assert feb.filter(pl.col("AssignedGPUs") == "CUDA0")["Machine"].n_unique() > 1
    assert feb["GPUs_DeviceName"].str.contains("MIG").any()
    assert feb["Name"].str.starts_with("interactive").any()
    assert feb.filter(pl.col("State") == "Claimed")["RemoteOwner"].null_count() > 0
    assert {"Claimed", "Unclaimed", "Drained"} <= set(feb["State"])
    assert feb["PreventJobsReason"].drop_nulls().n_unique() > 1
    assert (feb["GPUsAverageUsage"] > 1).any()  # of a slot with several GPUs
    changed = feb.filter(pl.col("Machine") == OWNER_CHANGE[0], ~pl.col("Name").str.starts_with("backfill"))
    assert changed["PrioritizedProjects"].unique().sort().to_list() == ["", "Biology"]
    # a GPU that a dynamic slot holds is listed by its partitionable slot, too
    twice = feb.group_by("timestamp", "Machine", "AssignedGPUs").len()["len"]
    assert (twice >= 2).any()


def test_both_changes_of_the_clocks_are_in_it(pool: Path):
    autumn = [row for row in dump(pool / "gpu_state_2025-11.db") if str(row[-1]).startswith("2025-11-02 01:")]
    assert len({row[-1] for row in autumn}) == 2  # the hour from one to two came twice
    march = rows(pool, "2026-03")["timestamp"].unique()
    day = march.filter(march.dt.date() == date(2026, 3, 8)).dt.hour()
    assert 2 not in set(day)
    assert day.len() == 23


def test_the_site_of_the_demo_names_machines_that_it_has():
    site = load_site(SITE)
    assert isinstance(site, HTCondorSite)
    pool = site.pool()
    assert [host.name.split(".")[0] for host in HOSTS if pool.is_hosted(host.name)] == [
        "gpu2001", "gpu2004", "gpu2006", "gpu2013",
    ]  # fmt: skip
    assert [host.name.split(".")[0] for host in HOSTS if pool.mask_reason(host.name)] == ["gpu2025"]


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="notes"):
        make_site("demo_pool", tmp_path, until=UNTIL)
