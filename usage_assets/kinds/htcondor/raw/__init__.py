"""Raw rows of GPU pools: snapshots of slots, read from files by month."""

from usage_assets.kinds.htcondor.raw.tables import GPU_STATE, TABLES

__all__ = ["GPU_STATE", "TABLES"]
