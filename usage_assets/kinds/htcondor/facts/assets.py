"""The assets of the facts stage of HTCondor pools."""

from functools import partial

from usage_assets.facts.assets import fact_table, metric_asset
from usage_assets.kinds.htcondor.facts.gpu_intervals import ALLOCATED, AVAILABLE
from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE, GPU_POLLS, GPU_RUNS
from usage_assets.specs.asset import Asset

_SNAPSHOTS = ("gpu_state",)
_DERIVED = {
    "entity_id": ("raw/gpu_state.machine", "raw/gpu_state.gpu"),
    "start_at": ("raw/gpu_state.poll_at",),
    "end_at": ("raw/gpu_state.poll_at",),
    "node": ("raw/gpu_state.machine",),
    "node_type": ("raw/gpu_state.device",),
    "user_id": ("raw/gpu_state.remote_owner",),
    "gpus": ("raw/gpu_state.gpu",),
}

_metric = partial(metric_asset, sources=_SNAPSHOTS, derived=_DERIVED)

FACTS: tuple[Asset, ...] = (
    fact_table(GPU_POLLS, "When the pool was asked.", _SNAPSHOTS),
    fact_table(GPU_RUNS, "What each GPU was, and for how long.", _SNAPSHOTS, shown_after=("gpu_polls",)),
    fact_table(GPU_PERFORMANCE, "How much of the GPUs held was used.", _SNAPSHOTS),
    _metric("total", "GPUs that a poll saw.", ("total",), shown_after=("gpu_runs",)),
    _metric("available", "GPUs that a class offers.", tuple(AVAILABLE.values()), shown_after=("gpu_runs",)),
    _metric("allocated", "GPUs that jobs of a class hold.", tuple(ALLOCATED.values()), shown_after=("available",)),
    _metric(
        "flagged",
        "GPUs that are drained, and those whose machine takes no new jobs.",
        ("drained", "refusing"),
        shown_after=("total",),
    ),
)
