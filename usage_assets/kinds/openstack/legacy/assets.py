"""The legacy usage counter and its comparison with ours as assets, with their checks."""

from usage_assets.kinds.openstack.legacy import checks, comparison, usage
from usage_assets.reports.tables import LEGACY_COMPARISON as COMPARISON_TABLE
from usage_assets.specs.asset import Asset
from usage_assets.specs.check import Evaluate, warning
from usage_assets.timelines.tables import USAGE

_CHECKS: tuple[tuple[str, Evaluate, str, str], ...] = (
    ("partition", checks.partition,
     "Is total = maintenance + reserved + used + idle, or = reserved + used + idle? Passes for the first.",
     "that are not this partition"),
    ("count", checks.count,
     "Is total / 24 the count of nodes, or that less the nodes in maintenance? Passes for the first.",
     "with another total than the count"),
    ("used_beside_reserved", checks.used_beside_reserved,
     "Does used exceed reserved anywhere? Fails where the two together exceed total - maintenance.",
     "in which used can't stand beside reserved"),
    ("bounds", checks.bounds,
     "Is any hour negative, or any total above 24 x the count of nodes?", "with negative hours or too many"),
    ("source_rows", checks.source_rows,
     "Rows that share their day and node type with another, or have nulls.", "with doubled rows or nulls"),
)  # fmt: skip
LEGACY_USAGE = Asset(
    stage="timelines",
    name="legacy_usage",
    table=USAGE,
    description="The legacy usage counter as daily node-hours of collector_type legacy, read as total = maintenance + "
    "reserved and unused + used + unreserved.",
    after=("raw/chameleon_usage_node_usage_report_cache", "raw/chameleon_usage_node_count_cache"),
    read=usage.read,
    make=usage.make,
    owned={"collector_type": ("legacy",)},
    applies=usage.has_legacy,
    checks=tuple(warning(*each) for each in _CHECKS),
)
LEGACY_COMPARISON = Asset(
    stage="reports",
    name="legacy_comparison",
    table=COMPARISON_TABLE,
    after=("timelines/usage", "timelines/legacy_usage"),
    read=comparison.read,
    make=comparison.make,
    applies=usage.has_legacy,
    checks=(
        warning(
            "unexplained",
            checks.unexplained,
            "Differences from the legacy counter for which no cause is found: their share per metric, the worst days.",
            "with unexplained differences",
        ),
    ),
)
