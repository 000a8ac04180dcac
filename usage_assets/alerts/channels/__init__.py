"""Channels: where alerts go. Each is a model of its part of alerts.yaml that can send a message."""

from typing import Annotated

from pydantic import Field

from usage_assets.alerts.channels.base import Channel
from usage_assets.alerts.channels.log import Log
from usage_assets.alerts.channels.mail import Mail
from usage_assets.alerts.channels.web import Slack, Webhook

AnyChannel = Annotated[Log | Mail | Webhook | Slack, Field(discriminator="kind")]
KINDS = ("log", "mail", "webhook", "slack")

__all__ = ["KINDS", "AnyChannel", "Channel", "Log", "Mail", "Slack", "Webhook"]
