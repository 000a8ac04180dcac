"""Series: buckets of any width by the pool's clocks, null where nothing was seen, and the trend of whole weeks."""

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.tables import series
from usage_assets.kinds.htcondor.tables.analyse import analyse, monthly_summary
from usage_assets.kinds.htcondor.tables.options import Options
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets_tests.unit.kinds.htcondor.tables.made import (
    DAY,
    HOSTED,
    OPEN,
    MadePool,
    States,
    claimed,
    every,
    idle,
    lent,
    row,
)

CHICAGO = "America/Chicago"


def of_class(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    return frame.filter(pl.col("class") == name)


def test_a_bucket_holds_the_mean_of_its_polls():
    made = MadePool(every(5, 1), {("m", "0"): [claimed(), idle(), idle(), claimed()] * 3}, Pool(poll_minutes=5))
    rows = of_class(series.time_series(made.cube()).frame, OPEN)
    assert rows["allocated_avg"].to_list() == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1 / 3])
    assert rows["coverage"].to_list() == [1, 1, 1, 1]
    narrow = of_class(series.time_series(made.cube(), 5).frame, OPEN)
    assert narrow["allocated_avg"].to_list() == [1, 0, 0, 1] * 3
    assert narrow["coverage"].to_list() == [1] * 12


def test_buckets_that_no_poll_saw_are_null_and_have_a_row():
    polls = [*every(15, 1), *every(15, 1, DAY + timedelta(hours=3))]
    made = MadePool(polls, {("m", "0"): [claimed()] * 8})
    rows = of_class(series.time_series(made.cube(), 60).frame, "total")
    assert rows["bucket_at"].to_list() == every(60, 4)
    assert rows["allocated_avg"].to_list() == [1, None, None, 1]
    assert rows["gpu_hours_observed"].to_list() == [1, None, None, 1]
    assert rows["coverage"].to_list() == [1, 0, 0, 1]


def test_half_a_bucket_seen_is_half_covered_and_its_mean_is_of_that_half():
    made = MadePool(every(15, 0.5), {("m", "0"): [claimed(), idle()]})
    window = Window(DAY, DAY + timedelta(hours=1))
    bucket = row(of_class(series.time_series(made.cube(window), 60).frame, OPEN))
    assert (bucket["allocated_avg"], bucket["coverage"], bucket["gpu_hours_observed"]) == (0.5, 0.5, 0.25)


def test_buckets_are_counted_from_local_midnight():
    start = datetime(2026, 3, 2, 6)  # midnight in Chicago
    made = MadePool(every(15, 24, start), {("m", "0"): [claimed()] * 96}, Pool(timezone=CHICAGO))
    rows = of_class(series.time_series(made.cube(), 8 * 60).frame, OPEN)
    assert rows["local_at"].dt.hour().to_list() == [0, 8, 16]
    assert rows["hours"].to_list() == [8, 8, 8]


def test_legacy_classes_are_sums_of_classes():
    made = MadePool(every(15, 1), {("m", "0"): [claimed(class_=HOSTED)] * 4, ("m", "1"): [lent(idle())] * 4})
    rows = series.time_series(made.cube(classes="legacy"), 60).frame
    assert rows.select("class", "allocated_avg", "available_avg").rows() == [
        ("Priority", 1, 1),
        ("Shared", 0, 1),
        ("Backfill", 1, 1),
        ("Interactive", 0, 0),
        ("total", 2, 2),
    ]


def test_devices_have_a_series_of_their_own():
    gpus: States = {
        ("m", "0"): [claimed(device="NVIDIA H200")] * 4,
        ("m", "1"): [lent(idle())] * 4,
        ("m", "2"): [idle(device="NVIDIA A40")] * 4,
        ("m", "3"): [idle(device=None)] * 4,
    }
    made = MadePool(every(15, 1), gpus)
    rows = series.device_series(made.cube(), 60)
    assert rows.frame.select("device", "allocated_avg").rows() == [("H200", 1), ("L40S", 1), ("Unknown", 0)]
    assert rows.metadata.filtered_devices == ("A40",)
    assert series.device_series(made.cube(all_devices=True), 60).frame.height == 4


def test_the_trend_is_that_of_whole_weeks():
    """Three whole weeks with 1, 2 and 3 GPUs held, and a day of the next: one GPU more each week."""
    polls = every(60, 24 * 22)
    week = 24 * 7
    gpus: States = {("m", str(n)): [idle()] * (week * n) + [claimed()] * (len(polls) - week * n) for n in range(3)}
    made = MadePool(polls, gpus, Pool(poll_minutes=60))
    window = Window.of_days(date(2026, 3, 2), date(2026, 3, 24))
    rows = of_class(series.weekly_trend(made.cube(window)).frame, OPEN)
    assert rows["is_whole"].to_list() == [True, True, True, False]
    assert rows["gpu_hours_estimated"].to_list() == pytest.approx([168, 336, 504, 504])
    assert rows["gpu_hours_observed"].to_list() == pytest.approx([42, 84, 126, 18])
    assert rows["change_percent"].to_list() == [None, pytest.approx(100), pytest.approx(50), pytest.approx(0)]
    assert rows["trend_hours"].to_list() == pytest.approx([168] * 4)
    assert rows["coverage"].to_list() == pytest.approx([0.25] * 4)


def test_one_whole_week_has_no_trend():
    made = MadePool(every(15, 168), {("m", "0"): [claimed()] * 672})
    line = row(of_class(series.weekly_trend(made.cube()).frame, OPEN))
    assert (line["is_whole"], line["trend_hours"], line["change_percent"]) == (True, None, None)


@pytest.mark.parametrize(
    ("mode", "tables"),
    [
        (
            "allocation",
            {"summary", "allocation", "cluster", "open_tiers", "devices", "performance", "performance_by_device"},
        ),
        ("timeseries", {"timeseries", "cluster"}),
    ],
)
def test_an_analysis_has_the_tables_of_its_mode(mode, tables: set[str]):
    made = MadePool(every(15, 1), {("m", "0"): [claimed()] * 4})
    found = analyse(made.facts, made.pool, made.window, Options(group_by_device=True), mode)
    assert set(found.results) == tables
    assert found.metadata.runs == 1
    assert found.seconds > 0


def test_the_monthly_mode_is_the_month_before_the_windows_end():
    made = MadePool(every(15, 48, datetime(2026, 3, 30)), {("m", "0"): [claimed()] * 192})
    window = Window(datetime(2026, 4, 2), datetime(2026, 4, 3))
    found = analyse(made.facts, made.pool, window, mode="monthly")
    assert (found.metadata.local_start, found.metadata.intervals) == (datetime(2026, 3, 1), 192)
    again = monthly_summary(made.facts, made.pool, window.end)
    assert all(again[name].equals(result.frame) for name, result in found.results.items())
