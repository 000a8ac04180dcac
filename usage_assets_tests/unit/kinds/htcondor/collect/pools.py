"""Made-up slots of a pool, and a pool that answers with them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from usage_assets.core.errors import SourceError
from usage_assets.kinds.htcondor.collect.ads import Slot
from usage_assets.kinds.htcondor.collect.run import Collection
from usage_assets.kinds.htcondor.site.model import HTCondorSite

SLOT: dict[str, Any] = {
    "Name": "slot1@h1.x.edu",
    "Machine": "h1.x.edu",
    "AssignedGPUs": "GPU-1a, GPU-2b",
    "AvailableGPUs": ["GPUs_GPU_1a", "GPUs_GPU_2b"],
    "State": "Unclaimed",
    "GPUs_DeviceName": "NVIDIA H200",
    "GPUs_GlobalMemoryMb": 143771,
}
LENT = SLOT | {"Name": "backfill2@h1.x.edu", "AssignedGPUs": None, "AvailableGPUs": ["GPUs_GPU_2b"]}


def site_of(folder: Path, **more: Any) -> HTCondorSite:
    said = {"kind": "htcondor", "key": "pool", "name": "Pool", "first_month": "2025-10", "timezone": "America/Chicago"}
    collector = {"pool": "cm.x.edu:9618"} | more.pop("collector", {})
    return HTCondorSite.model_validate(said | {"snapshots": str(folder), "collector": collector} | more)


class Clock:
    """A clock that goes on when someone sleeps."""

    def __init__(self, text: str) -> None:
        self.at = datetime.fromisoformat(text).replace(tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.at += timedelta(seconds=seconds)


class Built:
    """A pool that answers with what it is given, one answer after another, the last one again and again."""

    def __init__(self, *answers: Sequence[Slot] | None, clock: Clock | None = None, takes: float = 0) -> None:
        self.answers = list(answers or [[SLOT, LENT]])
        self.asked: list[tuple[str, list[str]]] = []
        self.clock, self.takes = clock, takes

    def slots(self, constraint: str, attributes: Sequence[str]) -> list[Slot]:
        self.asked.append((constraint, list(attributes)))
        if self.clock is not None and self.takes:
            self.clock.sleep(self.takes)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if found is None:
            raise SourceError("site pool: the pool does not answer (cm.x.edu:9618: timed out)")
        return list(found)


class Collected:
    """A collection under a made clock, with what it said."""

    def __init__(self, site: HTCondorSite, pool: Built, clock: Clock, step: int = 900) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []
        self.clock = clock
        self.it = Collection(site, pool, step, self.said.append, self.warned.append, clock.now, clock.sleep)


def collected(folder: Path, at: str, *answers: Sequence[Slot] | None, step: int = 900, **more: Any) -> Collected:
    clock = Clock(at)
    return Collected(site_of(folder, **more), Built(*answers), clock, step)


def names(folder: Path) -> list[str]:
    """Every file below a folder, but for the lock."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != ".collect.lock")
