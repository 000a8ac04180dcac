"""DAGSTER_HOME of an installation."""

import os
import subprocess
import sys

import pytest

from usage_assets_tests import ROOT


@pytest.mark.heavy
def test_services_that_start_at_once_make_one_storage(tmp_path):
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "DAGSTER_HOME": str(tmp_path / "home")}
    starts = [
        subprocess.Popen(
            [sys.executable, "-m", "usage_assets", "home"],
            env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    said = [start.communicate(timeout=120) for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], said
    assert {out.strip() for out, _ in said} == {str(tmp_path / "home")}
    assert (tmp_path / "home" / "history" / "runs.db").is_file()
    assert (tmp_path / "home" / "schedules" / "schedules.db").is_file()
