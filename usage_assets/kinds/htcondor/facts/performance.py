"""How well claimed GPUs were used, added up per poll, machine, device and class."""

import polars as pl

from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE
from usage_assets.kinds.htcondor.pool import classes, columns

# usage is added in whole parts of this size, so that sums do not depend on their order
_PARTS = 1e9


def performance(states: pl.DataFrame, gpus: pl.DataFrame, polls: pl.DataFrame) -> pl.DataFrame:
    """GPU_PERFORMANCE without site and month: a slot's usage is the sum over its GPUs, each takes its part."""
    used = gpus.filter(pl.col("usage").is_not_null())
    holder = used["holder"]
    counted = (states["masked"].is_null() & states["reject"].is_null()).gather(holder)
    order = pl.Enum(classes.CLASSES)
    backfill = columns.backfill_class(pl.lit(states["is_hosted"].gather(holder)), pl.col("has_projects")).cast(order)
    codes = (
        used.select(
            "poll",
            machine=states["machine_id"].gather(holder),
            device="model",
            **{"class": pl.coalesce(states["primary_class"].cast(order).gather(holder), backfill)},
            parts=(pl.col("usage") / pl.col("sharing") * _PARTS).round().cast(pl.Int64),
        )
        .filter(counted)
        .group_by("poll", "machine", "device", "class")
        .agg(gpus=pl.len().cast(pl.Int64), parts=pl.col("parts").sum())
        .sort("poll", "machine", "device", "class")
    )
    machines = states.unique("machine_id", keep="first", maintain_order=True).sort("machine_id")["host"]
    models = states["model"].drop_nulls().unique().sort()
    return codes.select(
        poll_at=polls["poll_at"].gather(codes["poll"]),
        machine=machines.gather(codes["machine"]),
        device=models.gather(codes["device"] - 1),
        **{"class": pl.col("class").cast(pl.String)},
        gpus="gpus",
        usage=pl.col("parts") / _PARTS,
    ).select(name for name in GPU_PERFORMANCE.names if name not in {"site", "month"})
