"""A figure shows the rows of the usage timeline, all of them, and nothing else."""

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import plotly.graph_objects as go
import polars as pl
import pytest

from usage_assets.kinds import kind_metrics
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.reports.figures.stack import site_stack, usage_stack
from usage_assets.reports.frame import INK, Label, Panel, layout
from usage_assets.specs.plot_context import Scene
from usage_assets.timelines.metrics import metrics_with

JAN = date(2026, 1, 1)
METRICS = metrics_with(kind_metrics())
START, END = datetime(2026, 1, 1), datetime(2026, 2, 1)
DAY = timedelta(days=1)
VALUES = {
    "total": 10.0,
    "reservable": 8.0,
    "committed": 6.0,
    "occupied_reservation": 5.0,
    "occupied_ondemand": 1.0,
    "occupied": 6.0,
    "idle": 1.0,
    "available_reservable": 2.0,
    "available_ondemand": 1.0,
    "utilization": 0.6,
}


def site(**more: object) -> OpenStackSite:
    return OpenStackSite.model_validate(
        {"key": "made", "kind": "openstack", "name": "Made", "databases": {"nova": "sqlite://"}} | more
    )


def usage(
    days: int = 31, start: datetime = START, *, resource: str = "nodes", **change: Sequence[float | None]
) -> pl.DataFrame:
    """A row per day and metric: the constants of VALUES, or what `change` says by day."""
    rows = [
        (
            "made",
            start + DAY * day,
            "current",
            "large",
            metric,
            resource,
            change[metric][day] if metric in change else value,
        )
        for metric, value in VALUES.items()
        for day in range(days)
    ]
    names = ["site", "timestamp", "collector_type", "node_type", "metric", "resource", "value"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col("timestamp").cast(pl.Datetime("us")))


def stack(frame: pl.DataFrame, of: OpenStackSite | None = None, extracted_at: datetime | None = None) -> dict:
    one = of or site()
    return drawn(usage_stack(frame, Scene(one, JAN, extracted_at, utilization_of=one.utilization_of)))


def drawn(figure: dict) -> dict:
    """The figure, once plotly has found nothing wrong in it."""
    go.Figure(figure)
    return figure


def named(figure: dict, metric: str) -> list[dict]:
    return [trace for trace in figure["data"] if trace.get("meta") == metric]


def gaps(figure: dict) -> list[tuple[str, str, str]]:
    return [(s["x0"], s["x1"], s["yref"]) for s in figure["layout"]["shapes"] if s.get("name") == "known_gap"]


def test_a_trace_holds_the_values_of_the_frame_and_repeats_the_last_at_the_end_of_its_bucket():
    committed = [float(day) for day in range(31)]
    (line,) = named(stack(usage(committed=committed)), "committed")
    assert list(line["y"]) == [*committed, 30.0]
    assert list(line["x"]) == [f"{START + DAY * day:%Y-%m-%d}" for day in range(32)]
    assert line["line"]["shape"] == "hv"


def test_node_types_add_up_to_the_site():
    small = usage().with_columns(node_type=pl.lit("small"), value=pl.col("value") * 2)
    (line,) = named(stack(pl.concat([usage(), small])), "total")
    assert set(line["y"]) == {30.0}


def test_the_stack_is_in_the_order_of_the_registry_and_in_its_colours():
    areas = [trace for trace in stack(usage())["data"] if "stackgroup" in trace]
    assert [trace["meta"] for trace in areas] == [name for name in METRICS.stacked if name in VALUES]
    assert [trace["fillcolor"] for trace in areas] == [METRICS.by_name[trace["meta"]].colour for trace in areas]
    assert [trace["name"] for trace in areas] == [METRICS.by_name[trace["meta"]].label for trace in areas]


def test_stacked_metrics_make_up_the_capacities():
    tops = {"committed": 2, "reservable": 3, "total": 7}
    for capacity, parts in tops.items():
        assert sum(VALUES.get(name, 0) for name in METRICS.stacked[:parts]) == VALUES[capacity]


def test_a_metric_that_the_site_lacks_has_no_trace():
    figure = stack(usage().filter(~pl.col("metric").is_in(["reservable", "occupied_ondemand"])))
    drawn = {trace["meta"] for trace in figure["data"]}
    assert drawn == {"occupied_reservation", "idle", "available_reservable", "available_ondemand"} | {
        "total",
        "committed",
        "share_utilization",
    }


def test_unknown_values_are_a_hole_and_never_zero():
    holed: list[float | None] = [5.0] * 10 + [None] * 5 + [4.0] * 16
    figure = stack(usage(occupied_reservation=holed))
    before, after = named(figure, "occupied_reservation")
    assert (before["x"][0], before["x"][-1]) == ("2026-01-01", "2026-01-11")
    assert (after["x"][0], after["x"][-1]) == ("2026-01-16", "2026-02-01")
    assert before["stackgroup"] != after["stackgroup"]
    assert 0.0 not in [*before["y"], *after["y"]]


