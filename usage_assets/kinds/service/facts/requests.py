"""facts.service_requests: the requests of a month, selected in the warehouse."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from usage_assets.kinds.service.facts.cost import with_cost
from usage_assets.kinds.service.facts.events import Reach, drop, events
from usage_assets.kinds.service.facts.fold import several, single
from usage_assets.specs.asset import Extracted
from usage_assets.warehouse import Query, Writer


def select(writer: Writer, site: Any, month: date, extracted: Extracted) -> Iterator[Query]:
    """The requests that ended in a month, and those submitted in it that have no outcome."""
    del extracted
    found = events(writer, Reach(site.key, month, site.max_request_hours))
    for folded in (single(found.single), *(several(part) for part in found.shared)):
        rows = f"SELECT * FROM (SELECT $site AS site, $month::DATE AS month, * FROM ({folded}))"
        sql = with_cost(rows, zero_is_unknown=site.zero_cost == "unknown")
        params = {**found.params, "month": month, "currency": site.currency}
        yield Query(sql, {name: value for name, value in params.items() if f"${name}" in sql})
    drop(writer)
