"""Wall clock -> UTC: every distinct time of a file once, the repeated and the missing hour told apart and counted."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
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
    """What the times of a file mean. `bad` are no times; `shifted` lie in an hour that the clock left out."""

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
            first, second = (at.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
            assert first is not None
            assert second is not None
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
    first, second = (at.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    assert first is not None
    assert second is not None
    return first > second


def second_pass(order: pl.DataFrame, polls: pl.DataFrame) -> int | None:
    """The row of the file with which the second pass of a repeated hour begins; null where the hour comes once.

    `order` are the rows within the hour (`row`, and `key` as the polls' `raw` or `at`), in any order. The clock jumped
    back at the first time that is earlier than one before it, or that comes again after a later one.
    """
    walls = polls.filter(pl.col("pass") == 0).select(
        key=pl.col("at") if order.schema["key"] == pl.Datetime else pl.col("raw"), wall="local_at"
    )
    found = (
        order.join(walls, on="key")
        .sort("row")
        .with_columns(before=pl.col("wall").cum_max().shift(1))
        .filter(pl.col("wall") < pl.col("before"))
    )
    return None if found.is_empty() else int(found["row"][0])


def local_span(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The wall clock at two instants (UTC)."""
    first, last = (at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None, fold=0) for at in (start, end))
    return first, last
