"""First and last uses of models and users in a month: what is kept for ever."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime

from usage_assets.kinds.service.raw.tables import NONE
from usage_assets.kinds.service.tables.grouping import FACTS, SummedSite
from usage_assets.warehouse import Query, Writer

_USES = f"""
SELECT $site AS site, $month AS month, $kind AS kind, {{column}} AS id, min(submitted_at) AS first_submitted_at,
       max(ended_at) AS last_ended_at, sum(requests)::BIGINT AS requests
FROM {FACTS} WHERE site = $site AND month = $month AND {{column}} <> '{NONE}' GROUP BY {{column}}
"""


def select(_writer: Writer, site: SummedSite, month: date, _extracted: Mapping[date, datetime]) -> Iterator[Query]:
    """The models of a month, and its users; those that are not known are left out."""
    for kind in ("model", "user"):
        yield Query(_USES.format(column=f"{kind}_id"), {"site": site.key, "month": month, "kind": kind})
