"""Wall clock -> UTC of the distinct times of a file, also in the hours that come twice or are left out."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import polars as pl

POLLS: dict[str, pl.DataType] = {
    "raw": pl.String(),
    "at": pl.Datetime("us"),
    "pass": pl.Int8(),
    "poll_at": pl.Datetime("us"),
    "local_at": pl.Datetime("us"),
}
"""Times of a file: as text or as a time, in which pass of a repeated hour, in UTC and on the wall clock."""


@dataclass(frozen=True)
class Polls:
    """The times of a file. `bad` are no times; `shifted` lie in an hour that the clock left out."""

    frame: pl.DataFrame
    bad: frozenset[str | None]
    shifted: int
    ambiguous: bool
    """Whether some lie in an hour that comes twice."""


def polls_of(values: Iterable[str | datetime | None], zone: ZoneInfo, *, is_utc: bool = False) -> Polls:
    """The polls of distinct times, naive ones by the wall clock of the zone unless `is_utc`.

    A time of an hour that comes twice has two rows, `pass` 0 and 1; which of them a row of the file is of, its place in
    the file says. A time that does not exist is taken as if the clock had not been put forward.
    """
    rows: list[tuple[str | None, datetime | None, int, datetime, datetime]] = []
    bad: set[str | None] = set()
    shifted = 0
    ambiguous = False
    for value in values:
        at = _time(value)
        if at is None:
            bad.add(str(value) if value is not None else None)
            continue
        try:
            text, time = (value, None) if isinstance(value, str) else (None, value)
            if at.tzinfo is not None or is_utc:
                instant = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
                wall = instant.astimezone(zone).replace(tzinfo=None, fold=0)
                rows.append((text, time, 0, instant.replace(tzinfo=None), wall))
                continue
            first, second = _offsets(at, zone)
            rows.append((text, time, 0, at - first, at))
            if first > second:
                ambiguous = True
                rows.append((text, time, 1, at - second, at))
            shifted += first < second
        except OverflowError:  # the year 1 or 9999
            bad.add(str(value))
    return Polls(pl.DataFrame(rows, schema=POLLS, orient="row"), frozenset(bad), shifted, ambiguous)


def _time(value: str | datetime | None) -> datetime | None:
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        return None


def is_ambiguous(at: datetime, zone: ZoneInfo) -> bool:
    """Whether a wall clock shows this time twice."""
    return _repeated(at, zone) > timedelta(0)


@dataclass(frozen=True)
class Passes:
    """Where the second pass of a repeated hour begins in a file (a row; null where it holds none), and any doubt."""

    jump: int | None
    doubt: str | None = None


def passes(order: pl.DataFrame, polls: pl.DataFrame, interval: timedelta, zone: ZoneInfo) -> Passes:
    """Where the second pass of a repeated hour begins, by the place of its rows in the file.

    `order` are the rows within the hour (`row`, `key` as the polls' `raw` or `at`, `slot`, `gpu`), in any order. The
    clock jumped back at the first time that is earlier than one before it, or that comes again after a later one. Where
    a pool is asked no more than once a pass, the clock may show a later time then, or the same: there two polls less
    than half an interval apart are the two passes.
    """
    walls = polls.filter(pl.col("pass") == 0).select(
        key=pl.col("at") if order.schema["key"] == pl.Datetime else pl.col("raw"), wall="local_at"
    )
    rows = order.join(walls, on="key").sort("row")
    back = rows.filter(pl.col("wall") < pl.col("wall").cum_max().shift(1))
    hour = f"the hour that the clock shows twice ({rows['wall'][0]:%Y-%m-%d %H:%M})"
    if not back.is_empty():
        jump = int(back["row"][0])
        again = rows.filter(pl.col("row") >= jump).filter(pl.col("wall") < pl.col("wall").cum_max().shift(1))
        doubt = f"{hour}: the clock jumps back more than once; all from the first jump on counts as the second pass"
        return Passes(jump, None if again.is_empty() else doubt)
    if interval >= _repeated(rows["wall"][0], zone):
        times = rows.group_by("wall", maintain_order=True).agg(pl.col("row").min())
        close = times.filter(2 * pl.col("wall").diff() < interval)
        if not close.is_empty():
            return Passes(int(close["row"][0]))
        found = _of_one_time(rows, hour)
        if found is not None:
            return found
    is_over = bool((polls["local_at"] > rows["wall"].max()).any())
    doubt = f"{hour}: nothing tells its two passes apart; all its polls count as the first one"
    return Passes(None, doubt if is_over else None)


def _of_one_time(rows: pl.DataFrame, hour: str) -> Passes | None:
    """Two polls of one time: the second begins where a slot's GPU comes again; null where each is there once."""
    key = ["wall", "slot", "gpu"]
    again = rows.filter(~pl.struct(key).is_first_distinct())
    if again.is_empty():
        return None
    jump, wall = int(again["row"][0]), again["wall"][0]
    own = rows.filter(pl.col("wall") == wall)
    before, after = own.filter(pl.col("row") < jump), own.filter(pl.col("row") >= jump)
    # rows that stand between the last one that comes again and the first that did: of either poll
    last = before.join(after, on=key, how="semi", nulls_equal=True)["row"].max()
    loose = before.filter(pl.col("row") > last).height
    if not after.select(pl.struct(key).is_unique().all()).item():
        return Passes(
            jump,
            f"{hour}: rows of one time come more than twice; all from the first to come again count as the second pass",
        )
    doubt = f"{hour}: {loose} row(s) between two polls of one time may be of either; they count as the first"
    return Passes(jump, doubt if loose else None)


def _repeated(at: datetime, zone: ZoneInfo) -> timedelta:
    """How much time the clock shows twice around a time."""
    first, second = _offsets(at, zone)
    return first - second


def _offsets(at: datetime, zone: ZoneInfo) -> tuple[timedelta, timedelta]:
    """Offsets of a wall clock time from UTC, in the first and in the second pass of an hour that comes twice."""
    first, second = (at.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return first, second


def repeated_day(month: date, zone: ZoneInfo) -> date | None:
    """The local day of a month on which the clock shows some time twice; null where there is none."""
    midnights = [datetime.combine(month, time(), zone) + timedelta(days=number) for number in range(32)]
    for day, after in pairwise(midnights):
        if day.month == month.month and (day.utcoffset() or timedelta()) > (after.utcoffset() or timedelta()):
            return day.date()
    return None


def local_span(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The wall clock at two instants (UTC)."""
    first, last = (at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None, fold=0) for at in (start, end))
    return first, last
