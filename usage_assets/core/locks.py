"""Locks between processes of one machine: freed by the kernel when a process dies, however it dies."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from usage_assets.core.errors import WarehouseError
from usage_assets.core.file_faults import refused
from usage_assets.core.notes import warn

_POLL_SECONDS = 0.02
SAID_SECONDS = 3.0
"""Who waits longer says for whom, and again when another holds it."""
_ADVICE = "wait for it to end, or raise USAGE_LOCK_WAIT"


@contextmanager
def file_lock(
    path: Path, holder: str, *, shared: bool = False, wait_seconds: float, advice: str = _ADVICE, what: str = ""
) -> Iterator[None]:
    """Hold an OS lock on `path` for the block; `shared` locks exclude only exclusive ones.

    `holder` says what the lock is held for; it is shown to those who wait, and with `advice` to whoever waits in vain.
    `what` is what the lock stands for, by default the name of its file.
    """
    with _opened(path) as handle:
        _acquire(handle, what or path.name, shared=shared, wait_seconds=wait_seconds, advice=advice)
        if not shared:
            _say(handle, f"process {os.getpid()}: {holder}")
        try:
            yield
        finally:
            if not shared:
                _say(handle, "")
            fcntl.flock(handle, fcntl.LOCK_UN)


def _opened(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab+", buffering=0)  # nothing is left to be written when it is closed
    except OSError as error:
        raise refused(error, path) from error


def _acquire(handle: IO[bytes], what: str, *, shared: bool, wait_seconds: float, advice: str) -> None:
    mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    began = time.monotonic()
    deadline = began + wait_seconds
    said = found = ""
    while True:
        try:
            fcntl.flock(handle, mode)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = _holder(handle) or "another reader"
                waited = f" for more than {wait_seconds:g} s" if wait_seconds or advice == _ADVICE else ""
                msg = f"{what}: held by {holder}{waited}; {advice}"
                raise WarehouseError(msg) from None
            if time.monotonic() - began >= SAID_SECONDS:
                before, found = found, _holder(handle) or "another reader"
                if found == before != said:  # twice: between two holders the lock names nobody
                    said = found
                    warn(f"waiting for {what}, held by {found}")
            time.sleep(_POLL_SECONDS)
        else:
            return


def _holder(handle: IO[bytes]) -> str | None:
    """Who says that he holds the lock; none where that process was killed and its words are left."""
    handle.seek(0)
    text = handle.read().decode("utf-8", "replace").strip()
    found = re.match(r"process (\d+): ", text)
    if found is None:
        return text or None
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # of another user
        pass
    return text


def _say(handle: IO[bytes], text: str) -> None:
    with suppress(OSError):  # a full disk takes no name; the lock holds all the same
        handle.truncate(0)
        handle.write(text.encode())
