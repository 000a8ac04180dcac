"""HTTP requests of alerts, and webhooks: a POST of JSON, for programs or for Slack and what understands the same.

A request has an answer of 2xx, or it is an AlertError that names the host and nothing else of the address.
"""

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from usage_assets.alerts.channels.base import SECONDS, VARIABLE, Named, with_secrets
from usage_assets.alerts.message import Message
from usage_assets.core.errors import AlertError


def _address(value: str) -> str:
    """An http or https address; one that is a secret as a whole is checked when sending."""
    if not VARIABLE.match(value) and urlsplit(value).scheme not in {"http", "https"}:
        msg = "expected an http or https address, or ${NAME} of one"
        raise ValueError(msg)
    return value


Address = Annotated[str, AfterValidator(_address)]


_TYPE = {"Content-Type": "application/json"}


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: a POST would become a GET, and TLS might be left."""

    def redirect_request(self, *_request: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


def request(url: str, *, where: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> None:
    """POST a body, or GET without one; `where` names the channel in what is raised."""
    address = with_secrets(url, where=where)
    sent = {name: with_secrets(value, where=where) for name, value in (headers or {}).items()}
    try:
        scheme, host = urlsplit(address).scheme, urlsplit(address).hostname
    except ValueError:
        scheme, host = "", None
    if scheme not in {"http", "https"} or not host:
        msg = f"{where}: its url is no http or https address"
        raise AlertError(msg)
    try:
        post = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            address, data=body, headers={"User-Agent": "usage-assets"} | sent, method="GET" if body is None else "POST"
        )
        with _OPENER.open(post, timeout=SECONDS) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        error.close()
        msg = f"{where}: {host} answered {error.code}"
        raise AlertError(msg) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        msg = f"{where}: {host} can't be reached ({type(reason if isinstance(reason, Exception) else error).__name__})"
        raise AlertError(msg) from None


def _header(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        msg = f"{name!r} is no name of a header"
        raise ValueError(msg)
    return name


class Webhook(Named):
    """A POST of `{"subject", "text", "errors", "warnings", "recovered", "groups", "groups_left_out"}`."""

    kind: Literal["webhook"]
    url: Address
    headers: dict[Annotated[str, AfterValidator(_header)], str] = Field(default_factory=dict)

    def send(self, message: Message) -> None:
        """POST the message."""
        request(self.url, where=f"channel {self.name}", body=message.as_json(), headers=_TYPE | self.headers)


class Slack(Named):
    """An incoming webhook of Slack, Mattermost, Rocket.Chat or whatever takes `{"text": ...}` in Slack's markup."""

    kind: Literal["slack"]
    url: Address

    def send(self, message: Message) -> None:
        """POST the message."""
        body = json.dumps({"text": message.slack(), "unfurl_links": False}).encode()
        request(self.url, where=f"channel {self.name}", body=body, headers=_TYPE)
