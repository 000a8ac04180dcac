"""What `pip install` brings: the package finds its dagster.yaml, and an operator the units."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from usage_assets_tests.unit.deploy.units import DEPLOY, ROOT

pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "dagster.yaml", "workspace.yaml", "alerts.example.yaml"):
        shutil.copy(ROOT / name, source)
    for name in ("usage_assets", "deploy", "sites/examples", "docs/methodology"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    script = "from hatchling.build import build_wheel; build_wheel('dist')"
    subprocess.run([sys.executable, "-c", script], cwd=source, check=True, capture_output=True)
    (found,) = (source / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel unpacked in it, away from the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_the_wheel_brings_the_units_and_the_examples_to_the_share_folder(installed):
    (share,) = installed.glob("usage_assets-*.data/data/share/usage-assets")
    brought = {str(path.relative_to(share)) for path in share.rglob("*") if path.is_file()}
    shipped = {str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*") if path.is_file()}
    sites = {f"sites/{path.name}" for path in (ROOT / "sites" / "examples").iterdir()}
    assert brought == {*shipped, *sites, "alerts.example.yaml"}


def test_an_installed_package_makes_its_home_without_the_checkout(installed, tmp_path):
    script = (
        "import usage_assets, usage_assets.cli.home as home; print(home.shipped('workspace.yaml')); home.dagster_home()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(installed), "DAGSTER_HOME": str(tmp_path / "made")},
    )  # fmt: skip
    assert done.stdout.strip() == str(installed / "usage_assets" / "workspace.yaml")
    assert (tmp_path / "made" / "dagster.yaml").read_text() == (ROOT / "dagster.yaml").read_text()


def test_reports_find_their_methodology_without_the_checkout(installed, tmp_path):
    script = "from usage_assets.gpu.report.render import methodology; print(methodology(60))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert "## What is seen" in done.stdout
    assert "an interval of 60 minutes. All polls" in " ".join(done.stdout.split())
