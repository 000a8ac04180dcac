"""Writing of polls: a file for each, taken into the file of their month when there is a day of them.

No file that a reader may have open is ever changed: files are written and synced under a name that begins with a dot,
and then renamed. A poll's file is removed when the month's file with it is in place.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from usage_assets.core.disk import put_in_place, require_room, sync_one
from usage_assets.core.errors import DiskError, SourceError
from usage_assets.kinds.htcondor.collect.ads import LOCAL_TIME
from usage_assets.kinds.htcondor.raw import polls
from usage_assets.kinds.htcondor.site.model import MONTH

_NEW = ".new"
_ROWS = 100_000
_CODEC = "zstd"


@dataclass(frozen=True)
class Tidied:
    """What was taken into a month's file: files of polls that are gone now, and polls that it did not hold before."""

    path: Path
    files: int
    polls: int


@dataclass(frozen=True)
class Store:
    """A folder of snapshots, and how the file of a month is named in it."""

    folder: Path
    pattern: str

    def month_file(self, month: date) -> Path:
        """The file of a month."""
        return self.folder / self.pattern.replace(MONTH, f"{month:%Y-%m}")

    def write(self, poll: pa.Table, at: datetime) -> Path:
        """Put a poll of the instant `at` in place; DiskError where that can't be, and nothing is left of it then.

        SourceError where the month's file is not of our making: the polls beside it would be taken for its own.
        """
        month = self.month_file(poll.column(LOCAL_TIME)[0].as_py().date())
        if month.exists():
            polls.schema_of(month)
        folder = polls.polls_folder(month)
        target = folder / f"{at:%Y%m%dT%H%M%S.%fZ}{polls.PARQUET_ENDING}"
        fresh = _being_written(target)
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True)
                sync_one(folder.parent)
            pq.write_table(poll, fresh, compression=_CODEC)
            put_in_place(fresh, target)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            msg = f"{folder}: the poll could not be written ({error}); free some room, or let this account write there"
            raise DiskError(msg) from error
        return target

    def waiting(self) -> dict[date, list[Path]]:
        """The files of polls that are not in the file of their month, by month."""
        before, after = self.pattern.removesuffix(polls.PARQUET_ENDING).split(MONTH)
        of_month = re.compile(f"{re.escape(before)}([0-9]{{4}}-(?:0[1-9]|1[0-2])){re.escape(after)}")
        out = {}
        for folder in sorted(self.folder.glob(f"*{polls.POLLS_ENDING}")):
            found = of_month.fullmatch(folder.name.removesuffix(polls.POLLS_ENDING))
            if found is not None and (files := polls.poll_files(folder)):
                out[date.fromisoformat(f"{found[1]}-01")] = files
        return out

    def clean(self) -> int:
        """Remove what a killed collector was writing; how many files. Only who holds the lock may ask for it."""
        left = [path for inside in ("", f"*{polls.POLLS_ENDING}/") for path in self.folder.glob(f"{inside}.*{_NEW}")]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def tidy(self, month: date, files: Sequence[Path]) -> Tidied:
        """Take files of polls into the file of their month.

        SourceError where one of them or the month's file is damaged, DiskError where there is no room: both stay as
        they are, and readers have all of them.
        """
        target = self.month_file(month)
        fresh = _being_written(target)
        try:
            new = _take_in(target, files, fresh)
            for path in files:
                path.unlink(missing_ok=True)
            sync_one(polls.polls_folder(target))
        except OSError as error:
            msg = f"{target}: polls could not be taken in ({error}); they are read from files of their own meanwhile"
            raise DiskError(msg) from error
        except pa.ArrowException as error:
            msg = f"{target}: polls beside it are of another shape ({error}); move those aside that are not ours"
            raise SourceError(msg) from error
        finally:
            fresh.unlink(missing_ok=True)
        return Tidied(target, len(files), new)


def _being_written(target: Path) -> Path:
    """The name under which a file is written before it is put in place."""
    return target.with_name(f".{target.name}{_NEW}")


def _take_in(target: Path, files: Sequence[Path], fresh: Path) -> int:
    """Write the month's file again with the polls that it lacks; returns how many those are."""
    times = {path: polls.times_in(path) for path in files}
    first = min((at for found in times.values() for at in found), default=None)
    old = [target] if target.exists() else []
    held = polls.times_in(target, first) if old else set()
    lacking = [path for path, found in times.items() if found - held]
    if not lacking:
        return 0
    sources = [*old, *lacking]
    schema = pa.unify_schemas(list(map(polls.schema_of, sources)), promote_options="default")
    require_room(target.parent, sum(path.stat().st_size for path in sources), f"take polls into {target.name}")
    with pq.ParquetWriter(fresh, schema, compression=_CODEC) as writer:
        for part in _together(_row_groups(sources)):
            writer.write_table(
                polls.joined([schema.empty_table(), *part]).select(schema.names), row_group_size=_ROWS * 2
            )
    put_in_place(fresh, target)
    return len(lacking)


def _row_groups(paths: Iterable[Path]) -> Iterator[pa.Table]:
    for path in paths:
        with pq.ParquetFile(path) as opened:
            for number in range(opened.num_row_groups):
                yield opened.read_row_group(number)


def _together(parts: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
    """Small parts in groups of some size, so that a file has few row groups and memory holds few rows."""
    group: list[pa.Table] = []
    for part in parts:
        group.append(part)
        if sum(each.num_rows for each in group) >= _ROWS:
            yield group
            group = []
    if group:
        yield group
