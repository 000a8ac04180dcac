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
"""A longer wait is logged with the holder, and again when the holder changes."""
_ADVICE = "wait for it to end, or raise USAGE_LOCK_WAIT"


@contextmanager
def file_lock(
    path: Path, holder: str, *, shared: bool = False, wait_seconds: float, advice: str = _ADVICE, what: str = ""
) -> Iterator[None]:
    """Hold an OS lock on `path` for the block; `shared` locks exclude only exclusive ones.

    `holder` says what the lock is held for: others see it while they wait, and with `advice` in the WarehouseError
    after `wait_seconds`. `what` names what is locked, by default the lock's file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("ab+", buffering=0)  # nothing is left to be written when it is closed
    except OSError as error:
        raise refused(error, path) from error
    with opened as handle:
        _acquire(handle, what or path.name, shared=shared, wait_seconds=wait_seconds, advice=advice)
        if not shared:
            _say(handle, f"process {os.getpid()}: {holder}")
        try:
            yield
        finally:
            if not shared:
                _say(handle, "")
            fcntl.flock(handle, fcntl.LOCK_UN)


def _acquire(handle: IO[bytes], what: str, *, shared: bool, wait_seconds: float, advice: str) -> None:
    mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    began = time.monotonic()
    logged = holder = ""
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(handle, mode)
            return
        waited = time.monotonic() - began
        before, holder = holder, _holder(handle) or "another reader"
        if waited >= wait_seconds:
            span = f" for more than {wait_seconds:g} s" if wait_seconds or advice == _ADVICE else ""
            msg = f"{what}: held by {holder}{span}; {advice}"
            raise WarehouseError(msg)
        if waited >= SAID_SECONDS and holder == before != logged:  # twice: between two holders the lock names nobody
            logged = holder
            warn(f"waiting for {what}, held by {holder}")
        time.sleep(_POLL_SECONDS)


def _holder(handle: IO[bytes]) -> str | None:
    """The holder that the lock's file names; None where it names none, or a process that was killed."""
    handle.seek(0)
    text = handle.read().decode("utf-8", "replace").strip()
    found = re.match(r"process (\d+): ", text)
    if found is None:
        return text or None
    try:
        with suppress(PermissionError):  # a process of another user
            os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return None
    return text


def _say(handle: IO[bytes], text: str) -> None:
    with suppress(OSError):  # on a full disk the name is left out; the lock holds all the same
        handle.truncate(0)
        handle.write(text.encode())
