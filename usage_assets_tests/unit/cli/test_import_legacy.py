"""`usage-assets service import-legacy` tells what it imported, and what it could not."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from usage_assets.cli.app import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of a tracker that the only service's file names."""
    (tmp_path / "sites").mkdir()
    (tmp_path / "old").mkdir()
    (tmp_path / "sites" / "llm.yaml").write_text(
        "kind: service\nname: LLM\nfirst_month: 2025-01\nsources:\n  - {reader: legacy_json, path: ../old}\n"
    )
    said = {"u1": {"2025-03-05": {"total_requests": 4, "total_cost": 0.5}}}
    (tmp_path / "old" / "daily_usage.json").write_text(json.dumps(said))
    monkeypatch.setenv("USAGE_SITES", str(tmp_path / "sites"))
    monkeypatch.setenv("USAGE_DATA", str(tmp_path / "data"))
    return tmp_path / "old"


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["service", "import-legacy", *arguments])


def test_an_import_says_what_there_is_now_and_again_that_nothing_is_new(folder):
    done = _run()
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == (
        "llm: 1 file(s) imported; there are 1 total(s) of users and days or months, 0 limit(s) and 0 user(s) now"
    )
    again = _run()
    assert (again.exit_code, again.output.splitlines()) == (0, ["llm: nothing new; 1 file(s) were imported before"])


def test_a_file_that_cannot_be_read_is_told_by_the_exit_code(folder):
    (folder / "monthly_usage.json").write_text("{")
    done = _run()
    assert done.exit_code == 1
    assert any(line.startswith("FAULT monthly_usage.json: no JSON") for line in done.output.splitlines())


def test_a_folder_may_be_named_instead(folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "user_profiles.jsonl").write_text('{"user_id": "u1"}\n')
    assert "1 user(s) now" in _run(str(tmp_path / "other")).output
