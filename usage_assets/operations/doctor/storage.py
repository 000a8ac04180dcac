"""Probes of what is stored: the warehouse, Dagster's storage, locks, the published snapshot, backups."""

import fcntl
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy.engine import make_url

from usage_assets.core import settings
from usage_assets.core.file_faults import blocked
from usage_assets.operations.backup import backups, databases
from usage_assets.operations.doctor.probes import Installation, Outcome, fail, ok, warn
from usage_assets.operations.restore import unfinished
from usage_assets.serving import pointer
from usage_assets.warehouse import Warehouse, migrations

_WAIT_SECONDS = 5.0
_MANY_RUNS, _MANY_BYTES = 10_000, 5e9
_OLD_BACKUP_DAYS = 8
_LONG_HELD_HOURS = 2


def warehouse(installation: Installation) -> Iterator[Outcome]:
    """Whether this release can open the warehouse, and at which version it is."""
    if not installation.places.warehouse.exists():
        yield ok(f"there is none yet in {installation.places.data}")
        return
    version = Warehouse(installation.places.warehouse).version(wait_seconds=_WAIT_SECONDS) or 1
    size = f"{installation.places.warehouse.stat().st_size / 1e6:.0f} MB"
    found = f"{size}, schema version {version}"
    changes = "; ".join(step.description for step in migrations.pending(version))
    upgrade = f"{found}: the next run upgrades it to {migrations.newest()} ({changes})"
    yield warn(upgrade, "make a backup first: an older release can't read it afterwards") if changes else ok(found)


def restored(installation: Installation) -> Iterator[Outcome]:
    """Whether a restore was killed halfway."""
    backup = unfinished(installation.places)
    unended = fail(f"the restore of {backup} did not end", f"usage-assets restore {backup}")
    yield ok("none is unfinished") if backup is None else unended


def dagster_storage(installation: Installation) -> Iterator[Outcome]:
    """Whether Dagster's tables are those of the installed Dagster, and PostgreSQL is reached by the right driver."""
    if installation.in_postgres and find_spec("dagster_postgres") is None:
        yield fail("dagster.yaml names PostgreSQL, and dagster-postgres is not installed", "install the extra postgres")
        return
    instance = installation.instance
    if instance is None:
        yield ok("nothing has run yet")
        return
    address = getattr(instance.event_log_storage, "postgres_url", None)  # none where it is in files
    driver = make_url(address).get_driver_name() if address else "psycopg2"
    if driver != "psycopg2":
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
    versions = {name: storage.alembic_version() for name, storage in storages.items() if storage is not None}
    old = ", ".join(name for name, found in versions.items() if found is not None and found[0] != found[1])
    other = fail(f"tables of another Dagster: {old}", "stop the service, make a backup, dagster instance migrate")
    yield other if old else ok("its tables are those of the installed Dagster")


def history(installation: Installation) -> Iterator[Outcome]:
    """Whether the history of runs has grown beyond use."""
    if installation.instance is None:
        yield ok("no run yet")
        return
    runs = installation.instance.get_runs_count()
    size = sum(path.stat().st_size for path in databases(installation.places.home) if path.is_file())
    found = f"{runs} runs, {size / 1e6:.0f} MB"
    is_large = runs > _MANY_RUNS or size > _MANY_BYTES
    yield warn(found, "usage-assets prune --keep-days 90") if is_large else ok(found)


def locks(installation: Installation) -> Iterator[Outcome]:
    """Who holds the warehouse or a site now."""
    data = installation.places.data
    files = (data / ".warehouse.lock", *sorted((data / ".locks").glob("*.lock")))
    held = list(filter(None, (_held(lock, installation) for lock in files)))
    yield from held or [ok("none is held")]


def _held(lock: Path, installation: Installation) -> Outcome | None:
    """The outcome of one lock; None where it is free."""
    try:
        holder = _holder(lock)
    except PermissionError:
        return fail(f"{lock} can't be opened", blocked(lock))
    if holder is None:
        return None
    hours = installation.hours_since(lock.stat().st_mtime)
    found = f"{lock.name.strip('.')}: held by {holder or 'a reader'}"
    if holder and hours > _LONG_HELD_HOURS:
        return warn(f"{found} for {hours:.0f} h", "look at that process; a lock is free as soon as it ends")
    return ok(found)


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


def published(installation: Installation) -> Iterator[Outcome]:
    """Whether readers find a whole snapshot."""
    folder = settings.published_dir()
    if not (folder / pointer.NAME).exists():
        yield ok("nothing is published yet")
        return
    found = pointer.verify(folder)
    hours = installation.hours_since(found.written_at.replace(tzinfo=UTC))
    yield ok(f"generation {found.generation}, {hours:.0f} h old, whole")


def saved(installation: Installation) -> Iterator[Outcome]:
    """Whether there is a backup of late."""
    folder = settings.backups_dir()
    whole = backups(folder)
    if not whole:
        none = warn(f"there is none in {folder}", "usage-assets backup, nightly by a timer; set USAGE_BACKUPS")
        yield none if installation.places.warehouse.exists() else ok("nothing to save yet")
        return
    at = datetime.strptime(whole[-1].name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    days = installation.hours_since(at) / 24
    found = f"{whole[-1]}, {days:.0f} days old"
    yield warn(found, "usage-assets backup") if days > _OLD_BACKUP_DAYS else ok(found)
