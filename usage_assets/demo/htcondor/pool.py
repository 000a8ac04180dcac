"""A made GPU pool: snapshots of slots as a collector of HTCondor writes them, in files by local month.

Jobs come and go on each GPU, backfill takes what they leave, hosts drain, refuse jobs and come back, polls are missed.
The same seed gives the same pool.
"""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

DEVICES = (
    # model, memory, how common
    ("NVIDIA A100-SXM4-80GB", 81051, 14),
    ("NVIDIA A100-SXM4-40GB", 40339, 16),
    ("NVIDIA H100 80GB HBM3", 81110, 8),
    ("NVIDIA H200", 143156, 6),
    ("NVIDIA L40", 45487, 14),
    ("NVIDIA GeForce RTX 2080 Ti", 10997, 22),
    ("NVIDIA RTX A4000", 16117, 8),
    ("Tesla P100-PCIE-16GB", 16276, 7),
    ("NVIDIA GeForce GTX 1080 Ti", 11172, 5),
)
TEXTS = ("RemoteOwner", "GlobalJobId", "PreventJobsReason")
COLUMNS = (
    "Name", "Machine", "AssignedGPUs", "AvailableGPUs", "State", "GPUs_DeviceName", "GPUs_GlobalMemoryMb",
    "PrioritizedProjects", "GPUsAverageUsage", "RemoteOwner", "GlobalJobId", "PreventJobsReason", "Disk", "timestamp",
)  # fmt: skip
_SPAN = {
    "machine": pl.Int32, "gpu": pl.Int32, "kind": pl.Int8, "state": pl.String, "slot": pl.String, "owner": pl.String,
    "job": pl.String, "usage": pl.Float64, "first": pl.Int32, "last": pl.Int32,
}  # fmt: skip
PRIMARY, BACKFILL = 0, 1


@dataclass(frozen=True)
class Host:
    """A machine of the pool."""

    name: str
    device: str
    memory_mb: int
    gpus: tuple[str, ...]
    projects: str
    backfills: bool


@dataclass(frozen=True)
class MadePool:
    """What was made: the hosts, those hosted and masked, and the files."""

    hosts: tuple[Host, ...]
    hosted: tuple[str, ...]
    masked: tuple[str, ...]
    files: tuple[Path, ...] = field(default=())


def make_hosts(machines: int, gpus: int, seed: int = 7) -> tuple[Host, ...]:
    """Machines with so many GPUs altogether; old ones name their GPUs CUDA0, CUDA1 ..., alike on each."""
    chance = random.Random(seed)
    sizes = [1] * machines
    while sum(sizes) < gpus:
        sizes[chance.randrange(machines)] += 1
        sizes = [min(size, 10) for size in sizes]
    out = []
    for number, size in enumerate(sizes):
        device, memory, _ = chance.choices(DEVICES, [common for *_, common in DEVICES])[0]
        old = "1080" in device or "P100" in device
        ids = tuple(f"CUDA{n}" if old else f"GPU-{chance.getrandbits(32):08x}" for n in range(size))
        projects = chance.choice(("", "", "Physics", "Biology, Chemistry", "Statistics"))
        out.append(Host(f"gpu{number:04}.pool.example.edu", device, memory, ids, projects, chance.random() < 0.8))
    return tuple(out)


