"""Figures of the legacy usage counter beside ours."""

from datetime import datetime
from typing import Any

import polars as pl
import pytest

from usage_assets.reports.figures.legacy import collector_difference, legacy_facet
from usage_assets.specs.plot_context import Scene
from usage_assets_tests.unit.reports.test_figures import DAY, JAN, START, drawn, named, site

SCENE = Scene(site(), JAN)


def both(**values: list[float | None]) -> pl.DataFrame:
    """Rows by `<collector>_<metric>`, a value per day."""
    rows = [
        (START + DAY * day, *name.split("_", 1), value)
        for name, of_days in values.items()
        for day, value in enumerate(of_days)
    ]
    schema: dict[str, Any] = {
        "timestamp": pl.Datetime("us"),
        "collector_type": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def differences(*rows: tuple[int, str, str, float | None]) -> pl.DataFrame:
    """Rows of (day, metric, cause, difference)."""
    return pl.DataFrame(
        [(START + DAY * day, metric, cause, difference, 0) for day, metric, cause, difference in rows],
        schema={"timestamp": pl.Datetime("us"), "metric": pl.String, "cause": pl.String, "difference": pl.Float64,
                "one_sided": pl.Int64},
        orient="row",
    )  # fmt: skip


def test_each_metric_of_the_old_caches_has_a_panel_with_both_collectors():
    frame = both(legacy_total=[5.0, 5.0], current_total=[6.0, 6.0], legacy_idle=[1.0, 2.0], current_active=[1.0, 1.0])
    figure = drawn(legacy_facet(frame, SCENE, missing={}))
    assert named(figure, "legacy_total")[0]["y"] == [5.0, 5.0, 5.0]
    assert named(figure, "current_total")[0]["y"] == [6.0, 6.0, 6.0]
    assert named(figure, "legacy_idle")[0]["yaxis"] == "y2"
    assert named(figure, "current_active") == []
    assert [trace["showlegend"] for trace in figure["data"]] == [True, True, False]


def test_a_day_that_one_of_them_does_not_know_is_a_hole():
    figure = legacy_facet(both(legacy_total=[5.0, None, 5.0], current_total=[5.0, 5.0, 5.0]), SCENE, missing={})
    assert [trace["x"] for trace in named(figure, "legacy_total")] == [
        ["2026-01-01", "2026-01-02"],
        ["2026-01-03", "2026-01-04"],
    ]


@pytest.mark.parametrize("scene", [SCENE, Scene(site())])
def test_node_types_that_are_not_in_the_sums_are_named_with_whose_sums_those_are(scene):
    frame = both(legacy_total=[5.0], current_total=[6.0])
    said = legacy_facet(frame, scene, missing={"legacy": ("old", "<x>")})["layout"]["title"]["subtitle"]["text"]
    assert said.endswith("; excludes node types 'old', '&lt;x&gt;' (node count of the legacy counter not known)")
    said = legacy_facet(frame, scene, missing={"legacy": ("a",), "current": ("a",)})["layout"]["title"]["subtitle"]
    assert said["text"].endswith("'a' (node count of the legacy counter and node count of usage_assets not known)")
    assert "excludes" not in legacy_facet(frame, scene, missing={})["layout"]["title"]["subtitle"]["text"]


def test_the_whole_history_spans_both():
    frame = pl.concat([both(legacy_total=[5.0]), both(current_total=[6.0] * 400)])
    layout = drawn(legacy_facet(frame, Scene(site()), missing={}))["layout"]
    assert layout["xaxis"]["range"] == ["2026-01-01", f"{START + 400 * DAY:%Y-%m-%d}"]
    assert "rangeselector" in layout["xaxis"]


def test_differences_are_bars_by_cause_and_what_is_unexplained_is_said():
    frame = differences(
        (0, "total", "unexplained", -24.0), (0, "total", "maintenance", 8.0), (1, "idle", "known gap", None)
    )
    figure = drawn(collector_difference(frame, SCENE))
    assert {trace["name"]: trace["y"] for trace in named(figure, "total")} == {
        "Maintenance": [8.0],
        "Unexplained": [-24.0],
    }
    assert "24 of 32 node-hours unexplained" in figure["layout"]["title"]["subtitle"]["text"]
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < -24
    assert high > 8


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (legacy_facet(both(current_total=[5.0]), SCENE, missing={}), "has no row for this time"),
        (legacy_facet(both(current_total=[5.0]), Scene(site()), missing={}), "has no row for this time"),
        (collector_difference(differences(), SCENE), "has no row for this time"),
        (collector_difference(differences((0, "total", "known gap", None)), SCENE), "known to both"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(figure, said):
    assert said in drawn(figure)["layout"]["annotations"][0]["text"]
    assert figure["data"] == []


def test_names_of_the_months_are_in_the_titles():
    title = legacy_facet(both(legacy_total=[1.0]), SCENE, missing={})["layout"]["title"]["text"]
    assert title.startswith("<b>Made</b>")
    assert title.endswith(f"{datetime(2026, 1, 1):%B %Y}")
