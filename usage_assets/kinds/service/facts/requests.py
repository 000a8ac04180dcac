"""facts.service_requests: the requests of a month, selected in the warehouse."""

from collections.abc import Iterator
from datetime import date

from usage_assets.kinds.service.facts.cost import priced
from usage_assets.kinds.service.facts.events import Events, Reach, drop, events, used
from usage_assets.kinds.service.facts.fold import several, single
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.specs.asset import Extracted
from usage_assets.warehouse import Query, Writer


def select(writer: Writer, site: ServiceSite, month: date, extracted: Extracted) -> Iterator[Query]:
    """The requests that ended in a month, and those submitted in it that have no outcome."""
    del extracted
    found = events(writer, Reach(site.key, month, site.max_request_hours))
    yield from priced(writer, site, _folded(found, month))
    drop(writer)


def _folded(found: Events, month: date) -> Iterator[Query]:
    """Requests without cost, part by part."""
    for folded in (single(found.single), *(several(part) for part in found.shared)):
        sql = f"SELECT $site AS site, $month::DATE AS month, * FROM ({folded})"
        yield Query(sql, used(sql, {**found.params, "month": month}))
