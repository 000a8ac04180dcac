"""A run that is killed at any moment, and runs that overlap: the tables are those of an undisturbed run."""

import random
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.tiny import change, make_site
from usage_assets_tests.services.processes import Command, backfill, ended, environment

KILLS = 20
FIRST, LAST = "2020-01", "2020-01"
FOLLOWS = ("raw", "evidence", "facts", "timelines", "reports")
"""Stages whose tables follow from the source; `serving` also says who wrote a month and when."""


def write_site(folder: Path, key: str, databases: Mapping[Any, str], name: str = "Tiny") -> None:
    """The file of a site."""
    (folder / "sites").mkdir(parents=True, exist_ok=True)
    urls = "\n".join(f"  {name}: {url}" for name, url in databases.items())
    text = f"kind: openstack\nname: {name}\nfirst_month: 2020-01\ndatabases:\n{urls}\n"
    (folder / "sites" / f"{key}.yaml").write_text(text)


def tables(data: Path, site: str | None = None) -> dict[str, pl.DataFrame]:
    """Everything stored that follows from the source, without the times of reading it."""
    out = {}
    with Warehouse(data / "warehouse.duckdb").read() as reader:
        found = reader.sql("SELECT schema_name, table_name FROM duckdb_tables() ORDER BY ALL").rows()
        for schema, table in found:
            if schema not in FOLLOWS or table == "coverage":  # which tells ages
                continue
            columns = reader.sql(f"SELECT * FROM {schema}.{table} LIMIT 0").columns
            drop = [name for name in ("extracted_at", "seen_from", "seen_to", "run_id") if name in columns]
            keep = ", ".join(f'"{name}"' for name in columns if name not in drop)
            where = "" if site is None or "site" not in columns else f"WHERE site = '{site}'"
            out[f"{schema}.{table}"] = reader.sql(f"SELECT {keep} FROM {schema}.{table} {where} ORDER BY ALL")
    return out


def differ(left: dict[str, pl.DataFrame], right: dict[str, pl.DataFrame]) -> list[str]:
    """The tables that are not equal."""
    return [name for name in sorted(left.keys() | right.keys()) if not _same(left.get(name), right.get(name))]


def _same(left: pl.DataFrame | None, right: pl.DataFrame | None) -> bool:
    if left is None or right is None:
        return False
    return left.columns == right.columns and left.equals(right)


def settled(command: Command) -> str:
    """What a command said that was to end well."""
    command.go()
    code, said = command.end()
    assert code == 0, said
    return said


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("USAGE_SITES", str(tmp_path / "sites"))
    return tmp_path


def test_a_run_killed_at_twenty_random_moments_ends_as_an_undisturbed_one(folder: Path):
    site = make_site(folder)
    write_site(folder, "tiny", site.databases)
    data, home = folder / "data", folder / "home"
    calm = {"USAGE_DATA": str(folder / "calm"), "DAGSTER_HOME": str(folder / "calm_home")}
    settled(backfill("tiny", FIRST, LAST))
    shutil.copytree(data, folder / "calm")
    old = tables(data)
    change(site, "nova", "UPDATE instances SET terminated_at = '2020-01-20 00:00:00' WHERE id = 1")
    change(site, "blazar", "UPDATE leases SET end_date = '2020-01-21 00:00:00' WHERE id = 'l1'")
    undisturbed = backfill("tiny", FIRST, LAST, env=environment(**calm))
    undisturbed.go()
    began = time.monotonic()
    assert undisturbed.end()[0] == 0
    lasts = time.monotonic() - began
    new = tables(folder / "calm")
    assert {"raw.nova_instances", "timelines.usage", "facts.intervals"} <= set(differ(old, new))

    moments = random.Random(4)
    waiting = backfill("tiny", FIRST, LAST)
    met: set[str] = set()
    for _ in range(KILLS):
        command, waiting = waiting, backfill("tiny", FIRST, LAST)
        command.go()
        time.sleep(moments.uniform(0.0, lasts))
        command.kill()
        stored = tables(data)
        for name, frame in stored.items():  # each table is the old one or the new one, never a mixture
            assert _same(frame, old.get(name)) or _same(frame, new.get(name)), name
            met |= {name} if _same(frame, old.get(name)) else set()
    settled(waiting)

    assert differ(tables(data), new) == []
    assert met, "no kill came before the end"
    left = [path for path in data.rglob("*") if path.is_file() and (".staging" in path.parts or ".part" in path.name)]
    assert left == []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        ends = [record.dagster_run.status.value for record in instance.get_run_records(ascending=True)]
    assert set(ends) == {"SUCCESS", "FAILURE"}, ends
    assert ends[-1] == "SUCCESS"


def test_two_nightlies_of_one_site_and_of_two_at_once_give_what_one_after_the_other_gives(folder: Path):
    for key in ("tiny", "other"):
        site = make_site(folder / key)
        write_site(folder, key, site.databases, name="Tiny")
        if key == "other":
            change(site, "nova", "UPDATE instances SET terminated_at = '2020-01-20 00:00:00' WHERE id = 1")
    serial = environment(USAGE_DATA=str(folder / "serial"), DAGSTER_HOME=str(folder / "serial_home"))
    for key in ("tiny", "other"):
        settled(backfill(key, FIRST, LAST, env=serial))
    wanted = tables(folder / "serial")

    commands = [backfill(key, FIRST, LAST) for key in ("tiny", "other", "tiny")]
    assert [(code, said) for code, said in ended(commands) if code] == []
    assert differ(tables(folder / "data"), wanted) == []
