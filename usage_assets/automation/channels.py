"""Where alerts go: the log always, a webhook and mail where the environment says so. Secrets are never logged.

USAGE_ALERT_WEBHOOK      address that takes a POST of JSON {"text": ..., "failures": [...]}
USAGE_ALERT_MAIL_TO      receivers, with commas
USAGE_ALERT_MAIL_FROM    sender, usage-assets@<host> unless set
USAGE_ALERT_SMTP_URL     smtp://user:password@host:587?tls=starttls, smtps://host:465, smtp://host:25?tls=none
"""

import json
import logging
import os
import smtplib
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict
from email.message import EmailMessage
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from usage_assets.errors import UsageError

if TYPE_CHECKING:
    from usage_assets.automation.alerts import Failure

Channel = Callable[[list["Failure"], str], None]
_SECONDS = 15
_log = logging.getLogger("usage_assets.alerts")


class AlertError(UsageError):
    """An alert that could not be sent; it names the channel and the host, never a secret."""


def channels() -> dict[str, Channel]:
    """The channels that the environment configures."""
    out: dict[str, Channel] = {"log": to_log}
    if os.environ.get("USAGE_ALERT_WEBHOOK"):
        out["webhook"] = to_webhook
    if os.environ.get("USAGE_ALERT_MAIL_TO"):
        out["mail"] = to_mail
    return out


def to_log(failures: list["Failure"], text: str) -> None:
    """The daemon's log."""
    worst = any(failure.severity == "ERROR" for failure in failures)
    _log.log(logging.ERROR if worst else logging.WARNING, "%s", text)


def to_webhook(failures: list["Failure"], text: str) -> None:
    """A POST of JSON; anything but an answer of 2xx is tried again at the next tick."""
    address = os.environ["USAGE_ALERT_WEBHOOK"]
    host = urlsplit(address).hostname or "?"
    if urlsplit(address).scheme not in {"http", "https"}:
        msg = "USAGE_ALERT_WEBHOOK: expected an http or https address"
        raise AlertError(msg)
    body = json.dumps({"text": text, "failures": [asdict(failure) for failure in failures[:100]]}).encode()
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        address, data=body, headers={"Content-Type": "application/json", "User-Agent": "usage-assets"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
            answer.read(1)
    except urllib.error.HTTPError as error:
        msg = f"webhook at {host} answered {error.code}; the alert is sent again"
        raise AlertError(msg) from None
    except (OSError, ValueError) as error:
        msg = f"webhook at {host} can't be reached ({type(error).__name__}); the alert is sent again"
        raise AlertError(msg) from None


def to_mail(failures: list["Failure"], text: str) -> None:
    """A mail, by STARTTLS unless the address says otherwise."""
    url = urlsplit(os.environ.get("USAGE_ALERT_SMTP_URL", "smtp://localhost:25?tls=none"))
    if url.scheme not in {"smtp", "smtps"}:
        msg = "USAGE_ALERT_SMTP_URL: expected smtp://... or smtps://..."
        raise AlertError(msg)
    tls = "implicit" if url.scheme == "smtps" else parse_qs(url.query).get("tls", ["starttls"])[0]
    host = url.hostname or "localhost"
    mail = EmailMessage()
    mail["Subject"] = text.splitlines()[0]
    mail["From"] = os.environ.get("USAGE_ALERT_MAIL_FROM", f"usage-assets@{socket.getfqdn()}")
    mail["To"] = os.environ["USAGE_ALERT_MAIL_TO"]
    mail.set_content(text)
    try:
        if tls == "implicit":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, url.port or 465, timeout=_SECONDS, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(host, url.port or (587 if tls == "starttls" else 25), timeout=_SECONDS)
        with server:
            if tls == "starttls":
                server.starttls(context=ssl.create_default_context())
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
            server.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        msg = f"mail server {host} did not take the alert ({type(error).__name__}); it is sent again"
        raise AlertError(msg) from None
    del failures
