"""The assets of the facts stage of services."""

from usage_assets.kinds.service.facts import requests
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.specs.asset import Asset

FACTS: tuple[Asset, ...] = (
    Asset(
        stage="facts",
        name=SERVICE_REQUESTS.name,
        table=SERVICE_REQUESTS,
        after=("raw/usage_events",),
        select=requests.select,
        months_before=1,
        months_after=1,
    ),
)
