"""Type, GPUs and sizes of machines by the site's file (`node_types`), where the databases have none.

Unknown is null, never 0.
"""

import re
from collections.abc import Mapping

import polars as pl

from usage_assets.intervals import materialize
from usage_assets.intervals.algebra import ENGINE
from usage_assets.kinds.openstack.facts.names import identities_of, lowered
from usage_assets.kinds.openstack.site.model import NodeType

_A_NAME = re.compile(r"^[A-Za-z0-9._-]+$")
SIZES = ("vcpus", "memory_mb", "disk_gb")
_SCHEMA: dict[str, pl.DataType] = {"type": pl.String(), **dict.fromkeys(("gpus", *SIZES), pl.Float64())}


def is_size(name: str) -> pl.Expr:
    """Whether an amount is a size: Nova and Blazar write 0 where they do not know it."""
    return pl.col(name).fill_null(0) > 0


def lacks_size() -> pl.Expr:
    """Whether a row lacks any of the SIZES."""
    return pl.any_horizontal(~is_size(name) for name in SIZES)


def size_or(name: str, other: str) -> pl.Expr:
    """A size, else the other one, else null."""
    return pl.when(is_size(name)).then(name).when(is_size(other)).then(other)


def with_declared(
    rows: pl.LazyFrame, node_types: Mapping[str, NodeType], names: pl.LazyFrame | None = None
) -> pl.LazyFrame:
    """The rows (hostname; with `names` also month) with declared_type, declared_gpus and sizes by the site's file.

    A key of the map that is a plain name means that machine, any other is a pattern; neither looks at case. Of several
    that fit, the first that has an attribute decides it; null where none has. `names` is the input MACHINE_NAMES: with
    it a plain name may be short where the machine's is full, or the other way round.
    """
    empty = [pl.lit(None, dtype=dtype).alias(f"declared_{name}") for name, dtype in _SCHEMA.items()]
    if not node_types:
        return rows.with_columns(empty)
    rows = materialize(rows)
    keys = ["hostname"] if names is None else ["month", "hostname"]
    machines = rows.select(keys).drop_nulls().unique().with_columns(empty, _name=lowered("hostname"))
    if names is None:
        machines = machines.with_columns(_also=pl.lit([], dtype=pl.List(pl.String)))
    else:
        also = _other_spellings(rows, node_types, names)
        machines = machines.join(also, on=keys, how="left").with_columns(pl.col("_also").fill_null([]))
    found = machines.collect(engine=ENGINE)
    for pattern, known in node_types.items():  # one pass over the names per entry of the map
        plain = pattern.lower()
        is_plain = (pl.col("_name") == plain) | pl.col("_also").list.contains(plain)
        fits = is_plain if _A_NAME.match(pattern) else pl.col("_name").str.contains(f"(?i){pattern}")
        found = found.with_columns(
            pl.col(f"declared_{name}").fill_null(pl.when(fits).then(pl.lit(value, dtype=_SCHEMA[name])))
            for name, value in known.model_dump(exclude_none=True).items()
        )
    return rows.join(found.lazy().drop("_name", "_also"), on=keys, how="left", maintain_order="left")


def declared_types(
    rows: pl.LazyFrame, node_types: Mapping[str, NodeType], names: pl.LazyFrame | None = None
) -> pl.LazyFrame:
    """Fill what the databases lack from the site's map: type (else unknown), GPUs, and sizes if the rows have any.

    See with_declared().
    """
    sizes = [name for name in SIZES if name in rows.collect_schema().names()]
    return (
        with_declared(rows, node_types, names)
        .with_columns(
            *(size_or(name, f"declared_{name}").alias(name) for name in sizes),
            node_type=pl.coalesce("node_type", "declared_type", pl.lit("unknown")),
            gpus=pl.coalesce(pl.col("gpus").cast(pl.Float64), "declared_gpus"),
        )
        .drop(f"declared_{name}" for name in _SCHEMA)
    )


def _other_spellings(rows: pl.LazyFrame, node_types: Mapping[str, NodeType], names: pl.LazyFrame) -> pl.LazyFrame:
    """month, hostname and _also, the plain names of the map that mean this machine though they are not its name."""
    plain = [pattern.lower() for pattern in node_types if _A_NAME.match(pattern)]
    asked = rows.select("month").unique().join(pl.LazyFrame({"name": plain}, schema={"name": pl.String}), how="cross")
    found = identities_of(asked, names).filter(pl.col("identity") != pl.col("name"))
    return found.group_by("month", hostname="identity").agg(_also="name")
