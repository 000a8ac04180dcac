"""The caches of a legacy usage program, with its known defects: daily hours and counts per node type.

Reading: total = maintenance + reserved and unused + used + idle. Wrong on purpose, as such programs were: node types
are merged, maintenance is missing from total before MAINTENANCE_COUNTED, machines that Blazar holds twice count
twice, and on a few days of trap months half of a node type's use is lost. Servers without a readable request spec
are not seen as used.
"""

import math
from collections import defaultdict
from typing import Final

from usage_assets.demo.openstack.rows import DAY, HOUR, RowWriter, instant, stable_random, text
from usage_assets.demo.openstack.traps import TRAP_DAYS, TRAP_MONTHS

SINCE: Final = instant(2016)
MAINTENANCE_COUNTED: Final = instant(2024, 4)
MERGED: Final = {
    "gpu_p100_nvlink": "gpu_p100",
    "gpu_p100_v100": "gpu_p100",
    "compute_haswell_ib": "compute_haswell",
    "storage_hierarchy": "storage",
}
"""Node type -> what the legacy program took it for."""
_LOST_DAYS: Final = 0.02


class Truth:
    """Seconds per day of what was there and what was held, per node type, added up day by day."""

    def __init__(self, until: int) -> None:
        """Keep whole days before an instant."""
        self.until = until // DAY * DAY
        self._whole: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self._part: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))

    def add(self, what: str, node_type: str, start: int, end: int | None) -> None:
        """Count one machine from ``start`` to ``end``; no end is open."""
        end = self.until if end is None else min(end, self.until)
        if start >= end:
            return
        series = what, MERGED.get(node_type, node_type)
        first, last = start // DAY, end // DAY
        whole, part = self._whole[series], self._part[series]
        # whole days by their edges, what is too much of the first day and too little of the last one apart
        whole[first] += 1
        whole[last] -= 1
        part[first] -= start - first * DAY
        part[last] += end - last * DAY

    def node_types(self) -> list[str]:
        """Types that the program knows."""
        return sorted({node_type for _, node_type in self._whole})

    def hours(self, what: str, node_type: str) -> list[float]:
        """Node-hours per day since SINCE."""
        whole, part = self._whole[what, node_type], self._part[what, node_type]
        out, there = [], 0
        for day in range(SINCE // DAY, self.until // DAY):
            there += whole.get(day, 0)
            out.append((there * DAY + part.get(day, 0)) / HOUR)
        return out


def _in_trap_month(day: int) -> bool:
    return any(start // DAY <= day < start // DAY + TRAP_DAYS for start in TRAP_MONTHS)


def write_legacy(writer: RowWriter, truth: Truth, site: str, seed: int) -> None:
    """Write both caches, a row per day and node type that has machines."""
    number = 0
    for node_type in truth.node_types():
        rng = stable_random(site, seed, "legacy", node_type)
        series = zip(
            *(truth.hours(what, node_type) for what in ("total", "maintenance", "committed", "used")), strict=True
        )
        for day, (total, kept, committed, used) in enumerate(series, start=SINCE // DAY):
            lost = rng.random() < _LOST_DAYS and _in_trap_month(day)
            if total <= 0:
                continue
            number += 1
            maintenance = min(kept, total)
            counted = total - (maintenance if day * DAY < MAINTENANCE_COUNTED else 0)
            held = min(committed * (0.5 if lost else 1), counted)
            active = min(used * (0.5 if lost else 1), held)
            there = 0.0 if counted < total else maintenance
            writer.add(
                "chameleon_usage.node_usage_report_cache",
                id=number, date=text(day * DAY), node_type=node_type, maint_hours=there, reserved_hours=held - active,
                used_hours=active, idle_hours=max(0.0, counted - there - held), total_hours=counted,
            )  # fmt: skip
            writer.add(
                "chameleon_usage.node_count_cache",
                id=number, date=(text(day * DAY) or "")[:10], node_type=node_type, cnt=math.ceil(counted / 24 - 1e-9),
            )  # fmt: skip
