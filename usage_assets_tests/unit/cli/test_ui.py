"""`usage-assets ui`: all addresses move with its port, and who comes later finds them."""

import pytest
from typer.testing import CliRunner

from usage_assets.cli.app import app
from usage_assets.cli.home import dagster_home
from usage_assets.cli.ui import addresses
from usage_assets.core import settings

PROXY = "https://usage.example/plots"


@pytest.mark.parametrize(
    ("given", "named", "expected"),
    [
        (("127.0.0.1", 3000, None), None, ("http://127.0.0.1:3000", "http://127.0.0.1:3001", 3001)),
        (("127.0.0.1", 3910, None), None, ("http://127.0.0.1:3910", "http://127.0.0.1:3911", 3911)),
        (("127.0.0.1", 3910, 4000), None, ("http://127.0.0.1:3910", "http://127.0.0.1:4000", 4000)),
        (("127.0.0.1", 3910, None), "http://localhost:5000/", ("http://127.0.0.1:3910", "http://127.0.0.1:5000", 5000)),
        (("127.0.0.1", 3910, 4000), "http://127.0.0.1:5000", ("http://127.0.0.1:3910", "http://127.0.0.1:4000", 4000)),
        (("0.0.0.0", 3910, None), PROXY, ("http://127.0.0.1:3910", PROXY, 3911)),
        (("127.0.0.1", 65535, None), None, ("http://127.0.0.1:65535", "http://127.0.0.1:65534", 65534)),
    ],
)
def test_the_plots_move_with_the_port_unless_told_otherwise(given, named, expected, monkeypatch: pytest.MonkeyPatch):
    if named is not None:
        monkeypatch.setenv("USAGE_PLOTS_URL", named)
    assert addresses(*given) == expected


def test_links_lead_to_the_last_ui_of_this_home(monkeypatch: pytest.MonkeyPatch):
    assert (settings.ui_url(), settings.plots_url()) == ("http://127.0.0.1:3000", "http://127.0.0.1:3001")
    home = dagster_home()
    settings.remember_ui("http://127.0.0.1:3910", "http://127.0.0.1:3911")
    assert (settings.ui_url(), settings.plots_url()) == ("http://127.0.0.1:3910", "http://127.0.0.1:3911")
    monkeypatch.setenv("USAGE_PLOTS_URL", PROXY)
    assert settings.plots_url() == PROXY
    (home / "ui.json").write_text("torn {")
    assert settings.ui_url() == "http://127.0.0.1:3000"


def test_without_site_files_it_says_what_to_do(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["ui"])
    assert "no such folder of site files; run usage-assets demo" in str(done.exception)


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"usage-assets {version('usage-assets')}\n")
