"""Views of usage and lead times with few columns: one resource, node types added up, one row per key."""

from usage_assets.timelines.tables import LEADTIME, USAGE

# a share does not add up over node types: utilization, coverage; divide the sums of its terms instead
_ADDABLE = "metric NOT IN ('utilization', 'coverage')"

USAGE_SITE = f"""
CREATE OR REPLACE VIEW timelines.usage_site AS
SELECT site, timestamp, collector_type, metric AS count_type,
       CASE WHEN count(value) = count(*) THEN sum(value) END AS value
FROM {USAGE.qualified}
WHERE resource = 'nodes' AND {_ADDABLE}
GROUP BY ALL
"""


def _hours(view: str, resource: str) -> str:
    """A view of one resource as this product counts it, node types added up: what most questions are about."""
    return f"""
CREATE OR REPLACE VIEW timelines.{view} AS
SELECT site, month, timestamp, metric, sum(value) AS {resource}, sum(hours) AS hours,
       count(value) = count(*) AS complete
FROM {USAGE.qualified}
WHERE resource = '{resource}' AND collector_type = 'current' AND {_ADDABLE}
GROUP BY ALL
"""


NODE_HOURS = _hours("node_hours", "nodes")
GPU_HOURS = _hours("gpu_hours", "gpus")
USAGE_VIEWS = (USAGE_SITE, NODE_HOURS, GPU_HOURS)
"""Views over timelines.usage."""

LEADTIME_SITE = f"""
CREATE OR REPLACE VIEW timelines.leadtime_site AS
SELECT site, timestamp, leadtime_type, median(value) AS value
FROM {LEADTIME.qualified}
GROUP BY ALL
"""
