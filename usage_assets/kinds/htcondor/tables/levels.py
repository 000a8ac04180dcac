"""How many GPUs were offered and held at each poll of a window, by class or device.

A run raises its counts at its first poll and lowers them after its last: sums of changes, no run is spread out.
"""

import polars as pl

from usage_assets.kinds.htcondor.tables.figures import conditions
from usage_assets.kinds.htcondor.tables.labels import TOTAL, class_of
from usage_assets.kinds.htcondor.tables.options import ClassSet
from usage_assets.kinds.htcondor.tables.poll_coverage import PollCoverage

_FLAGS = ("is_drained", "is_refusing")
_STATES = ("primary_class", "primary_state", "backfill_class", "backfill_state", *_FLAGS)


def class_levels(kinds: pl.DataFrame, runs: pl.DataFrame, observed: PollCoverage, classes: ClassSet) -> pl.DataFrame:
    """A row per poll, a column `<class>.<sum>` (figures.SUMS) per class and `total`, where anything counts."""
    shapes, of_kind = _shapes(kinds, _STATES)
    sides = [
        _measured(shapes.filter(state.is_not_null()), state == "claimed", class_of(classes, f"{side}_class"))
        for side, state in (("primary", pl.col("primary_state")), ("backfill", pl.col("backfill_state")))
    ]
    return _levels(pl.concat([*sides, _measured(shapes, held(), pl.lit(TOTAL))]), of_kind, runs, observed)


def device_levels(kinds: pl.DataFrame, runs: pl.DataFrame, observed: PollCoverage) -> pl.DataFrame:
    """A row per poll, a column `<device>.<sum>` per device: each GPU once."""
    shapes, of_kind = _shapes(kinds.with_columns(held().alias("held")), ("device", "held", *_FLAGS))
    return _levels(_measured(shapes, pl.col("held"), pl.col("device").cast(pl.String())), of_kind, runs, observed)


def held() -> pl.Expr:
    """Whether a job holds the GPU in any slot."""
    return pl.any_horizontal(pl.col("primary_state", "backfill_state") == "claimed").fill_null(value=False)


def _shapes(kinds: pl.DataFrame, by: tuple[str, ...]) -> tuple[pl.DataFrame, pl.Series]:
    """The few combinations that there are, numbered; and the number of each kind, by the kind's own number."""
    shapes = kinds.select(by).unique(maintain_order=True).with_row_index("shape")
    numbered = kinds.select("kind", *by).join(shapes, on=by, how="left", nulls_equal=True)
    size = int(kinds["kind"].max() or 0) + 1  # type: ignore[arg-type]
    table = pl.DataFrame({"kind": pl.int_range(size, dtype=pl.UInt32, eager=True)})
    found = table.join(numbered.select("kind", "shape"), on="kind", how="left", maintain_order="left")["shape"]
    return shapes, found


def _measured(shapes: pl.DataFrame, is_held: pl.Expr, name: pl.Expr) -> pl.DataFrame:
    """shape, column: which sums a GPU of that shape is part of."""
    return (
        pl.concat(
            shapes.filter(condition).select("shape", name.alias("name"), pl.lit(measure).alias("measure"))
            for measure, condition in conditions(is_held).items()
        )
        .drop_nulls("name")
        .select("shape", pl.concat_str("name", "measure", separator=".").alias("column"))
    )


def _levels(measured: pl.DataFrame, of_kind: pl.Series, runs: pl.DataFrame, observed: PollCoverage) -> pl.DataFrame:
    if measured.is_empty():
        return pl.DataFrame(height=observed.count)
    width = observed.count + 1
    known = runs.filter(runs["kind"] < of_kind.len()) if runs["kind"].max() != of_kind.len() - 1 else runs
    block = of_kind.gather(known["kind"]).cast(pl.Int64) * width
    shapes = int(of_kind.max() or 0) + 1  # type: ignore[arg-type]
    # the polls of all shapes, one block after the other: each block's changes add up to nothing
    rises = _counts((block + known["first"]).drop_nulls(), shapes * width)
    falls = _counts((block + known["after"]).drop_nulls(), shapes * width)
    level = (rises - falls).cum_sum()
    wide = pl.DataFrame({f"{number}": level.slice(number * width, observed.count) for number in range(shapes)})
    sums = measured.group_by("column", maintain_order=True).agg(pl.col("shape").cast(pl.String()))
    return wide.select(pl.sum_horizontal(parts).alias(name) for name, parts in sums.iter_rows())


def _counts(values: pl.Series, size: int) -> pl.Series:
    """How often each number below `size` is among the values."""
    ordered = values.sort()
    # the last place of a number in the sorted values is how many are not above it
    last = (ordered != ordered.shift(-1)).fill_null(value=True).arg_true()
    counts = (last + 1).cast(pl.Int64)
    found = counts - counts.shift(1, fill_value=0)
    return pl.zeros(size, dtype=pl.Int64(), eager=True).scatter(ordered.gather(last), found)
