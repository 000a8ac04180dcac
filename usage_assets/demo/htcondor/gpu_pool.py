"""The demo pool's files: snapshots of its slots by local month, SQLite for the oldest months and Parquet after.

Every machine and every GPU has a chance of its own, so that a later end only adds polls.
"""

import math
import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from usage_assets.demo.htcondor.gpu_hosts import HOSTS, NAMELESS, OUTAGES, OWNER_CHANGE, Host, Spell, spells
from usage_assets.demo.htcondor.pool import COLUMNS, write_sqlite

ZONE: Final = "America/Chicago"
POLL: Final = timedelta(hours=1)
FIRST: Final = datetime(2025, 11, 1, 5)
"""The first poll, in UTC: midnight of the pool's clocks."""
SQLITE_BEFORE: Final = date(2026, 1, 1)
_PER_HOUR: Final = 1
_USERS, _LIGHT, _JOB_HOURS = 34, 14, 9
_PRIMARY, _BACKFILL = "slot1", "backfill2"
_SPAN = {
    "machine": pl.Int16, "gpu": pl.Int16, "Name": pl.String, "State": pl.String, "RemoteOwner": pl.String,
    "GlobalJobId": pl.String, "GPUsAverageUsage": pl.Float64, "first": pl.Int32, "last": pl.Int32,
}  # fmt: skip
_Row = tuple[int, int, str, str, str | None, str | None, float | None, int, int]


def write_pool(folder: Path, until: datetime, seed: int) -> dict[str, int]:
    """Write the files of all polls before `until` (UTC); rows by file."""
    polls = _polls(until, seed)
    if polls.is_empty():
        return {}
    last = (until - FIRST) // POLL + 1
    spans = pl.DataFrame(list(_spans(last, seed)), schema=_SPAN, orient="row")
    reasons = _reasons(last, seed)
    counts = {}
    for (month,), part in sorted(polls.group_by(pl.col("timestamp").dt.strftime("%Y-%m")), key=lambda each: each[0]):
        rows = _rows(spans, reasons, part)
        is_old = date.fromisoformat(f"{month}-01") < SQLITE_BEFORE
        path = folder / f"gpu_state_{month}{'.db' if is_old else '.parquet'}"
        if is_old:  # the collector of that time did not ask for these
            write_sqlite(path, [rows.drop("PreventJobsReason", "Disk")])
        else:
            rows.write_parquet(path)
        counts[path.name] = rows.height
    return counts


def _polls(until: datetime, seed: int) -> pl.DataFrame:
    """Number and wall clock of each poll, some seconds after it was due; without those missed."""
    due = FIRST + POLL * math.ceil((until - FIRST) / POLL)
    frame = pl.select(at=pl.datetime_range(FIRST, due, POLL, closed="left", time_unit="us")).with_row_index("poll")
    chance = random.Random(f"{seed} polls")
    drawn = [(chance.random(), chance.randrange(1_000_000, 9_000_000)) for _ in range(frame.height)]
    frame = frame.with_columns(
        kept=pl.Series([each > 0.0015 for each, _ in drawn], dtype=pl.Boolean),
        late=pl.Series([late for _, late in drawn], dtype=pl.Int64),
    )
    for begin, end in OUTAGES:
        frame = frame.with_columns(kept=pl.col("kept") & ~pl.col("at").is_between(begin, end, closed="left"))
    wall = pl.col("at") + pl.duration(microseconds="late")
    return frame.filter("kept", pl.col("at") + pl.duration(microseconds="late") < until).select(
        pl.col("poll").cast(pl.Int32),
        timestamp=wall.dt.replace_time_zone("UTC").dt.convert_time_zone(ZONE).dt.replace_time_zone(None),
    )


def _number(at: datetime) -> int:
    return (at - FIRST) // POLL


def _spans(last: int, seed: int) -> Iterator[_Row]:
    """What each GPU is in one slot, over polls from `first` up to and without `last`."""
    for number, host in enumerate(HOSTS):
        until = last if host.left is None else min(last, _number(host.left))
        closed = list(spells(host, last / _PER_HOUR, seed))
        starts = [0, *accumulate(host.units)]
        for unit, size in enumerate(host.units):
            gpus = range(starts[unit], starts[unit] + size)
            chance = random.Random(f"{seed} {host.name} {unit}")
            begin = 0 if host.came is None else _number(host.came)
            yield from _of_unit(chance, (number, host, unit), gpus, (begin, until), closed)


