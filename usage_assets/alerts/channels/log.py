"""The daemon's log."""

import logging
from typing import Literal

from usage_assets.alerts.causes import ERROR, WARN
from usage_assets.alerts.channels.base import Named
from usage_assets.alerts.message import Message

_log = logging.getLogger("usage_assets.alerts")
_LEVELS = {ERROR: logging.ERROR, WARN: logging.WARNING}


class Log(Named):
    """Messages as texts in the log; warnings too, unless `warnings: false`."""

    kind: Literal["log"] = "log"
    name: str = "log"
    warnings: bool = True

    def send(self, message: Message) -> None:
        """Write the message."""
        _log.log(_LEVELS.get(message.severity, logging.INFO), "%s", message.text())
