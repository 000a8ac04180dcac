"""alerts.yaml: faults name file, line and key; without it the log; the shipped example is one."""

import logging
import os
from pathlib import Path

import pytest

from usage_assets.alerts.channels import Log, Mail
from usage_assets.alerts.config import Alerts, load
from usage_assets.core import settings
from usage_assets.core.errors import AlertError
from usage_assets.orchestration.alert_collection import SiteFiles
from usage_assets.sites.book import SiteBook
from usage_assets_tests import ROOT
from usage_assets_tests.unit.alerts.conftest import Receiver, World


def test_without_a_file_alerts_go_to_the_log_warnings_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert load() == Alerts()
    assert [(channel.kind, channel.warnings) for channel in load().channels] == [("log", True)]


def test_the_shipped_example_can_be_read():
    found = load(ROOT / "alerts.example.yaml")
    assert [channel.kind for channel in found.channels] == ["log", "mail", "slack", "webhook"]
    assert isinstance(found.channels[1], Mail)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("channels:\n- kind: log\n- kind: pigeon\n", "alerts.yaml:3: channels.1: "),
        ("channels:\n- kind: slack\n  uri: x\n", "alerts.yaml:2: channels.0.url: Field required"),
        ("channels:\n- kind: webhook\n  url: ftp://x\n", "alerts.yaml:3: channels.0.url: expected an http or https"),
        (
            "channels:\n- kind: mail\n  to: [a@b]\n  smtp:\n    user: me\n    password: clear\n",
            "alerts.yaml:4: channels.0.smtp: password: write the name of a variable",
        ),
        (
            "channels:\n- kind: mail\n  to: ['a@b, c@d']\n",
            "alerts.yaml:3: channels.0.to.0: 'a@b, c@d' is no mail address",
        ),
        ("channels: [{kind: log}, {kind: log}]\n", "two channels are named log"),
        ("channels: []\n", "alerts.yaml:1: channels"),
        ("chanels: []\n", "unknown key; allowed: channels, heartbeat, nightly_grace_hours"),
        ("nightly_grace_hours: 0\n", "alerts.yaml:1: nightly_grace_hours"),
        ("nightly_grace_hours: 1:30\n", "alerts.yaml:1: nightly_grace_hours: YAML reads 1:30 as 90; write a number in"),
        ("nightly_grace_hours: yes\n", "alerts.yaml:1: nightly_grace_hours: Input should be a valid number"),
        ("channels: &a [*a]\n", "alerts.yaml:1: a part of it holds itself"),
        ("channels: [\n", "is not YAML"),
        ("channels: [{kind: log}]\nchannels: [{kind: log}]\n", "stands twice"),
    ],
)
def test_a_fault_names_file_line_and_key(tmp_path: Path, text: str, said: str):
    path = tmp_path / "alerts.yaml"
    path.write_text(text)
    with pytest.raises(AlertError) as error:
        load(path)
    assert said in str(error.value)


def test_no_fault_repeats_an_address_whatever_key_it_stands_in(tmp_path: Path):
    path = tmp_path / "alerts.yaml"
    shapes = (
        "{0}",
        "[{0}]",
        "[{{kind: '{0}'}}]",
        "[{{kind: mail, to: ['{0} x']}}]",
        "'{0}",
        "[{{kind: slack, uri: '{0}'}}]",
    )
    for key in ("channels", "nightly_grace_hours", "heartbeat", "nobody"):
        for shape in shapes:
            path.write_text(f"{key}: {shape.format('https://hooks.x/T0/S3cr3t?k=S3cr3t')}\n")
            with pytest.raises(AlertError) as error:
                load(path)
            assert "S3cr3t" not in str(error.value)


def test_a_pipe_in_its_place_is_refused_not_waited_for(tmp_path: Path):
    path = tmp_path / "alerts.yaml"
    os.mkfifo(path)
    with pytest.raises(AlertError, match=r"alerts\.yaml: is no regular file"):
        load(path)


def test_a_fault_never_repeats_what_a_secret_key_holds(tmp_path: Path):
    path = tmp_path / "alerts.yaml"
    path.write_text("channels:\n- {kind: mail, to: [a@b], smtp: {user: me, password: hunter2hunter2}}\n")
    with pytest.raises(AlertError) as error:
        load(path)
    assert "hunter2" not in str(error.value)


def test_headers_and_addresses_take_their_secrets_when_sending(
    world: World, receiver: Receiver, configure, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOOK_URL", f"{receiver.url}/x")
    monkeypatch.setenv("HOOK_TOKEN", "t0ken")
    configure({"kind": "webhook", "url": "${HOOK_URL}", "headers": {"Authorization": "Bearer ${HOOK_TOKEN}"}})
    world.run("2020-01")
    world.tick()
    assert receiver.paths == ["/x"]
    assert receiver.headers[0]["Authorization"] == "Bearer t0ken"


def test_a_header_that_a_secret_would_split_is_not_sent(
    world: World, receiver: Receiver, configure, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOOK_TOKEN", "t0ken\r\nX: y")
    configure({"kind": "webhook", "url": receiver.url, "headers": {"Authorization": "${HOOK_TOKEN}"}})
    world.run("2020-01")
    with pytest.raises(AlertError) as error:
        world.tick()
    assert "t0ken" not in str(error.value)
    assert receiver.paths == []


def test_slack_gets_one_text(world: World, receiver: Receiver, configure):
    configure({"kind": "slack", "url": receiver.url})
    world.run("2020-01", text="<!channel> rows")
    world.tick()
    assert receiver.bodies[0]["text"].startswith("usage_assets: 1 error (a)\n\n*ERROR* a k/raw/thing")
    assert "<!channel>" not in receiver.bodies[0]["text"]


def test_the_log_tells_errors_as_errors(world: World, caplog: pytest.LogCaptureFixture):
    world.run("2020-01")
    world.tick()
    told = [(one.levelno, one.getMessage()) for one in caplog.records if one.name == "usage_assets.alerts"]
    assert [level for level, _ in told] == [logging.ERROR]
    assert told[0][1].startswith("usage_assets: 1 error (a)")
    assert Log() == Log(kind="log")


def test_a_site_file_that_breaks_while_the_daemon_runs_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USAGE_SITES", str(tmp_path))
    path = tmp_path / "chi.yaml"
    path.write_text("kind: openstack\nfirst_month: 2016-01\ndatabases: {nova: 'sqlite://'}\n")
    files = SiteFiles(SiteBook({}))
    assert files() == {}
    path.write_text("kind: openstack\nfirst_month: 2016\ndatabases: {nova: 'sqlite://'}\n")
    assert list(files()) == ["chi"]
    path.unlink()
    assert files() == {}


def test_links_lead_to_the_ui_that_is_named(monkeypatch: pytest.MonkeyPatch):
    assert settings.ui_url() == "http://127.0.0.1:3000"
    monkeypatch.setenv("USAGE_UI_URL", "https://ui.example/")
    assert settings.ui_url() == "https://ui.example"
