"""The assets of the facts stage of HTCondor pools."""

from usage_assets.facts.assets import fact_table, metric_asset
from usage_assets.kinds.htcondor.facts.gpu_intervals import ALLOCATED, AVAILABLE
from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE, GPU_POLLS, GPU_RUNS
from usage_assets.specs.asset import Asset

_SNAPSHOTS = ("gpu_state",)

FACTS: tuple[Asset, ...] = (
    fact_table(GPU_POLLS, "When the pool was asked.", _SNAPSHOTS),
    fact_table(GPU_RUNS, "What each GPU was, and for how long.", _SNAPSHOTS, shown_after=("gpu_polls",)),
    fact_table(GPU_PERFORMANCE, "How much of the GPUs held was used.", _SNAPSHOTS),
    metric_asset("total", "GPUs that a poll saw.", ("total",), _SNAPSHOTS, shown_after=("gpu_runs",)),
    metric_asset(
        "available", "GPUs that a class offers.", tuple(AVAILABLE.values()), _SNAPSHOTS, shown_after=("gpu_runs",)
    ),
    metric_asset(
        "allocated",
        "GPUs that jobs of a class hold.",
        tuple(ALLOCATED.values()),
        _SNAPSHOTS,
        shown_after=("available",),
    ),
    metric_asset(
        "flagged",
        "GPUs that are drained, and those whose machine takes no new jobs.",
        ("drained", "refusing"),
        _SNAPSHOTS,
        shown_after=("total",),
    ),
)
