"""Views over the facts for tools that want events instead of intervals."""

from usage_assets.facts.tables import INTERVALS

# at one instant an end and a start of the same entity may meet, where an interval is cut: sums over all events up to
# and including an instant count the intervals that cover it
TIMELINE = f"""
CREATE OR REPLACE VIEW facts.timeline AS
SELECT site, start_at AS timestamp, source, entity_id, metric AS quantity_type, 'start' AS state
FROM {INTERVALS.qualified}
UNION ALL
SELECT site, end_at AS timestamp, source, entity_id, metric AS quantity_type, 'end' AS state
FROM {INTERVALS.qualified}
"""
