"""`check-site` ends with a verdict and what to do next; the site is an argument there, and errors call it so."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from usage_assets.cli.access import verdict
from usage_assets.cli.app import app
from usage_assets.specs.access_report import TableAccess
from usage_assets_tests.unit.sources.sources import Data, make_sqlite, site_of

SITE = site_of({"nova": "sqlite:///nova.db"})
FOUND = TableAccess("nova_instances", "nova.instances", "found", rows=3, columns_missing=("deleted",))


def access(state: str, source: str = "blazar.devices") -> TableAccess:
    return TableAccess("t", source, state)  # type: ignore[arg-type]


def test_a_site_without_tables_and_columns_of_other_releases_is_ready_and_the_next_command_is_told():
    is_ready, said = verdict(SITE, [FOUND, access("missing"), access("no database")])
    assert is_ready
    assert said.startswith("READY: of the tables, readable: 1 (missing: 1, without a column: 1; that is normal where")
    assert "Next: usage-assets backfill --site here --from 2020-01 --to 20" in said


def test_what_is_wrong_is_said_at_the_end_with_what_to_do():
    denied = [access("not granted", f"nova.t{n}") for n in range(5)]
    is_ready, said = verdict(SITE, [FOUND, *denied])
    assert not is_ready
    assert said.startswith(
        "NOT READY: nova.t0, nova.t1, nova.t2 and 2 more not granted: have the lines of usage-assets"
    )
    assert said.endswith("then run usage-assets check-site here again.")
    assert "can't be read" in verdict(SITE, [access("unreadable")])[1]
    assert "a file has a fault: mend it" in verdict(SITE, [FOUND], "a file has a fault")[1]
    assert "none of the tables is there" in verdict(SITE, [access("missing")])[1]


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data: Data = {"nova.instances": [{"id": 1, "uuid": "a", "created_at": "2020-01-05 00:00:00"}]}
    urls = make_sqlite(tmp_path / "source", data)
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "here.yml").write_text(
        f"kind: openstack\nfirst_month: 2020-01\ndatabases: {{nova: '{urls['nova']}'}}\n"
    )
    monkeypatch.setenv("USAGE_SITES", str(tmp_path / "sites"))
    return tmp_path


def test_the_command_ends_with_the_verdict(sites: Path):
    done = CliRunner().invoke(app, ["check-site", "here"])
    assert done.exit_code == 0
    assert done.output.splitlines()[-1].startswith("READY: of the tables, readable: 1")


@pytest.mark.parametrize("command", ["check-site", "grants"])
def test_an_unknown_site_is_called_what_the_command_calls_it(sites: Path, command: str):
    done = CliRunner().invoke(app, [command, "nowhere"])
    assert done.exit_code == 2
    assert "Invalid value for SITE" in done.output
    assert "unknown site nowhere" in done.output
