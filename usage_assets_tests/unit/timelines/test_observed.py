"""A site that is looked at now and then: what was not seen is unknown, and the share that was seen is said."""

from datetime import date, datetime

import polars as pl
import pytest

from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.htcondor.facts.gpu_intervals import METRICS as OF_POOLS
from usage_assets.kinds.htcondor.pool.metrics import METRICS as KIND_METRICS
from usage_assets.timelines.metrics import metrics_with
from usage_assets.timelines.observed import ends
from usage_assets.timelines.usage import Scope, UsageFrames, build_usage

MONTH = date(2025, 10, 1)
SCOPE = Scope(
    site="pool", bucket_minutes=1440, counted=OF_POOLS, resources=("gpus",), gaps={}, kind_metrics=KIND_METRICS
)


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2025, 10, day, hour)


def interval(metric: str, start: datetime, end: datetime, entity: str = "h1/CUDA0") -> dict:
    return {
        "site": "pool", "month": MONTH, "metric": metric, "source": "gpu_state", "entity_id": entity,
        "start_at": start, "end_at": end, "action": "kept", "node_type": "A100 80GB", "gpus": 1.0,
    }  # fmt: skip


def build(
    rows: list[dict], observed: list[tuple[datetime, datetime]], extracted: datetime | None = None
) -> UsageFrames:
    stretches = pl.DataFrame(
        [(MONTH, *each) for each in observed],
        schema={"month": pl.Date, "start_at": pl.Datetime("us"), "end_at": pl.Datetime("us")},
        orient="row",
    )
    types = pl.DataFrame(schema={"month": pl.Date, "node_type": pl.String})
    frame = pl.DataFrame(rows, schema=INTERVALS.polars_schema)
    reads = {} if extracted is None else {MONTH: extracted}
    return build_usage(SCOPE, [MONTH], frame, reads, types, observed=stretches)


def found(frames: UsageFrames, metric: str, day: int, column: str = "value") -> float | None:
    row = frames.usage.filter(pl.col("metric") == metric, pl.col("timestamp") == at(day))
    assert row.height == 1
    return row[column][0]


SEEN = [(at(1), at(1, 6)), (at(1, 12), at(3)), (at(5), at(32 - 1))]
TOTAL = [interval("total", *each) for each in SEEN]
HELD = [interval("allocated_open", at(1, 3), at(1, 6)), interval("allocated_open", at(1, 12), at(1, 18))]


def test_a_gap_is_not_idle() -> None:
    frames = build([*TOTAL, *HELD], SEEN)
    assert found(frames, "total", 1) == 1.0  # 18 of 24 hours were seen, in all of them the GPU was there
    assert found(frames, "total", 1, "hours") == 18.0
    assert found(frames, "allocated_open", 1) == pytest.approx(0.5)
    assert found(frames, "allocated_open", 1, "hours") == 9.0
    assert found(frames, "allocated_open", 2) == 0.0
    for metric in ("total", "allocated_open", "occupied", "utilization"):
        assert found(frames, metric, 3) is None
        assert found(frames, metric, 3, "hours") is None


def test_coverage_is_the_share_of_the_bucket_that_was_seen() -> None:
    frames = build(TOTAL, SEEN)
    assert [found(frames, "coverage", day) for day in (1, 2, 3, 4, 5)] == [0.75, 1.0, 0.0, 0.0, 1.0]
    assert frames.usage.filter(pl.col("metric") == "coverage")["hours"].null_count() == 31


def test_occupied_adds_up_the_classes_and_utilization_is_a_share_of_total() -> None:
    other = [interval("total", at(1), at(1, 6), "h1/CUDA1"), interval("allocated_backfill_open", at(1), at(1, 6), "x")]
    frames = build([*TOTAL, *HELD, *other], SEEN)
    assert found(frames, "occupied", 1, "hours") == 15.0
    assert found(frames, "utilization", 1) == pytest.approx(15 / 24)


def test_steps_are_unknown_in_a_gap_and_go_on_after_it() -> None:
    steps = build(TOTAL, SEEN).steps.filter(pl.col("metric") == "total").sort("timestamp")
    assert steps.select("timestamp", "value").rows() == [
        (at(1), 1.0),
        (at(1, 6), None),
        (at(1, 12), 1.0),
        (at(3), None),
        (at(5), 1.0),
        (at(31), None),
    ]


def test_a_series_that_is_zero_is_unknown_in_a_gap_too() -> None:
    steps = build(TOTAL, SEEN).steps.filter(pl.col("metric") == "drained", pl.col("node_type") == "A100 80GB")
    assert steps.sort("timestamp")["value"].to_list() == [0.0, None, 0.0, None, 0.0, None]


def test_a_month_of_which_nothing_was_seen_is_unknown() -> None:
    frames = build([], [])
    assert frames.usage.filter(pl.col("metric") != "coverage")["value"].null_count() == 31 * (
        len(OF_POOLS) + len(SCOPE.derived)
    )
    assert frames.usage.filter(pl.col("metric") == "coverage")["value"].to_list() == [0.0] * 31
    assert frames.steps["value"].null_count() == frames.steps.height


def test_the_running_month_reaches_as_far_as_its_last_poll_holds() -> None:
    frames = build([interval("total", at(1), at(2, 1))], [(at(1), at(2, 1))], extracted=at(2))
    assert found(frames, "total", 2, "hours") == 1.0
    assert found(frames, "coverage", 2) == 1.0
    assert ends({MONTH: at(3)}, None) == {MONTH: at(3)}


def test_metrics_of_pools_are_known() -> None:
    metrics = metrics_with(KIND_METRICS).by_name
    assert all(metrics[name].is_counted for name in OF_POOLS)
    assert [metric.name for metric in SCOPE.derived] == ["occupied", "utilization"]
