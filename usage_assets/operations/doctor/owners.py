"""Folders and files of an installation that its user can't write, below the folders that it owns.

Typical: root once gave a command without the wrapper of the service, and what it made is root's.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from usage_assets.core.file_faults import user

_WRITTEN_IN_PLACE = (".lock", ".db", ".db-wal", ".db-shm", "-journal", "warehouse.duckdb", "warehouse.duckdb.wal")
"""Ends of the names of files that are opened to be written; all others are written beside their place and put there."""
_SHOWN = 5
_MOST = 200_000


@dataclass(frozen=True)
class Foreign:
    """What can't be written by whom; its first few folders and files, and how many more there are."""

    who: str
    owner: str
    paths: tuple[Path, ...]
    more: int


def foreign(top: Path) -> list[Foreign]:
    """What lies below a folder and can't be written by the user of this process; the topmost of each branch.

    Root may write everything, so for root it is asked what the folder's own user may write.
    """
    me = os.geteuid()
    asked = top.stat().st_uid if me == 0 else me
    found: dict[int, list[Path]] = {}
    for path, about in _blocked(top, asked):
        found.setdefault(about.st_uid, []).append(path)
    return [
        Foreign(user(asked), user(owner), tuple(sorted(paths)[:_SHOWN]), max(0, len(paths) - _SHOWN))
        for owner, paths in sorted(found.items())
    ]


def _blocked(top: Path, who: int) -> Iterator[tuple[Path, os.stat_result]]:
    todo, seen = [top], 0
    while todo and seen < _MOST:
        try:
            with os.scandir(todo.pop()) as entries:
                each = [(Path(entry.path), entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError:
            continue  # what can't be listed was told as a folder that can't be written
        seen += len(each)
        for path, about in each:
            folder = stat.S_ISDIR(about.st_mode)
            if (folder or path.name.endswith(_WRITTEN_IN_PLACE)) and not _may_write(about, who):
                yield path, about
            elif folder:
                todo.append(path)


def _may_write(about: os.stat_result, who: int) -> bool:
    """Whether the mode of a file or folder lets a user write it; a folder also has to be entered."""
    need = 0o3 if stat.S_ISDIR(about.st_mode) else 0o2
    mode = stat.S_IMODE(about.st_mode)
    if about.st_uid == who:
        return mode >> 6 & need == need
    mine = who == os.geteuid() and about.st_gid in {os.getegid(), *os.getgroups()}
    return (mode >> 3 if mine else mode) & need == need
