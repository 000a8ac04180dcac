"""Alerts: every failure at least once, the cursor after the message, texts bounded, secrets unsaid."""

import json
import smtplib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from usage_assets.automation import alerts, channels
from usage_assets.automation.alerts import Cursor, Failure, alert_sensors, message, new_failures

BEGIN = datetime.now(tz=UTC) - timedelta(hours=1)
FAILED = Failure("run-1", "chi", "ERROR", "it broke", asset="openstack", check=None)


@dg.asset(check_specs=[dg.AssetCheckSpec("holds", asset="thing")], config_schema={"good": bool, "raises": bool})
def thing(context: dg.AssetExecutionContext):
    if context.op_execution_context.op_config["raises"]:
        raise dg.Failure(description="the source gave no answer", allow_retries=False)
    yield dg.MaterializeResult()
    yield dg.AssetCheckResult(
        passed=context.op_execution_context.op_config["good"], check_name="holds", description="site a 2020-01: too few"
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(instance: dg.DagsterInstance, *, good: bool = True, raises: bool = False) -> str:
    config = {"ops": {"thing": {"config": {"good": good, "raises": raises}}}}
    return dg.materialize([thing], instance=instance, run_config=config, raise_on_error=False).run_id


def test_a_failed_check_of_a_run_that_succeeded_is_found(instance: dg.DagsterInstance):
    run(instance)
    bad = run(instance, good=False)
    found, _ = new_failures(instance, Cursor(BEGIN))
    assert [(one.run_id, one.what, one.severity, one.text) for one in found] == [
        (bad, "thing holds", "ERROR", "site a 2020-01: too few")
    ]


def test_a_failed_run_is_found_with_the_sentence_of_its_cause(instance: dg.DagsterInstance):
    run(instance, raises=True)
    found, _ = new_failures(instance, Cursor(BEGIN))
    assert [(one.check, one.text) for one in found] == [(None, "thing: the source gave no answer")]


def test_what_was_reported_is_not_reported_again_and_what_is_new_is(instance: dg.DagsterInstance):
    run(instance, good=False)
    first, after = new_failures(instance, Cursor(BEGIN))
    again, after = new_failures(instance, Cursor.parse(after.dump(), BEGIN))
    later = run(instance, good=False)
    new, _ = new_failures(instance, Cursor.parse(after.dump(), BEGIN))
    assert (len(first), again, [one.run_id for one in new]) == (1, [], [later])


def test_more_runs_than_a_page_are_all_reported(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(alerts, "_PAGE", 2)
    runs = [run(instance, good=False) for _ in range(5)]
    cursor, seen = Cursor(BEGIN), []
    for _ in range(4):
        found, cursor = new_failures(instance, cursor)
        seen += [one.run_id for one in found]
    assert seen == runs


def test_a_channel_that_fails_keeps_its_cursor(instance: dg.DagsterInstance):
    run(instance, good=False)
    sent: list[str] = []

    def broken(failures, text):
        raise channels.AlertError("no answer")

    stuck, fine = alert_sensors({"stuck": broken, "fine": lambda _, text: sent.append(text)})
    with pytest.raises(channels.AlertError), dg.build_sensor_context(instance=instance) as context:
        stuck(context)
    assert context.cursor is None
    with dg.build_sensor_context(instance=instance) as context:
        fine(context)
        fine(context)
    assert len(sent) == 1
    assert context.cursor is not None


def test_a_message_says_errors_first_and_is_bounded():
    warned = [Failure("run-2", "chi", "WARN", "w" * 400, asset="a", check="order") for _ in range(50)]
    text = message([*warned, FAILED])
    lines = text.splitlines()
    assert lines[0] == "usage_assets: 1 error(s), 50 warning(s)"
    assert lines[1] == "- ERROR run of openstack: it broke (run run-1)"
    assert lines[-1] == "... and 31 more; see the runs in the UI"
    assert len(text) < 12_000


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[bytes], list[int]]]:
    bodies: list[bytes] = []
    status = [204]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status[0])
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("USAGE_ALERT_WEBHOOK", f"http://127.0.0.1:{server.server_port}/t0ken")
        yield bodies, status
        server.shutdown()


def test_a_webhook_gets_text_and_failures_as_json(receiver):
    channels.to_webhook([FAILED], message([FAILED]))
    got = json.loads(receiver[0][0])
    assert got["text"].startswith("usage_assets: 1 error(s)")
    assert got["failures"][0]["site"] == "chi"


def test_a_webhook_that_refuses_is_an_error_without_its_token(receiver):
    receiver[1][0] = 500
    with pytest.raises(channels.AlertError, match="answered 500") as error:
        channels.to_webhook([FAILED], "x")
    assert "t0ken" not in str(error.value)


class FakeSmtp:
    """Remembers what a mail server would have been told."""

    made: list["FakeSmtp"]

    def __init__(self, host: str, port: int, **_more) -> None:
        self.told: list[object] = [(host, port)]
        type(self).made.append(self)

    def __enter__(self) -> "FakeSmtp":
        return self

    def __exit__(self, *args) -> None:
        pass

    def starttls(self, **_more) -> None:
        self.told.append("starttls")

    def login(self, user: str, password: str) -> None:
        self.told.append((user, password))

    def send_message(self, mail) -> None:
        self.told.append((mail["To"], mail["Subject"]))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("smtp://me:p%40ss@mx.example", [("mx.example", 587), "starttls", ("me", "p@ss")]),
        ("smtp://mx.example?tls=none", [("mx.example", 25)]),
        ("smtps://mx.example", [("mx.example", 465)]),
    ],
)
def test_mail_goes_by_the_transport_that_its_address_names(monkeypatch: pytest.MonkeyPatch, url: str, told: list):
    FakeSmtp.made = []
    monkeypatch.setattr(smtplib, "SMTP", FakeSmtp)
    monkeypatch.setattr(smtplib, "SMTP_SSL", FakeSmtp)
    monkeypatch.setenv("USAGE_ALERT_SMTP_URL", url)
    monkeypatch.setenv("USAGE_ALERT_MAIL_TO", "ops@example.org")
    channels.to_mail([FAILED], message([FAILED]))
    assert FakeSmtp.made[0].told == [*told, ("ops@example.org", "usage_assets: 1 error(s), 0 warning(s)")]


def test_a_mail_server_that_is_not_there_is_an_error_without_its_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USAGE_ALERT_SMTP_URL", "smtp://me:p4ss@127.0.0.1:9?tls=none")
    monkeypatch.setenv("USAGE_ALERT_MAIL_TO", "ops@example.org")
    with pytest.raises(channels.AlertError, match=r"mail server 127\.0\.0\.1") as error:
        channels.to_mail([FAILED], "x")
    assert "p4ss" not in str(error.value)


def test_only_configured_channels_have_a_sensor(monkeypatch: pytest.MonkeyPatch):
    assert [sensor.name for sensor in alert_sensors()] == ["alerts_log"]
    monkeypatch.setenv("USAGE_ALERT_WEBHOOK", "https://example.org/hook")
    monkeypatch.setenv("USAGE_ALERT_MAIL_TO", "ops@example.org")
    sensors = alert_sensors()
    assert [sensor.name for sensor in sensors] == ["alerts_log", "alerts_webhook", "alerts_mail"]
    assert {sensor.default_status for sensor in sensors} == {dg.DefaultSensorStatus.RUNNING}
