"""alerts.yaml: channels, the grace of nightlies, the heartbeat. Faults name file, line and key."""

from pathlib import Path

from pydantic import Field, ValidationError, field_validator

from usage_assets.alerts.channels import KINDS, AnyChannel, Log
from usage_assets.alerts.channels.base import Strict
from usage_assets.alerts.channels.web import Address
from usage_assets.core import settings
from usage_assets.core.errors import AlertError
from usage_assets.core.text_files import read_text
from usage_assets.core.yaml_files import Real, describe, parse


class Heartbeat(Strict):
    """An address that is requested as long as all is well: a dead man's switch alarms when the requests end."""

    url: Address


class Alerts(Strict):
    """Content of alerts.yaml; without the file, the log is the only channel."""

    channels: tuple[AnyChannel, ...] = Field(default=(Log(),), min_length=1)
    nightly_grace_hours: Real = Field(default=2.0, gt=0, le=23)
    heartbeat: Heartbeat | None = None

    @field_validator("channels")
    @classmethod
    def _unique_names(cls, value: tuple[AnyChannel, ...]) -> tuple[AnyChannel, ...]:
        names = [channel.name for channel in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"two channels are named {', '.join(twice)}; give each a name"
            raise ValueError(msg)
        return value


def load(path: Path | None = None) -> Alerts:
    """The configuration; AlertError names file, line and key of what is wrong."""
    path = path or settings.alerts_file()
    if not path.exists():
        return Alerts()
    text = read_text(path, AlertError, help_at="USAGE_ALERTS")
    data, lines = parse(path, text, AlertError, help_at="docs/operations.md, Alerts")
    try:
        return Alerts.model_validate(data)
    except ValidationError as error:
        raise AlertError(describe(path, error, lines, Alerts.model_fields, discriminators=KINDS)) from None
