"""When enough machines of a kind were first free for long enough, as far as bookings told at the moment of asking.

A booking [b0, b1) of a machine forbids a start s in the open interval (b0 - length - cleaning, b1 + cleaning): a start
on either edge just fits. Machines become free only at ends of such intervals, so the least good start is the moment of
asking or one of those ends; a sweep counts the machines that are not free at each.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import polars as pl

from usage_assets.intervals.algebra import ENGINE, FAR_FUTURE, intersect, is_first, union

PAIRS_AT_ONCE = 3_000_000
"""Requests are taken in parts of so many pairs of a request and a booking: some 600 MB."""

_EACH = ["request", "kind"]
_LATEST = pl.lit(FAR_FUTURE, dtype=pl.Datetime("us"))
_RESULT: dict[str, pl.DataType | type[pl.DataType]] = {
    "request": pl.UInt32,
    "wait": pl.Duration("us"),
    "is_censored": pl.Boolean,
    "inexact": pl.Int64,
}


def projected(
    requests: pl.LazyFrame,
    machines: pl.LazyFrame,
    bookings: pl.LazyFrame,
    *,
    cleaning: timedelta,
    horizon: timedelta,
) -> pl.DataFrame:
    """For each request: wait until the least start at which all it asks for is free, `is_censored` if past the horizon.

    `requests`: request (a number), holder (whose own bookings do not count), kind, at, count, length; a row per kind
    asked for, of which all must be free at one start. `machines`: kind, machine, start_at, end_at, the stretches in
    which a machine is of the kind, disjoint. `bookings`: machine, holder, known_from, known_until, start_at, end_at (a
    null end is open), changed_at. Asked at `at` are the machines of that instant, and the bookings known then.
    `inexact` counts the bookings that forbade an earlier start and were changed since: their dates may have differed.
    """
    asked = requests.collect(engine=ENGINE).with_columns(day=pl.col("at").dt.date())
    if asked.is_empty():
        return pl.DataFrame(schema=_RESULT)
    there = machines.collect(engine=ENGINE)
    asked = _with_spare(asked, there)
    possible = asked.filter((pl.col("spare") >= 0).all().over("request"))
    held = _held_by_day(possible, there.lazy(), bookings, cleaning)
    parts = [_part(part, held, cleaning, horizon) for part in _parts(possible, held)]
    found = pl.concat([pl.DataFrame(schema=_RESULT | {"wait": pl.Int64}), *parts])
    limit = _microseconds(horizon)
    return (
        asked.select(pl.col("request").unique())
        .join(found, on="request", how="left")
        .with_columns(wait=pl.when(pl.col("wait") <= limit).then("wait"))
        .select(
            pl.col("request").cast(pl.UInt32),
            pl.col("wait").cast(pl.Duration("us")),
            is_censored=pl.col("wait").is_null(),
            inexact=pl.col("inexact").fill_null(0),
        )
        .sort("request")
    )


def _with_spare(asked: pl.DataFrame, machines: pl.DataFrame) -> pl.DataFrame:
    """Column `spare`: how many machines of the kind there are at that instant beyond those asked for."""
    changes = (
        pl.concat(
            [
                machines.select("kind", at="start_at", there=pl.lit(1, dtype=pl.Int64)),
                machines.select("kind", at="end_at", there=pl.lit(-1, dtype=pl.Int64)),
            ]
        )
        .group_by("kind", "at")
        .agg(pl.col("there").sum())
        .sort("kind", "at")
        # every stretch begins and ends in its kind, so one running sum is back at 0 where the next kind begins
        .with_columns(pl.col("there").cum_sum())
        .sort("at")
    )
    return (
        asked.sort("at")
        .join_asof(changes, on="at", by="kind", strategy="backward", check_sortedness=False)
        .with_columns(spare=pl.col("there").fill_null(0) - pl.col("count"))
        .drop("there")
    )


def _held_by_day(
    asked: pl.DataFrame, machines: pl.LazyFrame, bookings: pl.LazyFrame, cleaning: timedelta
) -> pl.DataFrame:
    """Bookings of machines of a kind, once per day on which they matter to someone who asks for the kind.

    A booking matters from when it is known until it is dropped, or past and cleaned after.
    """
    wanted = asked.select("kind", "day").unique().lazy()
    first, last = asked["at"].min(), asked["at"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        first = last = datetime(1970, 1, 1)
    return (
        intersect(
            bookings.with_row_index("booking")
            .with_columns(booked_from="start_at", booked_until=pl.col("end_at").fill_null(_LATEST))
            .with_columns(
                start_at=pl.max_horizontal("known_from", pl.lit(first, dtype=pl.Datetime("us"))),
                end_at=pl.min_horizontal(
                    "known_until",
                    pl.col("booked_until") + cleaning,
                    pl.lit(last + timedelta(microseconds=1), dtype=pl.Datetime("us")),
                ),
            )
            .filter(pl.col("start_at") < pl.col("end_at")),
            machines,
            on=["machine"],
        )
        .with_columns(
            day=pl.date_ranges(
                pl.col("start_at").dt.date(), (pl.col("end_at") - pl.duration(microseconds=1)).dt.date(), interval="1d"
            ),
            machine=pl.col("machine").rank("dense"),
        )
        .select(
            "kind",
            "day",
            "booking",
            "machine",
            "booked_from",
            "booked_until",
            "changed_at",
            booked_by="holder",
            known_from="start_at",
            known_until="end_at",
        )
        .explode("day")
        .join(wanted, on=["kind", "day"], how="semi")
        .collect(engine=ENGINE)
    )


def _parts(asked: pl.DataFrame, held: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The requests, so many at once that their pairs with bookings stay few."""
    many = held.group_by("kind", "day").agg(pairs=pl.len().cast(pl.Int64))
    sized = asked.join(many, on=["kind", "day"], how="left").with_columns(
        pairs=pl.col("pairs").fill_null(0).sum().over("request")
    )
    numbered = (
        sized.group_by("request")
        .agg(pl.col("pairs").first())
        .sort("request")
        .select("request", part=pl.col("pairs").cum_sum() // PAIRS_AT_ONCE)
    )
    yield from (part.drop("part") for part in asked.join(numbered, on="request", how="inner").partition_by("part"))


def _part(asked: pl.DataFrame, held: pl.DataFrame, cleaning: timedelta, horizon: timedelta) -> pl.DataFrame:
    """request, wait in microseconds (past the horizon: some number beyond it) and inexact."""
    pairs = _pairs(asked.lazy(), held.lazy(), cleaning, horizon).collect(engine=ENGINE)
    waits = _waits(asked.lazy(), pairs.lazy()).collect(engine=ENGINE)
    inexact = (
        pairs.lazy()
        .filter("is_changed")
        .join(waits.lazy(), on="request", how="inner")
        .filter(pl.col("start_at").clip(lower_bound=0) < pl.col("wait"))
        .group_by("request")
        .agg(inexact=pl.col("booking").n_unique().cast(pl.Int64))
        .collect(engine=ENGINE)
    )
    return waits.join(inexact, on="request", how="left").select(
        pl.col("request").cast(pl.UInt32), "wait", is_censored=pl.lit(value=False), inexact=pl.col("inexact")
    )


def _pairs(asked: pl.LazyFrame, held: pl.LazyFrame, cleaning: timedelta, horizon: timedelta) -> pl.LazyFrame:
    """Starts that each booking forbids each request, in microseconds since it was asked.

    What is forbidden at the moment of asking begins at -1, what is forbidden past the horizon ends one after it.
    """
    at, clean, limit = pl.col("at"), _microseconds(cleaning), _microseconds(horizon)
    since = (pl.col("booked_from") - at - pl.col("length")).dt.total_microseconds() - clean
    until = (pl.col("booked_until") - at).dt.total_microseconds() + clean
    return (
        asked.select("request", "kind", "day", "holder", "at", "length")
        .join(held, on=["kind", "day"], how="inner")
        .filter(
            (at >= pl.col("known_from"))
            & (at < pl.col("known_until"))
            & pl.col("holder").ne_missing(pl.col("booked_by"))
        )
        .select(
            *_EACH,
            "machine",
            "booking",
            start_at=since.clip(lower_bound=-1),
            end_at=until.clip(upper_bound=limit + 1),
            is_changed=(pl.col("changed_at") > at).fill_null(value=False),
        )
        .filter((pl.col("start_at") <= limit) & (pl.col("end_at") > 0) & (pl.col("start_at") < pl.col("end_at")))
    )


def _waits(asked: pl.LazyFrame, pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Request and wait: the first instant from 0 on at which no kind lacks machines.

    At an instant machines that become free come first (`then` false), then those that are taken: their instant itself
    is still free.
    """
    taken = union(pairs.select(*_EACH, "machine", "start_at", "end_at"), by=[*_EACH, "machine"], touching=False)
    now, one = pl.lit(0, dtype=pl.Int64), pl.lit(1, dtype=pl.Int64)
    steps = pl.concat(
        [
            taken.select(*_EACH, at="start_at", then=pl.lit(value=True), blocked=one),
            taken.select(*_EACH, at="end_at", then=pl.lit(value=False), blocked=-one),
            asked.select(*_EACH, at=now, then=pl.lit(value=False), blocked=now),
        ]
    )
    order = ["at", "then"]
    lacking = (
        steps.group_by(*_EACH, *order)
        .agg(pl.col("blocked").sum())
        .join(asked.select(*_EACH, "spare"), on=_EACH, how="inner")
        .sort(*_EACH, *order)
        # what is taken is freed again within its group, so one running sum does for all groups
        .with_columns(lacks=(pl.col("blocked").cum_sum() > pl.col("spare")).cast(pl.Int64))
        .with_columns(change=pl.col("lacks") - pl.when(~is_first(_EACH)).then(pl.col("lacks").shift(1)).fill_null(0))
    )
    return (
        lacking.group_by("request", *order)
        .agg(pl.col("change").sum())
        .sort("request", *order)
        .with_columns(kinds_lacking=pl.col("change").cum_sum())
        .filter((pl.col("kinds_lacking") == 0) & ~pl.col("then") & (pl.col("at") >= 0))
        .group_by("request")
        .agg(wait=pl.col("at").min())
    )


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
