"""The rules of a GPU pool for its polls, hosts and devices, from its site file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from usage_assets.kinds.htcondor.pool import devices
from usage_assets.kinds.htcondor.pool.devices import UNKNOWN
from usage_assets.kinds.htcondor.pool.hosts import HostList

FILTERED = ("GTX 1080", "P100", "Quadro", "A30", "A40")
FLAGSHIP = ("H100", "H200", "A100 80GB")
BANDS: tuple[tuple[float, str], ...] = (
    (44, "<48GB"),
    (50, "48GB"),
    (75, "50-75GB"),
    (85, "80GB"),
    (math.inf, ">80GB"),
)
"""Memory bands: the upper bound in GB (a band ends just below it), and the label."""
TIERS = ("Flagship", "Standard")


@dataclass(frozen=True)
class Pool:
    """One pool of GPUs, as its operator describes it.

    `poll_minutes` is the longest interval at which the pool is asked: a poll counts for at most 1.5 of them. A
    pool that is asked more often today may keep the interval of its older files.
    `hosted` are the machines of hosted or reserved capacity, `masked` those out of the statistics with the reason;
    `filtered` and `flagship` are families of devices, matched by whole words; `display_names` are names of devices
    by their raw names; `bands` are the upper bound in GB and the label, in order, the last one open.
    """

    poll_minutes: int = 15
    bucket_minutes: int = 15
    timezone: str = "UTC"
    hosted: frozenset[str] = frozenset()
    masked: Mapping[str, str] = field(default_factory=dict)
    filtered: tuple[str, ...] = FILTERED
    flagship: tuple[str, ...] = FLAGSHIP
    display_names: Mapping[str, str] = field(default_factory=dict)
    bands: tuple[tuple[float, str], ...] = BANDS

    @cached_property
    def _hosted(self) -> HostList:
        return HostList(self.hosted)

    @cached_property
    def _masked(self) -> HostList:
        return HostList(self.masked)

    @property
    def band_labels(self) -> tuple[str, ...]:
        """Labels of the bands, from the smallest to the largest, and the unknown last."""
        return (*dict.fromkeys(label for _, label in self.bands), UNKNOWN)

    def is_hosted(self, machine: str | None) -> bool:
        """Whether the machine is on the list of hosted ones."""
        return machine in self._hosted

    def mask_reason(self, machine: str | None) -> str | None:
        """Why the machine is out of the statistics; null where it is in them."""
        found = self._masked.find(machine)
        return None if found is None else self.masked[found]

    def display_name(self, device: str | None) -> str:
        """Display name of the device."""
        return devices.display_name(device, self.display_names)

    def is_filtered(self, device: str | None) -> bool:
        """Whether the device is of a family that device, memory and backfill tables leave out."""
        return self._is_of(device, self.filtered)

    def tier(self, device: str | None) -> str:
        """Flagship or Standard."""
        return TIERS[0] if self._is_of(device, self.flagship) else TIERS[1]

    def band(self, memory_mb: float | None) -> str:
        """The memory band of a GPU."""
        if memory_mb is None or not memory_mb > 0:
            return UNKNOWN
        return next((label for bound, label in self.bands if memory_mb / 1024 < bound), self.bands[-1][1])

    def _is_of(self, device: str | None, families: tuple[str, ...]) -> bool:
        if device is None:
            return False
        return devices.in_family(device, families) or devices.in_family(self.display_name(device), families)


class PoolSite(Protocol):
    """What facts and tables need of a site's file."""

    @property
    def key(self) -> str:
        """The site's key."""

    def pool(self) -> Pool:
        """The rules of the pool."""
