"""Snapshot files as tests write them, and a dump of them."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from usage_assets.core import clock
from usage_assets.core.months import Window
from usage_assets.kinds.htcondor.raw.dump import dump
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.sources.record import TableMonth
from usage_assets.warehouse import Warehouse

ZONE = "America/Chicago"
OCT, NOV, DEC = date(2025, 10, 1), date(2025, 11, 1), date(2025, 12, 1)
ROW: dict[str, Any] = {
    "Name": "slot1@h1",
    "Machine": "h1.x.edu",
    "AssignedGPUs": "GPU-1",
    "AvailableGPUs": "GPU-1",
    "State": "Unclaimed",
    "GPUs_DeviceName": "NVIDIA A100-SXM4-80GB",
    "GPUs_GlobalMemoryMb": 81051,
    "PrioritizedProjects": "",
    "GPUsAverageUsage": None,
    "RemoteOwner": None,
    "GlobalJobId": None,
    "PreventJobsReason": None,
    "Disk": 5,
}
TYPES = {
    name: pl.Int64 if name in {"GPUs_GlobalMemoryMb", "Disk"} else pl.Float64 if "Usage" in name else pl.String
    for name in ROW
}


def site_of(folder: Path, **more: object) -> HTCondorSite:
    said = {"kind": "htcondor", "key": "pool", "name": "Pool", "snapshots": str(folder), "first_month": "2025-10"}
    return HTCondorSite.model_validate(said | {"timezone": ZONE} | more)


def rows(times: Iterable[datetime], **more: Any) -> list[dict[str, Any]]:
    """A row per time."""
    return [ROW | {"timestamp": at} | more for at in times]


def every(minutes: int, first: str, count: int) -> list[datetime]:
    begin = datetime.fromisoformat(first)
    return [begin + n * timedelta(minutes=minutes) for n in range(count)]


def frame(found: Sequence[dict[str, Any]]) -> pl.DataFrame:
    schema = {name: TYPES.get(name, pl.Datetime("us")) for name in found[0]} if found else TYPES
    return pl.DataFrame(list(found), schema=schema)


def parquet(folder: Path, found: Sequence[dict[str, Any]], name: str = "gpu_state_2025-10.parquet") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    frame(found).write_parquet(folder / name)
    return folder / name


def sqlite(folder: Path, found: Sequence[dict[str, Any]], name: str = "gpu_state_2025-10.db") -> Path:
    """Rows appended to a file."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / name)) as con:
        for row in found:
            shown = ", ".join(f'"{column}"' for column in row)
            con.execute(f"CREATE TABLE IF NOT EXISTS gpu_state ({shown})")
            at = row["timestamp"]
            text = at.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(at, datetime) else at
            con.execute(
                f"INSERT INTO gpu_state ({shown}) VALUES ({', '.join('?' * len(row))})",
                list((row | {"timestamp": text}).values()),
            )
        con.commit()
    return folder / name


def read(site: HTCondorSite, warehouse: Warehouse, *months: date, **more: Any) -> list[TableMonth]:
    done = dump(site, Window(site.key, months or (OCT,)), warehouse, run_id="run", **more)
    return list(done.months)


def stored(warehouse: Warehouse, columns: str = "* EXCLUDE (extracted_at, seen_from)") -> list[tuple]:
    """Rows in a fixed order."""
    with warehouse.read() as reader:
        return reader.sql(f"SELECT {columns} FROM raw.gpu_state ORDER BY ALL").rows()


def polls(warehouse: Warehouse) -> list[tuple[datetime, datetime]]:
    with warehouse.read() as reader:
        return reader.sql("SELECT DISTINCT poll_at, local_at FROM raw.gpu_state ORDER BY ALL").rows()


def at(monkeypatch: pytest.MonkeyPatch, now: str) -> None:
    """Let it be an instant."""
    monkeypatch.setattr(clock, "naive_utc_now", lambda: datetime.fromisoformat(now))
