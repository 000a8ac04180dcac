"""Mail: with TLS or not at all, passwords nowhere, headers that nobody can add to."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from email import message_from_string
from email.policy import default
from pathlib import Path

import pytest
from pydantic import ValidationError

from usage_assets.alerts.channels.mail import Smtp, send_mail
from usage_assets.core import settings
from usage_assets.core.errors import AlertError
from usage_assets_tests.unit.alerts.conftest import World
from usage_assets_tests.unit.alerts.smtp import MailServer, certificate, mail_server

PASSWORD = "p4ss-w0rd-of-mail"
ACCOUNT = {"user": "me", "password": "${MAIL_PASSWORD}"}
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)


def offering(tls: str, pem: Path) -> AbstractContextManager[MailServer]:
    """A server with this certificate, for this way to TLS."""
    return mail_server(starttls=pem) if tls == "starttls" else mail_server(implicit=pem)


def send(port: int, subject: str = "s", **smtp) -> None:
    server = Smtp.model_validate({"host": "127.0.0.1", "port": port, **smtp})
    send_mail(server, subject, "body", to=["ops@example.org"], sender="usage@example.org")


def test_a_server_without_starttls_gets_neither_mail_nor_password():
    with mail_server() as server, pytest.raises(AlertError, match="does not offer STARTTLS; nothing was sent") as error:
        send(server.port, **ACCOUNT)
    assert all(line.startswith(("EHLO", "ehlo", "QUIT", "quit")) for _, line in server.lines)
    assert PASSWORD not in str(error.value)


@needs_openssl
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_that_does_not_verify_gets_neither_mail_nor_password(tls: str, tmp_path: Path):
    pem = certificate(tmp_path)
    with offering(tls, pem) as server, pytest.raises(AlertError, match="does not verify"):
        send(server.port, tls=tls, **ACCOUNT)
    assert "MAIL" not in server.clear.upper()
    assert "AUTH" not in server.clear.upper()
    assert server.mails == []


@needs_openssl
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_mail_goes_encrypted_to_a_server_whose_certificate_verifies(
    tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with offering(tls, pem) as server:
        send(server.port, tls=tls, **ACCOUNT)
    assert len(server.mails) == 1
    assert any(line.startswith("AUTH") for encrypted, line in server.lines if encrypted)
    assert "AUTH" not in server.clear


def test_a_line_end_in_a_subject_begins_no_header():
    with mail_server() as server:
        send(server.port, "done\r\nBcc: thief@example.org\u2028X: y\n\nbody", tls="none")
    mail = message_from_string(server.mails[0], policy=default)
    assert mail["Bcc"] is None
    assert mail["X"] is None
    assert mail["Subject"] == "done Bcc: thief@example.org X: y body"
    assert [line for _, line in server.lines if "RCPT" in line.upper()] == ["rcpt TO:<ops@example.org>"]


def test_a_mail_may_have_a_page():
    with mail_server() as server:
        send_mail(
            Smtp(host="127.0.0.1", port=server.port, tls="none"),
            "report",
            "plain",
            "<p>page</p>",
            to=["ops@example.org"],
        )
    mail = message_from_string(server.mails[0], policy=default)
    assert [part.get_content_type() for part in mail.walk() if not part.is_multipart()] == [
        "text/plain",
        "text/html",
    ]


@pytest.mark.parametrize(("refuses", "said"), [("RCPT", "did not take the mail"), ("MAIL", "answered 550")])
def test_a_mail_that_is_refused_is_an_error(refuses: str, said: str):
    with mail_server(refuses=refuses) as server, pytest.raises(AlertError, match=said):
        send(server.port, tls="none")


def test_a_refused_account_is_named_without_its_password():
    with mail_server(refuses="AUTH") as server, pytest.raises(AlertError, match="refused the account") as error:
        send(server.port, tls="none", **ACCOUNT)
    assert PASSWORD not in str(error.value)


def test_a_password_that_the_environment_lacks_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MAIL_PASSWORD")
    with mail_server() as server, pytest.raises(AlertError, match="has no MAIL_PASSWORD"):
        send(server.port, tls="none", **ACCOUNT)


@pytest.mark.parametrize(
    ("smtp", "said"),
    [
        ({"user": "me", "password": "clear"}, "write the name of a variable"),
        ({"user": "me", "password": "x${MAIL_PASSWORD}"}, "write the name of a variable"),
        ({"user": "me"}, "user and password"),
        ({"host": "mx.example", "tls": "none", **ACCOUNT}, "clear text"),
    ],
)
def test_an_account_that_could_leak_is_refused_when_read(smtp: dict, said: str):
    with pytest.raises(ValidationError, match=said):
        Smtp.model_validate(smtp)


def test_a_failing_mail_server_leaves_the_password_in_no_file_log_or_error(
    world: World, configure: Callable[..., Path], caplog: pytest.LogCaptureFixture, tmp_path: Path
):
    with mail_server() as server:
        smtp = {"host": "127.0.0.1", "port": server.port, **ACCOUNT}
        configure({"kind": "log"}, {"kind": "mail", "to": ["ops@example.org"], "smtp": smtp})
        world.run("2020-01")
        with pytest.raises(AlertError) as error:
            world.tick()
    assert PASSWORD not in str(error.value) + caplog.text
    assert PASSWORD.encode() not in settings.alerts_state().read_bytes()


def test_a_mail_of_an_alert_has_a_subject_that_says_what_and_where(world: World, configure: Callable[..., Path]):
    with mail_server() as server:
        smtp = {"host": "127.0.0.1", "port": server.port, "tls": "none"}
        configure({"kind": "mail", "to": ["ops@example.org", "more@example.org"], "smtp": smtp})
        world.run("2020-01", text="too few\r\nX-Evil: 1")
        world.tick()
    mail = message_from_string(server.mails[0], policy=default)
    assert mail["Subject"] == "usage_assets: 1 error (a)"
    assert mail["X-Evil"] is None
    assert "too few X-Evil: 1" in mail.get_content()
