"""The state of every GPU at every poll of a month, as numbers: one row per GPU and poll."""

from dataclasses import dataclass

import polars as pl

from usage_assets.kinds.htcondor.facts.rows import Polled
from usage_assets.kinds.htcondor.facts.slot_states import CLAIMED

PLAUSIBLE_USAGE = 1e6
"""No slot uses more GPUs than this: such a number is no usage."""


@dataclass(frozen=True)
class States:
    """GPUs poll by poll, sorted by GPU and poll, and how many exact doubles were left out.

    `gpus` has `entity`, `poll` (its number in the month), `primary` and `backfill` (the states that count, null where
    there is none: an id of `distinct_states`), `is_drained`, `is_refusing`, `has_projects` (of the machine's primary
    slots), `model`, `memory_mb` and `reason` (numbers of their values, see `_first_known`), and for claimed GPUs
    `holder` (the state that holds it), `usage` and `sharing`, the number of GPUs that it is the sum of. `doubles` has
    poll and number.
    """

    gpus: pl.DataFrame
    doubles: pl.DataFrame
    rows: pl.DataFrame
    """entity and number of its rows, doubles left out."""


def states_by_poll(states: pl.DataFrame, polled: Polled, polls: pl.DataFrame) -> States:
    """What counts at each poll: claimed > idle > other among the rows of primary slots, and among those of backfill."""
    size, count = max(1, states.height), max(1, polls.height)
    rows, doubles = _ordered(states, polled, polls, size)
    rows = rows.select("usage", at=pl.col("code") // size, state_id=(pl.col("code") % size).cast(pl.UInt32))
    rows = rows.with_columns(
        is_backfill=states["is_backfill"].gather(rows["state_id"]),
        is_first=pl.col("at").ne_missing(pl.col("at").shift(1)),
    )
    wins = pl.col("is_first") | (pl.col("is_backfill") & ~pl.col("is_backfill").shift(1))
    follows = pl.col("at").shift(-1).eq_missing(pl.col("at"))
    gpus = (
        rows.filter(wins.fill_null(value=True))
        .select(
            *("at", "is_first"),
            primary=pl.when(~pl.col("is_backfill")).then("state_id"),
            primary_usage="usage",
            backfill=pl.when("is_backfill").then("state_id").when(follows).then(pl.col("state_id").shift(-1)),
            backfill_usage=pl.when("is_backfill").then("usage").when(follows).then(pl.col("usage").shift(-1)),
        )
        .filter("is_first")
        .drop("is_first")
    )
    is_claimed = (states["rank"] == CLAIMED).rename("claimed")
    gpus = gpus.with_columns(
        _any_drained(states, rows),
        entity=(pl.col("at") // count).cast(pl.UInt32),
        poll=(pl.col("at") % count).cast(pl.UInt32),
        by_primary=is_claimed.gather(gpus["primary"]).fill_null(value=False),
        by_backfill=is_claimed.gather(gpus["backfill"]).fill_null(value=False),
    )
    gpus = _with_usage(states, rows, gpus, count)
    gpus = _with_projects(states, rows, gpus, count)
    is_held = pl.col("by_primary") | pl.col("by_backfill")
    gpus = gpus.with_columns(
        *(_first_known(states, rows, gpus, column) for column in ("model", "memory_mb", "reason")),
        is_drained=pl.col("drained") & ~is_held,
    )
    gpus = gpus.select(
        *("entity", "poll", "primary", pl.when(~pl.col("by_primary")).then("backfill").alias("backfill"), "is_drained"),
        (pl.col("reason").is_not_null() & ~is_held).alias("is_refusing"),
        *("has_projects", "model", "memory_mb", "reason", "holder", "usage", "sharing"),
    )
    of_entity = rows.group_by(entity=(pl.col("at") // count).cast(pl.UInt32))
    return States(gpus, doubles, of_entity.len("rows"))


def _ordered(states: pl.DataFrame, polled: Polled, polls: pl.DataFrame, size: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`code` and usage of every row, in order of GPU, poll and state: the code is these three as one number."""
    count = max(1, polls.height)
    first = (pl.col("entity").cast(pl.Int64) * count * size + pl.col("state_id")).alias("code")
    rows = (
        polled.rows.lazy()
        .join(states.lazy().select("distinct_id", first), on="distinct_id", how="inner")
        .join(polls.lazy().select("poll_at", part=pl.col("poll").cast(pl.Int64) * size), on="poll_at", how="inner")
        .select(pl.col("code") + pl.col("part"), usage="average_usage")
        .collect()
        .sort("code")
    )
    again = pl.col("code") == pl.col("code").shift(1)
    if not rows.select(again.any()).item():
        return rows, pl.DataFrame(schema={"poll": pl.Int64, "doubles": pl.Int64})
    rows = rows.sort("code", "usage", nulls_last=True)
    is_double = (again & pl.col("usage").eq_missing(pl.col("usage").shift(1))).fill_null(value=False)
    double = rows.filter(is_double).group_by(poll=pl.col("code") // size % count)
    return rows.filter(~is_double), double.agg(doubles=pl.len().cast(pl.Int64))


def _any_drained(states: pl.DataFrame, rows: pl.DataFrame) -> pl.Series:
    """Per GPU and poll whether any of its rows is Drained: a running count, read at the first row of each."""
    is_drained = states["is_drained"].gather(rows["state_id"]).cast(pl.Int64)
    before = is_drained.cum_sum().shift(1, fill_value=0).filter(rows["is_first"])
    return (before.shift(-1, fill_value=int(is_drained.sum() or 0)) > before).alias("drained")


def _with_usage(states: pl.DataFrame, rows: pl.DataFrame, gpus: pl.DataFrame, count: int) -> pl.DataFrame:
    """Of claimed GPUs the state that holds it, its usage, and how many GPUs its slot holds at the poll."""
    # a row that names no GPU is none of those that share what the slot used
    shares = (states["rank"] == CLAIMED) & states["reject"].is_null()
    sharers = rows.filter(shares.gather(rows["state_id"]))
    claimed = sharers.select("at", slot=states["slot_id"].gather(sharers["state_id"]))
    # rows of a GPU in one slot stand together: each slot counts it once
    new = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in ("at", "slot"))
    by_place = claimed.filter(new).group_by(place=pl.col("slot").cast(pl.Int64) * count + pl.col("at") % count)
    sharing = by_place.agg(sharing=pl.len().cast(pl.Int64))
    held = gpus.with_columns(
        holder=pl.when("by_primary").then("primary").when("by_backfill").then("backfill"),
        usage=pl.when("by_primary").then("primary_usage").when("by_backfill").then("backfill_usage"),
    )
    known = pl.col("usage").is_between(0, PLAUSIBLE_USAGE)  # neither null nor NaN
    place = states["slot_id"].gather(held["holder"]).cast(pl.Int64) * count + held["poll"].cast(pl.Int64)
    held = held.with_columns(usage=pl.when(known).then("usage"), place=pl.when(known).then(place))
    return held.join(sharing, on="place", how="left", maintain_order="left").drop("place")


def _with_projects(states: pl.DataFrame, rows: pl.DataFrame, gpus: pl.DataFrame, count: int) -> pl.DataFrame:
    """Whether any primary slot of the GPU's machine has projects at the poll; asked only where backfill offers it."""
    machine = states["machine_id"].cast(pl.Int64) * count
    having = rows.filter((states["has_projects"] & ~states["is_backfill"]).gather(rows["state_id"]))
    places = having.select(machine.gather(having["state_id"]) + pl.col("at") % count).to_series().unique()
    place = machine.gather(gpus["backfill"]) + gpus["poll"].cast(pl.Int64)
    return gpus.with_columns(has_projects=place.is_in(places.implode()).fill_null(value=False))


def _first_known(states: pl.DataFrame, rows: pl.DataFrame, gpus: pl.DataFrame, column: str) -> pl.Series:
    """Per GPU and poll the dense rank of the first value of a column, in the order in which its rows win."""
    rank = pl.when(pl.col(column).is_not_null()).then(pl.col(column).rank("dense"))
    numbered = states.select(number=rank)["number"]
    found = numbered.gather(gpus.select(pl.coalesce("primary", "backfill")).to_series()).rename(column)
    if not numbered.null_count() or not found.null_count() or numbered.null_count() == len(numbered):
        return found
    lacking = gpus.filter(found.is_null())["at"].implode()
    first = (
        rows.select("at", number=numbered.gather(rows["state_id"]))
        .filter(pl.col("number").is_not_null(), pl.col("at").is_in(lacking))
        .unique("at", keep="first", maintain_order=True)
    )
    more = gpus.select("at").join(first, on="at", how="left", maintain_order="left")["number"]
    return pl.select(pl.coalesce(found, more).alias(column)).to_series()
