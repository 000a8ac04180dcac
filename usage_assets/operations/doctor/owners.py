"""Folders and files of an installation that its user can't write, below the folders that it owns.

Typical: root once gave a command without the wrapper of the service, and what it made is root's.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from usage_assets.core.file_faults import user

_WRITTEN_IN_PLACE = (".lock", ".db", ".db-wal", ".db-shm", "-journal", "warehouse.duckdb", "warehouse.duckdb.wal")
"""Ends of the names of files that are opened to be written; all others are written beside their place and put there."""
_SHOWN = 5
_MOST = 200_000


def foreign(top: Path) -> list[tuple[str, str, str]]:
    """Per owner what lies below a folder and can't be written by the user of this process: user, owner, first paths.

    Of each branch only the topmost is named.

    Root may write everything, so for root it is what the folder's own user can't write.
    """
    me = os.geteuid()
    writer = top.stat().st_uid if me == 0 else me
    found: dict[int, list[Path]] = {}
    for path, status in _blocked(top, writer):
        found.setdefault(status.st_uid, []).append(path)
    out = []
    for owner, paths in sorted(found.items()):
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        out.append((user(writer), user(owner), ", ".join(map(str, sorted(paths)[:_SHOWN])) + more))
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
