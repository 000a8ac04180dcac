"""All sites in one stack: used and available add up to what exists, and what is unknown is missing, not zero."""

import polars as pl

from usage_assets.kinds import kind_of
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.reports import reading
from usage_assets.reports.figures.cross_site import SitesHistory, cross_site_usage
from usage_assets.specs.plot_context import Scene
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.reports.test_figures import DAY, START, drawn, named, notes_below, site, usage

ONE = site(key="one", name="One", first_month="2026-01", annotations=[{"at": "2026-01-02", "text": "<new> racks"}])
TWO = site(key="two", name="Two", first_month="2026-01")
SITES = {"one": ONE, "two": TWO}
MACHINES = {key: kind_of(site).machines for key, site in SITES.items()}


def rows(**sites: list[tuple[float | None, float | None]]) -> pl.DataFrame:
    """A pair of total and occupied per day and site; sites named `edge_*` count devices."""
    return pl.DataFrame(
        [
            (key, START + DAY * day, "devices" if key.startswith("edge") else "nodes", *pair)
            for key, pairs in sites.items()
            for day, pair in enumerate(pairs)
        ],
        schema={"site": pl.String, "timestamp": pl.Datetime("us"), "resource": pl.String, "total": pl.Float64,
                "occupied": pl.Float64},
        orient="row",
    )  # fmt: skip


def figure(frame: pl.DataFrame, shared: frozenset[str] = frozenset(), **more: OpenStackSite) -> dict:
    sites = SITES | more
    machines = {key: kind_of(site).machines for key, site in sites.items()}
    return drawn(cross_site_usage(SitesHistory(frame, shared), Scene(ONE, sites=sites, machines_of=machines)))


def test_used_and_available_of_a_site_add_up_to_its_total():
    found = figure(rows(one=[(10.0, 4.0)] * 2, two=[(5.0, 5.0)] * 2))
    tops = {trace["name"]: trace["y"][0] for trace in found["data"] if "stackgroup" in trace}
    assert tops == {"One, used": 4.0, "One, available": 6.0, "Two, used": 5.0, "Two, available": 0.0}


def test_what_is_not_known_of_a_site_is_left_out_shaded_and_missing_in_its_row():
    found = figure(rows(one=[(10.0, 4.0), (10.0, None), (10.0, 4.0)], two=[(5.0, 5.0)] * 3))
    used = [(trace["x0"], trace["y"]) for trace in named(found, "one used")]
    assert used == [("2026-01-01", [4.0, 4.0]), ("2026-01-03", [4.0, 4.0])]
    known = [trace["x"] for trace in named(found, "known") if trace["name"] == "One"]
    assert known == [["2026-01-01", "2026-01-02"], ["2026-01-03", "2026-01-04"]]
    shaded = {(s["x0"], s["x1"]) for s in found["layout"]["shapes"] if s["type"] == "rect"}
    assert shaded == {("2026-01-02", "2026-01-03")}


def test_what_was_not_built_is_white_and_not_grey_as_what_is_not_known():
    frame = rows(one=[(10.0, 4.0), (10.0, None), (10.0, 4.0), (10.0, 4.0)], two=[(5.0, 5.0)] * 4)
    built = frame.filter((pl.col("site") == "two") | (pl.col("timestamp") != START + 2 * DAY))
    found = figure(built)
    shaded = {(s["x0"], s["x1"]) for s in found["layout"]["shapes"] if s["type"] == "rect"}
    assert shaded == {("2026-01-02", "2026-01-03")}  # the third day of site one has no row at all
    assert [trace["x"] for trace in named(found, "known") if trace["name"] == "One"][1] == ["2026-01-04", "2026-01-05"]
    assert "Grey: built, use not known. White: not built" in [note["text"] for note in found["layout"]["annotations"]]


def test_buttons_stand_below_the_axis_and_lines_pass_behind_remarks():
    layout = figure(rows(one=[(10.0, 4.0)] * 3))["layout"]
    assert layout["xaxis"]["rangeselector"]["y"] < 0
    assert layout["xaxis"]["rangeselector"]["yanchor"] == "top"
    (remark,) = [note for note in layout["annotations"] if "racks" in note["text"]]
    assert remark["bgcolor"].startswith("rgba(255,255,255")
    assert layout["yaxis"]["range"][1] > 10.0 * 1.03  # room for it above the stack
    assert "2026-01-01 to 2026-01-03 UTC" in layout["title"]["subtitle"]["text"]


