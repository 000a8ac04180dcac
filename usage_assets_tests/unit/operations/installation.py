"""A small installation: a warehouse with two tables that always agree, Dagster's storage with runs, a site's files."""

import atexit
import functools
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg

from usage_assets.operations.places import Places
from usage_assets.warehouse import Warehouse
from usage_assets_tests import ROOT

SITE = """kind: openstack
first_month: 2020-01
databases: {nova: 'mysql+pymysql://usage:${NOVA_PASSWORD}@db/nova'}
sources: {total: [nova_compute_nodes, {name: inventory, policy: gap_fill, file: lists/machines.csv}]}
"""
ALERTS = """channels:
  - kind: mail
    to: [ops@example.org]
    from: usage@example.org
    smtp: {host: mail.example.org, tls: starttls, user: usage, password: '${SMTP_PASSWORD}'}
"""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def places_in(folder: Path) -> Places:
    """Where an installation below a folder keeps its things."""
    return Places(folder / "data", folder / "home", folder / "sites", folder / "alerts.yaml")


def make(folder: Path) -> Places:
    """An installation with one run: each is a copy of the first that this process made."""
    shutil.copytree(_first(), folder, dirs_exist_ok=True)
    return places_in(folder)


@functools.cache
def _first() -> Path:
    made = tempfile.mkdtemp(prefix="usage-installation-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    home = os.environ.get("DAGSTER_HOME", "")
    try:
        return _made(Path(made))
    finally:
        os.environ["DAGSTER_HOME"] = home


def _made(folder: Path) -> Path:
    places = places_in(folder)
    for each in (places.data, places.home, places.sites / "lists", places.plots / "a" / "2020-01", places.exports):
        each.mkdir(parents=True)
    (places.home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    (places.sites / "a.yaml").write_text(SITE)
    (places.sites / "lists" / "machines.csv").write_text("hostname,type\n")
    (places.plots / "a" / "2020-01" / "stack.html").write_text("<p>plot</p>")
    (places.exports / "usage_wide.csv").write_text("a,1\n")
    places.alerts.write_text(ALERTS)
    with closing(sqlite3.connect(places.home / "alerts.db")) as con:
        con.execute("CREATE TABLE causes (text TEXT)")
        con.commit()
    grow(places)
    return folder


def grow(places: Places) -> str:
    """One run more, and one row more in both tables, in one transaction; the run's id."""
    with instance_of(places) as instance:
        run = job().execute_in_process(instance=instance, run_config=QUIET)
    with Warehouse(places.warehouse).write("test") as writer:
        for table in ("left_rows", "right_rows"):
            writer.con.execute(f"CREATE TABLE IF NOT EXISTS {table} (run TEXT)").fetchall()
            writer.con.execute(f"INSERT INTO {table} VALUES (?)", [run.run_id]).fetchall()
    return run.run_id


def job() -> dg.JobDefinition:
    @dg.asset(key=["a", "thing"])
    def thing() -> None: ...

    return dg.Definitions(assets=[thing]).resolve_implicit_global_asset_job_def()


@contextmanager
def instance_of(places: Places) -> Iterator[dg.DagsterInstance]:
    os.environ["DAGSTER_HOME"] = str(places.home)  # the tests' own environment, see conftest
    with dg.DagsterInstance.get() as instance:
        yield instance


def rows(places: Places) -> tuple[list[str], list[str]]:
    """The runs in both tables."""
    with Warehouse(places.warehouse).read() as reader:
        left, right = (reader.sql(f"SELECT run FROM {table} ORDER BY run") for table in ("left_rows", "right_rows"))
    return left["run"].to_list(), right["run"].to_list()


def known_runs(places: Places) -> dict[str, dg.DagsterRunStatus]:
    with instance_of(places) as instance:
        return {run.run_id: run.status for run in instance.get_runs()}
