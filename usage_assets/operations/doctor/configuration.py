"""Probes of what an operator sets: files, folders, environment, installed packages."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from usage_assets.alerts import config as alerts
from usage_assets.alerts.sent_mail import LETTERS, Sent
from usage_assets.core import settings
from usage_assets.core.disk import existing
from usage_assets.core.errors import AlertError
from usage_assets.core.file_faults import user
from usage_assets.kinds import kind_of
from usage_assets.operations.doctor.probes import Installation, Outcome, fail, ok, warn
from usage_assets.operations.places import asked_for
from usage_assets.orchestration.cron import clock_of
from usage_assets.orchestration.mail_sensor import mail_channel, wanted_of
from usage_assets.sites.listing import site_files as files_of_sites

_SHOWN = ("dagster", "dagster-duckdb", "duckdb", "polars")
_GB = 1e9
_WRITTEN_IN_PLACE = (".lock", ".db", ".db-wal", ".db-shm", "-journal", "warehouse.duckdb", "warehouse.duckdb.wal")
"""Ends of the names of files that are opened to be written; all others are written beside their place and put there."""
_MOST_PATHS = 5
_MOST = 200_000


def site_files(installation: Installation) -> Iterator[Outcome]:
    """Whether every site file can be read."""
    book = installation.book
    for fault in book.faults.values():
        yield fail(fault, "mend the file; its site is left out until then")
    if book:
        yield ok(f"{len(book)} in {installation.places.sites}: {', '.join(book)}")
    elif not book.faults:
        yield warn(f"there is none in {installation.places.sites}", "see docs/adding-a-site.md")


def alert_channels(installation: Installation) -> Iterator[Outcome]:
    """Whether alerts reach somebody."""
    path = installation.places.alerts
    if not path.is_file():
        yield warn(f"there is no {path}: alerts go to the log alone", "write it, then usage-assets alert-test")
        return
    names = [channel.name for channel in alerts.load(path).channels]
    yield ok(f"{path.name}: {', '.join(names)}")


def mailed_reports(installation: Installation) -> Iterator[Outcome]:
    """Whether the reports that site files want mailed have a mail channel, and were taken by its server."""
    failing = Sent(installation.places.home / LETTERS).failures()
    wanted = 0
    for key, site in installation.good_sites().items():
        for due in wanted_of(kind_of(site), site, installation.now.replace(tzinfo=None)):
            wanted += 1
            mail = f"{due.report} report of {key} to {', '.join(due.to)}"
            try:
                mail_channel(due.channel, installation.places.alerts)
            except AlertError as error:
                yield fail(f"{mail}: {error}", "write the channel into alerts.yaml, or take the receivers out")
            else:
                if why := failing.get((key, due.report)):
                    yield fail(f"{mail} was not mailed: {why}", "mend it; the next report tells whether it is")
    yield ok(f"{wanted} wanted" if wanted else "no site file names receivers")


def secrets(installation: Installation) -> Iterator[Outcome]:
    """Whether what site files and alerts.yaml name as `${NAME}` is set, and the secrets file is its owner's alone."""
    path = settings.secrets_file()
    settings.secret("")  # reads the file: UsageError says what is wrong with it
    yield ok("no secrets file (USAGE_SECRETS is not set)" if path is None else f"{path}: its owner's alone")
    for file in (*files_of_sites(installation.places.sites), installation.places.alerts):
        names = sorted(asked_for(file)) if file.is_file() else []
        missing = [name for name in names if settings.secret(name) is None]
        if missing:
            yield fail(f"{file.name} names {', '.join(missing)}, not set", "set it in the environment or secrets file")


def folders(installation: Installation) -> Iterator[Outcome]:
    """Whether what is to be written can be, by this user and by no stranger."""
    for name, folder, there in _folders(installation):
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            yield fail(f"{name}: {there} can't be written ({error.strerror})", "mend its owner or mode")
            continue
        if folder.exists() and stat.S_IMODE(folder.stat().st_mode) & stat.S_IWOTH:
            yield fail(f"{name}: {folder} may be written by every user", f"chmod o-w {folder}")
        elif others := foreign(folder) if folder.exists() else []:
            for user, owner, paths in others:
                yield fail(
                    f"{name}: {paths} belongs to {owner}, and {user} can't write it",
                    f"as root: chown -R {user} {folder}; then give every command as {user}",
                )
        else:
            yield ok(f"{name}: {folder}" + ("" if folder.exists() else " (not made yet)"))


def _folders(installation: Installation) -> Iterator[tuple[str, Path, Path]]:
    """Per folder that is written: its variable, itself, and it or the nearest folder above that exists."""
    for name, folder in (("USAGE_DATA", installation.places.data), ("DAGSTER_HOME", installation.places.home)):
        yield name, folder, existing(folder)


