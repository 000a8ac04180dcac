"""What `pip install` brings: the package finds its dagster.yaml, and an operator the units."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from collections.abc import Collection
from datetime import date, timedelta
from pathlib import Path

import dagster
import pytest

from usage_assets.core.clock import naive_utc_now
from usage_assets.demo.planted import NEWEST, PLANTED, unplanted
from usage_assets.kinds.htcondor.collect.pool import INSTALL
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import FAILED_CHECKS
from usage_assets_tests.services.test_units import free_port, get, until
from usage_assets_tests.unit.deploy.units import DEPLOY, ROOT

pytestmark = pytest.mark.heavy

pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
LONG = 300


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "dagster.yaml", "workspace.yaml", "alerts.example.yaml"):
        shutil.copy(ROOT / name, source)
    for name in ("usage_assets", "deploy", "sites", "docs/methodology"):
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
    script = "from usage_assets.kinds.htcondor.reports.render import methodology; print(methodology(60))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert "## What is seen" in done.stdout
    assert "an interval of 60 minutes. All polls" in " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`usage-assets` of a virtual environment that has the wheel, and its dependencies from this one."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=LONG)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{Path(dagster.__file__).parents[1]}\n")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, str(wheel)], check=True, timeout=LONG)
    return folder / "bin" / "usage-assets"


def clean(**more: str) -> dict[str, str]:
    """The environment of somebody who has set nothing."""
    own = ("USAGE_", "DAGSTER_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)} | more


def ask(url: str, question: str) -> dict:
    body = json.dumps({"query": question}).encode()
    request = urllib.request.Request(f"{url}/graphql", data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def certain(months: Collection[str]) -> set[tuple[str, str, str]]:
    """Planted warnings that a demo of these months must give; those of the newest months depend on the day."""
    every = ((each, month) for each in PLANTED if each.months != NEWEST for month in months)
    return {(each.site, each.check, month) for each, month in every if each.covers(each.site, each.check, month, ())}


def assert_warned_of_what_is_planted(said: str, data: Path, months: Collection[str]) -> None:
    """The demo warns of all that is planted in these months, and of nothing else, which it says."""
    with Warehouse(data / "warehouse.duckdb").read() as reader:
        rows = reader.sql(f"SELECT DISTINCT site, check_name, month FROM {FAILED_CHECKS.qualified}").rows()
    failed = {(site, check, f"{month:%Y-%m}") for site, check, month in rows}
    assert certain(months) <= failed
    assert list(unplanted(sorted(failed), date.fromisoformat(f"{max(months)}-01"))) == []
    assert "not planted" not in said
    assert f"All {len(failed)} warnings are planted" in said


def test_demo_and_ui_of_an_installed_wheel_work_in_an_empty_folder(command: Path, tmp_path: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    demo = [str(command), "demo", "--months", "2"]
    running = naive_utc_now().date().replace(day=1)
    done = subprocess.run(
        demo, cwd=empty, env=clean(BROWSER_PATH="nowhere"), capture_output=True, text=True, timeout=LONG, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(empty / "sites") in done.stdout
    assert {path.name for path in empty.iterdir()} == {"sites", "data", ".dagster"}
    months = {f"{month:%Y-%m}" for month in (running - timedelta(days=1), running)}
    assert_warned_of_what_is_planted(done.stdout, empty / "data", months)
    port, plots = free_port(), free_port()
    started = [str(command), "ui", "--port", str(port), "--plots-port", str(plots)]
    with (tmp_path / "log").open("wb") as log:
        ui = subprocess.Popen(started, cwd=empty, env=clean(), stdout=log, stderr=log)
    said = (tmp_path / "log").read_text
    url = f"http://127.0.0.1:{port}"
    try:
        until("the UI answers", lambda: get(f"{url}/server_info"), said)
        until("the plots answer", lambda: get(f"http://127.0.0.1:{plots}/demo_edge/demo_edge_stack.html"), said)
        runs = ask(url, "{ runsOrError { ... on Runs { results { repositoryOrigin { repositoryLocationName } } } } }")
        # the home page shows runs that name the code location, and the page of a job those of its label
        assert {run["repositoryOrigin"]["repositoryLocationName"] for run in runs["runsOrError"]["results"]} == {
            "usage_assets"
        }
        job = """{ pipelineOrError(params: {repositoryLocationName: "usage_assets", repositoryName: "__repository__",
            pipelineName: "openstack"}) { ... on Pipeline { runs { tags { key } } } } }"""
        until("the code location is loaded", lambda: "runs" in ask(url, job)["pipelineOrError"], said)
        found = ask(url, job)["pipelineOrError"]["runs"]
        assert len(found) >= 3  # each site has its own
        tags = [{tag["key"] for tag in run["tags"] if not tag["key"].startswith("dagster/")} for run in found]
        assert {frozenset(keys) for keys in tags} == {frozenset({"usage/site", "usage/trigger"})}
    finally:
        ui.send_signal(signal.SIGINT)
        ui.wait(60)
    assert "SupersessionWarning" not in said()
    assert "will not be used to configure Dagster" not in said()


def test_the_install_line_of_the_bindings_names_what_the_extra_names():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (wanted,) = extras["htcondor"]
    assert f"pip install '{wanted}'" in INSTALL
    for page in ("docs/collecting.md",):
        assert f"pip install '{wanted}'" in (ROOT / page).read_text()
