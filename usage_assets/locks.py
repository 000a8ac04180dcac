"""Locks between processes of one machine: freed by the kernel when a process dies, however it dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from usage_assets.errors import WarehouseError

_POLL_SECONDS = 0.02


@contextmanager
def file_lock(path: Path, holder: str, *, shared: bool = False, wait_seconds: float) -> Iterator[None]:
    """Hold an OS lock on `path` for the block; `shared` locks exclude only exclusive ones.

    `holder` says what the lock is held for; it is shown to whoever waits in vain.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        _acquire(handle, path, shared=shared, wait_seconds=wait_seconds)
        if not shared:
            _say(handle, f"process {os.getpid()}: {holder}")
        try:
            yield
        finally:
            if not shared:
                _say(handle, "")
            fcntl.flock(handle, fcntl.LOCK_UN)


def _acquire(handle: IO[str], path: Path, *, shared: bool, wait_seconds: float) -> None:
    mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(handle, mode)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                handle.seek(0)
                holder = handle.read().strip() or "another reader"
                msg = (
                    f"{path.name}: held by {holder} for more than {wait_seconds:.0f} s; "
                    "wait for it to end, or raise USAGE_LOCK_WAIT"
                )
                raise WarehouseError(msg) from None
            time.sleep(_POLL_SECONDS)
        else:
            return


def _say(handle: IO[str], text: str) -> None:
    handle.seek(0)
    handle.truncate()
    handle.write(text)
    handle.flush()
