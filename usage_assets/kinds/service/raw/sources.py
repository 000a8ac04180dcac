"""The readers of a site's sources."""

from collections.abc import Callable
from typing import Any

from usage_assets.kinds.service.raw.litellm import LiteLLMReader
from usage_assets.kinds.service.raw.otel import OtelReader
from usage_assets.kinds.service.raw.reader import Reader
from usage_assets.kinds.service.raw.records import RecordsReader
from usage_assets.kinds.service.raw.records_table import RecordsTableReader
from usage_assets.kinds.service.site.model import ServiceSite

READERS: dict[str, Callable[[ServiceSite, Any], Reader]] = {
    "litellm": LiteLLMReader,
    "otel": OtelReader,
    "records": lambda site, source: (RecordsReader if source.url is None else RecordsTableReader)(site, source),
}
"""How the sources of each reader are read; one without events (legacy_json) has none."""


def readers_of(site: ServiceSite) -> list[tuple[str, Reader]]:
    """The reader of each source of events, with what the source_file of its rows begins with."""
    pairs = zip(site.labels(), site.sources, strict=True)
    return [(label, READERS[source.reader](site, source)) for label, source in pairs if source.reader in READERS]
