"""Texts and numbers of sources as instants, SQL that needs no join.

A naive time is one of a zone's wall clock: an hour that occurs twice is its first one, a skipped one is read with the
offset before the change. DuckDB's own conversion takes the second of two.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from usage_assets.core import clock
from usage_assets.kinds.service.raw.values import literal

_SHAPE = r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)?"
_OFFSET = r" ?(Z|UTC|[+-]\d{2}(:?\d{2})?)"
UNITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
"""Decimal places that a unit of an epoch or a duration moves a number by."""
_FIRST = datetime(1990, 1, 1)
_YEARS_AHEAD = 10
_LATEST_S = 253_402_300_800  # year 10000


def instant(text: str, zone: str | None = None) -> str:
    """SQL of the UTC instant that a text says; null where it says none, or is naive and no zone is given."""
    upper = f"replace(upper({text}), ',', '.')"
    known = f"regexp_full_match({upper}, {literal(_SHAPE + _OFFSET)})"
    plain = f"regexp_replace({upper}, ' ?(Z|UTC)$', '')"
    full = f"regexp_replace({plain}, '([+-])(\\d{{2}})(\\d{{2}})$', '\\1\\2:\\3')"
    naive = "NULL"
    if zone is not None:
        wall = f"TRY_CAST({upper} AS TIMESTAMP)"
        naive = f"CASE WHEN regexp_full_match({upper}, {literal(_SHAPE)}) THEN {utc(wall, zone)} END"
    return (
        f"CASE WHEN {text} LIKE '____-__-__T__:__:__%Z' AND NOT contains({text}, ',') "
        f"THEN TRY_CAST(rtrim({text}, 'Z') AS TIMESTAMP) "
        f"WHEN {known} THEN TRY_CAST({full} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' ELSE {naive} END"
    )


def epoch(text: str, unit: str, origin: datetime | None = None) -> str:
    """SQL of the instant that lies so many units after 1970 (or another origin); finer digits are cut off.

    `auto`: seconds, or milliseconds, microseconds, nanoseconds where the number is too large for an instant before the
    year 2286 in the coarser unit.
    """
    number = f"TRY_CAST({text} AS DECIMAL(38, 9))"
    if unit == "auto":
        coarser = ((1e10, "* 1000000"), (1e13, "* 1000"), (1e16, "* 1"))
        cases = " ".join(f"WHEN abs({number}) < {most:.0f} THEN {number} {scale}" for most, scale in coarser)
        micros = f"floor(CASE {cases} ELSE {number} / 1000 END)::BIGINT"
        bound = f"abs({number}) < {_LATEST_S * 10**9}"
    else:
        places = 6 - UNITS[unit]
        scaled = f"{number} * {10**places}" if places >= 0 else f"{number} / {10**-places}"
        micros = f"floor({scaled})::BIGINT"
        bound = f"abs({number}) < {_LATEST_S * 10 ** UNITS[unit]}"
    since = "" if origin is None else f" + (TIMESTAMP '{origin}' - TIMESTAMP '1970-01-01')"
    return f"CASE WHEN {bound} THEN make_timestamp({micros}){since} END"


def utc(wall: str, zone: str) -> str:
    """SQL of the UTC instant at which clocks of a zone showed an instant for the first time."""
    changes = _changes(zone)
    cases = " ".join(
        f"WHEN {wall} < TIMESTAMP '{until}' THEN INTERVAL ({offset}) SECOND" for until, offset in changes[:-1]
    )
    offset = f"INTERVAL ({changes[-1][1]}) SECOND"
    return f"({wall} - (CASE {cases} ELSE {offset} END))" if cases else f"({wall} - {offset})"


def _changes(zone: str) -> list[tuple[datetime, int]]:
    """Until which wall-clock time each offset (seconds east) is the one to read with, in order; the last is open."""
    clocks = ZoneInfo(zone)
    last = clock.naive_utc_now().year + _YEARS_AHEAD
    out: list[tuple[datetime, int]] = []
    at, offset = _FIRST, _offset(clocks, _FIRST)
    while at.year <= last:
        after = at + timedelta(days=1)
        if _offset(clocks, after) != offset:
            change = _change(clocks, at, after)
            new = _offset(clocks, change)
            out.append((change + timedelta(seconds=max(offset, new)), offset))
            at, offset = change, new
        else:
            at = after
    return [*out, (at, offset)]


def _offset(clocks: ZoneInfo, at: datetime) -> int:
    found = at.replace(tzinfo=UTC).astimezone(clocks).utcoffset()
    assert found is not None
    return int(found.total_seconds())


def _change(clocks: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first UTC second at which the offset is no longer that of `before`."""
    old = _offset(clocks, before)
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        before, after = (middle, after) if _offset(clocks, middle) == old else (before, middle)
    return after
