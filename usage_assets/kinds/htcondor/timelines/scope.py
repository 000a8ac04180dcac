"""The scope of a GPU pool's usage timeline: GPUs of every class, while the pool was observed."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from usage_assets.kinds.htcondor.facts.gpu_intervals import METRICS, SOURCE
from usage_assets.kinds.htcondor.pool.metrics import METRICS as KIND_METRICS
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.timelines.usage import Scope
from usage_assets.warehouse import Reader


def usage_scope(site: HTCondorSite) -> Scope:
    """The scope of the site's usage timeline."""
    gaps = tuple(gap for gap in site.known_gaps if gap.source == SOURCE)
    return Scope(
        site=site.key,
        bucket_minutes=site.bucket_minutes,
        counted=METRICS,
        resources=("gpus",),
        gaps=dict.fromkeys(METRICS, gaps),
        kind_metrics=KIND_METRICS,
    )


def node_types(reader: Reader, site: HTCondorSite, months: Sequence[date]) -> pl.DataFrame:  # noqa: ARG001 - as kinds have it
    """month, node_type of machines beside those of the facts: none, every GPU that a poll saw is in the facts."""
    return pl.DataFrame(schema={"month": pl.Date, "node_type": pl.String})
