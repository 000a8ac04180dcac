"""`usage-assets alert-test`: each channel is tried, and what failed is said."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from usage_assets.cli.app import app
from usage_assets_tests.unit.alerts.conftest import Receiver, configure, receiver

__all__ = ["configure", "receiver"]
DEAD = {"kind": "webhook", "name": "dead", "url": "http://127.0.0.1:9/t0ken"}


def test_each_channel_is_tried_and_a_failure_is_named_without_its_token(
    receiver: Receiver, configure: Callable[..., Path]
):
    configure(DEAD, {"kind": "webhook", "name": "fine", "url": receiver.url})
    result = CliRunner().invoke(app, ["alert-test"])
    assert result.exit_code == 1
    assert "dead (webhook): failed: channel dead: 127.0.0.1 can't be reached" in result.output
    assert "fine (webhook): ok" in result.output
    assert "t0ken" not in result.output
    assert receiver.subjects == ["usage_assets: test of alerts"]


def test_one_channel_may_be_tried_by_itself(receiver: Receiver, configure: Callable[..., Path]):
    configure(DEAD, {"kind": "webhook", "name": "fine", "url": receiver.url})
    result = CliRunner().invoke(app, ["alert-test", "--channel", "fine"])
    assert (result.exit_code, result.output.strip()) == (0, "fine (webhook): ok")


def test_an_unknown_channel_is_wrong_usage(configure: Callable[..., Path]):
    configure(DEAD)
    result = CliRunner().invoke(app, ["alert-test", "--channel", "fine"])
    assert result.exit_code == 2


def test_without_a_file_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USAGE_ALERTS", str(tmp_path / "none.yaml"))
    result = CliRunner().invoke(app, ["alert-test"])
    assert result.exit_code == 0
    assert "alerts go to the log only" in result.output


def test_trying_a_channel_loads_neither_dagster_nor_polars():
    code = "import sys, usage_assets.cli.alerts; sys.exit(bool({'dagster', 'polars'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
