"""Utilization by resource, and by node type and day."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from usage_assets.reports.figures.utilization import node_types, utilization
from usage_assets.specs.plot_context import Scene
from usage_assets_tests.unit.reports.test_figures import DAY, JAN, START, drawn, named, site, usage


def cells(*rows: tuple, days: int = 31) -> pl.DataFrame:
    """Rows of (node type, occupied, on demand, reservable, total), each on all days."""
    return pl.DataFrame(
        [(START + DAY * day, name, "nodes", *values) for name, *values in rows for day in range(days)],
        schema={
            "timestamp": pl.Datetime("us"),
            "node_type": pl.String,
            "resource": pl.String,
            **dict.fromkeys(("occupied", "occupied_ondemand", "reservable", "total"), pl.Float64),
        },
        orient="row",
    )


def heat(figure: dict, kind: str) -> dict:
    (trace,) = [trace for trace in figure["data"] if trace["meta"] == kind]
    return dict(zip(trace["y"], trace["z"], strict=True))


def test_each_resource_has_a_panel_with_both_shares_and_their_means():
    frame = pl.concat([usage(), usage(resource="gpus").with_columns(pl.col("value") * 2)])
    figure = drawn(utilization(frame, Scene(site(), JAN), missing={}))
    assert set(named(figure, "utilization_nodes")[0]["y"]) == {0.6}
    assert set(named(figure, "committed_gpus")[0]["y"]) == {0.75}
    assert figure["layout"]["yaxis2"]["title"]["text"] == "GPUs"
    said = " ".join(note["text"] for note in figure["layout"]["annotations"])
    assert "mean 60.0%" in said
    assert "mean 75.0%" in said


def test_node_types_that_are_not_in_the_sums_are_named_with_the_resource_and_many_are_counted():
    frame = pl.concat([usage(), usage(resource="gpus"), usage(resource="memory_mb")])
    many = tuple(f"t{number}" for number in range(8))
    missing = {"nodes": ("lost",), "gpus": ("lost",), "memory_mb": many, "disk_gb": ("not drawn",)}
    layout = drawn(utilization(frame, Scene(site(), JAN), missing=missing))["layout"]
    assert layout["title"]["subtitle"]["text"].partition("; ")[2] == (
        "excludes node type 'lost' (node count and GPU count not known); "
        "excludes node types 't0', 't1', 't2', 't3', 't4' and 3 more (memory not known)"
    )
    whole = drawn(utilization(frame, Scene(site(), JAN), missing={}))
    assert "excludes" not in whole["layout"]["title"]["subtitle"]["text"]


def test_a_resource_that_the_site_lacks_has_no_panel():
    frame = pl.concat([usage(), usage(resource="gpus").with_columns(value=pl.lit(0.0))])
    assert "yaxis2" not in drawn(utilization(frame, Scene(site(), JAN), missing={}))["layout"]


def test_vcpus_with_overcommit_are_drawn_only_where_they_differ():
    same = pl.concat([usage(resource="vcpus"), usage(resource="vcpus_overcommit")])
    differing = pl.concat(
        [usage(resource="vcpus"), usage(resource="vcpus_overcommit").with_columns(pl.col("value") * 16)]
    )
    assert "yaxis2" not in utilization(same, Scene(site(), JAN), missing={})["layout"]
    assert "yaxis2" in utilization(differing, Scene(site(), JAN), missing={})["layout"]


@pytest.mark.parametrize("draw", [utilization, node_types])
def test_a_month_without_a_known_value_is_a_sentence_without_axes(draw):
    scene = Scene(site(), JAN)
    figure = drawn(draw(usage().head(0), scene, missing={}) if draw is utilization else draw(cells(), scene))
    assert figure["data"] == []
    assert not figure["layout"]["xaxis"]["visible"]
    assert "known for this time" in figure["layout"]["annotations"][0]["text"]


def test_a_node_type_is_a_row_with_its_machines_and_the_largest_stands_uppermost():
    figure = drawn(
        node_types(cells(("small", 1.0, 0.0, 2.0, 4.0), ("large", 5.0, 0.0, 10.0, 10.0)), Scene(site(), JAN))
    )
    assert list(heat(figure, "utilization")) == ["small (4)", "large (10)"]
    assert heat(figure, "utilization")["small (4)"] == [0.5] * 31


def test_utilization_is_of_total_where_something_ran_on_demand():
    figure = node_types(cells(("small", 1.0, 0.5, 2.0, 4.0)), Scene(site(), JAN))
    assert set(heat(figure, "utilization")["small (4)"]) == {0.25}


def test_unknown_and_absent_are_told_apart_and_neither_is_zero():
    lost = cells(("lost", None, 0.0, 3.0, 3.0), ("known", 0.0, 0.0, 3.0, 3.0))
    gone = cells(("gone", 0.0, 0.0, 3.0, 3.0)).with_columns(
        pl.when(pl.col("timestamp") < START + 10 * DAY).then(pl.col(name)).otherwise(0.0).alias(name)
        for name in ("reservable", "total")
    )
    figure = drawn(node_types(pl.concat([lost, gone]), Scene(site(), JAN)))
    assert heat(figure, "unknown")["lost (3)"] == [0] * 31
    assert heat(figure, "utilization")["lost (3)"] == [None] * 31
    assert heat(figure, "utilization")["known (3)"] == [0.0] * 31
    assert heat(figure, "absent")["gone (3)"] == [None] * 10 + [0] * 21
    assert heat(figure, "unknown")["gone (3)"] == [None] * 31
    (marks,) = [dict(zip(trace["y"], trace["text"], strict=True)) for trace in figure["data"] if "text" in trace]
    assert marks == {"lost (3)": ["?"] * 31, "known (3)": [""] * 31, "gone (3)": [""] * 31}


def test_the_running_month_has_no_cell_after_its_reading():
    scene = Scene(site(), JAN, START + timedelta(days=9, hours=6))
    figure = node_types(cells(("a", 1.0, 0.0, 2.0, 2.0), days=10), scene)
    assert len(heat(figure, "unknown")["a (2)"]) == 10
    assert {len(trace["x"]) for trace in figure["data"]} == {10}


def test_names_of_node_types_are_escaped():
    figure = node_types(cells(("<b>x</b>", 1.0, 0.0, 2.0, 2.0)), Scene(site(), JAN))
    assert list(heat(figure, "utilization")) == ["&lt;b&gt;x&lt;/b&gt; (2)"]


def test_twenty_seven_node_types_have_room_each():
    rows = [(f"type_{n}", 1.0, 0.0, 2.0, 2.0) for n in range(27)]
    layout = node_types(cells(*rows), Scene(site(), JAN))["layout"]
    assert layout["height"] > 27 * 20
    assert datetime.fromisoformat(layout["xaxis"]["range"][1]) == datetime(2026, 2, 1)
