"""Text of a file that an operator wrote: a regular file of a sane size, or an error at once."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from usage_assets.core.errors import UsageError

LARGEST_BYTES = 1_000_000


def read_text(path: Path, error: type[UsageError], *, help_at: str, largest: int = LARGEST_BYTES) -> str:
    """The file's text; `error` where it can't be read, is no regular file, is too large or is not UTF-8."""

    def check(status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            msg = f"{path.name}: is no regular file (a folder, a pipe or a device); put the file there, or take it away"
            raise error(msg)
        if status.st_size > largest:
            msg = f"{path.name}: has {status.st_size:,} bytes, more than the {largest:,} that such a file may have"
            raise error(msg)

    try:
        return read_checked(path, check, largest=largest)
    except OSError as fault:
        msg = f"{path.name}: can't be read ({fault.strerror}); look at {help_at}"
        raise error(msg) from fault
    except UnicodeDecodeError as fault:
        msg = f"{path.name}: is not UTF-8 text"
        raise error(msg) from fault


def read_checked(path: Path, check: Callable[[os.stat_result], None], *, largest: int = LARGEST_BYTES) -> str:
    """UTF-8 text of a file, read if `check` of its status raises nothing: the file checked is the file read."""
    # without O_NONBLOCK a pipe in its place would wait for a writer for ever
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        check(os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(largest + 1).decode("utf-8-sig")
    finally:
        os.close(descriptor)
