"""Dagster's own seams: resources by annotation, column lineage, freshness, and somebody else's asset downstream."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster_duckdb import DuckDBResource

from usage_assets.core.errors import SnapshotError, UsageError, WarehouseError
from usage_assets.definitions import build_defs
from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds import KINDS
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.resources import PublishedResource, SettingsResource, WarehouseResource
from usage_assets.orchestration.tables_step import column_lineage
from usage_assets.serving.publish import publish
from usage_assets.specs.kind import Kind
from usage_assets.timelines.assets import assets_of
from usage_assets.warehouse import Warehouse
from usage_assets_tests import ROOT
from usage_assets_tests.assets.conftest import Built
from usage_assets_tests.assets.tiny import make_site

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)


def test_the_ui_shows_each_resource_with_descriptions_and_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("USAGE_EXPORT_URL", "postgresql://u:hidden-word@db/x")
    found = build_defs({}, Warehouse(tmp_path / "warehouse.duckdb")).resources or {}
    assert set(found) == {"warehouse", "published", "settings"}
    for resource in found.values():
        assert isinstance(resource, dg.ConfigurableResource)
        assert type(resource).__doc__
        assert all(field.description for field in type(resource).model_fields.values())
        assert "hidden-word" not in str(resource)
    assert isinstance(found["warehouse"], DuckDBResource)
    assert found["warehouse"].database == str(tmp_path / "warehouse.duckdb")


def test_steps_write_to_the_warehouse_that_they_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BROWSER_PATH", "nowhere")
    monkeypatch.setenv("USAGE_DATA", str(tmp_path / "data"))
    site, other = make_site(tmp_path), Warehouse(tmp_path / "other" / "warehouse.duckdb")
    given = {"warehouse": WarehouseResource.of(other)}
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_defs({site.key: site}, Warehouse(tmp_path / "unused.duckdb"), resources=given)
        key = dg.AssetKey(["openstack", "raw", "nova_instances"])
        done = job.resolve_job_def("openstack").execute_in_process(
            instance=instance, asset_selection=[key], partition_key="2020-01-01|tiny"
        )
    assert done.success
    assert not (tmp_path / "unused.duckdb").exists()
    with other.read() as reader:
        assert reader.sql("SELECT count(*) AS n FROM raw.nova_instances").item() == 1


def test_a_connection_reads_one_state_and_is_closed_where_the_block_fails(built: Built):
    resource = WarehouseResource.of(built.warehouse)

    def fail() -> None:
        with resource.get_connection() as con:
            con.execute("SELECT * FROM nowhere")

    with resource.get_connection() as con:
        assert con.execute(f"SELECT count(*) > 0 FROM {INTERVALS.qualified}").fetchall() == [(True,)]
        with pytest.raises(duckdb.Error, match="read-only"):
            con.execute("CREATE TABLE facts.mine (n INT)")
    with pytest.raises(duckdb.CatalogException):
        fail()
    with built.warehouse.write("after a failed block") as writer:
        assert writer.has(INTERVALS)


def test_what_is_not_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with (
        pytest.raises(WarehouseError, match="can't be opened"),
        WarehouseResource(database=str(tmp_path / "none.duckdb")).get_connection(),
    ):
        pass
    with pytest.raises(SnapshotError, match="nothing is published"):
        PublishedResource(folder=str(tmp_path)).path()
    monkeypatch.setenv("USAGE_PICTURES", "some")
    with pytest.raises(UsageError, match="USAGE_PICTURES"):
        SettingsResource.of_environment().picture_policy()


def test_duckdbs_options_of_the_resource_hold_for_its_connections(built: Built):
    resource = WarehouseResource(database=str(built.warehouse.path), connection_config={"threads": 1})
    with resource.get_connection() as con:
        assert con.execute("SELECT current_setting('threads')").fetchall() == [(1,)]


@every_kind
def test_lineage_names_columns_that_are_there_and_reaches_from_usage_to_raw_rows(kind: Kind):
    tables = {f"raw/{raw.name}": raw.table for raw in kind.raw_tables} | {
        one.path: one.table for one in assets_of(kind)
    }
    above: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for asset in assets_of(kind):
        for column, deps in column_lineage(kind, asset, tables).deps_by_column.items():
            assert column in asset.table.names
            for dep in deps:
                path = "/".join(dep.asset_key.path[1:])
                assert dep.column_name in tables[path].names, (asset.path, column, path)
                above.setdefault((asset.path, column), set()).add((path, dep.column_name))

    def raw(at: tuple[str, str]) -> set[tuple[str, str]]:
        return {at} if at[0].startswith("raw/") else set().union(*(raw(one) for one in above.get(at, ())))

    for column in ("timestamp", "value", "hours", "node_type"):
        assert raw(("timelines/usage", column)), column


def test_every_asset_has_a_policy_of_freshness_and_links_to_its_code(built: Built):
    site: OpenStackSite = make_site(built.folder / "again")
    for asset in build_defs({site.key: site}, built.warehouse).resolve_all_asset_specs():
        assert asset.freshness_policy is not None
        assert "dagster/code_references" in asset.metadata


def test_somebodys_own_asset_reads_what_is_published(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    publish(built.warehouse, tmp_path / "published")
    monkeypatch.setenv("USAGE_DATA", str(tmp_path))
    monkeypatch.setenv("OWN_DATABASE", str(tmp_path / "own.duckdb"))
    spec = importlib.util.spec_from_file_location("own_assets", ROOT / "examples" / "own_assets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with dg.DagsterInstance.ephemeral() as instance:
        done = module.defs.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
    assert done.success
    with duckdb.connect(str(tmp_path / "own.duckdb"), read_only=True) as con:
        rows = con.execute("SELECT site, strftime(month, '%Y-%m'), idle_share, complete FROM idle_share").fetchall()
    # of 21 days in January a lease holds one machine, and a server runs there but for the first day
    assert rows[0] == ("tiny", "2020-01", pytest.approx(1 / 21), True)


@pytest.mark.heavy
def test_dagster_finds_the_definitions_valid(tmp_path: Path):
    env = os.environ | {"USAGE_SITES": str(ROOT / "sites"), "USAGE_DATA": str(tmp_path), "DAGSTER_HOME": str(tmp_path)}
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", str(ROOT / "workspace.yaml")],
        env=env, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "passed validation" in done.stderr + done.stdout