def make_pool(
    folder: Path,
    start: datetime,
    end: datetime,
    *,
    machines: int = 100,
    gpus: int = 532,
    poll_minutes: int = 15,
    timezone: str = "America/Chicago",
    gaps: int = 2,
    seed: int = 7,
    suffix: str = ".parquet",
    row_group: int = 122_880,
) -> MadePool:
    """Write the files of all local months that `[start, end)` (UTC) touches, and the lists of hosts beside them."""
    hosts = make_hosts(machines, gpus, seed)
    hosted = tuple(host.name for host in hosts[::9])
    masked = tuple(host.name for host in hosts[4::47])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hosted.txt").write_text("# hosted machines\n" + "\n".join(hosted) + "\n", encoding="utf-8")
    lines = "".join(f"{name}: being repaired\n" for name in masked)
    (folder / "masked.yaml").write_text(lines, encoding="utf-8")
    polls = poll_times(start, end, poll_minutes=poll_minutes, timezone=timezone, gaps=gaps, seed=seed)
    files = []
    spans = make_spans(hosts, (end - start) // timedelta(minutes=poll_minutes), poll_minutes, seed)
    for (month,), part in sorted(polls.group_by(pl.col("timestamp").dt.strftime("%Y-%m"))):
        path = folder / f"gpu_state_{month}{suffix}"
        rows = snapshot_rows(hosts, spans, part)
        if suffix == ".parquet":
            rows.write_parquet(path, row_group_size=row_group)
        else:
            write_sqlite(path, [rows])
        files.append(path)
    return MadePool(hosts, hosted, masked, tuple(files))


def poll_times(
    start: datetime, end: datetime, *, poll_minutes: int, timezone: str, gaps: int = 0, seed: int = 7
) -> pl.DataFrame:
    """Polls: number, and wall clock in the zone (`timestamp`) some seconds after it was due; some are missed."""
    chance = random.Random(seed + 1)
    number = (end - start) // timedelta(minutes=poll_minutes)
    missed = {at for _ in range(gaps) for begin in [chance.randrange(number)] for at in range(begin, begin + 6)}
    due = [n for n in range(number) if n not in missed]
    late = [chance.randrange(1_000_000, 9_000_000) for _ in due]
    at = pl.Series("at", [start], dtype=pl.Datetime("us")).first()
    frame = pl.DataFrame({"poll": due, "late": late}, schema={"poll": pl.Int32, "late": pl.Int64})
    utc = pl.lit(at) + pl.duration(minutes=pl.col("poll").cast(pl.Int64) * poll_minutes, microseconds=pl.col("late"))
    wall = utc.dt.replace_time_zone("UTC").dt.convert_time_zone(timezone).dt.replace_time_zone(None)
    return frame.select("poll", timestamp=wall)


def make_spans(hosts: Sequence[Host], polls: int, poll_minutes: int, seed: int = 7) -> pl.DataFrame:
    """What each GPU is, over polls `first` up to and without `last`: jobs, and backfill where there is none."""
    rows = [row for number, host in enumerate(hosts) for row in _of_host(number, host, polls, poll_minutes, seed)]
    return pl.DataFrame(rows, schema=_SPAN, orient="row")


def _of_host(number: int, host: Host, polls: int, poll_minutes: int, seed: int) -> Iterator[tuple[object, ...]]:
    chance = random.Random(seed * 1000 + number)
    hour = 60 / poll_minutes
    drained = _some(chance, polls, 0.2, 30 * hour)
    for gpu in range(len(host.gpus)):
        at = 0
        job = 0
        while at < polls:
            busy = chance.random() < 0.6
            until = min(at + 1 + int(chance.expovariate(1 / (9 * hour if busy else 5 * hour))), polls)
            if drained[0] <= at < drained[1]:
                until = min(until, drained[1])
                yield number, gpu, PRIMARY, "Drained", "slot1", None, None, None, at, until
            elif busy:
                job += 1
                owner = f"user{chance.randrange(60):02}@pool" if chance.random() > 0.01 else None
                slot, name = f"slot1_{gpu + 1}", f"submit#{number}.{gpu}.{job}"
                yield number, gpu, PRIMARY, "Claimed", slot, owner, name, round(chance.random(), 4), at, until
            else:
                yield number, gpu, PRIMARY, "Unclaimed", "slot1", None, None, None, at, until
                if host.backfills:
                    yield from _backfill(chance, (number, gpu), at, until, hour)
            at = until


def _backfill(
    chance: random.Random, of: tuple[int, int], first: int, last: int, hour: float
) -> Iterator[tuple[object, ...]]:
    (number, gpu), at = of, first
    while at < last:
        until = min(at + 1 + int(chance.expovariate(1 / (3 * hour))), last)
        if chance.random() < 0.5:
            owner, job = f"back{chance.randrange(25):02}@pool", f"backfill#{number}.{gpu}.{at}"
            usage = round(chance.random(), 4)
            yield number, gpu, BACKFILL, "Claimed", f"backfill2_{gpu + 1}", owner, job, usage, at, until
        else:
            yield number, gpu, BACKFILL, "Unclaimed", "backfill2", None, None, None, at, until
        at = until


def _some(chance: random.Random, polls: int, share: float, length: float) -> tuple[int, int]:
    """A stretch of time that a share of the hosts has."""
    first = chance.randrange(polls)
    return (first, first + int(length)) if chance.random() < share else (polls, polls)


def snapshot_rows(hosts: Sequence[Host], spans: pl.DataFrame, polls: pl.DataFrame) -> pl.DataFrame:
    """Rows as the collector has them at some polls, in its order."""
    numbers = polls["poll"]
    first, last = numbers.min(), numbers.max()
    assert isinstance(first, int)
    assert isinstance(last, int)
    near = spans.filter(pl.col("first") <= last, pl.col("last") > first).with_columns(
        pl.col("first").clip(lower_bound=first), pl.col("last").clip(upper_bound=last + 1)
    )
    each = near.with_columns(poll=pl.int_ranges("first", "last", dtype=pl.Int32)).drop("first", "last").explode("poll")
    each = each.join(polls, on="poll")
    # the partitionable slot lists all its GPUs while one is left, those of its dynamic slots too
    left = each.filter(pl.col("kind") == PRIMARY, pl.col("state") == "Unclaimed").select("machine", "poll").unique()
    listed = (
        each.filter(pl.col("kind") == PRIMARY, pl.col("state") == "Claimed")
        .join(left, on=["machine", "poll"])
        .with_columns(
            state=pl.lit("Unclaimed"), slot=pl.lit("slot1"), owner=None, job=None, usage=pl.lit(None, pl.Float64)
        )
        .select(each.columns)
    )
    known = pl.DataFrame(
        {
            "machine": list(range(len(hosts))),
            "Machine": [host.name for host in hosts],
            "GPUs_DeviceName": [host.device for host in hosts],
            "GPUs_GlobalMemoryMb": [host.memory_mb for host in hosts],
            "PrioritizedProjects": [host.projects for host in hosts],
            "AvailableGPUs": [",".join(host.gpus) for host in hosts],
        },
        schema_overrides={"machine": pl.Int32},
    )
    ids = pl.DataFrame(
        [(n, g, name) for n, host in enumerate(hosts) for g, name in enumerate(host.gpus)],
        schema={"machine": pl.Int32, "gpu": pl.Int32, "AssignedGPUs": pl.String},
        orient="row",
    )
    refuses = (pl.col("machine") % 23 == 5) & (pl.col("poll") % 700 < 90)
    backfill = pl.col("kind") == BACKFILL
    return (
        pl.concat([each, listed])
        .sort("poll", "machine", "slot", "gpu")
        .join(known, on="machine", maintain_order="left")
        .join(ids, on=["machine", "gpu"], maintain_order="left")
        .with_columns(
            Name=pl.col("slot") + "@" + pl.col("Machine"),
            State="state",
            PrioritizedProjects=pl.when(backfill).then(pl.lit("")).otherwise("PrioritizedProjects"),
            GPUsAverageUsage="usage",
            RemoteOwner="owner",
            GlobalJobId="job",
            PreventJobsReason=pl.when(refuses).then(pl.lit("disk is full")),
            Disk=pl.lit(500_000_000, pl.Int64) + pl.col("machine").cast(pl.Int64),
        )
        .select(COLUMNS)
    )


def write_sqlite(path: Path, parts: Sequence[pl.DataFrame]) -> None:
    """Append rows to a file as older collectors do, times as text."""
    with closing(sqlite3.connect(path)) as con:
        for rows in parts:
            names = ", ".join(f'"{name}"' for name in rows.columns)
            con.execute(f"CREATE TABLE IF NOT EXISTS gpu_state ({names})")
            stamped = rows.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%d %H:%M:%S%.6f"))
            marks = ", ".join("?" * rows.width)
            con.executemany(f"INSERT INTO gpu_state ({names}) VALUES ({marks})", stamped.iter_rows())
        con.commit()
