"""`usage-assets restore`: put an installation back to what a backup holds, here or on another machine.

Everything is copied beside its place and compared with the manifest first; then each piece takes its place in one
step, the warehouse first, so that Dagster never tells of rows that are not there. What was there is moved aside, or
copied there where it lies on another file system; it is never lost. A restore that was killed leaves every piece old or
new; the same command again ends it.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg

from usage_assets.core import clock
from usage_assets.core.disk import copy_whole, discard, existing, put_in_place, require_room, same_disk, size_of, sync
from usage_assets.core.errors import BackupError, DiskError, WarehouseError
from usage_assets.operations.live import in_the_way, instance_of
from usage_assets.operations.manifest import Manifest
from usage_assets.operations.places import ALERTS, DAGSTER, EXPORTS, PLOTS, RUNS, SITES, WAREHOUSE, Places, asked_for
from usage_assets.orchestration.run_status import BEGUN
from usage_assets.serving.pointer import digest
from usage_assets.sites.listing import SUFFIXES
from usage_assets.warehouse import Warehouse, migrations

JOURNAL = ".restore.json"


@dataclass(frozen=True)
class Piece:
    """One file or folder of a backup and the place that it takes; `replaces` where something else is there."""

    source: Path
    target: Path
    replaces: bool


@dataclass(frozen=True)
class Restored:
    """What was done: pieces put in place, the folder with what was there before, names that are still to be set."""

    pieces: tuple[Piece, ...]
    aside: Path | None
    unset: tuple[str, ...]
    copied: tuple[Piece, ...] = ()
    """Pieces whose old content is copied aside, not renamed: it lies on another file system than the data folder."""


def restore(
    folder: Path, places: Places, *, force: bool = False, dry_run: bool = False, now: datetime | None = None
) -> Restored:
    """Verify the backup in `folder` and put it in place; with `dry_run` only say what would be done.

    BackupError, and nothing changed, where the backup is damaged or of a newer release, something of this installation
    is running, or the places hold data and `force` is not given.
    """
    manifest = Manifest.read(folder)
    _verify(manifest, folder)
    pieces = tuple(_pieces(manifest, folder, places))
    interrupted = _journal(places)
    files = [file.path for file in (*manifest.below(SITES), *manifest.below(ALERTS)) if file.path.endswith(SUFFIXES)]
    unset = tuple(sorted(set().union(*(asked_for(folder / path) for path in files))))
    copied = tuple(piece for piece in pieces if piece.replaces and not same_disk(piece.target, places.data))
    if copied:
        room = sum(size_of(piece.target) for piece in copied)
        require_room(existing(places.data), room, "keep what is replaced on other file systems")
    if dry_run:
        return Restored(pieces, None, unset, copied)
    if running := in_the_way(places.home, unfinished_runs=not force):
        msg = f"{'; '.join(running)}. Nothing was changed. Stop the service and its runs, then give the command again"
        raise BackupError(msg)
    there = [piece.target for piece in pieces if piece.replaces]
    if there and not force and not interrupted:
        msg = (
            f"there is data already: {', '.join(map(str, there[:5]))}{' and more' if len(there) > 5 else ''}; nothing "
            "was changed. With --force it is moved aside first, not deleted"
        )
        raise BackupError(msg)
    places.data.mkdir(parents=True, exist_ok=True)
    default = places.data / f"before-restore-{now or clock.utc_now():%Y%m%dT%H%M%SZ}"
    aside = Path(interrupted.get("aside", default))
    try:
        with Warehouse(places.warehouse).closed("restoring a backup"):
            fresh = _staged(pieces, manifest, folder)
            (places.data / JOURNAL).write_text(json.dumps({"aside": str(aside), "from": str(folder)}), encoding="utf-8")
            for piece, new in zip(pieces, fresh, strict=True):
                _put(piece, new, aside)
            if manifest.below(DAGSTER):
                _end_runs(places.home)
            (places.data / JOURNAL).unlink()
    except WarehouseError as error:
        msg = f"a run is writing: {error}"
        raise BackupError(msg) from None
    except OSError as error:
        msg = (
            f"the restore stopped ({error}); every file is whole, old or new. Mend that and give the same command again"
        )
        raise BackupError(msg) from error
    return Restored(pieces, aside if aside.is_dir() else None, unset, copied)


def unfinished(places: Places) -> str | None:
    """The backup that a killed restore was putting in place; None where no restore is unfinished."""
    return _journal(places).get("from")


def _journal(places: Places) -> dict[str, str]:
    """What an unfinished restore noted: the backup (`from`), and where it puts `aside` what was there; else empty."""
    with suppress(OSError, ValueError):
        return dict(json.loads((places.data / JOURNAL).read_text(encoding="utf-8")))
    return {}


def _verify(manifest: Manifest, folder: Path) -> None:
    if faults := list(manifest.faults(folder)):
        msg = (
            f"the backup {folder} is damaged: {'; '.join(faults[:5])}{' and more' if len(faults) > 5 else ''}; nothing "
            "was changed. Take another backup"
        )
        raise BackupError(msg)
    if (manifest.schema_version or 1) > migrations.newest():
        msg = (
            f"the backup {folder} was made by release {manifest.release} of usage_assets (schema version "
            f"{manifest.schema_version}); this is release {migrations.release()}, which knows versions up to "
            f"{migrations.newest()}. Nothing was changed. Install release {manifest.release} or a newer one"
        )
        raise BackupError(msg)


def _pieces(manifest: Manifest, folder: Path, places: Places) -> Iterator[Piece]:
    """What is put in place, in order: the warehouse, Dagster's files, plots and exports, the operator's files."""

    def piece(name: str, target: Path) -> Iterator[Piece]:
        source = folder / name
        same = _same(source, target)
        if manifest.below(name) and (name == WAREHOUSE or not same):  # a run may write it until it is locked
            yield Piece(source, target, replaces=_holds_data(target) and not same)

    yield from piece(WAREHOUSE, places.warehouse)
    for name in sorted({Path(file.path).parts[1] for file in manifest.below(DAGSTER)}):
        yield from piece(f"{DAGSTER}/{name}", places.home / name)
    yield from piece(PLOTS, places.plots)
    yield from piece(EXPORTS, places.exports)
    for file in manifest.below(SITES):
        yield from piece(file.path, places.sites / Path(file.path).relative_to(SITES))
    yield from piece(ALERTS, places.alerts)


def _holds_data(target: Path) -> bool:
    return any(path.is_file() for path in target.rglob("*")) if target.is_dir() else target.exists()


def _same(source: Path, target: Path) -> bool:
    """Whether a file is already what the backup has of it."""
    both = source.is_file() and target.is_file() and source.stat().st_size == target.stat().st_size
    return both and digest(source) == digest(target)


def _staged(pieces: tuple[Piece, ...], manifest: Manifest, folder: Path) -> list[Path]:
    """A copy of each piece beside its place; none is left where one fails."""
    try:
        return [_stage(piece, manifest, folder) for piece in pieces]
    except (OSError, DiskError):
        for piece in pieces:
            discard(_beside(piece))
        raise


def _beside(piece: Piece) -> Path:
    return piece.target.with_name(f".{piece.target.name}.restored")


def _stage(piece: Piece, manifest: Manifest, folder: Path) -> Path:
    """A copy of a piece beside its place, on the disk and compared with the manifest."""
    piece.target.parent.mkdir(parents=True, exist_ok=True)
    fresh = _beside(piece)
    discard(fresh)
    files = manifest.below(piece.source.relative_to(folder).as_posix())
    require_room(piece.target.parent, sum(file.size for file in files), f"restore {piece.target.name}")
    for file in files:
        copy = fresh / (folder / file.path).relative_to(piece.source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file.path, copy)
        if digest(copy) != file.sha256:
            msg = f"{copy} could not be copied whole; look at the disk"
            raise OSError(msg)
    sync(fresh)
    return fresh


def _put(piece: Piece, fresh: Path, aside: Path) -> None:
    """Put aside what is in a piece's place, and let the new take it."""
    target = piece.target
    for beside in ("-wal", "-shm", "-journal", ".wal"):  # belongs to the old file, and would spoil the new
        old = target.with_name(target.name + beside)
        if old.exists():
            _set_aside(old, aside)
    if target.is_dir():
        _set_aside(target, aside)
    elif target.exists():  # the old stays in place until the new replaces it: `aside` has a second name, or a copy
        place = _free(aside, target)
        (os.link if same_disk(target, place.parent) else copy_whole)(target, place)
    put_in_place(fresh, target)
    discard(_replaced(target))


def _set_aside(path: Path, aside: Path) -> None:
    """Move a file or folder below `aside`; across file systems it is copied there first, and then removed."""
    place = _free(aside, path)
    if same_disk(path, place.parent):
        path.replace(place)
        return
    copy_whole(path, place)
    discard(_replaced(path))
    path.replace(_replaced(path))  # a folder is removed file by file: nobody must meet a part of it
    discard(_replaced(path))


def _replaced(path: Path) -> Path:
    return path.with_name(f".{path.name}.replaced")


def _end_runs(home: Path) -> None:
    """Report as failed the runs that were under way when the backup was made: their processes are no more."""
    if not (home / RUNS).is_file():
        return
    with instance_of(home) as instance:
        for run in instance.get_runs(dg.RunsFilter(statuses=BEGUN)):
            instance.report_run_failed(
                run, "This run was under way when the backup was made that is restored now; start it again."
            )


def _free(aside: Path, path: Path) -> Path:
    """A name below the folder of what was there before; nothing in it is ever overwritten."""
    folder = aside / path.parent.name
    folder.mkdir(parents=True, exist_ok=True)
    names = (path.name, *(f"{path.name}.{n}" for n in range(2, 1000)))
    return next(folder / name for name in names if not (folder / name).exists())
