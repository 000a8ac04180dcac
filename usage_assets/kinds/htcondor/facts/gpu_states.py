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

    `gpus` has `entity`, `poll` (its number in the month), `primary` and `backfill` (the sayings that count, null where
    there is none), `is_free` (no primary job holds it), `is_drained`, `is_refusing`, `has_projects` (of the machine's
    primary slots), `model`, `memory` and `reason` (the sayings that tell these first), and for claimed GPUs `usage`
    with the number of GPUs that it is the sum of. `doubles` has poll and number.
    """

    gpus: pl.DataFrame
    doubles: pl.DataFrame
    rows: pl.DataFrame
    """entity and number of its rows, doubles left out."""


def states(distinct_states: pl.DataFrame, polled: Polled, polls: pl.DataFrame) -> States:
    """What counts at each poll: claimed > idle > other among the rows of primary slots, and among those of backfill."""
    size, count = max(1, distinct_states.height), max(1, polls.height)
    rows, doubles = _ordered(distinct_states, polled, polls, size)
    rows = rows.select("usage", at=pl.col("code") // size, saying=(pl.col("code") % size).cast(pl.UInt32))
    rows = rows.with_columns(
        is_backfill=distinct_states["is_backfill"].gather(rows["saying"]),
        is_first=pl.col("at").ne_missing(pl.col("at").shift(1)),
    )
    sums = _anywhere(distinct_states, rows)
    wins = pl.col("is_first") | (pl.col("is_backfill") & ~pl.col("is_backfill").shift(1))
    winners = rows.filter(wins.fill_null(value=True))
    follows = pl.col("at").shift(-1).eq_missing(pl.col("at"))
    gpus = winners.select(
        "at",
        "is_first",
        primary=pl.when(~pl.col("is_backfill")).then("saying"),
        primary_usage="usage",
        backfill=pl.when("is_backfill").then("saying").when(follows).then(pl.col("saying").shift(-1)),
        backfill_usage=pl.when("is_backfill").then("usage").when(follows).then(pl.col("usage").shift(-1)),
    ).filter("is_first")
    gpus = pl.concat([gpus.drop("is_first"), sums], how="horizontal")
    is_claimed = (distinct_states["rank"] == CLAIMED).rename("claimed")
    gpus = gpus.with_columns(
        entity=(pl.col("at") // count).cast(pl.UInt32),
        poll=(pl.col("at") % count).cast(pl.UInt32),
        by_primary=is_claimed.gather(gpus["primary"]).fill_null(value=False),
        by_backfill=is_claimed.gather(gpus["backfill"]).fill_null(value=False),
    )
    gpus = _with_usage(distinct_states, rows, gpus, count)
    gpus = _with_projects(distinct_states, rows, gpus, count)
    held = pl.col("by_primary") | pl.col("by_backfill")
    gpus = gpus.with_columns(
        *(_first_telling(distinct_states, rows, gpus, column) for column in ("model", "memory_mb", "reason")),
        is_drained=pl.col("drained") & ~held,
    ).with_columns(is_refusing=pl.col("reason").is_not_null() & ~held)
    return States(
        gpus.select(
            "entity",
            "poll",
            "primary",
            backfill=pl.when(~pl.col("by_primary")).then("backfill"),
            is_drained="is_drained",
            is_refusing="is_refusing",
            has_projects="has_projects",
            model="model",
            memory_mb="memory_mb",
            reason="reason",
            holder="holder",
            usage="usage",
            sharing="sharing",
        ),
        doubles,
        rows.select(entity=(pl.col("at") // count).cast(pl.UInt32)).group_by("entity").len("rows"),
    )


def _ordered(
    distinct_states: pl.DataFrame, polled: Polled, polls: pl.DataFrame, size: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`code` and usage of every row, in order of GPU, poll and saying: the code is these three as one number."""
    count = max(1, polls.height)
    first = (pl.col("entity").cast(pl.Int64) * count * size + pl.col("saying")).alias("code")
    rows = (
        polled.rows.lazy()
        .join(distinct_states.lazy().select("said_id", first), on="said_id", how="inner")
        .join(polls.lazy().select("poll_at", part=pl.col("poll").cast(pl.Int64) * size), on="poll_at", how="inner")
        .select(pl.col("code") + pl.col("part"), usage="average_usage")
        .collect()
        .sort("code")
    )
    again = pl.col("code") == pl.col("code").shift(1)
    if not rows.select(again.any()).item():
        return rows, pl.DataFrame(schema={"poll": pl.Int64, "doubles": pl.Int64})
    rows = rows.sort("code", "usage", nulls_last=True).with_columns(
        is_double=(again & pl.col("usage").eq_missing(pl.col("usage").shift(1))).fill_null(value=False)
    )
    doubles = (
        rows.filter("is_double").group_by(poll=pl.col("code") // size % count).agg(doubles=pl.len().cast(pl.Int64))
    )
    return rows.filter(~pl.col("is_double")).drop("is_double"), doubles


def _anywhere(distinct_states: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Per GPU and poll whether any of its rows is Drained: a running count, read at the first row of each."""
    so_far = rows.select(
        "is_first",
        before=distinct_states["is_drained"].gather(rows["saying"]).cast(pl.Int64).cum_sum().shift(1, fill_value=0),
    )
    total = int(distinct_states["is_drained"].gather(rows["saying"]).sum() or 0)
    heads = so_far.filter("is_first")
    return heads.select(drained=pl.col("before").shift(-1, fill_value=total) > pl.col("before"))


def _with_usage(distinct_states: pl.DataFrame, rows: pl.DataFrame, gpus: pl.DataFrame, count: int) -> pl.DataFrame:
    """Of claimed GPUs the saying that holds it, its usage, and how many GPUs its slot holds at the poll."""
    # a row that names no GPU is none of those that share what the slot used
    shares = (distinct_states["rank"] == CLAIMED) & distinct_states["reject"].is_null()
    claimed = rows.select("at", slot=distinct_states["slot_id"].gather(rows["saying"])).filter(
        shares.gather(rows["saying"])
    )
    # rows of a GPU in one slot stand together: each slot counts it once
    new = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in ("at", "slot"))
    place = pl.col("slot").cast(pl.Int64) * count + pl.col("at") % count
    sharing = claimed.filter(new).group_by(place=place).agg(sharing=pl.len().cast(pl.Int64))
    held = gpus.with_columns(
        holder=pl.when("by_primary").then("primary").when("by_backfill").then("backfill"),
        usage=pl.when("by_primary").then("primary_usage").when("by_backfill").then("backfill_usage"),
    )
    known = pl.col("usage").is_between(0, PLAUSIBLE_USAGE)  # neither null nor NaN
    return (
        held.with_columns(
            usage=pl.when(known).then("usage"),
            place=pl.when(known).then(
                distinct_states["slot_id"].gather(held["holder"]).cast(pl.Int64) * count + pl.col("poll").cast(pl.Int64)
            ),
        )
        .join(sharing, on="place", how="left", maintain_order="left")
        .drop("place")
    )


def _with_projects(distinct_states: pl.DataFrame, rows: pl.DataFrame, gpus: pl.DataFrame, count: int) -> pl.DataFrame:
    """Whether any primary slot of the GPU's machine has projects at the poll; asked only where backfill offers it."""
    says = (distinct_states["has_projects"] & ~distinct_states["is_backfill"]).gather(rows["saying"])
    machine = distinct_states["machine_id"]
    have = (
        rows.filter(says)
        .select(place=machine.gather(rows.filter(says)["saying"]).cast(pl.Int64) * count + pl.col("at") % count)
        .unique()
        .with_columns(has_projects=pl.lit(value=True))
    )
    place = machine.gather(gpus["backfill"]).cast(pl.Int64) * count + gpus["poll"].cast(pl.Int64)
    return (
        gpus.with_columns(place=place)
        .join(have, on="place", how="left", maintain_order="left")
        .with_columns(pl.col("has_projects").fill_null(value=False))
        .drop("place")
    )


def _first_telling(distinct_states: pl.DataFrame, rows: pl.DataFrame, gpus: pl.DataFrame, column: str) -> pl.Series:
    """Of each GPU and poll the number of the value that its rows tell first, in the order in which they win."""
    numbered = distinct_states.select(number=pl.when(pl.col(column).is_not_null()).then(pl.col(column).rank("dense")))[
        "number"
    ]
    first = pl.coalesce("primary", "backfill")
    found = numbered.gather(gpus.select(first).to_series()).rename(column)
    if not numbered.null_count() or not found.null_count() or numbered.null_count() == len(numbered):
        return found
    lacking = gpus.filter(found.is_null())["at"].implode()
    told = (
        rows.select("at", number=numbered.gather(rows["saying"]))
        .filter(pl.col("number").is_not_null(), pl.col("at").is_in(lacking))
        .unique("at", keep="first", maintain_order=True)
    )
    more = gpus.select("at").join(told, on="at", how="left", maintain_order="left")["number"]
    return pl.select(pl.coalesce(found, more).alias(column)).to_series()
