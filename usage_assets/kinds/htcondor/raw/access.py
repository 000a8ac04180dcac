"""Findings of `check-site` and `doctor` on a GPU pool: its folders, the files by month, the newest poll, its lists."""

import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from usage_assets.core import clock
from usage_assets.core.errors import SourceError
from usage_assets.kinds.htcondor.pool.hosts import HostList
from usage_assets.kinds.htcondor.raw.files import SQLITE, Copy, SnapshotFile, find_files, kind_of, still
from usage_assets.kinds.htcondor.raw.read import Inspected, columns_of, inspect, relation, remarks, time_of, unreadable
from usage_assets.kinds.htcondor.raw.sqlite import TABLE, Rows, columns, connect
from usage_assets.kinds.htcondor.raw.sqlite import unreadable as unreadable_sqlite
from usage_assets.kinds.htcondor.raw.tables import GPU_STATE, SOURCE, TIME, require_columns
from usage_assets.kinds.htcondor.raw.wallclock import polls_of, repeated_day
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.specs.access_report import ServerAccess, SiteAccess, TableAccess
from usage_assets.specs.raw_table import RawTable
from usage_assets.warehouse.connections import in_memory

_LAST_ROWS = 20_000
_SHOWN = 10
_LATE_POLLS, _LATE = 4, timedelta(hours=1)


def check_site(site: HTCondorSite, tables: Sequence[RawTable], *, count: bool = True) -> SiteAccess:
    """Which files there are and what is in them; without `count` only the newest one is opened."""
    del tables
    files = [file for found in find_files(site).values() for file in found]
    looked = files if count else files[-1:]
    with tempfile.TemporaryDirectory() as folder, in_memory(Path(folder)) as con:
        found = [_file(con, site, file, Path(folder)) for file in looked]
    folders = [ServerAccess(str(snapshots.path(site.key)), "", ()) for snapshots in dict.fromkeys(site.snapshots)]
    if not found:
        where = ", ".join(folder.label for folder in folders)
        return SiteAccess(tuple(folders), (TableAccess(GPU_STATE.name, where, "missing", note="there is no file yet"),))
    late = _late(site, found)
    warned = ServerAccess(folders[-1].label, "", (late,) if late else ())
    return SiteAccess((*folders[:-1], warned), tuple(found))


def _file(con: duckdb.DuckDBPyConnection, site: HTCondorSite, file: SnapshotFile, folder: Path) -> TableAccess:
    """One file: rows, first and last time (UTC), columns that it lacks; only what its ends say."""
    name = file.path.name
    try:
        names, rows, ends = _of_sqlite(file) if kind_of(file) == SQLITE else _of_parquet(con, file, folder)
        require_columns(names, file.path)
    except SourceError as error:
        return TableAccess(GPU_STATE.name, name, "unreadable", note=str(error))
    polls = polls_of((at for at in ends if at is not None), site.zone)
    have = {each.lower() for each in names}
    missing = tuple(each for each in SOURCE.values() if each.lower() not in have)
    notes = [f"{name} has no column {', '.join(missing)}"] if missing else []
    notes += [f"{name}: {text!r} is no time" for text in sorted(map(str, polls.bad))]
    times = polls.frame["poll_at"].sort().to_list() or [None]
    return TableAccess(GPU_STATE.name, name, "found", rows, times[0], times[-1], missing, "; ".join(notes) or None)


def _of_sqlite(file: SnapshotFile) -> tuple[list[str], int, list[str | datetime | None]]:
    try:
        with closing(connect(file.path)) as con:
            names = columns(con, file.path)
            require_columns(names, file.path)
            rows = int(con.execute(f"SELECT coalesce(max(rowid), 0) FROM {TABLE}").fetchone()[0])
            ends = [
                found[0]
                for way in ("ASC", "DESC")
                for found in con.execute(f'SELECT "{TIME}" FROM {TABLE} ORDER BY rowid {way} LIMIT 1')
            ]
    except sqlite3.Error as error:
        raise unreadable_sqlite(file.path, error) from error
    return names, rows, [None if end is None else str(end) for end in ends]


def _of_parquet(
    con: duckdb.DuckDBPyConnection, file: SnapshotFile, folder: Path
) -> tuple[list[str], int, list[str | datetime | None]]:
    copy = still(file, folder / "file.parquet", rows=Rows()) if file.has_polls else Copy(file, file.path, "Parquet")
    try:
        known = columns_of(con, copy)
        require_columns(known, file.path)
        name, kind = known[TIME]
        time = time_of(f'"{name}"', kind)
        ((rows, *ends),) = con.execute(f"SELECT count(*), min({time}), max({time}) FROM {relation(copy)}").fetchall()
    except duckdb.Error as error:
        raise unreadable(copy, error) from error
    zone = UTC if kind == "TIMESTAMP WITH TIME ZONE" else None
    times = [end.replace(tzinfo=zone) if isinstance(end, datetime) else end for end in ends]
    return list(known), int(rows), [end if isinstance(end, (str, datetime)) else None for end in times]


