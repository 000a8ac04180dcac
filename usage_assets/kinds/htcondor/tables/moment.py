"""The GPUs of the pool at one poll, by model.

The poll nearest to the time asked for counts: with a poll every 15 minutes hardly any time has one of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from usage_assets.core.errors import UsageError
from usage_assets.kinds.htcondor.pool.columns import applied
from usage_assets.kinds.htcondor.pool.devices import UNKNOWN
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.tables.cube import matching
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.figures import percent
from usage_assets.kinds.htcondor.tables.labels import TOTAL, class_of, dense, label, names_of
from usage_assets.kinds.htcondor.tables.levels import held
from usage_assets.kinds.htcondor.tables.options import Options

ACTIVITY: tuple[str, ...] = (
    *("poll_at", "machine", "gpu", "device", "state", "class", "user", "job", "primary_state", "primary_class"),
    *("backfill_state", "backfill_class", "is_drained", "is_refusing", "reason"),
)
"""Columns of activity: `state` is claimed (a job holds it in any slot), idle or other; class, user and job are those of
the slot that holds it, or of the primary slot where none does."""

_MACHINES = pl.col("machine").n_unique().cast(pl.Int64)


@dataclass(frozen=True)
class Moment:
    """A table of one poll: the time asked for, and the poll nearest to it (UTC)."""

    frame: pl.DataFrame
    asked_at: datetime
    poll_at: datetime
    timezone: str = "UTC"

    @property
    def minutes_off(self) -> float:
        """How far the poll is from the time asked for; negative where it was before."""
        return (self.poll_at - self.asked_at) / timedelta(minutes=1)


@dataclass(frozen=True)
class ModelAnalysis:
    """One model at one poll: a row of figures, a row per class, and the GPUs that are claimed, idle, and neither."""

    model: str
    summary: pl.DataFrame
    by_class: pl.DataFrame
    jobs: pl.DataFrame
    idle: pl.DataFrame
    other: pl.DataFrame
    asked_at: datetime
    poll_at: datetime
    timezone: str = "UTC"

    @property
    def tables(self) -> Mapping[str, pl.DataFrame]:
        """The tables by name, in the order in which a report shows them."""
        return {name: getattr(self, name) for name in ("summary", "by_class", "jobs", "idle", "other")}


def nearest_poll(polls: pl.DataFrame, at: datetime, within: timedelta | None = None) -> datetime:
    """The poll nearest to a naive UTC instant, the earlier of two; an error where there is none near enough."""
    known = polls.select("poll_at", away=(pl.col("poll_at") - at).abs()).sort("away", "poll_at")
    if known.is_empty():
        msg = "the pool has no poll: read its snapshots first"
        raise UsageError(msg)
    found: datetime = known["poll_at"][0]
    if within is not None and abs(found - at) > within:
        minutes = within / timedelta(minutes=1)
        msg = (
            f"no poll within {minutes:g} minutes of {at:%Y-%m-%d %H:%M} UTC; the nearest one is that of "
            f"{found:%Y-%m-%d %H:%M} UTC, ask for that"
        )
        raise UsageError(msg)
    return found


def models_at(facts: Facts, pool: Pool, at: datetime, options: Options | None = None) -> Moment:
    """A row per device that the nearest poll saw: device, gpus, claimed, idle, other, machines. Function 15.

    Each GPU counts once; all devices, masked machines left out.
    """
    poll, rows = _gpus_at(facts, pool, at, options or Options())
    frame = rows.group_by("device").agg(_counts("state"), machines=_MACHINES).sort("device")
    return Moment(frame, at, poll, pool.timezone)


def model_activity(facts: Facts, pool: Pool, model: str, at: datetime, options: Options | None = None) -> Moment:
    """A row per GPU of a model that the nearest poll saw: ACTIVITY. Function 16."""
    poll, rows = _gpus_at(facts, pool, at, options or Options())
    gpus = rows.filter(pl.col("device") == model).sort("machine", "gpu").select(ACTIVITY)
    return Moment(gpus, at, poll, pool.timezone)


def analyse_model(facts: Facts, pool: Pool, model: str, at: datetime, options: Options | None = None) -> ModelAnalysis:
    """What a model's GPUs did at the poll nearest to a naive UTC instant. Function 17.

    summary: model, gpus, claimed, claimed_with_user, idle, other (neither: drained, owner ...), claimed_percent,
    usage_percent (mean over claimed GPUs whose usage is known), machines. by_class (and `total`, each GPU once): class,
    label, gpus (offered), claimed, idle, other, claimed_percent. jobs, idle, other: ACTIVITY of those GPUs.
    """
    asked = options or Options()
    activity = model_activity(facts, pool, model, at, asked)
    rows = activity.frame
    claimed, idle = pl.col("state") == "claimed", pl.col("state") == "idle"
    usage = _usage(facts, pool, model, activity.poll_at, rows["machine"])
    summary = rows.select(
        *_counts("state"),
        claimed_with_user=(claimed & (pl.col("user") != UNKNOWN)).sum().cast(pl.Int64),
        usage_percent=pl.lit(usage, dtype=pl.Float64()),
        machines=_MACHINES,
    )
    sides = [
        rows.filter(pl.col(f"{side}_state").is_not_null())
        .group_by(class_of(asked.classes, f"{side}_class").alias("class"))
        .agg(_counts(f"{side}_state"))
        for side in ("primary", "backfill")
    ]
    total = rows.select(pl.lit(TOTAL).alias("class"), *_counts("state"))
    by_class = dense(pl.concat([*sides, total]), (*names_of(asked.classes), TOTAL))
    counts = ("gpus", "claimed", "idle", "other")
    share = percent("claimed", "gpus").alias("claimed_percent")
    return ModelAnalysis(
        model=model,
        summary=summary.select(
            pl.lit(model).alias("model"), *counts, "claimed_with_user", share, "usage_percent", "machines"
        ),
        by_class=by_class.select("class", label(), *counts, share),
        jobs=rows.filter(claimed).sort("user", "machine", "gpu"),
        idle=rows.filter(idle),
        other=rows.filter(~claimed & ~idle),
        asked_at=at,
        poll_at=activity.poll_at,
        timezone=pool.timezone,
    )


def _counts(state: str) -> list[pl.Expr]:
    """GPUs, and those of them in each state."""
    of_state = ((pl.col(state) == name).sum().cast(pl.Int64).alias(name) for name in ("claimed", "idle", "other"))
    return [pl.len().cast(pl.Int64).alias("gpus"), *of_state]


def _usage(facts: Facts, pool: Pool, model: str, poll: datetime, machines: pl.Series) -> float | None:
    """Mean usage of the model's claimed GPUs at a poll, in percent of one GPU."""
    if facts.performance is None:
        return None
    rows = facts.performance.filter(pl.col("poll_at") == poll).select("machine", "device", "gpus", "usage").collect()
    of_model = rows.with_columns(applied(pool.display_name, pl.col("device").cast(pl.String()), pl.String())).filter(
        (pl.col("device") == model) & pl.col("machine").cast(pl.String()).is_in(machines.unique().implode())
    )
    gpus, usage = of_model.select(pl.col("gpus").sum(), pl.col("usage").sum()).row(0)
    return 100 * usage / gpus if gpus else None


