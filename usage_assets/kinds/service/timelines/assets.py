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
_AMOUNTS = (
    *(f"{_REQUESTS}.{name}" for name in ("requests", "input_tokens", "output_tokens", "final_state", "submitted_at")),
    f"{_REQUESTS}.ended_at",
    *(f"{path}.{edge}" for path in _STATES for edge in ("start_at", "end_at")),
)
_DERIVED = {
    "timestamp": (f"{_REQUESTS}.submitted_at", f"{_REQUESTS}.ended_at"),
    "node_type": (f"{_REQUESTS}.model_id",),
    "metric": (f"{_REQUESTS}.final_state",),
    "value": _AMOUNTS,
    "hours": tuple(f"{path}.{edge}" for path in _STATES for edge in ("start_at", "end_at")),
}
_CURRENT = {"collector_type": ("current",)}

USAGE_ASSETS: tuple[Asset, ...] = (
    Asset(
        stage="timelines",
        name="usage_steps",
        table=USAGE_STEPS,
        after=(_REQUESTS, *_STATES),
        select=steps.select,
        derived={name: columns for name, columns in _DERIVED.items() if name in USAGE_STEPS.names},
        months_at_once=1,
        owned=_CURRENT,
    ),
    Asset(
        stage="timelines",
        name="usage",
        table=USAGE,
        after=(_REQUESTS, *_STATES, "timelines/usage_steps"),
        select=usage.select,
        derived=_DERIVED,
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
    derived={
        "timestamp": (f"{_REQUESTS}.submitted_at",),
        "node_type": (f"{_REQUESTS}.model_id",),
        "value": (f"{_REQUESTS}.lead_s",),
    },
    months_at_once=1,
    months_after=1,
    views=(LEADTIME_SITE,),
)