def test_metrics_that_stay_known_are_drawn_through_the_hole_of_another():
    figure = stack(usage(occupied_reservation=[None] * 10 + [5.0] * 21))
    first, second = named(figure, "idle")
    assert (first["x"][0], first["x"][-1], second["x"][0], second["x"][-1]) == (
        "2026-01-01",
        "2026-01-11",
        "2026-01-11",
        "2026-02-01",
    )
    assert [trace["showlegend"] for trace in (first, second)] == [True, False]


def test_a_negative_value_takes_no_room_in_the_stack_and_is_said_on_hovering():
    figure = stack(usage(available_ondemand=[-2.0] * 31))
    (area,) = named(figure, "available_ondemand")
    assert set(area["y"]) == {0.0}
    assert set(area["customdata"]) == {-2.0}


def test_what_is_not_known_in_two_resources_is_said_once():
    offered = usage(resource="vcpus_overcommit")
    other = pl.concat([usage(), offered]).with_columns(node_type=pl.lit("lost"), value=pl.lit(None, pl.Float64))
    figure = drawn(usage_stack(pl.concat([usage(), offered, other]), Scene(site(), JAN, shares_machines=True)))
    said = figure["layout"]["title"]["subtitle"]["text"]
    assert said.endswith("; excludes node type 'lost' (vCPUs and node count not known)")


def test_buckets_that_were_never_built_are_a_hole():
    figure = stack(usage().filter(pl.col("timestamp").dt.day() != 7))
    assert [(line["x"][0], line["x"][-1]) for line in named(figure, "total")] == [
        ("2026-01-01", "2026-01-07"),
        ("2026-01-08", "2026-02-01"),
    ]


def test_known_gaps_are_shaded_exactly_where_the_sites_file_says():
    known = [
        {"source": "nova_compute_nodes", "from": "2026-01-05", "to": "2026-01-08"},
        {"source": "blazar_computehosts", "to": "2026-01-03"},
        {"source": "nova_instances", "to": "2026-01-01"},
    ]
    assert gaps(stack(usage(), site(known_gaps=known))) == [
        ("2026-01-01", "2026-01-03", "y domain"),
        ("2026-01-01", "2026-01-03", "y2 domain"),
        ("2026-01-05", "2026-01-08", "y domain"),
        ("2026-01-05", "2026-01-08", "y2 domain"),
    ]


def test_a_gap_says_whose_it_is():
    figure = stack(usage(), site(known_gaps=[{"source": "blazar_computehosts", "to": "2026-01-03"}]))
    assert [note["text"] for note in figure["layout"]["annotations"]] == [
        "no blazar_computehosts history until 2026-01-03"
    ]


def test_remarks_stand_at_their_date_and_only_within_the_window():
    notes = [{"at": "2026-01-10", "text": "new racks"}, {"at": "2026-02-01", "text": "later"}]
    layout = stack(usage(), site(annotations=notes))["layout"]
    assert [(note["text"], note["x"]) for note in layout["annotations"]] == [("new racks", "2026-01-10")]


def test_labels_that_would_overlap_stand_in_rows_of_their_own():
    notes = [{"at": "2026-01-10", "text": "a remark of some length"}, {"at": "2026-01-11", "text": "another"}]
    first, second = stack(usage(), site(annotations=notes))["layout"]["annotations"]
    assert first["yshift"] > second["yshift"]


def test_the_running_month_ends_at_the_extraction():
    figure = stack(usage(days=10), extracted_at=datetime(2026, 1, 10, 9))
    (line,) = named(figure, "total")
    assert line["x"][-2:] == ["2026-01-10", "2026-01-10 09:00:00"]
    assert list(figure["layout"]["xaxis"]["range"]) == ["2026-01-01", "2026-02-01"]
    assert "read 2026-01-10 09:00 UTC" in figure["layout"]["title"]["subtitle"]["text"]


@pytest.mark.parametrize(
    ("ondemand", "fixed", "expected"), [(1.0, None, 6 / 10), (0.0, None, 6 / 8), (1.0, "reservable", 6 / 8)]
)
def test_utilization_is_of_reservable_where_nothing_ran_on_demand_and_of_total_else(ondemand, fixed, expected):
    figure = stack(usage(occupied_ondemand=[ondemand] * 31), site(utilization_of=fixed))
    (line,) = named(figure, "share_utilization")
    assert set(line["y"]) == {expected}
    assert line["yaxis"] == "y2"


def test_a_share_of_nothing_is_unknown():
    assert named(stack(usage(reservable=[0.0] * 31)), "share_committed") == []


def test_a_site_without_machines_is_shown_in_devices():
    figure = stack(usage(resource="devices"))
    assert figure["layout"]["yaxis"]["title"]["text"] == "Devices"
    assert named(figure, "total")


