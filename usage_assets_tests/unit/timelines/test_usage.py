"""The usage timeline: dense, exact, null where nothing is known, derived metrics from their terms."""

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds import kind_metrics
from usage_assets.sites.base import Gap
from usage_assets.timelines.metrics import SHARED_METRICS, metrics_with
from usage_assets.timelines.tables import USAGE, USAGE_STEPS
from usage_assets.timelines.usage import Scope, build_usage

MONTH = date(2024, 2, 1)
END = datetime(2024, 3, 1)
COUNTED = ("total", "reservable", "committed", "occupied_reservation", "occupied_ondemand", "occupied_unknown")


def scope(**changes) -> Scope:
    settings: dict[str, Any] = {
        "site": "s",
        "bucket_minutes": 1440,
        "counted": COUNTED,
        "resources": ("nodes", "gpus"),
        "gaps": {},
        "utilization_of": None,
    }
    return Scope(**(settings | changes))


def interval(metric, start, end, *, node_type="x", nodes=1.0, gpus=None, entity="e"):
    return {
        "site": "s", "month": MONTH, "metric": metric, "source": "t", "entity_id": entity, "start_at": start,
        "end_at": end, "action": "kept", "node_type": node_type, "nodes": nodes, "gpus": gpus,
    }  # fmt: skip


def build(rows, *, types=("x",), extracted=END, **changes):
    frame = pl.DataFrame(rows, schema=INTERVALS.polars_schema)
    node_types = pl.DataFrame(
        {"month": [MONTH] * len(types), "node_type": list(types)}, schema={"month": pl.Date, "node_type": pl.String}
    )
    return build_usage(scope(**changes), [MONTH], frame, {MONTH: extracted}, node_types)


def value(usage, metric, day=1, *, resource="nodes", node_type="x", column="value"):
    found = usage.filter(
        (pl.col("metric") == metric)
        & (pl.col("timestamp") == datetime(2024, 2, day))
        & (pl.col("resource") == resource)
        & (pl.col("node_type") == node_type)
    )
    assert found.height == 1
    return found[column][0]


def test_a_value_is_the_mean_over_the_bucket_and_hours_its_integral():
    usage = build([interval("total", datetime(2024, 2, 1, 6), datetime(2024, 2, 3))]).usage
    assert value(usage, "total", 1) == 0.75
    assert value(usage, "total", 1, column="hours") == 18.0
    assert value(usage, "total", 2) == 1.0
    assert value(usage, "total", 3) == 0.0


def test_the_frames_have_the_declared_columns_and_types():
    frames = build([interval("total", datetime(2024, 2, 1), END)])
    assert frames.usage.cast({pl.Categorical: pl.String}).schema == USAGE.polars_schema
    assert frames.steps.cast({pl.Categorical: pl.String}).schema == USAGE_STEPS.polars_schema


def test_every_bucket_of_every_series_is_there_also_where_nothing_happened():
    usage = build([], types=("x", "y")).usage
    metrics = len(COUNTED) + len(SHARED_METRICS.derivable(COUNTED))
    assert usage.height == 29 * 2 * metrics * 2
    assert usage.unique(["timestamp", "node_type", "metric", "resource"]).height == usage.height


def test_a_month_without_machines_has_one_series_of_unknown_type():
    assert build([], types=()).usage["node_type"].unique().to_list() == ["unknown"]


def test_the_last_bucket_of_the_running_month_ends_at_the_extraction():
    now = datetime(2024, 2, 2, 12)
    usage = build([interval("total", datetime(2024, 2, 1), now)], extracted=now).usage
    assert usage["timestamp"].max() == datetime(2024, 2, 2)
    assert value(usage, "total", 2) == 1.0
    assert value(usage, "total", 2, column="hours") == 12.0


def test_an_extraction_on_a_buckets_edge_opens_no_empty_bucket():
    now = datetime(2024, 2, 2)
    usage = build([interval("total", datetime(2024, 2, 1), now)], extracted=now).usage
    assert usage["timestamp"].unique().to_list() == [datetime(2024, 2, 1)]


