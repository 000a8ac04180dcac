"""Text of a file that an operator wrote: a regular file of a sane size, or a fault at once."""

import os
import stat
from pathlib import Path

from usage_assets.core.errors import UsageError

LARGEST_BYTES = 1_000_000


def read_text(path: Path, error: type[UsageError], *, help_at: str) -> str:
    """The file's text; `error` where it can't be read, is no regular file, is too large or is not UTF-8.

    What is opened is what is looked at: a pipe or a device in its place is refused, not waited for.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as fault:
        msg = f"{path.name}: can't be read ({fault.strerror}); look at {help_at}"
        raise error(msg) from fault
    try:
        about = os.fstat(number)
        if not stat.S_ISREG(about.st_mode):
            msg = f"{path.name}: is no regular file (a folder, a pipe or a device); put the file there, or take it away"
            raise error(msg)
        if about.st_size > LARGEST_BYTES:
            msg = f"{path.name}: has {about.st_size:,} bytes, more than the {LARGEST_BYTES:,} that such a file may have"
            raise error(msg)
        with os.fdopen(number, "rb", closefd=False) as file:
            return file.read(LARGEST_BYTES + 1).decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        msg = f"{path.name}: is not UTF-8 text"
        raise error(msg) from fault
    finally:
        os.close(number)
