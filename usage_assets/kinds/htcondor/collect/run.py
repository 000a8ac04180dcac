"""One poll, and polls one after another: asking the pool, writing the poll, and messages of both."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from usage_assets.core.clock import utc_now
from usage_assets.core.errors import DiskError, UsageError
from usage_assets.core.locks import file_lock
from usage_assets.kinds.htcondor.collect.ads import attributes, constraint, table_of
from usage_assets.kinds.htcondor.collect.pool import Pool
from usage_assets.kinds.htcondor.collect.store import Store
from usage_assets.kinds.htcondor.site.model import HTCondorSite

LOCK = ".collect.lock"
DAY = 86_400
_SECOND = timedelta(seconds=1)
_NAP = 30.0
_ADVICE = "one collector per folder is enough, so this one ends"


@dataclass
class Collection:
    """The polls of a site: `step` are the seconds from one to the next, `say` and `warn` take its messages."""

    site: HTCondorSite
    pool: Pool
    step: int
    say: Callable[[str], None]
    warn: Callable[[str], None]
    now: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(*self.site.collected())

    def once(self) -> bool:
        """Ask now; whether a poll was written."""
        with self._alone():
            return self._poll()

    def ever(self, rounds: int | None = None) -> None:
        """Ask at every full step of the wall clock, until interrupted or that many times."""
        with self._alone():
            while rounds is None or rounds > 0:
                tick = self._wait()
                self._poll()
                missed = int((self.now() - tick) / timedelta(seconds=self.step))
                if missed > 0:
                    self.warn(f"the poll of {tick:%H:%M:%S} UTC took so long that {missed} more were missed")
                rounds = None if rounds is None else rounds - 1

    def tidy(self) -> bool:
        """Take every poll into the file of its month; whether all went well."""
        with self._alone():
            return self._tidy(1)

    def _poll(self) -> bool:
        collector = self.site.collector
        assert collector is not None
        at = self.now()
        try:
            slots = self.pool.slots(constraint(collector.constraint), attributes(collector.projection))
            poll = table_of(slots, at, self.site.zone, collector.projection)
            if not poll.num_rows:
                found = "the pool answers, but no slot of it has a GPU; did its collector just begin?"
                self.warn(f"site {self.site.key}: {found}; no poll was written")
                return False
            self.store.write(poll, at)
        except UsageError as error:
            self.warn(f"{error}; no poll was written")
            return False
        machines = len(poll.column("Machine").unique())
        self.say(f"{at:%Y-%m-%d %H:%M:%S} UTC: {poll.num_rows} row(s) of {machines} machine(s)")
        self._tidy(max(DAY // self.step, 1))
        return True

    def _tidy(self, least: int) -> bool:
        """Take in the polls of months that are over, and those of the running one when there are that many."""
        running = self.now().astimezone(self.site.zone).date().replace(day=1)
        good = True
        for month, files in self.store.waiting().items():
            if month >= running and len(files) < least:
                continue
            try:
                done = self.store.tidy(month, files)
                self.say(f"{done.path.name}: {done.polls} poll(s) taken in, {done.files} file(s) of polls removed")
            except UsageError as error:
                self.warn(str(error))
                good = False
        return good

    def _wait(self) -> datetime:
        """Sleep until the next step of the clock, in short naps: a clock may be put forward or back."""
        tick = next_tick(self.now(), self.step, self.site.zone)
        while (left := (tick - self.now()).total_seconds()) > 0:
            if left > self.step and next_tick(self.now(), self.step, self.site.zone) < tick:
                return self._wait()
            self.sleep(min(left, _NAP))
        return tick

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of the folder: one collector at a time; others get an error that names it."""
        folder = self.store.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{folder}: can't be made ({error.strerror}); make it, and let this account write there"
            raise DiskError(msg) from error
        with file_lock(folder / LOCK, f"collector of site {self.site.key}", wait_seconds=0, advice=_ADVICE):
            if left := self.store.clean():
                self.say(f"{left} file(s) removed that a collector was writing when it ended")
            yield


def next_tick(now: datetime, step: int, zone: ZoneInfo) -> datetime:
    """The first instant after `now` (UTC) at which the zone's wall clock shows a multiple of `step` seconds.

    In an hour that comes twice its steps come twice; those of an hour that is left out don't come.
    """
    passed = _passed(now, zone)
    step_at = timedelta(seconds=min((passed // timedelta(seconds=step) + 1) * step, DAY))
    found = now + step_at - passed
    put = _put(now.replace(microsecond=0), found, zone)
    if put is None or found < put:
        return found
    return put if not _passed(put, zone) % timedelta(seconds=step) else next_tick(put, step, zone)


def _passed(at: datetime, zone: ZoneInfo) -> timedelta:
    """How far the wall clock is in its day."""
    wall = at.astimezone(zone).replace(tzinfo=None)
    return wall - wall.replace(hour=0, minute=0, second=0, microsecond=0)


def _put(first: datetime, last: datetime, zone: ZoneInfo) -> datetime | None:
    """When the clock was put forward or back between two instants of less than a day; null where it was not."""
    before = first.astimezone(zone).utcoffset()
    if last.astimezone(zone).utcoffset() == before:
        return None
    seconds = range((last - first) // _SECOND + 1)
    put = bisect_left(seconds, True, key=lambda n: (first + n * _SECOND).astimezone(zone).utcoffset() != before)
    return min(first + put * _SECOND, last)
