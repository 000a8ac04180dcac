"""When backfill was offered GPUs and held them: each GPU from run to run."""

from dataclasses import dataclass

import polars as pl

from usage_assets.kinds.htcondor.pool.devices import UNKNOWN
from usage_assets.kinds.htcondor.tables.poll_coverage import PollCoverage

_GPU = ("machine", "gpu")
ENDS: dict[str, str] = {
    "primary": "a primary job took the GPU",
    "withdrawn": "the GPU was seen, and backfill was no longer offered it",
    "unseen": "the next poll did not see the GPU",
    "window": "it lasts to the window's last poll",
}
"""How an availability spell ends."""
_FREE = -1
_first, _after, _holder = pl.col("first"), pl.col("after"), pl.col("holder")


@dataclass(frozen=True)
class BackfillSpells:
    """Spells (backfill is offered a GPU) and stints (jobs of one user hold it), and how each ended.

    Columns: machine, gpu, device, class and user (at its start), first, after (places of polls), ended_by, weight, and
    used, the weight of the polls at which a job held the GPU.
    """

    spells: pl.DataFrame
    stints: pl.DataFrame


def backfill_spells(kinds: pl.DataFrame, runs: pl.DataFrame, observed: PollCoverage) -> BackfillSpells:
    """Follow the GPUs of some kinds; numbers stand for GPUs and users, so that runs stay small."""
    user = pl.col("backfill_user").cast(pl.String()).fill_null(UNKNOWN).cast(pl.Categorical())
    described = kinds.select("kind", *_GPU, "device", pl.col("backfill_class").alias("class"), user.alias("user"))
    gpus = kinds.select(_GPU).unique(maintain_order=True).with_row_index("place")
    users = described.select("user").unique(maintain_order=True).with_row_index("holder")
    state = pl.col("backfill_state")
    numbered = (
        kinds.with_columns(described["user"])
        .join(gpus, on=_GPU, how="left")
        .join(users, on="user", how="left")
        .select(
            *("kind", "place"),
            holder=pl.when(state == "claimed").then(_holder.cast(pl.Int32)).when(state.is_not_null()).then(_FREE),
            is_primary=pl.col("primary_state").eq_missing("claimed"),
        )
    )
    ordered = _ordered(numbered, runs, observed)
    spells, stints = (
        _stretches(observed, ordered, value).join(described, on="kind", how="left", maintain_order="left").drop("kind")
        for value in (pl.when(_holder.is_not_null()).then(0), pl.when(_holder >= 0).then(_holder))
    )
    return BackfillSpells(spells, stints)


def _ordered(numbered: pl.DataFrame, runs: pl.DataFrame, observed: PollCoverage) -> pl.DataFrame:
    """The runs of these kinds, GPU by GPU in order of time, and what the next run of the same GPU is."""
    size = int(numbered["kind"].max() or 0) + 1 if numbered.height else 0  # type: ignore[arg-type]
    every = pl.DataFrame({"kind": pl.int_range(size, dtype=pl.UInt32, eager=True)})
    table = every.join(numbered, on="kind", how="left", maintain_order="left")
    known = runs.filter(runs["kind"] < size) if runs.height and size <= int(runs["kind"].max() or 0) else runs  # type: ignore[arg-type]
    place = table["place"].gather(known["kind"])
    order = place.cast(pl.Int64) * (observed.count + 1) + known["first"]
    frame = known.with_columns(place.alias("place"))
    if place.null_count():
        frame, order = frame.filter(place.is_not_null()), order.drop_nulls()
    if not order.is_sorted():
        frame = frame[_sorted_places(order)]
    del order, place, known
    primary = table["is_primary"].gather(frame["kind"])
    followed = (pl.col("place") == pl.col("place").shift(-1)) & (pl.col("first").shift(-1) == _after)
    holder = table["holder"].gather(frame["kind"])
    return (
        frame.lazy()
        .with_columns(holder.alias("holder"), primary.shift(-1).alias("to_primary"))
        .with_columns(is_followed=followed.fill_null(value=False))
        # runs in which backfill is not offered the GPU were needed only as the next run of others
        .filter(_holder.is_not_null())
        .collect()
    )


def _sorted_places(values: pl.Series) -> pl.Series:
    """The order that sorts the values. Each carries its place where both fit into one number: that is quicker."""
    count = values.len()
    if int(values.max() or 0) >= 2**62 // max(count, 1):  # type: ignore[arg-type]
        return values.arg_sort()
    return (values * count + pl.int_range(count, dtype=pl.Int64, eager=True)).sort() % count


def _stretches(observed: PollCoverage, runs: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    """Runs of a GPU alike in a value (null = in none) that follow one another, as one, and what came after them."""
    before = [pl.col(name) == pl.col(name).shift(1) for name in ("place", "value")]
    goes_on = pl.all_horizontal(*before, _first == _after.shift(1)).fill_null(value=False)
    marked = (
        runs.lazy()
        .with_columns(observed.weights(runs), value=value)
        .with_columns(
            goes_on=goes_on,
            used=pl.when(_holder >= 0).then("weight").otherwise(0).cum_sum(),
            inside=value.is_not_null(),
        )
        .with_columns(
            is_first=pl.col("inside") & ~pl.col("goes_on"),
            is_last=pl.col("inside") & ~pl.col("goes_on").shift(-1, fill_value=False),
            used_before=pl.col("used").shift(1, fill_value=0),
        )
        .collect()
    )
    starts = marked.filter("is_first").select("kind", "first", "used_before")
    ends = marked.filter("is_last").select("after", "is_followed", "to_primary", "used")
    after = (
        pl.when(_after == observed.count).then(pl.lit("window"))
        .when(~pl.col("is_followed")).then(pl.lit("unseen"))
        .when("to_primary").then(pl.lit("primary"))
        .otherwise(pl.lit("withdrawn"))
    )  # fmt: skip
    both = pl.concat([starts, ends], how="horizontal")
    used = pl.col("used") - pl.col("used_before")
    return both.select("kind", "first", "after", after.alias("ended_by"), observed.weights(both), used.alias("used"))
