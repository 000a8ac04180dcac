"""timelines.leadtime of services: how long requests waited until they started, at the instant of their submission."""

from collections.abc import Iterator
from datetime import date

from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.kinds.service.timelines.grid import SUBMITTED, Grid
from usage_assets.specs.asset import Extracted
from usage_assets.warehouse import Query, Writer

_ROWS = f"""
SELECT $site AS site, $month::DATE AS month, submitted_at AS timestamp, 'effective' AS leadtime_type,
    model_id AS node_type, median(lead_s) / 3600 AS value
FROM {SERVICE_REQUESTS.qualified} WHERE {SUBMITTED} AND started_at IS NOT NULL AND requests = 1
GROUP BY submitted_at, model_id
"""


def select(writer: Writer, site: ServiceSite, month: date, extracted: Extracted) -> Iterator[Query]:
    """A point per instant and model: the lead time in hours, of several requests their median."""
    del writer
    yield Query(_ROWS, Grid.of(site, month, extracted).values(_ROWS))
