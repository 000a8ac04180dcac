"""Figures of lead time: every lease a point, zero and what is longer told apart, what is unknown said."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from usage_assets.facts.tables import LEASES
from usage_assets.reports import reading
from usage_assets.reports.figures import hours
from usage_assets.reports.figures.leadtime import leadtime, leadtime_compare, leadtime_projected
from usage_assets.reports.figures.leadtime_history import site_leadtime, site_leadtime_compare
from usage_assets.specs.plot_context import Scene
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.reports.test_figures import JAN, START, drawn, named, site

HOUR = timedelta(hours=1)


def lease(number: int, **more: object) -> dict[str, object]:
    usual = {
        "site": "made", "month": JAN, "lease_id": f"l{number}", "created_at": START + number * HOUR,
        "start_date": START + number * HOUR, "end_date": START + (number + 1) * HOUR, "status": "TERMINATED",
        "outcome": "started", "node_type": "compute_skylake", "nodes": 1, "requested": 2.0,
        "effective": 2.0, "basis": "event", "projected": 1.0, "is_censored": False, "projected_inexact": 0,
    }  # fmt: skip
    return dict.fromkeys(LEASES.names) | usual | more


def leases(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=LEASES.polars_schema)


def timeline(*rows: tuple[str, str, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [(START + n * HOUR, *row) for n, row in enumerate(rows)],
        schema=["timestamp", "leadtime_type", "node_type", "value"],
        orient="row",
    )


SCENE = Scene(site(), JAN)
NO_ROWS = leases()


def texts(figure: dict) -> list[str]:
    return [note["text"] for note in figure["layout"]["annotations"]]


def test_what_is_shorter_than_90_seconds_lies_on_zero_and_longer_visibly_above():
    assert hours.placed(89 / 3600) == 0
    assert hours.placed(91 / 3600) >= 0.5
    assert hours.placed(-2.0) == -hours.placed(2.0)
    found = pl.DataFrame({"h": [0.0, 0.01, 1.0, 24.0, -1.0]}).select(hours.place(pl.col("h")).alias("h"))["h"].to_list()
    assert found == pytest.approx([hours.placed(h) for h in (0.0, 0.01, 1.0, 24.0, -1.0)], abs=1e-3)
    assert found[2] < found[3]


def test_points_hold_the_hours_of_their_leases_by_node_type():
    rows = timeline(("requested", "a", 5.0), ("requested", "b", 0.0), ("effective", "a", 6.0))
    figure = drawn(leadtime(rows, SCENE))
    requested = {trace["name"]: trace["customdata"] for trace in named(figure, "requested")}
    assert requested == {"a": [5.0], "b": [0.0]}
    (effective,) = named(figure, "effective")
    assert (effective["customdata"], effective["yaxis"], effective["x"]) == ([6.0], "y2", ["2026-01-01 02:00"])
    assert [trace["showlegend"] for trace in figure["data"] if trace["name"] == "a"] == [True, False]


def test_of_many_node_types_the_frequent_ones_have_an_entry_and_the_rest_one_together():
    rows = timeline(*(("requested", f"type_{n:02}", 1.0) for n in range(27) for _ in range(40 - n)))
    names = [trace["name"] for trace in leadtime(rows, SCENE)["data"]]
    assert len(names) == 13
    assert names[0] == "type_00"
    assert names[-1] == "15 further types"
    markers = [(t["marker"]["color"], t["marker"]["symbol"]) for t in leadtime(rows, SCENE)["data"]]
    assert len(set(markers)) == 13


def test_leases_of_unknown_type_lie_below_the_others():
    rows = timeline(("requested", "a", 1.0), *[("requested", "unknown", 1.0)] * 5)
    assert [trace["name"] for trace in leadtime(rows, SCENE)["data"]] == ["unknown", "a"]


def test_a_comparison_shows_both_and_their_difference_and_says_what_became_of_the_others():
    rows = leases(
        lease(1, effective=2.5),
        lease(2, basis="schedule"),
        lease(3, outcome="rolled_back", effective=None, basis=None),
    )
    figure = drawn(leadtime_compare(rows, SCENE))
    assert [named(figure, name)[0]["customdata"] for name in ("requested", "effective")] == [[2.0, 2.0], [2.5, 2.0]]
    assert [trace["customdata"] for trace in named(figure, "later by")] == [[0.5], [0.0]]
    assert "3 leases: 2 started, 1 rolled back" in figure["layout"]["title"]["subtitle"]["text"]
    assert named(figure, "requested")[0]["text"] == ["l1", "l2"]


def test_projected_shows_the_chosen_delay_and_marks_what_lies_past_the_horizon():
    rows = leases(
        lease(1),
        lease(2, projected_inexact=3),
        lease(3, projected=None, is_censored=True),
        lease(4, projected=None, is_censored=None),
    )
    figure = drawn(leadtime_projected(rows, SCENE))
    assert named(figure, "projected")[0]["customdata"] == [1.0, 1.0]
    assert named(figure, "chosen delay")[0]["customdata"] == [1.0, 1.0]
    (censored,) = named(figure, "no such start within")
    assert censored["customdata"] == [24.0 * site().leadtime_horizon_days]
    assert "2 leases, 1 past the horizon of 90 days, 1 by bookings" in figure["layout"]["title"]["subtitle"]["text"]


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (leadtime_compare(NO_ROWS, SCENE), "No lease was asked for"),
        (leadtime_projected(NO_ROWS, SCENE), "No lease was asked for"),
        (
            leadtime_compare(leases(lease(1, outcome="pending", effective=None, basis=None)), SCENE),
            "No lease that was asked for in this time has begun",
        ),
        (
            leadtime_projected(leases(lease(1, projected=None, is_censored=None)), SCENE),
            "of a kind whose least wait can be projected",
        ),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(figure, said):
    assert said in texts(drawn(figure))[0]
    assert figure["data"] == []


def test_hostile_names_stay_text():
    rows = timeline(("requested", "<img src=x>", 1.0))
    assert leadtime(rows, SCENE)["data"][0]["name"] == "&lt;img src=x&gt;"
    compared = leadtime_compare(leases(lease(1, lease_id="<b>")), SCENE)
    assert compared["data"][0]["text"] == ["&lt;b&gt;"]


def history(tmp_path, rows: pl.DataFrame):
    warehouse = Warehouse(tmp_path / "w.duckdb")
    with warehouse.write("test") as writer:
        writer.ensure(LEASES)
        writer.put(LEASES, rows)
    with warehouse.read() as reader:
        return reading.leadtime_history(reader, Scene(site()))


def test_a_history_has_the_medians_of_each_group_by_months_or_by_quarters_where_leases_are_few(tmp_path):
    many = [lease(n, requested=float(n % 3)) for n in range(90)]
    few = [lease(600 + n, node_type="gpu_a100", requested=24.0) for n in range(6)]
    found = history(tmp_path, leases(*many, *few))
    assert found.groups == ("compute", "gpu")
    assert (found.leases, found.sample.height) == (96, 96)
    requested = found.periods.filter(pl.col("kind") == "requested")
    shown = {row["node_group"]: (row["months"], row["leases"], row["middle"]) for row in requested.rows(named=True)}
    assert shown == {"compute": (1, 90, 1.0), "gpu": (3, 6, 24.0), "began": (1, 96, 1.0)}
    figure = drawn(site_leadtime(found, Scene(site())))
    medians = [trace for trace in named(figure, "requested") if trace["name"] == "Requested, median"]
    assert [trace["customdata"] for trace in medians] == [[1.0], [24.0]]
    assert figure["layout"]["xaxis"]["range"][0] == "2026-01-01"


def test_kinds_of_machines_with_under_five_leases_have_no_panel_and_are_named(tmp_path):
    rows = [lease(n) for n in range(5)] + [lease(10 + n, node_type="gpu_a100") for n in range(4)]
    figure = drawn(site_leadtime(history(tmp_path, leases(*rows)), Scene(site())))
    assert "yaxis2" not in figure["layout"]
    assert "Left out, under 5 leases: gpu (4)" in [note["text"] for note in figure["layout"]["annotations"]]
    nothing = drawn(site_leadtime(history(tmp_path / "few", leases(*rows[5:])), Scene(site())))
    assert nothing["data"] == []
    assert "No kind of machine has 5 leases yet" in nothing["layout"]["annotations"][0]["text"]


def test_months_without_a_lease_are_a_hole(tmp_path):
    rows = [lease(n, month=month, lease_id=f"{month}{n}", created_at=datetime(month.year, month.month, 2))
            for month in (JAN, JAN.replace(month=3)) for n in range(70)]  # fmt: skip
    figure = drawn(site_leadtime_compare(history(tmp_path, leases(*rows)), Scene(site())))
    (median,) = [trace for trace in named(figure, "requested") if trace["name"] == "Requested, median"]
    assert median["customdata"] == [2.0, None, 2.0]
    bands = [trace for trace in named(figure, "requested") if trace.get("fill") == "toself"]
    assert len(bands) == 2


def test_a_site_without_leases_has_no_history(tmp_path):
    assert history(tmp_path, leases()) is None
