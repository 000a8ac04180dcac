"""The assets of the facts stage of HTCondor pools."""

from usage_assets.kinds.htcondor.facts.gpu_intervals import ALLOCATED, AVAILABLE
from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE, GPU_POLLS, GPU_RUNS
from usage_assets.specs.asset import FactAsset

_SNAPSHOTS = ("gpu_state",)

FACTS: tuple[FactAsset, ...] = (
    FactAsset("gpu_polls", "When the pool was asked.", (), _SNAPSHOTS, table=GPU_POLLS),
    FactAsset("gpu_runs", "What each GPU was, and for how long.", (), _SNAPSHOTS, table=GPU_RUNS, after=("gpu_polls",)),
    FactAsset("gpu_performance", "How much of the GPUs held was used.", (), _SNAPSHOTS, table=GPU_PERFORMANCE),
    FactAsset("total", "GPUs that a poll saw.", ("total",), _SNAPSHOTS, after=("gpu_runs",)),
    FactAsset("available", "GPUs that a class offers.", tuple(AVAILABLE.values()), _SNAPSHOTS, after=("gpu_runs",)),
    FactAsset(
        "allocated", "GPUs that jobs of a class hold.", tuple(ALLOCATED.values()), _SNAPSHOTS, after=("available",)
    ),
    FactAsset(
        "flagged",
        "GPUs that are drained, and those whose machine takes no new jobs.",
        ("drained", "refusing"),
        _SNAPSHOTS,
        after=("total",),
    ),
)
