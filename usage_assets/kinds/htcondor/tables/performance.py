"""Performance: how well GPUs were used while jobs held them."""

from collections.abc import Sequence

import polars as pl

from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.facts import USAGE
from usage_assets.kinds.htcondor.tables.labels import TOTAL, class_of, dense, label, names_of, ordered
from usage_assets.kinds.htcondor.tables.options import Result


def performance_usage(cube: Cube, usage: pl.DataFrame) -> Result:
    """A row per class and `total`, all devices: class, label, usage_percent, records, gpus. Function 12.

    usage_percent is the mean over claimed GPUs and polls with a known usage (percent of one GPU), records how many
    there were, gpus how many different GPUs jobs held in that class. `usage` is what Facts.usage_in gives.
    """
    names = (*names_of(cube.options.classes), TOTAL)
    rows = _means(cube, usage, ["class"])
    return Result(dense(rows, names).pipe(_percents).select("class", label(), *_SHOWN), cube.metadata())


def performance_by_device(cube: Cube, usage: pl.DataFrame) -> Result:
    """A row per class and device, the class `total` last: class, label, device, and as `performance_usage`.

    Filtered families are left out unless all devices are asked for.
    """
    rows = _means(cube, usage, ["class", "device"])
    if not cube.options.all_devices:
        rows = rows.filter(~pl.col("_filtered"))
    rows = ordered(rows, (*names_of(cube.options.classes), TOTAL), "device").pipe(_percents)
    return Result(rows.select("class", label(), "device", *_SHOWN), cube.metadata(filtered=True))


_SHOWN = ("usage_percent", "records", "gpus")


def _percents(rows: pl.DataFrame) -> pl.DataFrame:
    records = pl.col("records")
    return rows.with_columns(usage_percent=pl.when(records > 0).then(100 * pl.col("usage") / records))


def _means(cube: Cube, usage: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Records, summed usage and distinct GPUs per class (and device), with the total of all classes."""
    which = cube.options.classes
    pool = cube.pool
    texts = usage.with_columns(pl.col(USAGE).cast(pl.String()))
    if cube.options.hosts:
        machines = cube.counted["machine"].cast(pl.String()).unique()
        texts = texts.filter(pl.col("machine").is_in(machines.implode()))
    raw = texts["device"].unique().to_list()
    described = pl.DataFrame(
        {"device": raw, "_name": list(map(pool.display_name, raw)), "_filtered": list(map(pool.is_filtered, raw))},
        schema={"device": pl.String(), "_name": pl.String(), "_filtered": pl.Boolean()},
    )
    known = texts.join(described, on="device", how="left", nulls_equal=True).with_columns(device="_name")
    claimed = cube.offers.filter(pl.col("state") == "claimed").select(
        pl.col("class", "device").cast(pl.String()), "is_filtered", "machine", "gpu"
    )
    sums, gpus = [], []
    for name in (class_of(which), pl.lit(TOTAL)):
        rows = known.with_columns(name.alias("class")).drop_nulls("class")
        sums.append(
            rows.group_by(by).agg(
                records=pl.col("gpus").sum(), usage=pl.col("usage").sum(), _filtered=pl.col("_filtered").all()
            )
        )
        held = claimed.with_columns(name.alias("class")).drop_nulls("class").select(*by, "machine", "gpu").unique()
        gpus.append(held.group_by(by).agg(gpus=pl.len().cast(pl.Int64)))
    return pl.concat(sums).join(pl.concat(gpus), on=by, how="left").with_columns(pl.col("gpus").fill_null(0))
