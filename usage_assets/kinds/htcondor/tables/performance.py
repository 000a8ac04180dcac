"""How well GPUs were used while jobs held them."""

from collections.abc import Sequence

import polars as pl

from usage_assets.kinds.htcondor.pool.columns import applied
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.facts import USAGE
from usage_assets.kinds.htcondor.tables.figures import percent
from usage_assets.kinds.htcondor.tables.labels import TOTAL, class_of, dense, label, names_of, ordered
from usage_assets.kinds.htcondor.tables.options import Result


def performance_usage(cube: Cube, usage: pl.DataFrame) -> Result:
    """A row per class and `total`, all devices: class, label, usage_percent, records, gpus. Function 12.

    usage_percent is the mean over claimed GPUs and polls with a known usage (percent of one GPU), records how many
    there were, gpus how many different GPUs jobs held in that class. `usage` is what Facts.usage_in gives.
    """
    rows = dense(_means(cube, usage, ["class"]), (*names_of(cube.options.classes), TOTAL))
    return Result(rows.select("class", label(), *_SHOWN), cube.metadata())


def performance_by_device(cube: Cube, usage: pl.DataFrame) -> Result:
    """A row per class and device, the class `total` last: class, label, device, and as `performance_usage`.

    Filtered families are left out unless all devices are asked for.
    """
    rows = _means(cube, usage, ["class", "device"])
    rows = ordered(cube.shown(rows), (*names_of(cube.options.classes), TOTAL), "device")
    return Result(rows.select("class", label(), "device", *_SHOWN), cube.metadata(filtered=True))


_SHOWN = (percent("usage", "records").alias("usage_percent"), "records", "gpus")


def _means(cube: Cube, usage: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Records, summed usage and distinct GPUs per class (and device), with the total of all classes."""
    device = pl.col("device")
    texts = usage.with_columns(pl.col(USAGE).cast(pl.String()))
    if cube.options.hosts:
        machines = cube.counted["machine"].cast(pl.String()).unique()
        texts = texts.filter(pl.col("machine").is_in(machines.implode()))
    known = texts.with_columns(
        device=applied(cube.pool.display_name, device, pl.String()),
        is_filtered=applied(cube.pool.is_filtered, device, pl.Boolean()),
    )
    claimed = cube.offers.filter(pl.col("state") == "claimed").select(
        pl.col("class", "device").cast(pl.String()), "machine", "gpu"
    )
    sums, gpus = [], []
    for name in (class_of(cube.options.classes), pl.lit(TOTAL)):
        rows = known.with_columns(name.alias("class")).drop_nulls("class").group_by(by)
        sums.append(rows.agg(pl.col("gpus").sum().alias("records"), pl.col("usage").sum(), pl.col("is_filtered").all()))
        held = claimed.with_columns(name.alias("class")).drop_nulls("class").select(*by, "machine", "gpu").unique()
        gpus.append(held.group_by(by).agg(gpus=pl.len().cast(pl.Int64)))
    return pl.concat(sums).join(pl.concat(gpus), on=by, how="left").with_columns(pl.col("gpus").fill_null(0))
