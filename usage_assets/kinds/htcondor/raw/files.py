"""The snapshot files of a site by month, and a consistent copy of one, always as Parquet."""

import hashlib
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from stat import S_ISREG

import pyarrow.parquet as pq

from usage_assets.core.errors import SourceError
from usage_assets.kinds.htcondor.raw import polls as own
from usage_assets.kinds.htcondor.raw.sqlite import Rows, to_parquet
from usage_assets.kinds.htcondor.site.model import MONTH, HTCondorSite

SQLITE, PARQUET = "SQLite", "Parquet"
_MAGIC = {SQLITE: b"SQLite format 3\x00", PARQUET: b"PAR1"}
_MONTH = r"(?P<month>[0-9]{4}-(?:0[1-9]|1[0-2]))"
_ALSO = ("-wal", "-shm", "-journal")
ATTEMPTS = 3


class FileError(SourceError):
    """A snapshot file that can't be read; says which and why."""

    @classmethod
    def of(cls, path: Path, error: OSError, what: str = "read") -> "FileError":
        """The error of a file that the system does not let us read, or copy."""
        return cls(f"{path}: can't be {what} ({error.strerror})")


@dataclass(frozen=True)
class SnapshotFile:
    """A file of one local month, as it was found; with `has_polls` some of its polls lie in files of their own.

    Then `path` need not be there yet; size and time are those of all of it.
    """

    path: Path
    month: date
    size: int
    modified_ns: int
    has_polls: bool = False

    @property
    def name(self) -> str:
        """How bookkeeping names it."""
        return str(self.path)


def find_files(site: HTCondorSite) -> dict[date, list[SnapshotFile]]:
    """Every snapshot file by its local month, in the order of the site's file and then by name.

    SourceError where a folder can't be read: without it all its months would look lost.
    """
    out: dict[date, list[SnapshotFile]] = {}
    seen: set[Path] = set()
    for snapshots in site.snapshots:
        folder = snapshots.path(site.key)
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            msg = (
                f"site {site.key}: the folder of snapshots {folder} can't be read ({error.strerror}); nothing was "
                "changed. Look at snapshots in the site's file, and whether the disk is mounted"
            )
            raise SourceError(msg) from error
        for pattern in snapshots.files:
            expression = re.compile(_regex(pattern))
            for entry in entries:
                path = own.month_file(entry) if entry.suffix == own.POLLS_ENDING else entry
                found = expression.fullmatch(path.name)
                if found is None or path in seen or path.name.endswith(_ALSO):
                    continue
                file = _look(path, date.fromisoformat(f"{found['month']}-01"))
                if file is not None:
                    seen.add(path)
                    out.setdefault(file.month, []).append(file)
    return dict(sorted(out.items()))


def _regex(pattern: str) -> str:
    """`*` is any text, `?` one character; a name that begins with a dot is a file being written, and never matches."""
    parts = (re.escape(part).replace(r"\*", ".*").replace(r"\?", ".") for part in pattern.split(MONTH))
    return r"(?!\.)" + _MONTH.join(parts)


def _look(path: Path, month: date) -> SnapshotFile | None:
    """A file as it is now, with its polls that lie in files of their own; null where there is none."""
    polls: list[os.stat_result] = []
    if path.suffix == own.PARQUET_ENDING:
        folder = own.polls_folder(path)
        try:
            polls = [about for poll in own.poll_files(folder) for about in _stats(poll) if about.st_size]
        except OSError as error:
            raise FileError.of(folder, error) from error
    try:
        files = _stats(path)  # none where it is not written yet, or removed since the folder was listed
    except OSError as error:
        raise FileError.of(path, error) from error
    if not all(S_ISREG(about.st_mode) for about in files) or not (files or polls):
        return None
    if not polls:
        with suppress(OSError):  # rows that SQLite has not taken into the file yet
            files += _stats(path.with_name(f"{path.name}-wal"))
    sizes, times = zip(*((about.st_size, about.st_mtime_ns) for about in (*files, *polls)), strict=True)
    return SnapshotFile(path, month, sum(sizes), max(times), has_polls=bool(polls))


def _stats(path: Path) -> list[os.stat_result]:
    """Size and times of a file; none where it does not exist."""
    try:
        return [path.stat()]
    except FileNotFoundError:
        return []


def kind_of(file: SnapshotFile) -> str:
    """SQLite or Parquet; FileError where it is neither."""
    return PARQUET if file.has_polls else kind_of_file(file.path)


def kind_of_file(path: Path) -> str:
    """SQLite or Parquet, by how the file begins; FileError where it is neither."""
    try:
        with path.open("rb") as opened:
            head = opened.read(16)
    except OSError as error:
        raise FileError.of(path, error) from error
    for kind, magic in _MAGIC.items():
        if head.startswith(magic):
            return kind
    msg = "is neither a Parquet nor an SQLite file, or was cut off at its beginning"
    raise FileError(f"{path}: {msg if head else 'is empty, not even a Parquet or SQLite file'}")


def digest(path: Path) -> str:
    """A hash of the file's content."""
    try:
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16))
    except OSError as error:
        raise FileError.of(path, error) from error
    return found.hexdigest()


@dataclass(frozen=True)
class Copy:
    """A consistent copy of a file as Parquet; `kind` is the format of the file, `polls` are those not yet in it."""

    file: SnapshotFile
    path: Path
    kind: str
    polls: Path | None = None


def still(file: SnapshotFile, target: Path, *, rows: Rows) -> Copy:
    """Copy a file that may be written meanwhile; of an SQLite file `rows`, the others are left out where they can be.

    FileError where it can't be read, or is never quiet long enough for it.
    """
    for _ in range(ATTEMPTS):
        before = _look(file.path, file.month)
        if before is not None and before.has_polls:
            return _with_polls(before, target)
        kind = kind_of_file(file.path)
        if kind == SQLITE:
            to_parquet(file.path, target, rows)
            return Copy(file, target, kind)
        try:
            shutil.copyfile(file.path, target)
        except OSError as error:
            raise FileError.of(file.path, error, "copied") from error
        after = _look(file.path, file.month)
        if before is not None and before == after:
            return Copy(before, target, kind)
    msg = f"{file.path}: changes all the time or was removed while it was read"
    raise FileError(msg)


def _with_polls(file: SnapshotFile, target: Path) -> Copy:
    """Copy a file that our collector writes: its polls first, for those that it takes in meanwhile are in it then.

    `file` was read from the folder before: later polls change its size or time, so the next dump reads them.
    """
    tables = own.read_polls(own.poll_files(own.polls_folder(file.path)))
    polls = target.with_name(f"{target.stem}.polls.parquet")
    try:
        shutil.copyfile(file.path, target)
    except FileNotFoundError:
        more = own.without(tables, set())
        if not more:
            msg = f"{file.path}: was removed while it was read"
            raise FileError(msg) from None
        pq.write_table(own.joined(more), target)
        return Copy(file, target, PARQUET)
    except OSError as error:
        raise FileError.of(file.path, error, "copied") from error
    if kind_of_file(target) != PARQUET:
        msg = f"{file.path}: is no Parquet file, but files of polls lie beside it"
        raise FileError(msg)
    first = min((at for table in tables for at in own.times_of(table)), default=None)
    more = own.without(tables, own.times_in(target, first)) if tables else []
    if more:
        pq.write_table(own.joined(more), polls)
    return Copy(file, target, PARQUET, polls if more else None)
