"""What all tests share: folders of their own, and an environment that does not leak in."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from usage_assets.warehouse import Warehouse
from usage_assets_tests import properties  # noqa: F401  # registers the profiles

settings.load_profile("usual")  # `--hypothesis-profile all` loads another afterwards

_MARKED = ("services", "browser")
"""Folders whose tests all have the marker of the same name."""
_LONGEST_FIRST = ("services/test_faults_killed", "assets/", "browser/", "services/", "golden/", "security/")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Whole folders need what few machines have; single tests of others are marked where they stand."""
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    if folder in _MARKED:
        item.add_marker(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: one that begins last would keep one worker busy while the others have ended."""

    def place(item: pytest.Item) -> int:
        found = [part in item.nodeid for part in _LONGEST_FIRST]
        return found.index(True) if True in found else len(found)

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the operator's settings or writes into the working folder."""
    for name in list(os.environ):
        if name.startswith(("USAGE_", "DAGSTER_")) and not name.startswith(("USAGE_TEST_", "USAGE_REQUIRE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("USAGE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(tmp_path / "data" / "warehouse.duckdb")
