"""Makes demo sites: folders of databases, snapshots or events that look like the sources of real sites."""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from usage_assets.demo.htcondor import gpu_pool
from usage_assets.demo.openstack import schema
from usage_assets.demo.openstack.demand import Scale
from usage_assets.demo.openstack.edge import EDGE_TYPES, make_edge
from usage_assets.demo.openstack.inventory import KVM_TYPES, UC_TYPES, NodeType
from usage_assets.demo.openstack.kvm import make_kvm
from usage_assets.demo.openstack.metal import Targets, make_metal
from usage_assets.demo.openstack.operators import INVENTORY_FILE
from usage_assets.demo.openstack.rows import RowWriter, instant_of
from usage_assets.demo.service.service import write_service

SITES: Final[dict[str, Callable[[RowWriter, str, int, Scale, int], None]]] = {
    "demo_metal": make_metal,
    "demo_kvm": make_kvm,
    "demo_edge": make_edge,
}
"""Name of a demo site of databases -> what writes it."""
POOLS: Final[dict[str, Callable[[Path, datetime, int], dict[str, int]]]] = {"demo_pool": gpu_pool.write_pool}
"""Name of a demo pool of GPUs -> what writes its files of snapshots."""
SERVICES: Final[dict[str, Callable[[Path, datetime, int], dict[str, int]]]] = {"demo_service": write_service}
"""Name of a demo service of models -> what writes the sources of its requests."""
DEMOS: Final = (*SITES, *POOLS, *SERVICES)
FULL_SIZE_UNTIL: Final = datetime(2026, 11, 1, tzinfo=UTC)
_METAL_SCALE: Final = Scale(
    large_leases=0.12, prolonged_leases=0.1, prolonged_weeks=1, missing_specs=0.0435, extra_actions=1.46,
)  # fmt: skip
_METAL: Final = Targets(
    compute_nodes=3_449, leases=223_503, reservations=234_508, allocations=164_491, instances=146_890
)
_UC: Final = Targets(compute_nodes=1_480, leases=96_000, reservations=101_000, allocations=71_000, instances=63_000)


def _earlier(types: Sequence[NodeType], first: int) -> tuple[NodeType, ...]:
    """The types of a site that began in 2016 already, with what it had at its first real count."""
    return tuple(replace(t, counts=t.counts | {2016: t.counts[first]}) if first in t.counts else t for t in types)


FULL_SIZE: Final[dict[str, Callable[[RowWriter, str, int, int], None]]] = {
    "full_size": lambda writer, name, until, seed: make_metal(writer, name, until, _METAL_SCALE, seed, targets=_METAL),
    "full_uc": lambda writer, name, until, seed: make_metal(
        writer, name, until, _METAL_SCALE, seed, targets=_UC, types=UC_TYPES
    ),
    "full_kvm": lambda writer, name, until, seed: make_kvm(
        writer, name, until, Scale(), seed, types=_earlier(KVM_TYPES, 2019)
    ),
    "full_edge": lambda writer, name, until, seed: make_edge(
        writer, name, until, Scale(), seed, types=_earlier(EDGE_TYPES, 2023)
    ),
}
"""Name of a site of full size -> what writes it; all four have their history since 2016."""


def make_site(name: str, folder: Path, *, until: datetime, scale: Scale | None = None, seed: int = 1) -> dict[str, int]:
    """Write the databases of a demo site as its servers would hold them at ``until``; rows by ``schema.table``.

    A pool has files of snapshots instead, a service a gateway's database and files of events: rows by file, and no
    scale. Metal starts in 2016, KVM in 2019, edge in 2023, the pool in November 2025, the service a month later. The
    same arguments give the same rows, and a later ``until`` only adds to the past and closes what was open. The folder
    is replaced as a whole, once everything is written.
    """
    naive = until.astimezone(UTC).replace(tzinfo=None)
    if name in POOLS:
        return _put(folder, _POOL_FILE, lambda part: POOLS[name](part, naive, seed))
    if name in SERVICES:
        return _put(folder, _SERVICE_FILE, lambda part: SERVICES[name](part, naive, seed))
    if name not in SITES:
        raise ValueError(f"no demo site named {name!r}; there are {', '.join(DEMOS)}")
    return _write(folder, lambda writer: SITES[name](writer, name, instant_of(until), scale or Scale(), seed))


def make_full_size(folder: Path, name: str = "full_size", *, seed: int = 1) -> dict[str, int]:
    """Write a site of 130 months, by default bare metal with a large real one's row counts; rows by table."""
    until = instant_of(FULL_SIZE_UNTIL)
    return _write(folder, lambda writer: FULL_SIZE[name](writer, name, until, seed))


def _write(folder: Path, write_rows: Callable[[RowWriter], None]) -> dict[str, int]:
    def fill(part: Path) -> dict[str, int]:
        with RowWriter(part) as writer:
            write_rows(writer)
        return dict(writer.counts)

    return _put(folder, _DATABASE_FILE, fill)


def _put(folder: Path, own: re.Pattern[str], fill: Callable[[Path], dict[str, int]]) -> dict[str, int]:
    """Fill a hidden sibling folder and put it in place, so that a killed run leaves nothing half made there."""
    there = sorted(file.name for file in folder.iterdir()) if folder.exists() else []
    foreign = [name for name in there if not own.fullmatch(name)]
    if foreign:
        raise FileExistsError(f"{folder} holds other files ({', '.join(foreign)}); give an empty folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        counts = fill(unfinished)
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return counts


_DATABASE_FILE: Final = re.compile(
    "|".join(map(re.escape, [INVENTORY_FILE, *(f"{database}.db" for database in schema.databases())]))
)
_SERVICE_FILE: Final = re.compile(r"litellm\.db|images_log\.csv|spans|events")
_POOL_FILE: Final = re.compile(r"gpu_state_\d{4}-\d{2}\.(db|parquet)")
