"""Rows of a made pool, few enough to follow by hand, and the facts that the product makes of them."""

from datetime import date, datetime, timedelta

import polars as pl

from usage_assets.kinds.htcondor.facts.build import MonthFacts, month_facts
from usage_assets.kinds.htcondor.facts.rows import COLUMNS, COPIES, Polled
from usage_assets.kinds.htcondor.pool.rules import Pool

MONTH = date(2025, 10, 1)
START = datetime(2025, 10, 1)
SCHEMA = pl.Schema(
    {
        "poll_at": pl.Datetime("us"),
        "local_at": pl.Datetime("us"),
        "slot": pl.String(),
        "machine": pl.String(),
        "gpu": pl.String(),
        "state": pl.String(),
        "device": pl.String(),
        "memory_mb": pl.Int64(),
        "prioritized_projects": pl.String(),
        "average_usage": pl.Float64(),
        "remote_owner": pl.String(),
        "global_job_id": pl.String(),
        "prevent_jobs_reason": pl.String(),
    }
)
A100 = "NVIDIA A100-SXM4-80GB"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def row(minutes: float, slot: str, gpu: str | None, state: str = "Unclaimed", **more) -> dict:
    """A row of a machine, named after the @ of the slot."""
    found = {
        "poll_at": at(minutes),
        "local_at": at(minutes),
        "slot": slot,
        "machine": slot.partition("@")[2],
        "gpu": gpu,
        "state": state,
        "device": A100,
        "memory_mb": 81251,
        "prioritized_projects": None,
        "average_usage": None,
        "remote_owner": "ann" if state == "Claimed" else None,
        "global_job_id": "job#1" if state == "Claimed" else None,
        "prevent_jobs_reason": None,
    }
    return found | more


def frame(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA)


def polled_of(frame: pl.DataFrame) -> Polled:
    """Rows with the columns of raw.gpu_state in the shape in which they are read; `copies` may be missing."""
    copies = pl.col(COPIES).sum() if COPIES in frame.columns else pl.len()
    polls = frame.group_by("poll_at").agg(
        pl.col("local_at").min(), held_rows=pl.len().cast(pl.Int64), source_rows=copies.cast(pl.Int64)
    )
    distinct = frame.select(COLUMNS).unique().with_row_index("distinct_id")
    rows = frame.join(distinct, on=COLUMNS, how="left", nulls_equal=True)
    return Polled(distinct, rows.select("poll_at", "distinct_id", "average_usage"), polls)


def facts_of(rows: list[dict], pool: Pool | None = None, month: date = MONTH) -> MonthFacts:
    return month_facts(pool or Pool(), "pool", month, polled_of(frame(rows)))


def hours(facts: MonthFacts) -> dict[str, float]:
    """Metric -> GPU-hours."""
    spans = facts.intervals.group_by("metric").agg(
        (pl.col("end_at") - pl.col("start_at")).dt.total_microseconds().sum() / 3_600_000_000
    )
    return dict(spans.sort("metric").iter_rows())