def _late(site: HTCondorSite, found: Iterable[TableAccess]) -> str | None:
    """A warning where the newest poll is old: the collector may have stopped."""
    newest = max((one.last_at for one in found if one.last_at is not None), default=None)
    if newest is None:
        return None
    age = clock.naive_utc_now() - newest
    if age <= max(_LATE, _LATE_POLLS * timedelta(minutes=site.poll_minutes)):
        return None
    return f"the newest poll is of {newest:%Y-%m-%d %H:%M} UTC, {_long(age)} ago: is the collector at work?"


def _long(age: timedelta) -> str:
    hours = age / timedelta(hours=1)
    if hours < 2:
        return f"{60 * hours:.0f} min"
    return f"{hours:.0f} h" if hours < 72 else f"{age.days} days"


def check_files(site: HTCondorSite) -> list[str]:
    """Remarks on times and GPUs in the files, and on the lists of hosts; SiteError where a list has a fault."""
    hosted, masked = site.hosted_hosts(), site.masked_hosts()
    pool = site.pool()
    out: list[str] = []
    machines: list[str] = []
    files = [file for found in find_files(site).values() for file in found]
    newest = _newest(site, files[-1]) if files else None
    if newest is not None:
        machines, inspected = newest
        name = inspected.copy.file.path.name
        last = inspected.polls["poll_at"].max()
        if isinstance(last, datetime):
            age = clock.naive_utc_now() - last
            out.append(f"{name}: newest poll {last:%Y-%m-%d %H:%M:%S} UTC, {_long(age)} ago, {len(machines)} machines")
        if inspected.bad_times:
            out.append(f"{name}: {inspected.bad_times} row(s) whose time is none")
        out += remarks(inspected)
    out = list(dict.fromkeys([*out, *(remark for file in files for remark in _of_repeated_hour(site, file))]))
    lists = {
        "hosted": (hosted, [machine for machine in machines if pool.is_hosted(machine)]),
        "masked": (tuple(masked), [machine for machine in machines if pool.mask_reason(machine) is not None]),
    }
    for kind, (names, there) in lists.items():
        absent = [name for name in names if not any(machine in HostList([name]) for machine in there)]
        line = f"{kind}: {len(names)} host(s)"
        if machines and absent:
            more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
            line += f", never seen in the newest file: {', '.join(absent[:_SHOWN])}{more}"
        out += [line] if names else []
    return out


def _of_repeated_hour(site: HTCondorSite, file: SnapshotFile) -> list[str]:
    """Remarks on the hour that the clock shows twice in a file's month; none of a month without one."""
    day = repeated_day(file.month, site.zone)
    if day is None:
        return []
    found = _inspected(site, file, Rows(first=day, last=day + timedelta(days=1)))
    return remarks(found[1]) if found is not None else []


def _newest(site: HTCondorSite, file: SnapshotFile) -> tuple[list[str], Inspected] | None:
    """The machines of a file's last rows, and its times; null where it can't be read, which check_site reports."""
    try:
        after = max(_of_sqlite(file)[1] - _LAST_ROWS, 0) if kind_of(file) == SQLITE else 0
    except SourceError:
        return None
    return _inspected(site, file, Rows(after=after))


def _inspected(site: HTCondorSite, file: SnapshotFile, rows: Rows) -> tuple[list[str], Inspected] | None:
    """The machines of some rows of a file, and what `inspect` finds in them; of Parquet all rows are read."""
    with tempfile.TemporaryDirectory() as folder, in_memory(Path(folder)) as con:
        try:
            copy = still(file, Path(folder) / "looked_at.parquet", rows=rows)
            found = inspect(con, copy, site.zone, timedelta(minutes=site.poll_minutes))
            machine = f'"{found.names["machine"]}"'
            sql = f"SELECT DISTINCT {machine}::VARCHAR FROM {relation(copy)} WHERE {machine} IS NOT NULL"
            machines = con.execute(sql).fetchall()
        except (SourceError, duckdb.Error, sqlite3.Error):
            return None
    return sorted(name for (name,) in machines), found


def grants(site: HTCondorSite, tables: Sequence[RawTable]) -> str:
    """Files need no account."""
    del tables
    folders = "\n".join(f"-- {snapshots.path(site.key)}" for snapshots in site.snapshots)
    return (
        f"-- snapshots are files: the process must be able to read these folders, and needs nothing else\n{folders}\n"
    )