def _of_unit(
    chance: random.Random, of: tuple[int, Host, int], gpus: range, over: tuple[int, int], closed: Sequence[Spell]
) -> Iterator[_Row]:
    """Jobs one after another; between them it stands free, drains, or takes backfill."""
    number, host, unit = of
    at, until = over
    machine = host.name
    by_hand = unit >= len(host.units) - host.interactive
    slot = "interactive1" if by_hand else _PRIMARY
    job = 0
    while at < until:
        spell = next((each for each in closed if each.first * _PER_HOUR <= at < each.last * _PER_HOUR), None)
        wants = chance.random() < _demand(at, by_hand=by_hand)
        # free spells are as long as makes the share of time held what the host says, at the demand of the first months
        mean = _JOB_HOURS if wants else min(2.5 * _JOB_HOURS * (1 - host.busy) / host.busy, 48)
        hours = chance.expovariate(1 / mean)
        to = at + 1 + int(hours * _PER_HOUR)
        if spell is not None:
            to = min(max(math.ceil(spell.last * _PER_HOUR), at + 1), until)
            state = "Unclaimed" if spell.reason else "Drained"
            for gpu in gpus:
                yield number, gpu, f"{slot}@{machine}", state, None, None, None, at, to
        elif wants:
            job += 1
            to = min(to, until)
            owner, usage = _owner(chance, host), round(sum(min(chance.betavariate(3, 1.6), 1) for _ in gpus), 4)
            name = f"{slot}_{unit + 1}@{machine}"
            for gpu in gpus:
                yield number, gpu, name, "Claimed", owner, f"submit1#{number}.{unit}.{job}", usage, at, to
                if host.lists_taken:
                    yield number, gpu, f"{_BACKFILL}@{machine}", "Unclaimed", None, None, None, at, to
        else:
            to = min(to, until)
            for gpu in gpus:
                yield number, gpu, f"{slot}@{machine}", "Unclaimed", None, None, None, at, to
                if host.backfills and not by_hand:
                    own = random.Random(chance.random())  # so that what one GPU takes says nothing of the next one
                    yield from _backfill(own, (number, gpu, machine), at, to)
        at = to


def _backfill(chance: random.Random, of: tuple[int, int, str], at: int, until: int) -> Iterator[_Row]:
    """Short jobs of few users; the last one makes room for the primary job that comes."""
    number, gpu, machine = of
    while at < until:
        takes = chance.random() < 0.62
        to = min(at + 1 + int(chance.expovariate(1 / (2.5 if takes else 1.5)) * _PER_HOUR), until)
        if takes:
            owner = f"grid{int(abs(chance.gauss(0, 4))) % 11:02}@osg.example.org"
            usage = round(min(chance.betavariate(2.5, 1.2), 1), 4)
            name = f"{_BACKFILL}_{gpu + 1}@{machine}"
            yield number, gpu, name, "Claimed", owner, f"backfill1#{number}.{gpu}.{at}", usage, at, to
        else:
            yield number, gpu, f"{_BACKFILL}@{machine}", "Unclaimed", None, None, None, at, to
        at = to


def _demand(poll: int, *, by_hand: bool) -> float:
    """How likely a free unit finds a job: it grows over the years, sleeps at the turn of the year, and at night."""
    at = (FIRST + POLL * poll).replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(ZONE))
    if by_hand:
        return 0.7 if at.weekday() < 5 and 8 <= at.hour < 18 else 0.01
    years = poll / _PER_HOUR / 8766
    season = 1 - 0.45 * math.exp(-(((at.timetuple().tm_yday + 183) % 365 - 182) ** 2) / 120)
    semester = 1 + 0.12 * math.sin(2 * math.pi * (years * 2 + 0.1))
    day = 1.08 if 9 <= at.hour < 22 else 0.9
    return min(0.97, (0.68 + 0.14 * min(years, 2.0)) * season * semester * day)


