"""The machines of the demo pool, and what happened to them: who owns them, when they came, left, drained or refused."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

DOMAIN: Final = "pool.example.edu"


@dataclass(frozen=True)
class Host:
    """A machine of the pool.

    `units` are the GPUs that jobs take together; `busy` is the share of time in which primary jobs hold them. With
    `lists_taken` its backfill slot lists GPUs that primary jobs hold, too.
    """

    name: str
    device: str
    memory_mb: int
    units: tuple[int, ...]
    projects: str = ""
    busy: float = 0.6
    backfills: bool = True
    ids: str = "GPU"
    came: datetime | None = None
    left: datetime | None = None
    lists_taken: bool = False
    interactive: int = 0
    """How many of its units stand in an interactive slot of their own, the last ones."""

    @property
    def gpus(self) -> tuple[str, ...]:
        """Ids, alike on each machine where they are CUDA0, CUDA1 ..."""
        if self.ids == "CUDA":
            return tuple(f"CUDA{number}" for number in range(sum(self.units)))
        chance = random.Random(self.name)
        return tuple(f"{self.ids}-{chance.getrandbits(32):08x}" for _ in range(sum(self.units)))


_ONES4, _ONES8, _PAIRS8 = (1,) * 4, (1,) * 8, (2, 2, 1, 1, 1, 1)
_H100, _H200 = ("NVIDIA H100 80GB HBM3", 81559), ("NVIDIA H200", 143771)
_A100, _A100_40 = ("NVIDIA A100-SXM4-80GB", 81920), ("NVIDIA A100-SXM4-40GB", 40960)
_MIG = ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", 40192)
_A40, _L40S = ("NVIDIA A40", 46068), ("NVIDIA L40S", 46068)
_2080, _1080, _P100 = (
    ("NVIDIA GeForce RTX 2080 Ti", 11264),
    ("NVIDIA GeForce GTX 1080 Ti", 11264),
    ("Tesla P100-PCIE-16GB", 16384),
)


def _host(number: int, model: tuple[str, int], units: tuple[int, ...], projects: str = "", **more: object) -> Host:
    return Host(f"gpu{number}.{DOMAIN}", *model, units, projects, **more)  # type: ignore[arg-type]


# 2001, 2004, 2006 and 2013 stand in the list of hosted machines, beside the site's file
HOSTS: Final[tuple[Host, ...]] = (
    _host(2001, _H100, _PAIRS8, busy=0.72, lists_taken=True),
    _host(2002, _H100, _PAIRS8, "Astrophysics", busy=0.5),
    _host(2003, _H100, _PAIRS8, busy=0.9),
    _host(2004, _H200, (4, 2, 1, 1), "Reserved", busy=0.62, lists_taken=True),
    _host(2005, _H200, _PAIRS8, "Genomics, Chemistry", busy=0.55, came=datetime(2026, 1, 12, 15)),
    _host(2006, _A100, _ONES4, busy=0.7),
    _host(2007, _A100, (2, 1, 1), "Chemistry", busy=0.45),
    _host(2008, _A100, _ONES4, "Genomics", busy=0.4),
    _host(2009, _A100, _ONES4, busy=0.88),
    _host(2010, _A100_40, _ONES4, "Biology", busy=0.35),
    _host(2011, _A100_40, _ONES4, busy=0.8),
    _host(2012, _A100_40, _ONES4, busy=0.75, backfills=False),
    _host(2013, _A40, _ONES4, busy=0.6),
    _host(2014, _A40, _ONES4, "Statistics", busy=0.3),
    _host(2015, _A40, _ONES4, busy=0.65),
    _host(2016, _L40S, _ONES8, busy=0.78),
    _host(2017, _L40S, _ONES8, "Astrophysics, Climate", busy=0.42),
    _host(2018, _2080, _ONES4, busy=0.5, interactive=1),
    _host(2019, _2080, _ONES4, busy=0.45),
    _host(2020, _2080, _ONES4, " ", busy=0.4, backfills=False),
    _host(2021, _1080, _ONES4, busy=0.25, ids="CUDA"),
    _host(2022, _1080, _ONES4, "Biology", busy=0.1, ids="CUDA"),
    _host(2023, _MIG, _ONES8, busy=0.7, ids="MIG"),
    _host(2024, _P100, _ONES4, busy=0.2, ids="CUDA", left=datetime(2026, 6, 1, 14)),
    _host(2025, _A100_40, _ONES4, busy=0.5),  # masked in the site's file
)
OWNER_CHANGE: Final = (f"gpu2010.{DOMAIN}", datetime(2026, 2, 16, 18), "")
"""Machine, when, and its projects from then on: a researcher's machine becomes open capacity."""
NAMELESS: Final = (f"gpu2019.{DOMAIN}", datetime(2026, 4, 14, 12), datetime(2026, 4, 16, 9))
"""Machine whose driver gave no name of its GPUs for a while."""
OUTAGES: Final[tuple[tuple[datetime, datetime], ...]] = (
    (datetime(2025, 12, 27, 3), datetime(2025, 12, 27, 14)),
    (datetime(2026, 3, 17, 10), datetime(2026, 3, 17, 16)),
    (datetime(2026, 9, 5, 22), datetime(2026, 9, 7, 13)),
)
"""From when to when the collector stood still; single polls are missed beside."""
REASONS: Final = ("scratch disk is full", "GPU driver does not answer", "waits for a reboot")


@dataclass(frozen=True)
class Spell:
    """Hours since the pool's first poll in which a machine drains, or refuses new jobs for a reason."""

    first: float
    last: float
    reason: str | None = None


def spells(host: Host, hours: float, seed: int) -> Iterator[Spell]:
    """When the host drained and refused: the same ones whatever comes later."""
    for kind, between, length in (("drain", 24 * 55, 20), ("refuse", 24 * 70, 30)):
        chance = random.Random(f"{seed} {kind} {host.name}")
        at = chance.expovariate(1 / between)
        while at < hours:
            last = at + 3 + chance.expovariate(1 / length)
            yield Spell(at, last, chance.choice(REASONS) if kind == "refuse" else None)
            at = last + 24 + chance.expovariate(1 / between)