def test_derived_metrics_are_sums_and_differences_of_their_terms():
    rows = [
        *(interval("total", datetime(2024, 2, 1), END, entity=f"t{n}") for n in range(10)),
        *(interval("reservable", datetime(2024, 2, 1), END, entity=f"r{n}") for n in range(7)),
        *(interval("committed", datetime(2024, 2, 1), END, entity=f"c{n}") for n in range(5)),
        *(interval("occupied_reservation", datetime(2024, 2, 1), END, entity=f"o{n}") for n in range(3)),
        interval("occupied_ondemand", datetime(2024, 2, 1), END),
        interval("occupied_unknown", datetime(2024, 2, 1), END),
    ]
    usage = build(rows).usage
    expected = {
        "ondemand_capacity": 3.0, "available_reservable": 2.0, "available_ondemand": 2.0, "available": 4.0,
        "idle": 2.0, "occupied": 5.0, "utilization": 0.5,
    }  # fmt: skip
    assert {metric: value(usage, metric) for metric in expected} == expected


def test_utilization_is_of_reservable_where_nothing_ran_on_demand():
    rows = [
        *(interval("total", datetime(2024, 2, 1), END, entity=f"t{n}") for n in range(10)),
        *(interval("reservable", datetime(2024, 2, 1), END, entity=f"r{n}") for n in range(4)),
        interval("occupied_reservation", datetime(2024, 2, 1), END),
    ]
    assert value(build(rows).usage, "utilization") == 0.25
    assert value(build(rows, utilization_of="total").usage, "utilization") == 0.1
    assert value(build(rows).usage, "utilization", column="hours") is None


def test_a_derived_metric_may_be_negative():
    usage = build([interval("occupied_reservation", datetime(2024, 2, 1), END)]).usage
    assert value(usage, "idle") == -1.0


def test_a_metric_that_lacks_a_term_in_the_site_is_not_there():
    names = {metric.name for metric in SHARED_METRICS.derivable({"total", "occupied_ondemand", "occupied_unknown"})}
    assert names == {"occupied", "utilization"}


def test_an_optional_term_counts_as_nothing_where_the_site_lacks_it():
    counted = (*COUNTED, "active", "maintenance", "occupied_maintenance")
    whole = (datetime(2024, 2, 1), END)
    rows = [
        *(interval("total", *whole, entity=f"t{n}") for n in range(10)),
        *(interval("reservable", *whole, entity=f"r{n}") for n in range(7)),
        *(interval("maintenance", *whole, entity=f"m{n}") for n in range(2)),
        *(interval("occupied_maintenance", *whole, entity=f"o{n}") for n in range(2)),
        interval("occupied_ondemand", *whole),
        interval("active", *whole),
    ]
    with_it, without = build(rows, counted=counted).usage, build(rows).usage
    assert [value(with_it, name) for name in ("ondemand_capacity", "occupied", "stopped")] == [1.0, 3.0, 2.0]
    assert [value(without, name) for name in ("ondemand_capacity", "occupied")] == [3.0, 1.0]
    assert "stopped" not in {metric.name for metric in SHARED_METRICS.derivable(COUNTED)}
    assert not SHARED_METRICS.derivable({"maintenance", "committed"})


def test_a_known_gap_is_null_and_so_is_what_is_derived_from_it():
    gap = Gap.model_validate({"source": "nova_compute_nodes", "to": "2024-02-11"})
    rows = [interval(metric, datetime(2024, 2, 1), END) for metric in ("total", "reservable", "committed")]
    frames = build(rows, gaps={"total": (gap,)})
    assert value(frames.usage, "total", 10) is None
    assert value(frames.usage, "total", 10, column="hours") is None
    assert value(frames.usage, "ondemand_capacity", 10) is None
    assert value(frames.usage, "available_reservable", 10) == 0.0
    assert value(frames.usage, "total", 11) == 1.0
    steps = frames.steps.filter((pl.col("metric") == "total") & (pl.col("resource") == "nodes")).sort("timestamp")
    assert steps.select("timestamp", "value").rows() == [(datetime(2024, 2, 1), None), (datetime(2024, 2, 11), 1.0)]


def test_a_resource_that_no_interval_of_a_series_knows_is_null_not_zero():
    usage = build([interval("total", datetime(2024, 2, 1), END)]).usage
    assert value(usage, "total", resource="gpus") is None


