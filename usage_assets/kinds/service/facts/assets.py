"""The assets of the facts stage of services."""

from usage_assets.facts.tables import INTERVALS
from usage_assets.facts.views import TIMELINE
from usage_assets.kinds.service.facts import inventory, requests, residency
from usage_assets.kinds.service.facts.checks import REQUEST_CHECKS
from usage_assets.kinds.service.facts.intervals import LOADED, QUEUED, RUNNING, Spans
from usage_assets.kinds.service.facts.tables import MODEL_INVENTORY, MODEL_RESIDENCY, SERVICE_REQUESTS
from usage_assets.specs.asset import Asset

_REQUESTS, _RESIDENCY = "facts/service_requests", "facts/model_residency"
_RAW = "raw/usage_events"
_TIMES = (f"{_RAW}.ts", f"{_RAW}.duration_s", f"{_RAW}.queue_s")
_DERIVED_FACTS = {
    **dict.fromkeys(("submitted_at", "started_at", "ended_at", "lead_s", "duration_s"), _TIMES),
    "final_state": (f"{_RAW}.event_type", f"{_RAW}.success"),
    "attempts": (f"{_RAW}.event_type",),
    "stated_cost": (f"{_RAW}.cost",),
    "stated_currency": (f"{_RAW}.currency",),
    "cost": tuple(f"{_RAW}.{name}" for name in ("input_tokens", "output_tokens", "cached_tokens", "meters")),
}
_DERIVED_RESIDENCY = {"loaded_at": (f"{_RAW}.ts",), "unloaded_at": (f"{_RAW}.ts",)}
_DERIVED_REQUESTS = {
    "source": (f"{_REQUESTS}.reader",),
    "entity_id": (f"{_REQUESTS}.request_id",),
    "node_type": (f"{_REQUESTS}.model_id",),
}
_DERIVED = {
    "running": _DERIVED_REQUESTS
    | {"start_at": (f"{_REQUESTS}.started_at",), "end_at": (f"{_REQUESTS}.ended_at",)},
    "queued": _DERIVED_REQUESTS
    | {"start_at": (f"{_REQUESTS}.submitted_at",), "end_at": (f"{_REQUESTS}.started_at",)},
    "loaded": {
        "source": (f"{_RESIDENCY}.reader",),
        "entity_id": (f"{_RESIDENCY}.model_id",),
        "node_type": (f"{_RESIDENCY}.model_id",),
        "start_at": (f"{_RESIDENCY}.loaded_at",),
        "end_at": (f"{_RESIDENCY}.unloaded_at",),
    },
}  # fmt: skip


def _states(spans: Spans, description: str, after: str, months_after: int) -> Asset:
    """An asset of the intervals of one metric."""
    return Asset(
        stage="facts",
        name=spans.metric,
        table=INTERVALS,
        after=(after,),
        select=spans.select,
        accounts=spans.account,
        months_after=months_after,
        months_at_once=1,
        description=f"{description} Rows of metric {spans.metric} in facts.intervals.",
        owned={"metric": (spans.metric,)},
        views=(TIMELINE,),
        derived=_DERIVED[spans.metric],
    )


FACTS: tuple[Asset, ...] = (
    Asset(
        stage="facts",
        name=SERVICE_REQUESTS.name,
        table=SERVICE_REQUESTS,
        after=("raw/usage_events",),
        select=requests.select,
        months_before=1,
        months_after=1,
        months_at_once=1,
        checks=REQUEST_CHECKS,
        derived=_DERIVED_FACTS,
    ),
    Asset(
        stage="facts",
        name=MODEL_INVENTORY.name,
        table=MODEL_INVENTORY,
        after=("raw/usage_events",),
        read=inventory.read,
        make=inventory.make,
        applies=inventory.applies,
    ),
    Asset(
        stage="facts",
        name=MODEL_RESIDENCY.name,
        table=MODEL_RESIDENCY,
        after=("raw/usage_events", "facts/model_inventory"),
        select=residency.select,
        months_before=1,
        derived=_DERIVED_RESIDENCY,
    ),
    _states(RUNNING, "Requests in progress, from their start to their end.", _REQUESTS, 1),
    _states(QUEUED, "Requests that wait, from their submission to their start.", _REQUESTS, 1),
    _states(LOADED, "Models that are loaded.", _RESIDENCY, 0),
)
