"""Rows of a made pool, few enough to follow by hand, and the facts that the product makes of them."""

from datetime import date, datetime, timedelta

import polars as pl

from usage_assets.kinds.htcondor.facts.build import MonthFacts, month_facts
from usage_assets.kinds.htcondor.facts.rows import Polled
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


def facts_of(rows: list[dict], pool: Pool | None = None, month: date = MONTH) -> MonthFacts:
    return month_facts(pool or Pool(), "pool", month, Polled.of_frame(frame(rows)))


def hours(facts: MonthFacts) -> dict[str, float]:
    """Metric -> GPU-hours."""
    spans = facts.intervals.group_by("metric").agg(
        (pl.col("end_at") - pl.col("start_at")).dt.total_microseconds().sum() / 3_600_000_000
    )
    return dict(spans.sort("metric").iter_rows())
