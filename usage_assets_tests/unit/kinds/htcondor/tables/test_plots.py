"""The figures of a pool show the rows that they are given, all of them, and text of others as text."""

from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
import polars as pl
import pytest

from usage_assets.kinds import HTCONDOR, OPENSTACK
from usage_assets.kinds.htcondor.facts.tables import GPU_RUNS
from usage_assets.kinds.htcondor.plots import reading
from usage_assets.kinds.htcondor.plots.classes import gpu_classes
from usage_assets.kinds.htcondor.plots.draining import gpu_draining_times
from usage_assets.kinds.htcondor.plots.heatmap import STATES, gpu_heatmap
from usage_assets.kinds.htcondor.plots.reading import CELLS, Days, HeatMap
from usage_assets.kinds.htcondor.plots.users import gpu_user_hours
from usage_assets.kinds.htcondor.plots.weekly import gpu_weekly
from usage_assets.kinds.htcondor.pool.classes import CLASSES
from usage_assets.kinds.htcondor.pool.metrics import BY_NAME, METRICS
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.reports import thumbnail
from usage_assets.reports.figures.cross_site import SitesHistory, cross_site_usage
from usage_assets.reports.figures.stack import usage_stack
from usage_assets.reports.figures.utilization import node_types
from usage_assets.reports.plots import plots_of
from usage_assets.specs.plot_context import Scene
from usage_assets.warehouse import Warehouse

