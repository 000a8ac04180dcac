"""From runs to intervals: a GPU is there, is offered in a class, is held by a user, is drained, refuses jobs."""

import polars as pl

from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.kinds.htcondor.pool import classes
from usage_assets.kinds.htcondor.pool.columns import applied
from usage_assets.kinds.htcondor.pool.devices import UNKNOWN
from usage_assets.kinds.htcondor.pool.rules import Pool

SOURCE = "gpu_state"
AVAILABLE = {name: f"available_{name}" for name in classes.CLASSES}
ALLOCATED = {name: f"allocated_{name}" for name in classes.CLASSES}
METRICS: tuple[str, ...] = ("total", *AVAILABLE.values(), *ALLOCATED.values(), "drained", "refusing")
"""Metrics of facts.intervals that a pool of GPUs has."""

_ALIKE = ("node", "entity_id", "metric", "node_type", "user_id", "reason")
_NOBODY = pl.lit(None, dtype=pl.String)


def intervals(pool: Pool, runs: pl.DataFrame) -> pl.DataFrame:
    """INTERVALS without site and month: per metric the spans of each GPU, neighbours that are alike as one."""
    counted = runs.filter(pl.col("reject").is_null(), pl.col("masked").is_null()).sort("machine", "gpu", "start_at")
    labelled = _labelled(pool, counted)
    layers = [_layer(labelled, pl.lit(value=True), pl.lit("total"))]
    for side in ("primary", "backfill"):
        state, of_class = pl.col(f"{side}_state"), pl.col(f"{side}_class")
        layers.append(_layer(labelled, state.is_not_null(), pl.format("available_{}", of_class)))
        claimed = state.eq_missing("claimed")
        layers.append(_layer(labelled, claimed, pl.format("allocated_{}", of_class), pl.col(f"{side}_user")))
    layers += [_layer(labelled, pl.col(f"is_{name}"), pl.lit(name)) for name in ("drained", "refusing")]
    return _filled(pl.concat(layers), INTERVALS.names)


def rejects(pool: Pool, runs: pl.DataFrame) -> pl.DataFrame:
    """REJECTS without site and month: spans of masked GPUs, and of machines with rows that name no GPU."""
    is_gpu = pl.col("reject").is_null()
    masked = pl.when(pl.col("masked").is_not_null()).then(pl.lit("masked"))
    why = runs.with_columns(
        why=pl.when(is_gpu).then(masked).otherwise("reject"),
        device=pl.when(is_gpu).then("device"),  # a run of rows that name no GPU is of several
    ).filter(pl.col("why").is_not_null())
    labelled = _labelled(pool, why.sort("machine", "gpu", "start_at", nulls_last=True))
    return _filled(_layer(labelled, pl.lit(value=True), pl.lit("total"), reason=pl.col("why")), REJECTS.names)


def coalesced(spans: pl.DataFrame) -> pl.DataFrame:
    """Spans, sorted by GPU, metric and start: those that touch and are alike become one."""
    fresh = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in _ALIKE) | (
        pl.col("start_at") != pl.col("end_at").shift(1)
    )
    marked = spans.with_row_index("row").with_columns(is_fresh=fresh)
    firsts = marked.filter("is_fresh")
    ends = (firsts["row"].cast(pl.Int64).shift(-1, fill_value=spans.height) - 1).rename("row")
    return firsts.drop("row", "is_fresh").with_columns(end_at=spans["end_at"].gather(ends))


def _labelled(pool: Pool, runs: pl.DataFrame) -> pl.DataFrame:
    """The runs with the names that intervals have for machine, GPU and device."""
    machine = pl.col("machine").str.replace_all("%", "%25", literal=True).str.replace_all("/", "%2F", literal=True)
    return runs.with_columns(
        # a slash within a machine's name would make two GPUs one
        entity_id=pl.when(pl.col("gpu").is_null()).then("machine").otherwise(pl.format("{}/{}", machine, "gpu")),
        node_type=applied(pool.display_name, pl.col("device"), pl.String()).replace(UNKNOWN, "unknown"),
    )


def _layer(
    labelled: pl.DataFrame, of: pl.Expr, metric: pl.Expr, user: pl.Expr = _NOBODY, reason: pl.Expr = _NOBODY
) -> pl.DataFrame:
    names = {"node": "machine", "metric": metric, "user_id": user, "reason": reason}
    return coalesced(labelled.filter(of).select("start_at", "end_at", "entity_id", "node_type", **names))


def _filled(spans: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    """The rows with every column of the table: one GPU each; null in columns that pools do not have."""
    schema = REJECTS.polars_schema
    known = {"gpus": pl.lit(1.0), "source": pl.lit(SOURCE), "action": pl.lit("kept")}
    if "reason" in names:
        known["action"] = pl.lit(None)
        known["gpus"] = pl.when(pl.col("reason") == "masked").then(1.0)  # other rows name no GPU
    known |= {"original_start_at": pl.col("start_at"), "original_end_at": pl.col("end_at")}
    wanted = [name for name in names if name not in {"site", "month"}]
    nulls = {name: pl.lit(None) for name in wanted if name not in {*known, *spans.columns}}
    return spans.with_columns(**known, **nulls).select(pl.col(name).cast(schema[name]) for name in wanted)
