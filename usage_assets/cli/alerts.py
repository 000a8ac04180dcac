"""`usage-assets alert-test`: a message through each channel of alerts.yaml, and whether it was taken."""

import typer

from usage_assets.alerts.config import load
from usage_assets.alerts.message import trial
from usage_assets.cli.console import FAILED, OK, console
from usage_assets.core import clock, settings
from usage_assets.core.errors import AlertError


def try_channels(name: str | None) -> int:
    """Send a test message through each channel, or the one named; the exit code."""
    if not settings.alerts_file().exists():
        console.print(f"there is no {settings.alerts_file()} (USAGE_ALERTS): alerts go to the log only")
    channels = load().channels
    if name is not None:
        names = [channel.name for channel in channels]
        if name not in names:
            msg = f"unknown channel {name}; there are: {', '.join(names)}"
            raise typer.BadParameter(msg, param_hint="--channel")
        channels = tuple(channel for channel in channels if channel.name == name)
    message = trial(clock.utc_now())
    code = OK
    for channel in channels:
        try:
            channel.send(message)
        except AlertError as error:
            code = FAILED
            console.print(f"{channel.name} ({channel.kind}): failed: {error}")
        else:
            console.print(f"{channel.name} ({channel.kind}): ok")
    return code
