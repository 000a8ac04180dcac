"""Files that are complete or not there: check room first, write beside their place, rename into it in one step."""

import fcntl
import os
import shutil
from pathlib import Path

from usage_assets.core.errors import DiskError

_FICLONE = 0x40049409  # Linux: the request that cp --reflink makes


def require_room(folder: Path, needed: int, to: str) -> None:
    """Raise DiskError unless the disk of a folder has that many bytes free, and a tenth more."""
    free = shutil.disk_usage(folder).free
    if free < needed * 1.1:
        msg = (
            f"{folder}: {free / 1e6:.0f} MB are free, {needed * 1.1 / 1e6:.0f} MB are needed to {to}; nothing was "
            "changed. Free some room, or name a folder on another disk"
        )
        raise DiskError(msg)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file; where the file system can, both share their blocks until one of them changes."""
    with source.open("rb") as old, target.open("wb") as fresh:
        try:
            fcntl.ioctl(fresh.fileno(), _FICLONE, old.fileno())
        except OSError:
            shutil.copyfile(source, target)


def put_in_place(fresh: Path, target: Path) -> None:
    """Rename a complete file or folder into its place, flushed to the disk: it survives a power cut."""
    sync(fresh)
    fresh.replace(target)
    sync_one(target.parent)


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


def same_disk(one: Path, other: Path) -> bool:
    """Whether a rename can move between both: they, or their folders where they are not there yet, share a disk."""
    return existing(one).stat().st_dev == existing(other).stat().st_dev


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return sum(each.stat().st_size for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file())


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file or a folder to a free place, which then holds all of it or nothing."""
    part = target.with_name(f".{target.name}.part")
    discard(part)
    if source.is_dir():
        shutil.copytree(source, part, symlinks=True)
    else:
        shutil.copy2(source, part)
    put_in_place(part, target)


def discard(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing to do where it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file, or every file and folder below a folder, to the disk."""
    for each in [*path.rglob("*"), path] if path.is_dir() else [path]:
        sync_one(each)


def remove(path: Path) -> None:
    """Remove a file and what DuckDB or SQLite may have left beside it; nothing to do where it is not there."""
    for ending in ("", ".wal", "-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def sync_one(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
