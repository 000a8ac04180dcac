"""Why a file of ours can't be opened, read or written, and what to do: one answer for every place.

DuckDB reports everything as an IO error. A damaged file, a folder of another user and a full disk need different steps,
and an operator who is sent to the wrong one loses a night.
"""

import errno
import os
import pwd
import re
from pathlib import Path

from usage_assets.core.errors import WarehouseError
from usage_assets.core.text import line

_DAMAGED = re.compile(
    r"corrupt|not a valid DuckDB database|could not read enough bytes|failure while replaying WAL|checksum",
    re.IGNORECASE,
)
_WAL = re.compile(r"\bWAL\b")
_DENIED = re.compile(r"permission denied|operation not permitted", re.IGNORECASE)
_FULL = re.compile(r"no space left|disk quota|disk is full|could not write .*(?:space|quota)", re.IGNORECASE)
_READ_ONLY = re.compile(r"read-only file system", re.IGNORECASE)
_QUOTED_PATH = re.compile(r'"(/[^"]+)"')
_MENDED = {errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_SHORT = 200


def damage(error: BaseException, path: Path) -> str | None:
    """The message for a damaged file of DuckDB, such as the warehouse; None for any other error."""
    text = str(error)
    if not _is_of_duckdb(error) or not _DAMAGED.search(text):
        return None
    if _WAL.search(text):
        wal = path.with_name(f"{path.name}.wal")
        return (
            f"{wal} is damaged ({_short(error)}). It holds what a killed process had written last and {path.name} has "
            f"not taken in. Move it aside (mv {wal} {wal}.damaged) and build the months of that run again: its last "
            "write is lost, all before it is in the file. Or put the last backup back: usage-assets restore"
        )
    return (
        f"{path} is damaged ({_short(error)}). Put the last backup back (usage-assets restore FOLDER --force moves the "
        "damaged file aside; usage-assets doctor names the newest backup) and build the months since then again"
    )


def advice(error: BaseException, folder: Path) -> str:
    """What to do about a fault of files or of DuckDB; `folder` is where it happened, unless the error names a file."""
    text = str(error)
    found = damage(error, folder / "warehouse.duckdb")
    if found is not None:
        return found
    number, path = None, folder
    if isinstance(error, OSError):
        number = error.errno
        path = Path(os.fsdecode(error.filename)) if error.filename else folder
    elif quoted := _QUOTED_PATH.search(text):
        path = Path(quoted[1])
    if number in {errno.EACCES, errno.EPERM} or _DENIED.search(text):
        return blocked(path)
    if number in {errno.ENOSPC, errno.EDQUOT} or _FULL.search(text):
        return f"free some room on the disk of {folder}"
    if number == errno.EROFS or _READ_ONLY.search(text):
        return f"the disk of {path} may only be read: mount it for writing"
    if number == errno.EIO:
        return f"the disk of {path} gives no answer: look at its health"
    return f"look at {path} and at the free space of {folder}"


def sentence(error: BaseException, folder: Path) -> str | None:
    """The error and what to do in one sentence; None where an operator can't mend it."""
    if isinstance(error, OSError) and error.errno in _MENDED:
        return f"{error.filename or folder}: {error.strerror}. What to do: {advice(error, folder)}"
    if _is_of_duckdb(error):
        return damage(error, folder / "warehouse.duckdb") or f"{_short(error)}. What to do: {advice(error, folder)}"
    return None


def blocked(path: Path) -> str:
    """Who owns what this user may not open or write, and the command that mends it."""
    there = next((each for each in (path, *path.parents) if os.path.exists(each)), path)  # noqa: PTH110 - never raises
    if _may(there) and not _may(there.parent):
        there = there.parent
    try:
        owner = there.stat().st_uid
    except OSError:
        return f"{there} may not be looked at by {user(os.geteuid())}: mend its owner or mode"
    me = user(os.geteuid())
    if owner == os.geteuid():
        return f"{there} belongs to {me} and may not be written: chmod u+rwX {there}"
    return (
        f"{there} belongs to {user(owner)}, and {me} may not write it: chown -R {me} {there} (as root), or run this as "
        f"{user(owner)}"
    )


def user(number: int) -> str:
    """The name of a user, or the number of one without a name."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def refused(error: OSError, path: Path) -> WarehouseError:
    """The error of a file of ours that can't be opened or made."""
    why = os.strerror(error.errno or 0)
    return WarehouseError(f"{path}: {why}; nothing was changed. What to do: {advice(error, path)}")


def _may(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _is_of_duckdb(error: BaseException) -> bool:
    """Whether DuckDB raised it, found without loading DuckDB."""
    return any(base.__module__ in {"duckdb", "_duckdb"} for base in type(error).__mro__)


def _short(error: BaseException) -> str:
    return line(re.sub(r"^(?:IO|Serialization|Internal|Fatal) Error: ", "", str(error)), _SHORT)
