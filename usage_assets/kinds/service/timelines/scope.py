"""The scope of a service's usage timeline: states of requests and models, and the models as node types."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.kinds.service.timelines.metrics import METRICS, STOCKS
from usage_assets.timelines.usage import Scope
from usage_assets.warehouse import Reader


def usage_scope(site: ServiceSite) -> Scope:
    """The states that intervals of the facts tell of; flows come from the requests themselves."""
    return Scope(
        site=site.key,
        bucket_minutes=site.bucket_minutes,
        counted=tuple(STOCKS),
        resources=("requests",),
        gaps=dict.fromkeys(STOCKS, site.known_gaps),
        kind_metrics=METRICS,
    )


def node_types(reader: Reader, site: ServiceSite, months: Sequence[date]) -> pl.DataFrame:
    """month, node_type: the models of each month's requests."""
    found = pl.DataFrame(schema={"month": pl.Date, "node_type": pl.String})
    if not reader.has(SERVICE_REQUESTS):
        return found
    return reader.sql(
        f"SELECT DISTINCT month, model_id AS node_type FROM {SERVICE_REQUESTS.qualified} "
        "WHERE site = $site AND month IN (SELECT unnest($months::DATE[])) ORDER BY ALL",
        {"site": site.key, "months": list(months)},
    )
