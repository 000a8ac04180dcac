"""The tracker: a bounded queue that callers put events on, and a thread that writes them to files."""

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from .calls import Call, decorator
from .files import LineFiles
from .lines import Event, event_ids, line, unknown_columns

_log = logging.getLogger("usage_assets.track")
_Wrapped = TypeVar("_Wrapped", bound=Callable[..., Any])
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH: Final = 1 << 16  # bytes of one write, or one line
_LONGEST_PAUSE: Final = 30.0  # seconds between attempts while the folder can't be written


class Tracker:
    """Writes events of this process to files in `folder`; none of its methods raises for what happens there.

    Events wait in memory, at most `queue_size` of them, until a thread writes them every `flush_seconds`. While the
    queue is full, as it will be when the disk is, new events are dropped: `dropped` counts them, `dropped.log` in the
    folder says so once writing works again, and a warning goes to the logger `usage_assets.track` once. What is queued
    is written at exit. Files are closed and followed by new ones at `max_bytes` or after `max_seconds`.

    A tracker may be used by any number of threads, and by processes that are forked after it was made: each has a file
    of its own. `defaults` are columns of every event that does not set them, such as `provider="own"`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        *,
        queue_size: int = 100_000,
        flush_seconds: float = 0.5,
        close_seconds: float = 5.0,
        max_bytes: int = 64 << 20,
        max_seconds: float = 86_400.0,
        **defaults: Any,
    ) -> None:
        self._files = (
            None if folder is None else LineFiles(Path(folder).absolute(), max_bytes=max_bytes, max_seconds=max_seconds)
        )
        self._defaults: Mapping[str, Any] = defaults
        self._queue_size = queue_size
        self._wake_at = max(1, queue_size // 2)
        self._flush_seconds = flush_seconds
        self._close_seconds = close_seconds
        self._closed = folder is None
        self._begin()
        _trackers.add(self)

    def _begin(self) -> None:
        """State of this process: also of a forked one, whose parent writes what was queued before the fork."""
        self._queue: deque[Event] = deque()
        self._encoded: deque[bytes] = deque()
        self._new_id = event_ids()
        self._thread: threading.Thread | None = None
        self._wake: SimpleQueue[None] = SimpleQueue()  # unlike an Event, it may be used by a signal's handler
        self._writing = threading.Lock()
        self._counting = threading.RLock()  # a signal's handler may drop an event while its thread counts one
        self._dropped = 0
        self._noted = 0
        self._failing = False
        self._unknown: set[str] = set()

    @property
    def dropped(self) -> int:
        """Events of this process that were not and will not be written."""
        return self._dropped

    @property
    def queued(self) -> int:
        """Events that wait to be written."""
        return len(self._queue) + len(self._encoded)

    def new_id(self) -> str:
        """An id that no other event or request has, in this process or another."""
        return self._new_id()

    def request(
        self,
        model: str | None = None,
        user: str | None = None,
        *,
        team: str | None = None,
        session: str | None = None,
        provider: str | None = None,
        request_id: str | None = None,
        parameters: Mapping[str, object] | None = None,
        stages: bool = False,
    ) -> Call:
        """A request to a model, as a context manager: `with` or `async with`, whose end is the request's.

        One event is written at its end: `complete`, `failed` if an exception left it, `cancelled` if that was a
        cancellation or an interrupt; `ts` is the begin, and the exception goes on. With `stages` events `request` and
        `start` (`Call.started`) are written when they happen, too, and `ts` of the outcome is the end: so unfinished
        requests are known, at the price of more rows.
        """
        call = Call(self, model, user)
        if team is not None:
            call.team_id = team
        if session is not None:
            call.session_id = session
        if provider is not None:
            call.provider = provider
        if request_id is not None:
            call.request_id = request_id
        if parameters is not None:
            call.parameters = parameters
        if stages:
            call._stages = True
        return call

    def tracked(self, **fields: Any) -> Callable[[_Wrapped], _Wrapped]:
        """A decorator that records each call of a function as a request; it may be async, a generator, or both.

        `fields` are those of `request`; one that is a function is called with the arguments of the call, as in
        `user=lambda prompt, who: who`. `measure`, a function of the `Call` and the result, sets what is known at the
        end, such as tokens; it is not called for generators, and an error in it is logged. Arguments and results are
        not recorded.
        """
        return decorator(lambda: self, fields)

    def event(self, event_type: str, *, ts: datetime | None = None, **fields: Any) -> None:
        """Record one event with columns `fields`; `ts` is now by default, naive ones are of the machine's zone."""
        when = time.time_ns() // 1000
        if ts is not None:
            with suppress(OverflowError, ValueError, OSError, AttributeError):
                when = (ts.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
        self.put((when, event_type, fields))

    def put(self, event: Event) -> None:
        """Queue an event, or count it as dropped: microseconds, whatever the disk does."""
        queue = self._queue
        waiting = len(queue)
        if waiting >= self._queue_size or self._closed:
            self._drop(1, "closed" if self._closed else "too many wait")
            return
        queue.append(event)
        if self._thread is None:
            self._start()
        elif waiting == self._wake_at:
            self._wake.put(None)

    def flush(self) -> bool:
        """Write what is queued in this thread, waiting `close_seconds` at most for another; whether all is written."""
        return self._write(self._close_seconds) and not self.queued

    def close(self) -> None:
        """Write what is queued, close the file and stop; later events are dropped. At exit this happens by itself."""
        self._closed = True
        atexit.unregister(self.close)
        self._thread = None
        self._wake.put(None)
        self.flush()
        if self._writing.acquire(timeout=self._close_seconds):
            try:
                self._finish()
            finally:
                self._writing.release()

    def _finish(self) -> None:
        lost = self.queued
        self._queue.clear()
        self._encoded.clear()
        if lost:
            self._drop(lost, "not written before the end")
        if self._files is not None:
            with suppress(OSError):
                self._note_drops(self._files)
                self._files.close()

    def _start(self) -> None:
        """Begin to write, once an event is there: a process that only imports has no thread and no file."""
        with self._counting:
            if self._thread is not None or self._closed:
                return
            thread = threading.Thread(target=self._run, name="usage-track", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is about to end: what is queued is written at exit
                return
            self._thread = thread
        atexit.register(self.close)
        _flush_with_multiprocessing(self)

    def _run(self) -> None:
        pause, wake = self._flush_seconds, self._wake
        while not self._closed:
            with suppress(Empty):
                wake.get(timeout=pause)
            written = self._write(self._close_seconds)
            pause = self._flush_seconds if written else min(2 * pause, _LONGEST_PAUSE)

    def _write(self, patience: float) -> bool:
        """Write what is queued; False when the folder can't be written, or another thread is at it too long."""
        files = self._files
        if files is None or not self._writing.acquire(timeout=patience):
            return False
        try:
            while lines := self._next_lines():
                files.append(b"".join(lines))
                self._encoded.clear()
            self._note_drops(files)
            self._failing = False
        except OSError as error:
            self._fails(error)
            return False
        except Exception:
            _log.exception("events could not be written")
            return False
        finally:
            self._writing.release()
        return True

    def _next_lines(self) -> deque[bytes]:
        """The lines of one write: those that the last attempt could not write, or the next ones of the queue."""
        size = sum(map(len, self._encoded))
        while self._queue and size < _BATCH:
            event = self._queue.popleft()
            encoded = self._line(event)
            if encoded is not None:
                self._encoded.append(encoded)
                size += len(encoded)
        return self._encoded

    def _line(self, event: Event) -> bytes | None:
        try:
            encoded = line(event, self._new_id(), self._defaults)
            self._warn_of_columns(unknown_columns(event))
        except Exception:
            _log.exception("an event could not be made a line")
            encoded = None
        if encoded is None:
            self._drop(1, "too long")
        return encoded

    def _drop(self, events: int, reason: str) -> None:
        with self._counting:
            first = self._dropped == 0
            self._dropped += events
        if first:
            _log.warning("usage events are dropped: %s", reason if self._files else "no folder is configured")

    def _note_drops(self, files: LineFiles) -> None:
        """Say in the folder how many were dropped since the last note, once events are written again."""
        lost = self._dropped - self._noted
        if lost:
            files.note(f"{lost} events were dropped, {self._dropped} since the process began")
            self._noted += lost

    def _fails(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            _log.warning("usage events wait in memory: %s", error.strerror or error)

    def _warn_of_columns(self, unknown: set[str]) -> None:
        if not unknown <= self._unknown:
            self._unknown |= unknown
            _log.warning("not columns of usage events, left out: %s", ", ".join(sorted(map(str, unknown))))

    def _after_fork(self) -> None:
        """In a child: a queue and a file of its own; the parent's file is only closed here, not unlocked."""
        if self._files is not None:
            with suppress(OSError):
                self._files.close()
        self._begin()


_trackers: "weakref.WeakSet[Tracker]" = weakref.WeakSet()


def _after_fork() -> None:
    for tracker in list(_trackers):
        tracker._after_fork()


def _flush_with_multiprocessing(tracker: Tracker) -> None:
    """Have a process that multiprocessing began write at its end, too: it ends without what `atexit` knows."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(tracker, tracker.flush, exitpriority=0)


os.register_at_fork(after_in_child=_after_fork)
