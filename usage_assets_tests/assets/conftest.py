"""The tiny site as a run leaves it, built once per worker; a test that goes on from there gets a copy of its own."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.core import settings
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.tiny import build, make_site


@dataclass(frozen=True)
class Built:
    """The tiny site after a run."""

    folder: Path
    warehouse: Warehouse
    instance: dg.DagsterInstance
    result: dg.ExecuteInProcessResult
    plots: Path


def _built(folder: Path, *, tables_only: bool) -> Iterator[Built]:
    warehouse = Warehouse(folder / "data" / "warehouse.duckdb")
    with dg.DagsterInstance.ephemeral() as instance:
        with pytest.MonkeyPatch.context() as patch:  # for the run alone: the fixture lives as long as its worker
            patch.setenv("USAGE_DATA", str(folder / "data"))
            patch.setenv("BROWSER_PATH", "nowhere")
            result = build(make_site(folder), warehouse, instance, tables_only=tables_only)
            plots = settings.plots_dir() / "tiny"
        assert result.success
        yield Built(folder, warehouse, instance, result, plots)


@pytest.fixture(scope="session")
def built_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The tiny site with its raw rows, intervals and usage, for tests that only look."""
    yield from _built(tmp_path_factory.mktemp("tables"), tables_only=True)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The tiny site with everything that is made of it, for tests that only look."""
    yield from _built(tmp_path_factory.mktemp("everything"), tables_only=False)


def _copied(made: Built, folder: Path) -> OpenStackSite:
    site = make_site(folder)
    shutil.copytree(made.folder / "data", folder / "data")
    return site


@pytest.fixture
def with_tables(tmp_path: Path, built_tables: Built) -> OpenStackSite:
    """The tiny site; the fixture `warehouse` has its raw rows, intervals and usage."""
    return _copied(built_tables, tmp_path)


@pytest.fixture
def with_everything(tmp_path: Path, built: Built) -> OpenStackSite:
    """The tiny site; the fixture `warehouse` has everything that is made of it, and its plots are there."""
    return _copied(built, tmp_path)
