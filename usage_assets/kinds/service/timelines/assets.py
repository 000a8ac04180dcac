"""The usage timeline of services and their lead times, as assets."""

from usage_assets.kinds.service.timelines import leadtime, steps, usage
from usage_assets.kinds.service.timelines.checks import USAGE_CHECKS
from usage_assets.kinds.service.timelines.metrics import USAGE_METRICS
from usage_assets.specs.asset import Asset
from usage_assets.timelines.tables import LEADTIME as LEADTIME_TABLE
from usage_assets.timelines.tables import USAGE, USAGE_STEPS
from usage_assets.timelines.views import LEADTIME_SITE, USAGE_VIEWS

_STATES = ("facts/running", "facts/queued", "facts/loaded")
_REQUESTS = "facts/service_requests"
_CURRENT = {"collector_type": ("current",)}

USAGE_ASSETS: tuple[Asset, ...] = (
    Asset(
        stage="timelines",
        name="usage_steps",
        table=USAGE_STEPS,
        after=(_REQUESTS, *_STATES),
        select=steps.select,
        months_at_once=1,
        owned=_CURRENT,
    ),
    Asset(
        stage="timelines",
        name="usage",
        table=USAGE,
        after=(_REQUESTS, *_STATES, "timelines/usage_steps"),
        select=usage.select,
        months_at_once=1,
        months_after=1,
        owned=_CURRENT,
        views=(*USAGE_VIEWS, USAGE_METRICS),
        checks=USAGE_CHECKS,
    ),
)
LEADTIME = Asset(
    stage="timelines",
    name="leadtime",
    table=LEADTIME_TABLE,
    after=(_REQUESTS,),
    select=leadtime.select,
    months_at_once=1,
    months_after=1,
    views=(LEADTIME_SITE,),
)
