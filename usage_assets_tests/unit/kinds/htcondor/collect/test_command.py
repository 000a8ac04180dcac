"""`usage-assets collect`, and what a site's file may say of whom it asks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from usage_assets.cli.app import app
from usage_assets.cli.htcondor import collect as command
from usage_assets.core.errors import SiteError, SourceError, WarehouseError
from usage_assets.core.locks import file_lock
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.site_files import load_site
from usage_assets_tests import ROOT
from usage_assets_tests.unit.kinds.htcondor.collect.pools import Built, names

GOOD = "kind: htcondor\nsnapshots: pool\ncollector: {pool: 'cm.x.edu:9618'}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The snapshots of the site gpus, whose pool answers."""
    (tmp_path / "gpus.yaml").write_text(GOOD)
    monkeypatch.setenv("USAGE_SITES", str(tmp_path))
    monkeypatch.setattr(command, "CondorPool", lambda site: Built())
    return tmp_path / "pool"


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["collect", "--site", "gpus", *words])
    if isinstance(done.exception, Exception):
        raise done.exception
    return done.exit_code, " ".join(done.output.split())


def test_one_poll_and_all_taken_in(folder: Path):
    code, said = run("--once")
    assert code == 0
    assert re.search(r"[0-9-]{10} [0-9:]{8} UTC: 3 row\(s\) of 1 machine\(s\)", said)
    (poll,) = names(folder)
    assert re.fullmatch(r"gpu_state_\d{4}-\d\d\.polls/\d{8}T\d{6}\.\d{6}Z\.parquet", poll)
    code, said = run("--tidy")
    assert (code, names(folder)) == (0, [poll.split(".polls", maxsplit=1)[0] + ".parquet"])
    assert run("--tidy") == (0, "")


def test_a_pool_that_does_not_answer_ends_with_1_and_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "CondorPool", lambda site: Built(None))
    code, said = run("--once")
    assert code == 1
    assert "the pool does not answer" in said
    assert names(folder) == []


def test_without_the_bindings_polls_can_still_be_taken_in(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def absent(site: object) -> None:
        raise SourceError("the bindings are not installed")

    run("--once")
    monkeypatch.setattr(command, "CondorPool", absent)
    with pytest.raises(SourceError):
        run("--once")
    assert run("--tidy")[0] == 0
    assert len(names(folder)) == 1


def test_a_second_collector_is_refused_with_a_sentence(folder: Path):
    with (
        file_lock(folder / ".collect.lock", "collector of site gpus", wait_seconds=0),
        pytest.raises(WarehouseError, match=f"held by process {os.getpid()}: collector of site gpus; one collector"),
    ):
        run("--once")


def test_interrupted_it_ends_as_such(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("usage_assets.kinds.htcondor.collect.run.Collection._wait", interrupted)
    assert run("--every", "60")[0] == 130


def test_a_site_that_has_no_pool_to_ask_is_refused(folder: Path):
    (folder.parent / "gpus.yaml").write_text("kind: htcondor\nsnapshots: pool\n")
    with pytest.raises(SiteError, match="its file names no collector to ask"):
        run("--once")
    (folder.parent / "gpus.yaml").write_text("kind: openstack\ndatabases: {nova: 'sqlite:///nova.db'}\n")
    with pytest.raises(SiteError, match="is of kind openstack; polls are collected from GPU pools"):
        run("--once")


@pytest.mark.parametrize(
    "words", [("--once", "--every", "5"), ("--once", "--tidy"), ("--every", "0"), ("--every", "x")]
)
def test_contradicting_options_are_wrong_usage(folder: Path, words):
    assert run(*words)[0] == 2
    assert not folder.exists()


def test_help_loads_neither_polars_nor_dagster():
    code = "import sys, usage_assets.cli.app; sys.exit(bool({'dagster', 'polars', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def site_of(folder: Path, text: str) -> HTCondorSite:
    (folder / "gpus.yaml").write_text(text, encoding="utf-8")
    site = load_site(folder / "gpus.yaml")
    assert isinstance(site, HTCondorSite)
    return site


def test_polls_are_written_where_snapshots_are_read(tmp_path: Path):
    assert site_of(tmp_path, GOOD).collected() == (tmp_path / "pool", "gpu_state_{month}.parquet")
    two = "kind: htcondor\nsnapshots: [{folder: a, files: ['x_{month}.db', 'y_{month}.parquet']}, b]\n"
    site = site_of(tmp_path, two + "collector: {pool: [a, 'b:1'], folder: a}\n")
    assert site.collected() == (tmp_path / "a", "y_{month}.parquet")
    assert site.collector is not None
    assert site.collector.pool == ("a", "b:1")
    one = "kind: htcondor\nsnapshots: [{folder: a, files: 'x_{month}.db'}, b]\ncollector: {pool: a}\n"
    assert site_of(tmp_path, one).collected() == (tmp_path / "b", "gpu_state_{month}.parquet")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("{}", "pool"),
        ("{pool: []}", "pool"),
        ("{pool: 'a b'}", "no address of a collector"),
        ("{pool: 'user:word@host'}", "no address of a collector"),
        ("{pool: a, constraint: ' '}", "no condition on slots"),
        ('{pool: a, constraint: "x\\ny"}', "no condition on slots"),
        ("{pool: a, projection: [ClaimId]}", "belongs in no file"),
        ("{pool: a, projection: ['a b']}", "no name of an attribute"),
        ("{pool: a, folder: elsewhere}", "there are 0"),
        ("{pool: a, secret: b}", "secret"),
    ],
)
def test_a_fault_of_the_collectors_keys_is_a_sentence(tmp_path: Path, said, fault):
    with pytest.raises(SiteError, match=fault):
        site_of(tmp_path, f"kind: htcondor\nsnapshots: pool\ncollector: {said}\n")


@pytest.mark.parametrize(
    "snapshots", ["[a, b]", "{folder: a, files: 'x_{month}.db'}", "{folder: a, files: 'x_{month}-*.parquet'}"]
)
def test_which_folder_must_not_be_a_guess(tmp_path: Path, snapshots):
    with pytest.raises(SiteError, match="name the one folder of snapshots"):
        site_of(tmp_path, f"kind: htcondor\nsnapshots: {snapshots}\ncollector: {{pool: a}}\n")


def test_the_example_and_the_guide_show_sites_that_load(tmp_path: Path):
    text = (ROOT / "sites" / "examples" / "gpu_pool.yaml.example").read_text(encoding="utf-8")
    (tmp_path / "hosted.txt").write_text("")
    assert "\n# collector: " in text
    site = site_of(tmp_path, text.replace("\n# collector: ", "\ncollector: "))
    assert site.collected() == (tmp_path / "data" / "gpu_pool", "gpu_state_{month}.parquet")
    guide = (ROOT / "docs" / "collecting.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", guide, flags=re.DOTALL)
    site = site_of(tmp_path, "\n".join(line.removeprefix("   ") for line in block.splitlines()))
    assert site.collector is not None
    for key in type(site.collector).model_fields:
        assert f"| `{key}` |" in guide
