"""What the site's file says of machines (`node_types`) where nothing else knows it: type, GPUs, sizes."""

import re
from collections.abc import Mapping

import polars as pl

from usage_assets.intervals import materialize
from usage_assets.intervals.algebra import ENGINE
from usage_assets.kinds.openstack.facts.names import meanings
from usage_assets.kinds.openstack.facts.sizes import SIZES, size_or
from usage_assets.kinds.openstack.site.model import NodeType

_A_NAME = re.compile(r"^[A-Za-z0-9._-]+$")
_AMOUNTS = ("gpus", "vcpus", "memory_mb", "disk_gb")
_SAID: dict[str, pl.DataType] = {"type": pl.String(), **dict.fromkeys(_AMOUNTS, pl.Float64())}
SAID = tuple(f"said_{name}" for name in _SAID)
"""The columns that with_said() adds."""


def with_said(
    rows: pl.LazyFrame, node_types: Mapping[str, NodeType], names: pl.LazyFrame | None = None
) -> pl.LazyFrame:
    """The rows (hostname; with `names` also month) and what the site's file says of their machine; null = nothing.

    A key of the map that is a plain name means that machine, any other is a pattern; neither looks at case. Of several
    that fit, the first that tells something decides it. `names` is the input MACHINE_NAMES: with it a plain name may be
    short where the machine's is full, or the other way round.
    """
    if not node_types:
        return rows.with_columns(pl.lit(None, dtype=dtype).alias(f"said_{name}") for name, dtype in _SAID.items())
    rows = materialize(rows)
    also = None if names is None else _other_spellings(rows, node_types, names)
    keys = ["hostname"] if also is None else ["month", "hostname"]
    machines = rows.select(keys).drop_nulls().unique().with_columns(_name=pl.col("hostname").str.to_lowercase())
    machines = (
        machines.with_columns(_also=pl.lit([], dtype=pl.List(pl.String)))
        if also is None
        else (machines.join(also, on=keys, how="left").with_columns(pl.col("_also").fill_null([])))
    )
    return rows.join(
        _said(machines.collect(engine=ENGINE), node_types).lazy(), on=keys, how="left", maintain_order="left"
    )


def declared_types(
    rows: pl.LazyFrame, node_types: Mapping[str, NodeType], names: pl.LazyFrame | None = None
) -> pl.LazyFrame:
    """What the databases do not say filled from the site's map: type (else unknown), GPUs, and sizes if rows have any.

    See with_said().
    """
    sizes = [name for name in SIZES if name in rows.collect_schema().names()]
    return (
        with_said(rows, node_types, names)
        .with_columns(
            *(size_or(name, f"said_{name}").alias(name) for name in sizes),
            node_type=pl.coalesce("node_type", "said_type", pl.lit("unknown")),
            gpus=pl.coalesce(pl.col("gpus").cast(pl.Float64), "said_gpus"),
        )
        .drop(SAID)
    )


def _said(machines: pl.DataFrame, node_types: Mapping[str, NodeType]) -> pl.DataFrame:
    """The machines and what is said of them: one pass over their names per entry of the map."""
    out = machines.with_columns(pl.lit(None, dtype=dtype).alias(f"said_{name}") for name, dtype in _SAID.items())
    name = pl.col("_name")
    for pattern, known in node_types.items():
        plain = pattern.lower()
        fits = (
            (name == plain) | pl.col("_also").list.contains(plain)
            if _A_NAME.match(pattern)
            else name.str.contains(f"(?i){pattern}")
        )
        told = {key: value for key, value in known.model_dump().items() if value is not None}
        out = out.with_columns(
            pl.when(pl.col(f"said_{key}").is_null() & fits)
            .then(pl.lit(value, dtype=_SAID[key]))
            .otherwise(f"said_{key}")
            .alias(f"said_{key}")
            for key, value in told.items()
        )
    return out.drop("_name", "_also")


def _other_spellings(
    rows: pl.LazyFrame, node_types: Mapping[str, NodeType], names: pl.LazyFrame
) -> pl.LazyFrame | None:
    """month, hostname and the plain names of the map that mean this machine though they are not its name."""
    plain = [pattern.lower() for pattern in node_types if _A_NAME.match(pattern)]
    asked = rows.select("month").unique().join(pl.LazyFrame({"name": plain}, schema={"name": pl.String}), how="cross")
    found = meanings(asked, names).filter(pl.col("identity") != pl.col("name")).collect(engine=ENGINE)
    if found.is_empty():
        return None
    return found.lazy().group_by("month", hostname="identity").agg(_also="name")
