"""Questions about what is stored: the warehouse, Dagster's storage, locks, the published snapshot, backups."""

import fcntl
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy.engine import make_url

from usage_assets.core import settings
from usage_assets.core.file_faults import blocked
from usage_assets.operations.backup import backups, databases
from usage_assets.operations.doctor.probes import Installation, Outcome, fail, ok, probe, warn
from usage_assets.operations.restore import unfinished
from usage_assets.serving import pointer
from usage_assets.warehouse import Warehouse, migrations

_WAIT_SECONDS = 5.0
_MANY_RUNS, _MANY_BYTES = 10_000, 5e9
_OLD_BACKUP_DAYS = 8
_LONG_HELD_HOURS = 2


@probe("warehouse")
def warehouse(installation: Installation) -> Iterator[Outcome]:
    """Whether this release can open the warehouse, and at which version it is."""
    if not installation.places.warehouse.exists():
        yield ok(f"there is none yet in {installation.places.data}")
        return
    version = Warehouse(installation.places.warehouse).version(wait_seconds=_WAIT_SECONDS) or 1
    size = f"{installation.places.warehouse.stat().st_size / 1e6:.0f} MB"
    lacks = migrations.pending(version)
    if lacks:
        what = "; ".join(each.description for each in lacks)
        yield warn(
            f"{size}, schema version {version}: the next run upgrades it to {migrations.newest()} ({what})",
            "make a backup first: an older release can't read it afterwards",
        )
    else:
        yield ok(f"{size}, schema version {version}")


@probe("restore")
def restored(installation: Installation) -> Iterator[Outcome]:
    """Whether a restore was killed halfway."""
    begun = unfinished(installation.places)
    if begun is not None:
        yield fail(f"the restore of {begun} did not end", f"usage-assets restore {begun}")
    else:
        yield ok("none is unfinished")


@probe("Dagster storage")
def dagster_storage(installation: Installation) -> Iterator[Outcome]:
    """Whether Dagster's tables are those of the installed Dagster, and PostgreSQL is spoken to by the right driver."""
    if installation.in_postgres and find_spec("dagster_postgres") is None:
        yield fail("dagster.yaml names PostgreSQL, and dagster-postgres is not installed", "install the extra postgres")
        return
    instance = installation.instance
    if instance is None:
        yield ok("nothing has run yet")
        return
    driver = _driver(instance.event_log_storage)
    if driver not in {None, "psycopg2"}:
        yield fail(
            f"dagster.yaml names Dagster's stock storage with an address for {driver}, by which runs fail",
            "write `storage` in dagster.yaml as docs/operations.md does",
        )
        return
    storages = {
        "runs": instance.run_storage,
        "events": instance.event_log_storage,
        "schedules": instance.schedule_storage,
    }
    old = []
    for name, storage in storages.items():
        found = storage.alembic_version() if storage is not None else None
        if found is not None and found[0] != found[1]:
            old.append(name)
    if old:
        yield fail(
            f"tables of another Dagster: {', '.join(old)}", "stop the service, make a backup, dagster instance migrate"
        )
    else:
        yield ok("its tables are those of the installed Dagster")


def _driver(storage: object) -> str | None:
    """Name of the driver that PostgreSQL is spoken to by; None for files."""
    address = getattr(storage, "postgres_url", None)
    return None if address is None else make_url(address).get_driver_name()


@probe("history")
def history(installation: Installation) -> Iterator[Outcome]:
    """Whether the history of runs has grown beyond use."""
    if installation.instance is None:
        yield ok("no run yet")
        return
    runs = installation.instance.get_runs_count()
    size = sum(path.stat().st_size for path in databases(installation.places.home) if path.is_file())
    found = f"{runs} runs, {size / 1e6:.0f} MB"
    if runs > _MANY_RUNS or size > _MANY_BYTES:
        yield warn(found, "usage-assets prune --keep-days 90")
    else:
        yield ok(found)


@probe("locks")
def locks(installation: Installation) -> Iterator[Outcome]:
    """Who holds the warehouse or a site now."""
    held = False
    data = installation.places.data
    for lock in (data / ".warehouse.lock", *sorted((data / ".locks").glob("*.lock"))):
        try:
            holder = _holder(lock)
        except PermissionError:
            held = True
            yield fail(f"{lock} can't be opened", blocked(lock))
            continue
        if holder is None:
            continue
        held = True
        hours = (installation.now.timestamp() - lock.stat().st_mtime) / 3600
        found = f"{lock.name.strip('.')}: held by {holder or 'a reader'}"
        if holder and hours > _LONG_HELD_HOURS:
            yield warn(f"{found} for {hours:.0f} h", "look at that process; a lock is free as soon as it ends")
        else:
            yield ok(found)
    if not held:
        yield ok("none is held")


def _holder(lock: Path) -> str | None:
    """Who holds a lock, empty where it does not say (readers); None where it is free."""
    if not lock.exists():
        return None
    with lock.open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return handle.read().strip()
        fcntl.flock(handle, fcntl.LOCK_UN)
    return None


@probe("published")
def published(installation: Installation) -> Iterator[Outcome]:
    """Whether readers find a whole snapshot."""
    folder = settings.published_dir()
    if not (folder / pointer.NAME).exists():
        yield ok("nothing is published yet")
        return
    found = pointer.verify(folder)
    hours = (installation.now.replace(tzinfo=None) - found.written_at).total_seconds() / 3600
    yield ok(f"generation {found.generation}, {hours:.0f} h old, whole")


@probe("backups")
def saved(installation: Installation) -> Iterator[Outcome]:
    """Whether there is a backup of late."""
    folder = settings.backups_dir()
    whole = backups(folder)
    if not whole:
        if installation.places.warehouse.exists():
            yield warn(f"there is none in {folder}", "usage-assets backup, nightly by a timer; set USAGE_BACKUPS")
        else:
            yield ok("nothing to save yet")
        return
    at = datetime.strptime(whole[-1].name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    days = (installation.now - at).total_seconds() / 86400
    found = f"{whole[-1]}, {days:.0f} days old"
    if days > _OLD_BACKUP_DAYS:
        yield warn(found, "usage-assets backup")
    else:
        yield ok(found)
