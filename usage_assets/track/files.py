"""Rotating files of lines, one at a time per process: readers of `*.jsonl` see whole lines only, also of an open file.

A file's name begins with the instant at which it was begun, in UTC, so that the order of names is the order of time.
Lines are appended by one write of whole lines. A process that is killed in the middle of one may leave half a line at
the end of its file: the next process that opens a file in the folder cuts it off.
"""

import fcntl
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

_NAME = re.compile(r"\d{8}T\d{12}Z-[A-Za-z0-9._-]+-\d+(-\d+)?\.jsonl")
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_MODE = 0o640  # lines name people
_TAIL = 1 << 21  # longer than the longest line
_BLOCK = 1 << 16


class LineFiles:
    """The file of this process that lines are appended to, and the next one when it is full or old.

    Methods raise OSError; after one that was raised the same lines can be given again. Not for several threads at once.
    """

    def __init__(self, folder: Path, *, max_bytes: int, max_seconds: float) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._handle: int | None = None
        self._size = 0
        self._begun = 0.0
        self._repaired = False

    def append(self, lines: bytes) -> None:
        """Append whole lines: all of them or, with OSError, none."""
        handle = self._open(len(lines))
        try:
            written = os.write(handle, lines)
            if written < len(lines):
                raise OSError(None, "the disk took a part of the lines only")
        except OSError:
            self._undo(handle)
            raise
        self._size += written

    def close(self) -> None:
        """Close the open file, if any."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)

    def note(self, text: str) -> None:
        """Append a line for people to `dropped.log` beside the files."""
        stamp = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {_host()} {os.getpid()}"
        handle = os.open(self.folder / "dropped.log", _FLAGS & ~os.O_EXCL, _MODE)
        try:
            os.write(handle, f"{stamp} {text}\n".encode())
        finally:
            os.close(handle)

    def _open(self, more: int) -> int:
        """The open file, a new one if it is full, old, or was removed by somebody."""
        if self._handle is not None:
            full = self._size > 0 and self._size + more > self._max_bytes
            old = time.monotonic() - self._begun >= self._max_seconds
            if full or old or os.fstat(self._handle).st_nlink == 0:
                self.close()
        if self._handle is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._repair()
            self._handle, self._size, self._begun = _created(self.folder), 0, time.monotonic()
        return self._handle

    def _undo(self, handle: int) -> None:
        """Cut off what a failed write left; a file that can't be cut is left alone, the next lines go to another."""
        try:
            os.ftruncate(handle, self._size)
        except OSError:
            self.close()

    def _repair(self) -> None:
        """Cut off half lines that killed processes left, once; files of living processes are locked by them."""
        if not self._repaired:
            for path in self.folder.glob("*.jsonl"):
                if _NAME.fullmatch(path.name):
                    with suppress(OSError):
                        _cut_half_line(path)
            self._repaired = True


def _created(folder: Path) -> int:
    """A new file, locked for as long as it is open: the lock says that its process lives."""
    base = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-{_host()}-{os.getpid()}"
    names = (f"{base}{f'-{number}' if number else ''}.jsonl" for number in range(1000))
    for name in names:
        with suppress(FileExistsError):  # of another container with the same host name and number of process
            handle = os.open(folder / name, _FLAGS, _MODE)
            with suppress(OSError):  # file systems without locks
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
    raise FileExistsError(None, f"no free name for a file in {folder}")


def _host() -> str:
    """The host's name in characters that any file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", socket.gethostname())[:64] or "host"


def _cut_half_line(path: Path) -> None:
    with _opened(path) as handle:
        size = os.fstat(handle).st_size
        if size == 0 or os.pread(handle, 1, size - 1) == b"\n":
            return
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = os.fstat(handle).st_size  # it may have grown before the lock
        start = max(0, size - _TAIL)
        kept = start + b"".join(_blocks(handle, start, size)).rfind(b"\n") + 1
        if kept < size and (kept > start or start == 0):
            os.ftruncate(handle, kept)


def _blocks(handle: int, start: int, size: int) -> Iterator[bytes]:
    yield from (os.pread(handle, _BLOCK, at) for at in range(start, size, _BLOCK))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)
