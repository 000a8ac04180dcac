"""Questions about what an operator sets: files, folders, environment, installed packages."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from usage_assets.alerts import config as alerts
from usage_assets.alerts.sent_mail import LETTERS, Sent
from usage_assets.core import settings
from usage_assets.core.errors import AlertError
from usage_assets.kinds import kind_of
from usage_assets.operations.doctor.owners import foreign
from usage_assets.operations.doctor.probes import Installation, Outcome, fail, ok, probe, warn
from usage_assets.operations.places import asked_for
from usage_assets.orchestration.cron import coverage_clock, nightly_clock
from usage_assets.orchestration.mail_sensor import mail_channel, wanted_of
from usage_assets.sites.listing import site_files as files_of_sites

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_SHOWN = ("dagster", "dagster-duckdb", "duckdb", "polars")
_GB = 1e9


@probe("site files")
def site_files(installation: Installation) -> Iterator[Outcome]:
    """Whether every site file can be read."""
    book = installation.book
    for fault in book.faults.values():
        yield fail(fault, "mend the file; its site is left out until then")
    if book:
        yield ok(f"{len(book)} in {installation.places.sites}: {', '.join(book)}")
    elif not book.faults:
        yield warn(f"there is none in {installation.places.sites}", "see docs/adding-a-site.md")


@probe("alerts")
def alert_channels(installation: Installation) -> Iterator[Outcome]:
    """Whether alerts reach somebody."""
    path = installation.places.alerts
    if not path.is_file():
        yield warn(f"there is no {path}: alerts go to the log alone", "write it, then usage-assets alert-test")
        return
    names = [channel.name for channel in alerts.load(path).channels]
    yield ok(f"{path.name}: {', '.join(names)}")


@probe("mailed reports")
def mailed_reports(installation: Installation) -> Iterator[Outcome]:
    """Whether the reports that site files want mailed have a mail channel, and were taken by its server."""
    failing = Sent(installation.places.home / LETTERS).failures()
    wanted = 0
    for key, site in installation.good_sites().items():
        for posting in wanted_of(kind_of(site), site, installation.now.replace(tzinfo=None)):
            wanted += 1
            what = f"{posting.report} report of {key} to {', '.join(posting.to)}"
            why = failing.get((key, posting.report))
            try:
                mail_channel(posting.channel, installation.places.alerts)
            except AlertError as error:
                yield fail(f"{what}: {error}", "write the channel into alerts.yaml, or take the receivers out")
            else:
                if why is not None:
                    yield fail(f"{what} was not mailed: {why}", "mend it; the next report tells whether it is")
    yield ok(f"{wanted} wanted" if wanted else "no site file names receivers")


@probe("secrets")
def secrets(installation: Installation) -> Iterator[Outcome]:
    """Whether what site files and alerts.yaml name as `${NAME}` is set, and the secrets file is its owner's alone."""
    path = settings.secrets_file()
    settings.secret("")  # reads the file: UsageError says what is wrong with it
    yield ok("no secrets file (USAGE_SECRETS is not set)" if path is None else f"{path}: its owner's alone")
    files = [*files_of_sites(installation.places.sites), installation.places.alerts]
    for file in files:
        missing = sorted(asked_for(file) - set(os.environ)) if file.is_file() else []
        missing = [name for name in missing if settings.secret(name) is None]
        if missing:
            yield fail(f"{file.name} names {', '.join(missing)}, not set", "set it in the environment or secrets file")


@probe("folders")
def folders(installation: Installation) -> Iterator[Outcome]:
    """Whether what is to be written can be, by this user and by no stranger."""
    places = installation.places
    for name, folder in (("USAGE_DATA", places.data), ("DAGSTER_HOME", places.home)):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            yield fail(f"{name}: {there} can't be written ({error.strerror})", "mend its owner or mode")
            continue
        if folder.exists() and stat.S_IMODE(folder.stat().st_mode) & stat.S_IWOTH:
            yield fail(f"{name}: {folder} may be written by every user", f"chmod o-w {folder}")
        elif others := foreign(folder) if folder.exists() else []:
            for one in others:
                paths = ", ".join(map(str, one.paths)) + (f" and {one.more} more" if one.more else "")
                yield fail(
                    f"{name}: {paths} belongs to {one.owner}, and {one.who} can't write it",
                    f"as root: chown -R {one.who} {folder}; then give every command as {one.who}",
                )
        else:
            yield ok(f"{name}: {folder}" + ("" if folder.exists() else " (not made yet)"))


@probe("disk")
def disk(installation: Installation) -> Iterator[Outcome]:
    """Whether there is room for the warehouse to grow, to be compacted and saved."""
    places = installation.places
    warehouse = places.warehouse.stat().st_size if places.warehouse.exists() else 0
    for name, folder in (("USAGE_DATA", places.data), ("DAGSTER_HOME", places.home)):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        found = f"{name}: {free / _GB:.1f} GB free, the warehouse has {warehouse / _GB:.2f} GB"
        if free < max(warehouse, 0.2 * _GB):
            yield fail(found, "free some room: a run that finds the disk full fails and writes nothing")
        elif free < max(3 * warehouse, 1 * _GB):
            yield warn(found, "free some room: usage-assets prune, compact, older backups")
        else:
            yield ok(found)


@probe("clock")
def clock(installation: Installation) -> Iterator[Outcome]:
    """Whether the schedules' hour and zone can be used, and the clock has not gone back."""
    nightly = nightly_clock()
    for fault in dict.fromkeys((*nightly.faults, *coverage_clock().faults)):
        yield fail(fault, "mend it and restart the service")
    yield ok(f"nightly at {nightly.cron} {nightly.timezone}; now {installation.now:%Y-%m-%d %H:%M} UTC")
    if installation.instance is not None:
        newest = installation.instance.get_run_records(limit=1)
        if newest and newest[0].create_timestamp.timestamp() > installation.now.timestamp() + 60:
            at = f"{newest[0].create_timestamp:%Y-%m-%d %H:%M}"
            yield fail(f"the newest run was made at {at}, which lies ahead", "set the machine's clock")


@probe("packages")
def packages(installation: Installation) -> Iterator[Outcome]:  # noqa: ARG001 - every question has the same shape
    """Whether what is installed fits together."""
    bad = False
    needs = [(name, Requirement(each)) for name in ("usage-assets", "dagster-duckdb") for each in requires(name) or ()]
    for name, need in needs:
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(need.name)
        except PackageNotFoundError:
            found = "none"
        if found == "none" or not need.specifier.contains(found, prereleases=True):
            bad = True
            yield fail(
                f"{name} needs {need.name}{need.specifier}, found {found}", "install requirements.lock anew (make)"
            )
    if not bad:
        shown = ", ".join(f"{name} {version(name)}" for name in _SHOWN)
        yield ok(f"usage-assets {version('usage-assets')}, Python {sys.version.split()[0]}, {shown}")


@probe("addresses")
def addresses(installation: Installation) -> Iterator[Outcome]:  # noqa: ARG001 - every question has the same shape
    """Whether UI and plots are served to this machine alone: neither asks who one is."""
    named = {"UI_HOST": os.environ.get("UI_HOST", "127.0.0.1"), "USAGE_PLOTS_HOST": settings.plots_host()}
    for name, host in named.items():
        if host not in _LOOPBACK:
            yield warn(
                f"{name} is {host}: whoever reaches it may start runs and read everything",
                "serve loopback, behind a proxy that asks for a password",
            )
    if all(host in _LOOPBACK for host in named.values()):
        yield ok("UI and plots are for this machine alone")
