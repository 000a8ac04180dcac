"""A folder of snapshots, and a clock that stands still."""

from pathlib import Path

import pytest

from usage_assets_tests.unit.kinds.htcondor.raw.pools import at


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return tmp_path / "pool"


@pytest.fixture(autouse=True)
def _later(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, "2026-02-01")
