"""Webhooks: a POST of JSON, for programs or for Slack and what understands the same."""

import json
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from usage_assets.alerts.channels.base import Named
from usage_assets.alerts.channels.web import Address, request
from usage_assets.alerts.message import Message

_TYPE = {"Content-Type": "application/json"}


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
