"""All sources of the made service, as they stood at an instant."""

from datetime import datetime
from pathlib import Path

from usage_assets.demo.service.gateway import write_gateway
from usage_assets.demo.service.images import write_images
from usage_assets.demo.service.spans import write_spans


def write_service(folder: Path, until: datetime, seed: int) -> dict[str, int]:
    """Write the sources into `folder` with what had ended before `until` (UTC); rows by table and file."""
    return write_gateway(folder, until, seed) | write_spans(folder, until, seed) | write_images(folder, until, seed)
