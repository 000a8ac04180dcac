"""Raw rows of GPU pools: snapshots of slots, read from files by month.

What belongs here: finding, reading and storing of snapshot files, by poll and month. What stays out: their meaning.
"""

from usage_assets.kinds.htcondor.raw.tables import GPU_STATE, TABLES

__all__ = ["GPU_STATE", "TABLES"]