def foreign(top: Path) -> list[tuple[str, str, str]]:
    """Per owner what lies below a folder and can't be written by the user of this process: user, owner, first paths.

    Of each branch only the topmost is named. Typical: root once gave a command without the wrapper of the service, and
    what it made is root's.

    Root may write everything, so for root it is what the folder's own user can't write.
    """
    me = os.geteuid()
    writer = top.stat().st_uid if me == 0 else me
    found: dict[int, list[Path]] = {}
    for path, status in _blocked(top, writer):
        found.setdefault(status.st_uid, []).append(path)
    out = []
    for owner, paths in sorted(found.items()):
        more = f" and {len(paths) - _MOST_PATHS} more" if len(paths) > _MOST_PATHS else ""
        out.append((user(writer), user(owner), ", ".join(map(str, sorted(paths)[:_MOST_PATHS])) + more))
    return out


def _blocked(top: Path, writer: int) -> Iterator[tuple[Path, os.stat_result]]:
    todo, seen = [top], 0
    while todo and seen < _MOST:
        try:
            with os.scandir(todo.pop()) as entries:
                each = [(Path(entry.path), entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError:
            continue  # a folder that can't be listed was yielded as one that can't be written
        seen += len(each)
        for path, status in each:
            folder = stat.S_ISDIR(status.st_mode)
            if (folder or path.name.endswith(_WRITTEN_IN_PLACE)) and not _may_write(status, writer):
                yield path, status
            elif folder:
                todo.append(path)


def _may_write(status: os.stat_result, writer: int) -> bool:
    """Whether the mode of a file or folder lets a user write it; a folder also has to be entered."""
    need = 0o3 if stat.S_ISDIR(status.st_mode) else 0o2
    if status.st_uid == writer:
        shift = 6
    else:
        shift = 3 if writer == os.geteuid() and status.st_gid in {os.getegid(), *os.getgroups()} else 0
    return stat.S_IMODE(status.st_mode) >> shift & need == need


def disk(installation: Installation) -> Iterator[Outcome]:
    """Whether there is room for the warehouse to grow, to be compacted and saved."""
    path = installation.places.warehouse
    warehouse = path.stat().st_size if path.exists() else 0
    for name, _, there in _folders(installation):
        free = shutil.disk_usage(there).free
        found = f"{name}: {free / _GB:.1f} GB free, the warehouse has {warehouse / _GB:.2f} GB"
        if free < max(warehouse, 0.2 * _GB):
            yield fail(found, "free some room: a run that finds the disk full fails and writes nothing")
        elif free < max(3 * warehouse, 1 * _GB):
            yield warn(found, "free some room: usage-assets prune, compact, older backups")
        else:
            yield ok(found)


def clock(installation: Installation) -> Iterator[Outcome]:
    """Whether the schedules' hour and zone can be used, and the clock has not gone back."""
    nightly = clock_of("USAGE_NIGHTLY_CRON")
    for fault in dict.fromkeys((*nightly.faults, *clock_of("USAGE_COVERAGE_CRON").faults)):
        yield fail(fault, "mend it and restart the service")
    yield ok(f"nightly at {nightly.cron} {nightly.timezone}; now {installation.now:%Y-%m-%d %H:%M} UTC")
    if installation.instance is not None:
        for newest in installation.instance.get_run_records(limit=1):
            if newest.create_timestamp.timestamp() > installation.now.timestamp() + 60:
                at = f"{newest.create_timestamp:%Y-%m-%d %H:%M}"
                yield fail(f"the newest run was created at {at}, which lies ahead", "set the machine's clock")


def packages(installation: Installation) -> Iterator[Outcome]:  # noqa: ARG001 - all probes have the same shape
    """Whether what is installed fits together."""
    faults = []
    needs = [(name, Requirement(each)) for name in ("usage-assets", "dagster-duckdb") for each in requires(name) or ()]
    for name, need in needs:
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(need.name)
        except PackageNotFoundError:
            found = "none"
        if found == "none" or not need.specifier.contains(found, prereleases=True):
            faults.append(f"{name} needs {need.name}{need.specifier}, found {found}")
    shown = ", ".join(f"{name} {version(name)}" for name in _SHOWN)
    good = ok(f"usage-assets {version('usage-assets')}, Python {sys.version.split()[0]}, {shown}")
    yield from [fail(fault, "install requirements.lock anew (make)") for fault in faults] or [good]


def addresses(installation: Installation) -> Iterator[Outcome]:  # noqa: ARG001 - all probes have the same shape
    """Whether UI and plots are served to this machine alone: neither asks who one is."""
    hosts = {"UI_HOST": os.environ.get("UI_HOST", "127.0.0.1"), "USAGE_PLOTS_HOST": settings.plots_host()}
    reached = {name: host for name, host in hosts.items() if host not in settings.LOOPBACK}
    for name, host in reached.items():
        yield warn(
            f"{name} is {host}: whoever reaches it may start runs and read everything",
            "serve loopback, behind a proxy that asks for a password",
        )
    if not reached:
        yield ok("UI and plots are for this machine alone")
