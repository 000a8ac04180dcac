"""Interface and settings that all channels share."""

import re
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from usage_assets.alerts.message import Message
from usage_assets.core import settings
from usage_assets.core.errors import AlertError, UsageError

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
SECONDS = 10.0
"""How long a channel may wait for its server to answer each time."""


class Channel(Protocol):
    """Somewhere to send messages to."""

    @property
    def name(self) -> str:
        """Its name, which is that of its outbox."""

    @property
    def warnings(self) -> bool:
        """Whether it takes warnings beside errors."""

    def send(self, message: Message) -> None:
        """Send a message; AlertError where it was not taken, without any secret."""


class Strict(BaseModel):
    """A part of alerts.yaml; a key that is not known is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Named(Strict):
    """Settings of any channel."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")
    warnings: bool = False

    @model_validator(mode="before")
    @classmethod
    def _default_name(cls, data: Any) -> Any:
        return {"name": data["kind"], **data} if isinstance(data, dict) and "kind" in data else data


def with_secrets(text: str, *, where: str) -> str:
    """The text with `${NAME}` taken from the environment or the secrets file; AlertError names what is missing."""

    def value(match: re.Match[str]) -> str:
        try:
            found = settings.secret(match[1])
        except UsageError as error:
            msg = f"{where}: {error}"
            raise AlertError(msg) from None
        if found is None:
            msg = f"{where}: the environment has no {match[1]}, nor has the secrets file; set it (alerts.yaml names it)"
            raise AlertError(msg)
        return found

    return VARIABLE.sub(value, text)
