"""Mail by SMTP: with TLS unless the server is this machine or needs no account and says `tls: none`."""

import ipaddress
import logging
import smtplib
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate, make_msgid
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from usage_assets.alerts.channels.base import SECONDS, VARIABLE, Named, Strict, with_secrets
from usage_assets.alerts.message import Message
from usage_assets.core.errors import AlertError
from usage_assets.core.text import mail_address, one_line
from usage_assets.core.yaml_files import Whole

_log = logging.getLogger("usage_assets.alerts")
_PORTS = {"starttls": 587, "implicit": 465, "none": 25}
_SUBJECT = 200


MailAddress = Annotated[str, AfterValidator(mail_address)]


class Smtp(Strict):
    """A mail server. With `tls` the mail is sent encrypted to a server whose certificate verifies, or not at all."""

    host: str = Field(default="localhost", min_length=1)
    port: Whole | None = Field(default=None, ge=1, le=65535)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    user: str | None = None
    password: str | None = None

    @model_validator(mode="after")
    def _keeps_secrets(self) -> "Smtp":
        if self.password is not None and not VARIABLE.fullmatch(self.password):
            msg = 'password: write the name of a variable, "${SMTP_PASSWORD}", never the password itself'
            raise ValueError(msg)
        if (self.user is None) != (self.password is None):
            msg = "name user and password, or neither"
            raise ValueError(msg)
        if self.tls == "none" and self.user is not None and not self.is_loopback:
            msg = "tls: none would send the password in clear text; choose starttls or implicit"
            raise ValueError(msg)
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether the server is this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class Mail(Named):
    """A mail to people."""

    kind: Literal["mail"]
    to: tuple[MailAddress, ...] = Field(min_length=1)
    sender: MailAddress | None = Field(default=None, alias="from")
    smtp: Smtp = Smtp(tls="none")

    def send(self, message: Message) -> None:
        """Send the message as plain text."""
        send_mail(
            self.smtp, message.subject, message.text(), to=self.to, sender=self.sender, where=f"channel {self.name}"
        )


def send_mail(
    smtp: Smtp,
    subject: str,
    text: str,
    html: str | None = None,
    *,
    to: Sequence[str],
    sender: str | None = None,
    where: str = "mail",
) -> None:
    """Send a mail; AlertError where no receiver was accepted or the connection is not as safe as asked for."""
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["Subject"] = one_line(subject)[:_SUBJECT]  # no line end: it would begin another header
    mail["From"] = sender or f"usage-assets@{socket.getfqdn()}"
    mail["To"] = ", ".join(to)
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid("usage-assets")
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    if html is not None:
        mail.add_alternative(html, subtype="html")
    password = None if smtp.password is None else with_secrets(smtp.password, where=where)
    at = f"{where}: mail server {smtp.host}"
    try:
        refused = _deliver(smtp, mail, password)
    except (OSError, ValueError, smtplib.SMTPException) as error:
        msg = f"{at} {_failure(smtp, error)}"
        raise AlertError(msg) from None
    if refused:
        _log.warning("%s took the mail, but not for %s", at, ", ".join(sorted(refused)))


def _failure(smtp: Smtp, error: Exception) -> str:
    """Why the mail was not taken, without the server's texts, which may name accounts."""
    match error:
        case smtplib.SMTPNotSupportedError():
            wanted = "STARTTLS" if smtp.tls == "starttls" else "what was asked for"
            return f"does not offer {wanted}; nothing was sent"
        case ssl.SSLCertVerificationError():
            return f"has a certificate that does not verify ({error.verify_message}); nothing was sent"
        case smtplib.SMTPAuthenticationError():
            return f"refused the account ({error.smtp_code})"
        case smtplib.SMTPResponseException():
            return f"answered {error.smtp_code}"
    return f"did not take the mail ({type(error).__name__})"


def _deliver(smtp: Smtp, mail: EmailMessage, password: str | None) -> dict[str, tuple[int, bytes]]:
    """Send a mail; the receivers that were refused, where others were not."""
    port = smtp.port or _PORTS[smtp.tls]
    context = ssl.create_default_context()
    server: smtplib.SMTP
    if smtp.tls == "implicit":
        server = smtplib.SMTP_SSL(smtp.host, port, timeout=SECONDS, context=context)
    else:
        server = smtplib.SMTP(smtp.host, port, timeout=SECONDS)
    with server:
        if smtp.tls == "starttls":
            server.starttls(context=context)
        if smtp.user is not None:
            server.login(smtp.user, password or "")
        return server.send_message(mail)
