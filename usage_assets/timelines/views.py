"""Views of the plain shape that spreadsheets and dashboards want: nodes only, one row per key."""

from usage_assets.timelines.tables import LEADTIME, USAGE
from usage_assets.warehouse import Writer

# a share does not add up over node types, so utilization is left out: divide the sums of its terms; nor does coverage
USAGE_SITE = f"""
CREATE OR REPLACE VIEW timelines.usage_site AS
SELECT site, timestamp, collector_type, metric AS count_type, sum(value) AS value
FROM {USAGE.qualified}
WHERE resource = 'nodes' AND metric NOT IN ('utilization', 'coverage')
GROUP BY ALL
"""

LEADTIME_SITE = f"""
CREATE OR REPLACE VIEW timelines.leadtime_site AS
SELECT site, timestamp, leadtime_type, median(value) AS value
FROM {LEADTIME.qualified}
GROUP BY ALL
"""


def ensure(writer: Writer) -> None:
    """Create or refresh the views."""
    writer.ensure(USAGE)
    writer.con.execute(USAGE_SITE).fetchall()