def test_a_series_without_intervals_is_null_where_nobody_knows_how_much_its_type_has_else_zero():
    whole = (datetime(2024, 2, 1), END)
    rows = [interval("total", *whole), interval("total", *whole, node_type="y", gpus=2.0)]
    usage = build(rows, types=("x", "y", "z")).usage
    for metric in ("committed", "occupied_ondemand", "idle"):
        found = [value(usage, metric, resource="gpus", node_type=name) for name in ("x", "y", "z")]
        assert found == [None, 0.0, 0.0]
        assert value(usage, metric) == 0.0
    alone = build(rows[:1], types=("x", "z"))
    assert value(alone.usage, "committed", resource="gpus", node_type="z") is None
    steps = alone.steps.filter(pl.col("resource") == "gpus")
    assert steps["value"].null_count() == steps.height > 0
    assert value(build([]).usage, "total", resource="gpus") == 0.0


def test_machines_are_no_devices_and_devices_no_machines_which_is_known():
    whole = (datetime(2024, 2, 1), END)
    rows = [interval("total", *whole), interval("total", *whole, node_type="pi", nodes=None, entity="d")]
    rows[1]["devices"] = 1.0
    usage = build(rows, types=("x", "pi"), resources=("nodes", "devices")).usage
    found = {(t, r): value(usage, "total", resource=r, node_type=t) for t in ("x", "pi") for r in ("nodes", "devices")}
    assert found == {("x", "nodes"): 1, ("x", "devices"): 0, ("pi", "nodes"): 0, ("pi", "devices"): 1}


def test_a_resource_that_is_there_only_if_counted_and_metrics_that_nothing_tells_of_it():
    more: dict[str, Any] = {
        "resources": ("nodes", "devices"),
        "only_if_counted": ("devices",),
        "untold": {"devices": ("occupied_ondemand",)},
    }
    rows = [interval("total", datetime(2024, 2, 1), END)]
    without = build(rows, **more)
    assert without.usage["resource"].unique().to_list() == without.steps["resource"].unique().to_list() == ["nodes"]
    device = interval("total", datetime(2024, 2, 1), END, node_type="pi", nodes=None, entity="d") | {"devices": 1.0}
    usage = build([*rows, device], types=("x", "pi"), **more).usage
    assert value(usage, "total", resource="devices", node_type="pi") == 1.0
    for metric in ("occupied_ondemand", "occupied", "available_ondemand"):
        assert value(usage, metric, resource="devices", node_type="pi") is None
    assert value(usage, "committed", resource="devices", node_type="pi") == 0.0


def test_a_step_series_has_a_row_at_the_months_start_and_one_per_change():
    rows = [
        interval("total", datetime(2024, 2, 5), datetime(2024, 2, 9)),
        interval("total", datetime(2024, 2, 9), datetime(2024, 2, 20), entity="f"),
    ]
    steps = build(rows).steps.filter((pl.col("metric") == "total") & (pl.col("resource") == "nodes"))
    expected = [(datetime(2024, 2, 1), 0.0), (datetime(2024, 2, 5), 1.0), (datetime(2024, 2, 20), 0.0)]
    assert steps.sort("timestamp").select("timestamp", "value").rows() == expected


def test_fractions_leave_no_dust():
    third = 1 / 3
    rows = [
        interval("total", datetime(2024, 2, 1 + n), datetime(2024, 2, 3 + n), nodes=third, entity=f"e{n}")
        for n in range(20)
    ]
    frames = build(rows)
    assert value(frames.usage, "total", 28) == 0.0
    assert frames.steps.filter(pl.col("value") < 0).is_empty()
    hours = frames.usage.filter((pl.col("metric") == "total") & (pl.col("resource") == "nodes"))["hours"].sum()
    wanted = 20 * 48 * third
    assert hours == pytest.approx(wanted, rel=1e-9)


def test_the_registry_names_every_term_before_its_sum():
    observed: set[str] = set()
    for metric in metrics_with(kind_metrics()).by_name.values():
        assert {*metric.plus, *metric.minus} <= observed
        observed.add(metric.name)