def test_sites_that_share_machines_are_yellow_and_others_are_not():
    found = figure(rows(one=[(10.0, 4.0)], two=[(5.0, 5.0)]), frozenset({"two"}))
    colours = {trace["name"]: trace["fillcolor"] for trace in found["data"] if "stackgroup" in trace}
    assert colours["Two, used"] == "#C79A00"
    assert colours["One, used"] != colours["Two, used"]
    assert len(set(colours.values())) == 4


def test_edge_sites_count_devices_and_say_so():
    edge = site(key="edge_one", name="Edge")
    found = figure(rows(edge_one=[(3.0, 1.0)]), edge_one=edge)
    assert {trace["name"] for trace in found["data"] if "stackgroup" in trace} == {
        "Edge (devices), used",
        "Edge (devices), available",
    }


def test_remarks_of_all_sites_stand_there_with_their_names_escaped():
    found = figure(rows(one=[(10.0, 4.0)] * 3))
    assert next(note["text"] for note in found["layout"]["annotations"]) == "One: &lt;new&gt; racks"


def test_without_a_known_day_it_is_a_sentence():
    assert figure(rows(one=[(None, None)]))["data"] == []


def test_all_sites_are_read_by_days_and_only_those_that_are_asked_for(tmp_path):
    frame = usage().with_columns(
        pl.col("timestamp").dt.date().dt.month_start().alias("month"), pl.lit(None, pl.Float64).alias("hours")
    )
    warehouse = Warehouse(tmp_path / "w.duckdb")
    with warehouse.write("test") as writer:
        writer.ensure(USAGE)
        for key in ("one", "two", "gone"):
            writer.put(USAGE, frame.with_columns(site=pl.lit(key)).select(USAGE.names))
    with warehouse.read() as reader:
        found = reading.all_sites(reader, Scene(site(), machines_of=MACHINES))
    assert found is not None
    assert set(found.rows["site"]) == {"one", "two"}
    assert found.rows.select("total", "occupied").unique().rows() == [(10.0, 6.0)]
    assert found.rows.height == 2 * 31
    assert found.rows["complete"].all()
    assert found.missing == {}


def test_sums_of_all_sites_lack_what_is_not_known_and_name_it_by_site(tmp_path):
    frame = usage().with_columns(
        pl.col("timestamp").dt.date().dt.month_start().alias("month"), pl.lit(None, pl.Float64).alias("hours")
    )
    # a second node type, whose use is not known on the second day
    lost = frame.with_columns(
        node_type=pl.lit("lost"),
        value=pl.when((pl.col("metric") == "occupied") & (pl.col("timestamp") == START + DAY))
        .then(None)
        .otherwise(1.0),
    )
    warehouse = Warehouse(tmp_path / "w.duckdb")
    with warehouse.write("test") as writer:
        writer.ensure(USAGE)
        writer.put(USAGE, pl.concat([frame, lost]).with_columns(site=pl.lit("one")).select(USAGE.names))
        writer.put(USAGE, frame.with_columns(site=pl.lit("two")).select(USAGE.names))
    with warehouse.read() as reader:
        found = reading.all_sites(reader, Scene(site(), machines_of=MACHINES))
    assert found is not None
    days = found.rows.filter(pl.col("site") == "one").sort("timestamp").select("total", "occupied", "complete").rows()
    assert days[:3] == [(11.0, 7.0, True), (11.0, 6.0, False), (11.0, 7.0, True)]
    assert found.rows.filter(~pl.col("complete")).height == 1
    assert found.missing == {("one", "nodes"): ("lost",)}
    assert notes_below(drawn(cross_site_usage(found, Scene(ONE, sites=SITES, machines_of=MACHINES)))) == [
        "Grey: built, use not known. White: not built<br>Excludes node type 'lost' (node count of One not known)"
    ]


def test_two_sites_of_one_name_that_lack_different_node_types_are_both_said():
    missing = {("one", "nodes"): ("<a>",), ("two", "nodes"): ("b",), ("two", "devices"): ("never shown",)}
    history = SitesHistory(rows(one=[(10.0, 4.0)], two=[(5.0, 5.0)]), frozenset(), missing)
    twins = {"one": ONE, "two": site(key="two", name="One")}
    (said,) = notes_below(
        drawn(cross_site_usage(history, Scene(ONE, sites=twins, machines_of=dict.fromkeys(twins, MACHINES["one"]))))
    )
    assert said.split("<br>")[1:] == [
        "Excludes node type '&lt;a&gt;' (node count of One not known)",
        "Excludes node type 'b' (node count of One not known)",
    ]
