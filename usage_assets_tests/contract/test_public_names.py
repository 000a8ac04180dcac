"""Names that notebooks, scripts and dagster.yaml files of installations have lead to what the tree holds today."""

import importlib
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.kinds.htcondor import tables
from usage_assets.kinds.htcondor.tables.analyse import analyse
from usage_assets.orchestration.event_storage import SteadySqliteEventLogStorage
from usage_assets.serving import read as serving_read

GPU = (
    "allocation", "analyse", "backfill", "cube", "draining", "facts", "figures", "follow", "hosts", "levels", "moment",
    "monthly", "named", "options", "performance", "reading", "seen", "series", "show", "tables", "users",
    "window",
)  # fmt: skip
"""The modules of usage_assets.gpu when it was a package of its own."""


@pytest.mark.parametrize("name", GPU)
def test_a_module_of_the_tables_of_pools_has_the_name_that_scripts_import(name: str):
    module = importlib.import_module(f"usage_assets.gpu.{name}")
    assert Path(str(module.__file__)).parent == Path(tables.__path__[0])
    assert getattr(importlib.import_module("usage_assets.gpu"), name) is module


def test_functions_are_the_same_under_both_names():
    assert importlib.import_module("usage_assets.gpu.analyse").analyse is analyse


def test_readers_of_what_is_published_are_the_same_under_both_names():
    from usage_assets import read

    assert (read.open, read.Published) == (serving_read.open, serving_read.Published)
    assert read.SnapshotError is serving_read.SnapshotError


@pytest.mark.parametrize("module", ["usage_assets.automation.storage", "usage_assets.orchestration.event_storage"])
def test_a_dagster_home_of_an_older_installation_opens_with_the_storage_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
):
    (tmp_path / "dagster.yaml").write_text(
        f"event_log_storage:\n  module: {module}\n  class: SteadySqliteEventLogStorage\n"
    )
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert type(instance.event_log_storage) is SteadySqliteEventLogStorage


def test_the_storage_in_postgresql_is_the_same_under_both_names():
    pytest.importorskip("dagster_postgres", reason="the extra postgres is not installed")
    from usage_assets.automation import postgres
    from usage_assets.orchestration import postgres_storage

    assert postgres.PostgresStorage is postgres_storage.PostgresStorage
