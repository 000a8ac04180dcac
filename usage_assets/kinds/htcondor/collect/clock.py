"""When to ask: at the full steps of the wall clock, 00:00, 00:15, 00:30 ..., whatever the clock is put to."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

DAY = 86_400
_SECOND = timedelta(seconds=1)


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
    """When the clock was put forward or back between two instants of less than a day; nothing where it was not."""
    before = first.astimezone(zone).utcoffset()
    if last.astimezone(zone).utcoffset() == before:
        return None
    while last - first > _SECOND:
        middle = first + (last - first) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == before:
            first = middle
        else:
            last = middle
    return last
