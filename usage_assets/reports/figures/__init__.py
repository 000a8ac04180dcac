"""Figures: pure functions from frames to what plotly draws. `reports.plots` declares the plots that they make.

Steps: a value holds from its timestamp to the next bucket, so each drawn run of values repeats its last one at the end
of its bucket. What is unknown is drawn as nothing, never as zero.
"""

from usage_assets.reports.figures.cross_site import cross_site_usage
from usage_assets.reports.figures.leadtime import leadtime, leadtime_compare, leadtime_projected
from usage_assets.reports.figures.leadtime_history import site_leadtime, site_leadtime_compare
from usage_assets.reports.figures.legacy import collector_difference, legacy_facet
from usage_assets.reports.figures.stack import site_stack, usage_stack
from usage_assets.reports.figures.utilization import node_types, utilization

__all__ = [
    "collector_difference",
    "cross_site_usage",
    "leadtime",
    "leadtime_compare",
    "leadtime_projected",
    "legacy_facet",
    "node_types",
    "site_leadtime",
    "site_leadtime_compare",
    "site_stack",
    "usage_stack",
    "utilization",
]