def _gpus_at(facts: Facts, pool: Pool, at: datetime, options: Options) -> tuple[datetime, pl.DataFrame]:
    """The nearest poll, and the GPUs that it saw, each once."""
    poll = nearest_poll(facts.polls, at)
    if facts.runs is None:
        msg = "a moment needs runs with their jobs: read facts of that moment"
        raise UsageError(msg)
    rows = (
        facts.runs.filter((pl.col("start_at") <= poll) & (pl.col("end_at") > poll) & pl.col("masked").is_null())
        .collect()
        .with_columns(pl.col(pl.Categorical()).cast(pl.String()))
    )
    if options.hosts:
        machines = rows["machine"].unique().to_list()
        found = set().union(*(matching(machines, host) for host in options.hosts))
        rows = rows.filter(pl.col("machine").is_in(sorted(found)))
    by_backfill = pl.col("backfill_state").eq_missing("claimed")
    state = pl.coalesce("primary_state", "backfill_state")
    class_ = pl.coalesce("primary_class", "backfill_class")
    return poll, rows.with_columns(
        device=applied(pool.display_name, pl.col("device"), pl.String()),
        state=pl.when(held()).then(pl.lit("claimed")).otherwise(state),
        user=pl.when(by_backfill).then("backfill_user").otherwise("primary_user"),
        job=pl.when(by_backfill).then("backfill_job").otherwise("primary_job"),
        **{"class": pl.when(by_backfill).then("backfill_class").otherwise(class_)},
        poll_at=pl.lit(poll, dtype=pl.Datetime("us")),
    )
