"""`usage-assets backup`: a consistent copy of everything that can't be made again, while runs go on.

Each file is consistent by itself, and none refers to what a file that is copied later lacks: first what alerts and
sensors remember, then events, then runs, and the warehouse last, so that no month counts as built whose rows are
missing. A backup is made under a hidden name and gets its own when it is complete.
"""

import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from usage_assets.alerts.sent_mail import LETTERS
from usage_assets.core import clock
from usage_assets.core.disk import put_in_place, require_room, size_of
from usage_assets.core.errors import BackupError, SiteError, WarehouseError
from usage_assets.core.file_faults import advice
from usage_assets.core.locks import file_lock
from usage_assets.kinds.site_files import load_site
from usage_assets.operations.manifest import NAME, Manifest, taken
from usage_assets.operations.places import ALERTS, DAGSTER, EXPORTS, INDEX, PLOTS, RUNS, SITES, WAREHOUSE, Places
from usage_assets.sites.listing import site_files
from usage_assets.warehouse import Warehouse, migrations

_STAMP = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
_BUSY_SECONDS = 60.0


def make_backup(
    places: Places, to: Path, *, plots: bool = True, keep: int | None = None, now: datetime | None = None
) -> tuple[Path, Manifest]:
    """Make a backup in a new folder below `to`; with `keep`, older ones beyond that many are removed afterwards.

    BackupError where the disk is too small, or a file can't be copied; nothing is left behind then.
    """
    with file_lock(to / ".backup.lock", "a backup", wait_seconds=0):
        for left in to.glob(".*.part"):  # of a backup that was killed: whoever makes one holds the lock
            shutil.rmtree(left)
        try:
            trees = [places.exports, *([places.plots] if plots else [])]
            needed = sum(map(size_of, [places.warehouse, *databases(places.home), *trees]))
            require_room(to, needed, "make a backup")
            folder, manifest = _make(places, to, plots=plots, now=now or clock.utc_now())
        except WarehouseError as error:
            raise BackupError(str(error)) from None
        except (OSError, sqlite3.Error) as error:
            msg = f"no backup was made: {error}; nothing is left of it in {to}. What to do: {advice(error, to)}"
            raise BackupError(msg) from None
        if keep is not None:
            for old in backups(to)[:-keep]:
                gone = old.with_name(f".{old.name}.part")  # one that is half removed does not look like a backup
                old.replace(gone)
                shutil.rmtree(gone)
    return folder, manifest


def backups(to: Path) -> list[Path]:
    """The whole backups of a folder, oldest first."""
    return sorted(path for path in to.glob("*") if _STAMP.fullmatch(path.name) and (path / NAME).is_file())


def _name(to: Path, stamp: str) -> str:
    """A name that sorts after those of the same second, also where the first of them was removed."""
    same = [path.name.removeprefix(stamp) for path in to.iterdir() if path.name.startswith(stamp)]
    number = max((int(rest[1:] or 1) for rest in same), default=0) + 1
    return stamp if number == 1 else f"{stamp}-{number}"


def _make(places: Places, to: Path, *, plots: bool, now: datetime) -> tuple[Path, Manifest]:
    name = _name(to, f"{now:%Y%m%dT%H%M%SZ}")
    part = to / f".{name}.part"
    part.mkdir(mode=stat.S_IRWXU)  # who may read the site files is up to the operator, not to the backup
    try:
        left_out = [
            "secrets: the environment and the file of USAGE_SECRETS",
            "what the runs printed (storage/ of DAGSTER_HOME), the published snapshots, and the demo's databases",
        ]
        left_out += _dagster(places.home, part / DAGSTER)
        left_out += _operator(places, part)
        if plots:
            _tree(places.plots, part / PLOTS)
        else:
            left_out.append("plots: made again by materializing them")
        _tree(places.exports, part / EXPORTS)
        schema = Warehouse(places.warehouse).copy_to(part / WAREHOUSE)
        manifest = Manifest(
            made_at=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            release=migrations.release(),
            dagster=version("dagster"),
            schema_version=schema,
            files=taken(part),
            left_out=tuple(left_out),
        )
        manifest.write(part)
        put_in_place(part, to / name)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return to / name, manifest


def databases(home: Path) -> Iterator[Path]:
    """The SQLite files of a DAGSTER_HOME, in the order in which they are copied."""
    # What sensors remember comes before the runs: else a restored sensor would count as started, or alerted of, what is
    # not there. The index before the runs, and each run's own events last, of which there may only be more.
    memory = [home / "alerts.db", home / LETTERS, *sorted((home / "schedules").glob("*.db"))]
    paths = [*memory, home / INDEX, home / RUNS, *sorted((home / INDEX).parent.glob("*.db"))]
    yield from (path for path in dict.fromkeys(paths) if path.is_file())


def _dagster(home: Path, target: Path) -> Iterator[str]:
    config = home / "dagster.yaml"
    if config.is_file():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(config, target / config.name)
        if "postgres" in config.read_text(encoding="utf-8", errors="replace"):
            yield "Dagster's runs: dagster.yaml keeps them in PostgreSQL; save that with pg_dump"
    for source in databases(home):
        copy = target / source.relative_to(home)
        copy.parent.mkdir(parents=True, exist_ok=True)
        _copy_database(source, copy)


def _copy_database(source: Path, target: Path) -> None:
    """A consistent copy of an SQLite file that others may be writing; nothing where it has just been removed."""
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
    except sqlite3.OperationalError:
        if source.exists():
            raise
        target.unlink(missing_ok=True)  # a run that was removed meanwhile


def _operator(places: Places, part: Path) -> Iterator[str]:
    """Site files, the files that they name, and alerts.yaml."""
    if places.alerts.is_file():
        shutil.copyfile(places.alerts, part / ALERTS)
    for path in site_files(places.sites) if places.sites.is_dir() else []:
        (part / SITES).mkdir(exist_ok=True)
        if not path.is_file():
            yield f"{path.name}: it is no regular file"
            continue
        shutil.copyfile(path, part / SITES / path.name)
        try:
            files = load_site(path).files
        except SiteError as error:
            yield f"files that {path.name} names, as it has a fault: {error}"
            continue
        for file in files:
            try:
                inside = file.resolve().relative_to(places.sites.resolve())
            except ValueError:
                yield f"{file}, which {path.name} names: it lies outside of {places.sites}; save it yourself"
                continue
            if file.is_file():
                (part / SITES / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, part / SITES / inside)


def _tree(source: Path, target: Path) -> None:
    """Files of a folder that are each replaced whole; hidden ones are being made and are left out."""
    for folder, folders, names in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = target / Path(folder).relative_to(source)
        inside.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not name.startswith("."):
                try:
                    shutil.copyfile(Path(folder) / name, inside / name)
                except FileNotFoundError:
                    continue  # replaced or removed meanwhile