def _owner(chance: random.Random, host: Host) -> str | None:
    """Whose job it is: a few people have most of them, and now and then nothing tells."""
    drawn = chance.random()
    if drawn < 0.008:
        return None if drawn < 0.006 else ""
    if host.projects.strip():
        lab = host.projects.partition(",")[0].lower()
        return f"{lab}{int(chance.expovariate(0.6)) % 6 + 1}@pool.example.edu"
    light = chance.random() < 0.2
    number = _LIGHT + chance.randrange(_USERS - _LIGHT) if light else int(chance.expovariate(0.28)) % _LIGHT
    return f"user{number + 1:02}@pool.example.edu"


def _reasons(last: int, seed: int) -> pl.DataFrame:
    """machine, poll, PreventJobsReason."""
    found = [
        (number, math.ceil(spell.first * _PER_HOUR), math.ceil(spell.last * _PER_HOUR), spell.reason)
        for number, host in enumerate(HOSTS)
        for spell in spells(host, last / _PER_HOUR, seed)
        if spell.reason
    ]
    schema = {"machine": pl.Int16, "first": pl.Int32, "last": pl.Int32, "PreventJobsReason": pl.String}
    frame = pl.DataFrame(found, schema=schema, orient="row")
    each = frame.with_columns(poll=pl.int_ranges("first", "last", dtype=pl.Int32)).explode("poll")
    return each.drop("first", "last").unique(["machine", "poll"], keep="first", maintain_order=True)


def _rows(spans: pl.DataFrame, reasons: pl.DataFrame, polls: pl.DataFrame) -> pl.DataFrame:
    """Rows of some polls as the collector writes them."""
    first, last = int(polls["poll"][0]), int(polls["poll"][-1]) + 1
    near = spans.filter(pl.col("first") < last, pl.col("last") > first).with_columns(
        pl.col("first").clip(lower_bound=first), pl.col("last").clip(upper_bound=last)
    )
    each = near.with_columns(poll=pl.int_ranges("first", "last", dtype=pl.Int32)).drop("first", "last").explode("poll")
    each = each.join(polls, on="poll")
    # a partitionable slot lists all its GPUs while one of them is left, those that its dynamic slots hold, too
    whole = pl.col("Name").str.starts_with(f"{_PRIMARY}@")
    held = pl.col("Name").str.starts_with(f"{_PRIMARY}_")
    left = each.filter(whole, pl.col("State") == "Unclaimed").select("machine", "poll").unique()
    listed = (
        each.filter(held)
        .join(left, on=["machine", "poll"])
        .with_columns(
            Name=f"{_PRIMARY}@" + pl.col("Name").str.split("@").list.last(),
            State=pl.lit("Unclaimed"),
            RemoteOwner=pl.lit(None, pl.String),
            GlobalJobId=pl.lit(None, pl.String),
            GPUsAverageUsage=pl.lit(None, pl.Float64),
        )
        .select(each.columns)
    )
    changed, at, projects = OWNER_CHANGE
    nameless, begin, end = NAMELESS
    is_named = pl.col("Machine") == nameless
    backfill = pl.col("Name").str.starts_with(_BACKFILL)
    return (
        pl.concat([each, listed])
        .join(_known(), on=["machine", "gpu"], how="left")
        .join(reasons, on=["machine", "poll"], how="left")
        .sort("poll", "machine", "Name", "gpu")
        .with_columns(
            GPUs_DeviceName=pl.when(
                is_named & pl.col("poll").is_between(_number(begin), _number(end), closed="left")
            ).then(None).otherwise("GPUs_DeviceName"),
            PrioritizedProjects=pl.when(backfill).then(pl.lit(""))
            .when((pl.col("Machine") == changed) & (pl.col("poll") >= _number(at))).then(pl.lit(projects))
            .otherwise("PrioritizedProjects"),
            Disk=pl.lit(500_000_000, pl.Int64) + pl.col("machine").cast(pl.Int64),
        )
        .select(COLUMNS)
    )  # fmt: skip


def _known() -> pl.DataFrame:
    rows = [
        (number, gpu, host.name, name, ",".join(host.gpus), host.device, host.memory_mb, host.projects)
        for number, host in enumerate(HOSTS)
        for gpu, name in enumerate(host.gpus)
    ]
    schema = {
        "machine": pl.Int16, "gpu": pl.Int16, "Machine": pl.String, "AssignedGPUs": pl.String,
        "AvailableGPUs": pl.String, "GPUs_DeviceName": pl.String, "GPUs_GlobalMemoryMb": pl.Int64,
        "PrioritizedProjects": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")
