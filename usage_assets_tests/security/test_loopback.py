"""Nothing listens for other machines unless somebody says so: Dagster's UI has no login."""

import inspect
import re

import pytest

from usage_assets.cli import ui as cli_ui
from usage_assets.cli.app import ui
from usage_assets.core import settings
from usage_assets_tests import ROOT


def test_make_ui_listens_on_loopback_by_default():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (host,) = re.findall(r"^UI_HOST \?= (\S+)$", text, flags=re.MULTILINE)
    assert host in settings.LOOPBACK
    assert "ui --host $(UI_HOST)" in text


def test_the_command_and_the_plots_listen_on_loopback_by_default():
    assert inspect.signature(ui).parameters["host"].default in settings.LOOPBACK
    assert settings.plots_host() in settings.LOOPBACK


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("db.example", True), ("127.0.0.1", False)])
def test_another_address_is_warned_of(host, warned, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("USAGE_SITES", str(tmp_path))
    monkeypatch.setattr(cli_ui, "_require_free", lambda *_: None)
    monkeypatch.setattr(cli_ui, "_commands", lambda *_: [])
    monkeypatch.setattr(cli_ui.time, "sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cli_ui.serve(host, 3000, None)
    assert ("the Dagster UI has no login" in capsys.readouterr().out) is warned
