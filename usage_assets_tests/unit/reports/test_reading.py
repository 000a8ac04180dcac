"""What figures read: whole sites by days, and whether servers share machines."""

import polars as pl
import pytest

from usage_assets.facts.tables import INTERVALS
from usage_assets.reports import reading
from usage_assets.reports.figures.legacy import LEGACY_METRICS
from usage_assets.specs.plot_context import Scene
from usage_assets.timelines.metrics import SHARED_METRICS
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.reports.test_figures import DAY, JAN, START, site


@pytest.mark.parametrize(("nodes", "expected"), [(1.0, False), (0.25, True), (None, False)])
def test_servers_share_machines_where_one_holds_a_part_of_a_node(tmp_path, nodes, expected):
    row = dict.fromkeys(INTERVALS.names) | {
        "site": "made",
        "month": START.date(),
        "metric": "occupied_ondemand",
        "source": "nova_instances",
        "node_type": "large",
        "nodes": nodes,
    }
    warehouse = Warehouse(tmp_path / "w.duckdb")
    with warehouse.write("test") as writer:
        writer.ensure(INTERVALS)
        writer.put(INTERVALS, pl.DataFrame([row], schema=INTERVALS.polars_schema))
    with warehouse.read() as reader:
        assert reading.shares_machines(reader, "made") is expected


def stored(folder, *rows):
    """A warehouse with usage of nodes: timestamp, node_type, value and, where it is not ours, collector."""
    filled = [(at, node_type, value, (*more, "current")[0]) for at, node_type, value, *more in rows]
    schema = ["timestamp", "node_type", "value", "collector_type"]
    frame = pl.DataFrame(filled, schema=schema, orient="row").with_columns(
        pl.lit("made").alias("site"),
        pl.lit(START.date()).alias("month"),
        pl.lit("nodes").alias("resource"),
        pl.lit("total").alias("metric"),
        pl.lit(None, pl.Float64).alias("hours"),
        pl.col("timestamp").cast(pl.Datetime("us")),
    )
    warehouse = Warehouse(folder / "w.duckdb")
    with warehouse.write("test") as writer:
        writer.ensure(USAGE)
        writer.put(USAGE, frame.select(USAGE.names))
    return warehouse


def test_a_history_adds_node_types_up_averages_buckets_and_names_what_is_missing(tmp_path):
    warehouse = stored(
        tmp_path,
        (START, "large", 2.0),
        (START, "small", 1.0),
        (START + DAY / 2, "large", 4.0),
        (START + DAY / 2, "small", 1.0),
        (START + DAY, "large", None),
        (START + DAY, "small", None),
        (START + 2 * DAY, "large", None),
        (START + 2 * DAY, "small", 1.0),
    )
    with warehouse.read() as reader:
        found = reading.history(reader, Scene(site()))
    assert found is not None
    assert found.current.select("timestamp", "value").sort("timestamp").rows() == [
        (START, 4.0),
        (START + DAY, None),
        (START + 2 * DAY, 1.0),
    ]
    assert found.current.sort("timestamp")["complete"].to_list() == [True, False, False]
    assert found.not_in_current == {"nodes": ("large",)}


def test_a_history_has_the_old_caches_beside_ours_and_tells_apart_what_only_they_do_not_know(tmp_path):
    warehouse = stored(
        tmp_path,
        (START, "large", 2.0),
        (START, "large", 3.0, "legacy"),
        (START, "small", None, "legacy"),
    )
    with warehouse.read() as reader:
        found = reading.history(reader, Scene(site()))
    assert found is not None
    assert found.current["value"].to_list() == [2.0]
    assert sorted(found.both.select("collector_type", "value", "complete").rows()) == [
        ("current", 2.0, True),
        ("legacy", 3.0, False),
    ]
    assert found.not_in_current == {}
    assert found.not_in_both == {"legacy": ("small",)}
    with warehouse.read() as reader:
        month = reading.both_collectors(reader, Scene(site(), JAN))
    assert month.both.sort("collector_type").equals(found.both.sort("collector_type"))
    assert month.not_in_both == {"legacy": ("small",)}


def test_sums_of_a_month_are_those_of_what_is_known_and_say_which_node_types_they_lack(tmp_path):
    warehouse = stored(
        tmp_path,
        (START, "large", 2.0),
        (START, "small", 1.0),
        (START + DAY, "large", 2.0),
        (START + DAY, "lost", None),
        (START + DAY, "gone", None),
        (START + 2 * DAY, "dark", None),
    )
    with warehouse.read() as reader:
        found = reading.usage_added(reader, Scene(site(), JAN))
    assert found.rows.sort("timestamp").select("timestamp", "value", "complete").rows() == [
        (START, 3.0, True),
        (START + DAY, 2.0, False),
        (START + 2 * DAY, None, False),  # nothing is known: null, never 0, and drawn by nobody
    ]
    assert found.lacking("resource") == {"nodes": ("gone", "lost")}
    assert found.lacking("resource", metric=["occupied"]) == {}


def test_sums_that_lack_nothing_name_nothing(tmp_path):
    warehouse = stored(tmp_path, (START, "large", 2.0), (START, "small", 0.0), (START + DAY, "large", None))
    with warehouse.read() as reader:
        found = reading.usage_added(reader, Scene(site(), JAN))
    assert found.rows.sort("timestamp")["complete"].to_list() == [True, False]
    assert found.missing.is_empty()


def test_a_history_has_every_metric_that_is_compared_with_the_old_caches():
    assert set(LEGACY_METRICS) <= set(SHARED_METRICS.shown)


def test_a_warehouse_without_timelines_has_no_history(tmp_path):
    with Warehouse(tmp_path / "w.duckdb").read() as reader:
        assert reading.history(reader, Scene(site())) is None
        assert reading.shares_machines(reader, "made") is False
