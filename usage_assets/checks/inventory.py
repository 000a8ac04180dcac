"""What the check of an operator's inventory asks: whether the databases know the machines that it has in service."""

from datetime import date

from usage_assets.checks.findings import GOOD, Finding
from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.kinds import kind_of
from usage_assets.partitions import Window
from usage_assets.site_rules import INVENTORY, SOURCES_OF_METRIC
from usage_assets.sites import Site
from usage_assets.warehouse import Reader

_SHOWN = 5
_SCOPE = (
    "site = $site AND month IN (SELECT unnest($months::DATE[])) AND metric = 'total' AND entity_id IS NOT NULL "
    "AND source IN (SELECT unnest($sources::VARCHAR[]))"
)
# a machine that another source already counts is known as well, and so is one that the operator excluded
_ONE_SIDED = f"""
WITH said AS (
  SELECT month, entity_id, source FROM {INTERVALS.qualified} WHERE {_SCOPE}
  UNION ALL
  SELECT month, entity_id, source FROM {REJECTS.qualified} WHERE {_SCOPE} AND reason IN ('duplicate', 'excluded')
), machines AS (
  SELECT month, entity_id, bool_or(source = $inventory) AS listed, bool_or(source <> $inventory) AS known
  FROM said GROUP BY ALL
)
SELECT month, listed, count(*) AS n, min(entity_id, {_SHOWN}) AS first
FROM machines WHERE listed <> known GROUP BY ALL ORDER BY month, listed DESC
"""


def inventory(reader: Reader, site: Site, window: Window) -> dict[date, Finding]:
    """A month is pointed out when only one side knows a machine: an addition or a removal that the other forgot.

    Only at sites that list an inventory among the sources of total.
    """
    out = dict.fromkeys(window.months, GOOD)
    listed = INVENTORY in kind_of(site).listed(site)
    if not (listed and reader.has(INTERVALS) and reader.has(REJECTS)):
        return out
    params = {
        "site": window.site,
        "months": list(window.months),
        "sources": list(SOURCES_OF_METRIC["total"]),
        "inventory": INVENTORY,
    }
    found: dict[date, dict[bool, tuple[int, list[str]]]] = {}
    for month, by_inventory, count, first in reader.sql(_ONE_SIDED, params).iter_rows():
        found.setdefault(month, {})[by_inventory] = (count, first)
    for month, sides in found.items():
        only_there, only_here = sides.get(True, (0, [])), sides.get(False, (0, []))
        texts = [
            f"{count} machine(s) {what}: {', '.join(names)}{' ...' if count > len(names) else ''}"
            for (count, names), what in (
                (only_there, "in service by the inventory that the databases do not know"),
                (only_here, "in the databases that the inventory does not have in service"),
            )
            if count
        ]
        figures = {"only_in_inventory": only_there[0], "only_in_databases": only_here[0]}
        out[month] = Finding(False, "; ".join(texts), figures)
    return out