@pytest.mark.parametrize(("shared", "expected"), [(True, 640.0), (False, 10.0)])
def test_a_site_whose_servers_share_machines_is_shown_in_vcpus_as_the_scheduler_counts_them(shared, expected):
    offered = usage(resource="vcpus_overcommit").with_columns(value=pl.col("value") * 64)
    frame = pl.concat([usage(), offered])
    figure = drawn(usage_stack(frame, Scene(site(), JAN, shares_machines=shared)))
    assert set(named(figure, "total")[0]["y"]) == {expected}


def test_node_types_of_unknown_size_are_left_out_and_named():
    other = usage().with_columns(node_type=pl.lit("lost"), value=pl.lit(None, pl.Float64))
    figure = stack(pl.concat([usage(), other]))
    assert set(named(figure, "total")[0]["y"]) == {10.0}
    assert "excludes node type 'lost' (node count not known)" in figure["layout"]["title"]["subtitle"]["text"]


def notes_below(figure: dict) -> list[str]:
    return [note["text"] for note in figure["layout"]["annotations"] if note.get("yanchor") == "top" and note["y"] == 0]


def test_why_areas_rise_above_total_is_said_below_and_only_where_they_do():
    assert notes_below(stack(usage())) == []
    (overcommitted,) = notes_below(stack(usage(occupied_ondemand=[5.0] * 31, available_ondemand=[-3.0] * 31)))
    assert overcommitted.startswith("Nodes stack above total: on overcommitted machines")
    unknown = usage().filter(metric="idle").with_columns(metric=pl.lit("occupied_unknown"))
    (unbooked,) = notes_below(stack(pl.concat([usage(), unknown])))
    assert unbooked.startswith("Nodes stack above total: machines in use whose booking is unknown")
    slightly = unknown.with_columns(value=pl.lit(0.05))
    assert notes_below(stack(pl.concat([usage(), slightly]))) == []


def test_text_of_a_sites_file_is_escaped():
    hostile = site(
        name="<script>alert(1)</script>",
        annotations=[{"at": "2026-01-10", "text": "<a href='x'>y</a>"}],
        known_gaps=[{"source": "nova_instances", "to": "2026-01-05"}],
    )
    layout = stack(usage(), hostile)["layout"]
    shown = [
        layout["title"]["text"].removeprefix("<b>").replace("</b>  ", ""),
        *(n["text"] for n in layout["annotations"]),
    ]
    assert not any("<" in text for text in shown)
    assert "&lt;script&gt;" in layout["title"]["text"]


def test_the_title_names_site_and_window_and_the_axis_says_utc():
    layout = stack(usage())["layout"]
    assert layout["title"]["text"] == "<b>Made</b>  Nodes in use, January 2026"
    assert layout["title"]["subtitle"]["text"] == "2026-01-01 to 2026-01-31 UTC, means per day"
    assert layout["xaxis"]["title"]["text"] == "Time (UTC)"


def test_a_month_without_a_known_value_says_so():
    figure = stack(usage().head(0))
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["No value is known for this time"]


def test_the_history_is_a_regular_grid_of_days_with_holes_where_months_were_not_built():
    frame = pl.concat([usage(days=31), usage(days=31, start=datetime(2026, 3, 1))])
    first, second = named(drawn(site_stack(frame, Scene(site()), missing={})), "total")
    assert (first["x0"], first["dx"], len(first["y"])) == ("2026-01-01", 86_400_000, 32)
    assert (second["x0"], len(second["y"])) == ("2026-03-01", 32)


def test_ten_years_of_history_are_at_most_two_megabytes():
    frame = usage(days=3653, start=datetime(2016, 1, 1)).with_columns(
        value=pl.col("value") + (pl.col("timestamp").dt.ordinal_day() / 7).sin() / 3
    )
    assert len(json.dumps(site_stack(frame, Scene(site()), missing={}))) < 2_000_000


def test_an_empty_history_is_a_figure_too():
    figure = drawn(site_stack(usage().head(0), Scene(site()), missing={}))
    assert figure["layout"]["title"]["subtitle"]["text"] == "nothing built yet"


def test_metrics_have_colours_of_their_own_where_they_meet_in_a_plot():
    drawn = [metric for metric in METRICS.by_name.values() if metric.name in METRICS.stacked]
    of_pools = [metric for metric in drawn if metric.name.startswith("allocated_")]
    for group in (of_pools, [metric for metric in drawn if metric not in of_pools]):  # no site has both
        assert len({metric.colour for metric in group}) == len(group) > 0


@pytest.mark.parametrize(("left_px", "rows"), [(72, 1), (320, 2)])
def test_labels_have_less_room_where_names_stand_left_of_the_panels(left_px: int, rows: int):
    remarks = [Label(START + DAY * day, START + DAY * day, "x" * 25, INK) for day in (20, 45)]
    panels = [Panel("Nodes", (0.0, 1.0))]
    made = layout("t", "s", panels, (START, START + DAY * 100), labels=remarks, left_px=left_px)
    assert len({note["yshift"] for note in made["annotations"]}) == rows
