"""Profiles of models, recommendations and what followed them, as assets of the reports."""

from usage_assets.kinds.service.reports import outcomes, profiles, recommend
from usage_assets.kinds.service.reports.advice_tables import MODEL_PROFILES, RECOMMENDATION_OUTCOMES, RECOMMENDATIONS
from usage_assets.specs.asset import Asset

_PROFILES = f"reports/{MODEL_PROFILES.name}"

ADVICE_ASSETS: tuple[Asset, ...] = (
    Asset(
        stage="reports",
        name=MODEL_PROFILES.name,
        table=MODEL_PROFILES,
        after=("facts/service_requests", "facts/model_inventory", "timelines/service_uses"),
        select=profiles.select,
        all_before=("timelines/service_uses",),
        months_before=1,  # the default window is 30 days, and February has 28
    ),
    Asset(
        stage="reports",
        name=RECOMMENDATIONS.name,
        table=RECOMMENDATIONS,
        after=(_PROFILES,),
        read=recommend.read,
        make=recommend.make,
        months_after=1,  # advice expires when the next month has its own
    ),
    Asset(
        stage="reports",
        name=RECOMMENDATION_OUTCOMES.name,
        table=RECOMMENDATION_OUTCOMES,
        after=(f"reports/{RECOMMENDATIONS.name}", _PROFILES),
        read=outcomes.read,
        make=outcomes.make,
        months_after=1,
    ),
)
