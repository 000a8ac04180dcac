"""Which raw events an interval of a service is made of."""

from typing import get_args

from usage_assets.kinds.service.raw.tables import USAGE_EVENTS
from usage_assets.kinds.service.site.sources import LegacyJson, LiteLLM, Otel, Records
from usage_assets.specs.lineage import Origin

_ENTITY = "CASE WHEN event_type IN ('model_load', 'model_unload') THEN model_id ELSE coalesce(request_id, event_id) END"
_READERS = [
    get_args(source.model_fields["reader"].annotation)[0] for source in (LiteLLM, Otel, Records, LegacyJson)
]  # fmt: skip
ORIGINS = {reader: (Origin(USAGE_EVENTS.name, "request_id", "entity_id", sql=_ENTITY),) for reader in _READERS}
"""By the reader, which is the source of an interval: the events of its request, or the loads of its model."""