MARCH = date(2026, 3, 1)
START = datetime(2026, 3, 1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SITE = HTCondorSite.model_validate(
    {"kind": "htcondor", "key": "pool", "name": "Pool", "snapshots": "x", "timezone": "America/Chicago"}
)
SCENE = Scene(SITE, MARCH, machines=HTCONDOR.machines, kind_metrics=METRICS)
EVIL = "<script>alert(1)</script>"


def drawn(figure: dict) -> dict:
    """The figure, once plotly has found nothing wrong in it and a thumbnail was made of it."""
    go.Figure(figure)
    thumbnail.fitting(figure)
    return figure


def usage(**metrics: float) -> pl.DataFrame:
    rows = [(START + DAY * day, name, "gpus", "A100", value) for name, value in metrics.items() for day in range(31)]
    schema: dict[str, Any] = {"timestamp": pl.Datetime("us"), "metric": pl.String, "resource": pl.String}
    schema |= {"node_type": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def said(figure: dict) -> str:
    return str(figure["layout"]) + str([{k: v for k, v in trace.items() if k != "z"} for trace in figure["data"]])


def test_a_pool_has_its_own_plots_and_none_of_leases_or_old_caches():
    names = {plot.name for plot in plots_of(HTCONDOR)}
    own = {"gpu_classes", "gpu_heatmap", "gpu_user_hours", "gpu_draining_times", "site_gpu_weekly"}
    assert names == own | {"usage_stack", "utilization", "node_types", "site_stack", "cross_site_usage"}
    assert own.isdisjoint(plot.name for plot in plots_of(OPENSTACK))
    tables = {table.name for table in HTCONDOR.tables}
    assert names.isdisjoint(tables)  # plots and tables are assets of one stage


def test_the_general_plots_count_gpus_of_a_pool():
    rows = usage(total=10, allocated_open=4, allocated_backfill_open=3, occupied=7)
    figure = drawn(usage_stack(rows, SCENE))
    areas = [(trace["meta"], trace["fillcolor"]) for trace in figure["data"] if "stackgroup" in trace]
    assert areas == [(name, BY_NAME[name].colour) for name in ("allocated_open", "allocated_backfill_open")]
    assert figure["layout"]["yaxis"]["title"]["text"] == "GPUs"
    shares = [trace for trace in figure["data"] if trace["meta"] == "share_utilization"]
    assert set(shares[0]["y"]) == {0.7}
    daily = rows.pivot(on="metric", index=["timestamp", "node_type", "resource"], values="value").with_columns(
        occupied_ondemand=pl.lit(None, pl.Float64), reservable=pl.lit(None, pl.Float64)
    )
    figure = drawn(node_types(daily, SCENE))
    assert figure["data"][-1]["y"] == ["A100 (10)"]
    assert {value for row in figure["data"][-1]["z"] for value in row} == {0.7}
    assert "number of GPUs" in figure["layout"]["title"]["subtitle"]["text"]


def test_a_pool_stands_among_all_sites_with_its_unit():
    rows = usage(total=10, occupied=7).pivot(on="metric", index=["timestamp", "resource"], values="value")
    history = SitesHistory(rows.with_columns(site=pl.lit("pool")), frozenset())
    figure = drawn(
        cross_site_usage(history, Scene(SITE, sites={"pool": SITE}, machines_of={"pool": HTCONDOR.machines}))
    )
    assert {"Pool (GPUs), used", "Pool (GPUs), available"} <= {trace["name"] for trace in figure["data"]}
    assert figure["layout"]["yaxis"]["title"]["text"] == "GPUs"


def test_each_class_that_offers_a_gpu_has_a_panel_with_its_means():
    rows = usage(available_open=8, allocated_open=6, available_backfill_open=2, allocated_backfill_open=1,
                 available_interactive=0, allocated_interactive=0)  # fmt: skip
    figure = drawn(gpu_classes(rows, SCENE))
    assert [key for key in figure["layout"] if key.startswith("yaxis")] == ["yaxis", "yaxis2"]
    remarks = [note["text"] for note in figure["layout"]["annotations"]]
    assert ["held 6.0" in remarks[0], "available 8.0" in remarks[0], "75% allocated" in remarks[0]] == [True] * 3
    held = [trace for trace in figure["data"] if trace["meta"] == "allocated_open"]
    assert [(set(trace["y"]), trace["fillcolor"]) for trace in held] == [({6.0}, BY_NAME["allocated_open"].colour)]
    assert "America/Chicago" in figure["layout"]["xaxis"]["title"]["text"]


def test_a_month_without_a_gpu_is_a_sentence():
    figures = [
        gpu_classes(usage(), SCENE),
        gpu_heatmap(HeatMap(heat().gpus.head(0), heat().cells.head(0), 1), SCENE),
        gpu_user_hours(users().head(0), SCENE),
        gpu_draining_times(closed().head(0), SCENE),
    ]
    assert [(figure["data"], len(figure["layout"]["annotations"])) for figure in figures] == [([], 1)] * 4


def heat(machine: str = "b", gpus: int = 2) -> HeatMap:
    rows = [(machine, f"GPU-{n}", "NVIDIA H200" if n else None) for n in range(gpus)]
    cells = [(machine, "GPU-0", 0, "open"), (machine, "GPU-0", 2, "drained"), (machine, "GPU-1", 1, "free")]
    return HeatMap(
        pl.DataFrame(rows, schema={"machine": pl.String, "gpu": pl.String, "device": pl.String}, orient="row"),
        pl.DataFrame(cells, schema=["machine", "gpu", "bin", "state"], orient="row"),
        3,
    )


def test_a_cell_of_the_heat_map_is_the_state_of_its_gpu_and_what_was_not_seen_is_empty():
    figure = drawn(gpu_heatmap(heat(), SCENE))
    grid = dict(zip(figure["data"][0]["y"], figure["data"][0]["z"], strict=True))
    names = list(STATES)
    assert {key: row[:3] for key, row in grid.items()} == {
        "b GPU-0": [names.index("open"), None, names.index("drained")],
        "b GPU-1": [None, names.index("free"), None],
    }
    assert {len(row) for row in grid.values()} == {31 * 8}
    assert sorted(figure["layout"]["yaxis"]["ticktext"]) == ["H200 (1)", "Unknown (1)"]
    scale = figure["data"][0]["colorscale"]
    at = (names.index("drained") + 0.5) / len(names)
    assert {colour for (low, colour), (high, _) in pairwise(scale) if low < at < high} == {BY_NAME["drained"].colour}
    assert {trace["name"] for trace in figure["data"][1:]} == {"Open capacity", "Free", "Drained"}


def runs(*rows: tuple[object, ...]) -> pl.DataFrame:
    names = ["machine", "gpu", "start_at", "end_at", "primary_state", "primary_class", "primary_user",
             "backfill_state", "backfill_class", "backfill_user", "is_drained", "masked"]  # fmt: skip
    made = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None).with_columns(
        site=pl.lit("pool"), month=pl.lit(MARCH), polls=pl.lit(1), is_refusing=pl.lit(value=False),
        device=pl.lit("NVIDIA H200"),
    )  # fmt: skip
    missing = [pl.lit(None).alias(name) for name in GPU_RUNS.names if name not in made.columns]
    return made.with_columns(missing).select(GPU_RUNS.names).cast(dict(GPU_RUNS.polars_schema))  # type: ignore[arg-type]


def test_the_heat_map_is_read_as_the_state_that_lasts_longest(tmp_path):
    free, claimed = ("idle", "open", None, None, None, None), ("claimed", "open", "u", None, None, None)
    backfilled = ("idle", "open", None, "claimed", "backfill_open", "v")
    made = runs(
        ("a", "0", START, START + 10 * timedelta(minutes=1), *free, False, None),
        ("a", "0", START + 10 * timedelta(minutes=1), START + 2 * HOUR, *claimed, False, None),
        ("a", "0", START + 3 * HOUR, START + 4 * HOUR, *backfilled, False, None),
        ("a", "0", START + 4 * HOUR, START + 5 * HOUR, *free, True, None),
        ("m", "0", START, START + 5 * HOUR, *free, False, "away"),
    )
    warehouse = Warehouse(tmp_path / "w.duckdb")
    with warehouse.write("test") as writer:
        writer.replace(GPU_RUNS, made, site="pool", months=[MARCH], asset="htcondor/facts/gpu_runs", run_id="1")
    with warehouse.read() as reader:
        found = reading.heatmap(reader, SCENE)
        stretches = reading.closed_hosts(reader, SCENE)
    assert found.hours == 1
    assert found.gpus.rows() == [("a", "0", "NVIDIA H200")]
    assert [(row[2], row[3]) for row in found.cells.rows()] == [
        (0, "open"), (1, "open"), (3, "backfill_open"), (4, "drained"),
    ]  # fmt: skip
    assert stretches.select("machine", "state").rows() == [("a", "drained")]
    assert CELLS >= 31 * 24 * 50


def users() -> pl.DataFrame:
    rows = [(f"user{n:02}", "open", 100.0 - n, 100.0 - n, 1.0) for n in range(30)]
    rows += [("user00", "backfill_open", 5.0, 5.0, 1.0), ("user00", "total", 105.0, 105.0, 1.0)]
    names = ["user", "class", "gpu_hours_observed", "gpu_hours_estimated", "coverage"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_hours_of_users_add_up_with_those_of_all_others():
    figure = drawn(gpu_user_hours(users(), SCENE))
    labels = figure["data"][0]["y"]
    assert labels[0] == "user00"
    assert (len(labels), labels[-1]) == (26, "5 others")
    total = sum(sum(trace["x"]) for trace in figure["data"])
    assert total == pytest.approx(sum(100.0 - n for n in range(30)) + 5)
    assert [trace["meta"] for trace in figure["data"]] == ["open", "backfill_open"]
    assert "30 users; 100.0% of the time was seen" in figure["layout"]["title"]["subtitle"]["text"]


def closed() -> pl.DataFrame:
    rows = [
        ("a", "0", START, START + 4 * HOUR, "drained", None),
        ("a", "1", START + 2 * HOUR, START + 6 * HOUR, "drained", None),
        ("a", "0", START + 9 * HOUR, START + 10 * HOUR, "drained", None),
        ("b", "0", START, START + HOUR, "refusing", "disk <full>"),
    ]
    schema: dict[str, Any] = {"machine": pl.String, "gpu": pl.String}
    schema |= {"start_at": pl.Datetime("us"), "end_at": pl.Datetime("us"), "state": pl.String, "reason": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_gpus_of_a_machine_that_drain_together_are_one_bar():
    figure = drawn(gpu_draining_times(closed(), SCENE))
    drained, refusing = figure["data"]
    assert (drained["x"].count(None), refusing["x"].count(None)) == (2, 1)
    assert (drained["x"][0], drained["x"][2]) == ("2026-03-01", "2026-03-01 06:00:00")
    assert "2 GPUs" in drained["text"][0]
    assert "disk &lt;full&gt;" in refusing["text"][0]
    assert "drained 9 GPU-hours, prevented 1 GPU-hours" in figure["layout"]["title"]["subtitle"]["text"]


def test_weeks_are_those_of_the_pools_clocks_and_the_estimate_fills_what_was_not_seen():
    monday = datetime(2026, 1, 5)
    rows = [
        (monday + DAY * n + 6 * HOUR, monday + DAY * n, name, 24.0, 24.0 * (1 + n // 7) * observed, observed)
        for n in range(35)
        for observed in (0.5 if 7 <= n < 14 and n % 2 else 1.0,)
        for name in ("open", "total")
    ]
    names = ["bucket_at", "local_at", "class", "hours", "gpu_hours_observed", "day_coverage"]
    found = Days(pl.DataFrame(rows, schema=names, orient="row"), monday, monday + DAY * 35)
    figure = drawn(gpu_weekly(found, Scene(SITE)))
    by_name = {trace["meta"]: trace for trace in figure["data"]}
    assert by_name["open"]["y"] == pytest.approx([168, 336 - 4 * 24, 504, 672, 840])
    assert by_name["estimated"]["y"] == pytest.approx([168, 336, 504, 672, 840])
    assert by_name["trend"]["name"] == "Trend: +168 GPU-hours a week"
    assert by_name["open"]["marker"]["opacity"] == [1.0, 0.45, 1.0, 1.0, 1.0]


def test_text_of_others_is_never_markup():
    users_evil = users().with_columns(user=pl.when(pl.col("user") == "user00").then(pl.lit(EVIL)).otherwise("user"))
    closed_evil = closed().with_columns(machine=pl.lit(EVIL), reason=pl.lit(EVIL))
    evil = [
        gpu_user_hours(users_evil, SCENE),
        gpu_heatmap(heat(EVIL), SCENE),
        gpu_draining_times(closed_evil, SCENE),
    ]
    for figure in evil:
        assert "<script" not in said(drawn(figure))
        assert "&lt;script" in said(figure)


def test_every_class_has_a_colour_in_every_plot():
    assert set(CLASSES) < set(STATES)
    assert len({colour for _, colour in STATES.values()}) == len(STATES)
