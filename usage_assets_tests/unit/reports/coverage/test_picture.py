"""The heat map of coverage: a row per site and stage, the worst status of each month, and why."""

import itertools
from datetime import date, datetime

import polars as pl

from usage_assets.reports import thumbnail
from usage_assets.reports.coverage.picture import COLOURS, coverage_map
from usage_assets.reports.tables import COVERAGE, STATUSES
from usage_assets_tests.unit.reports.test_figures import drawn

JAN, FEB = date(2020, 1, 1), date(2020, 2, 1)
NAMES = {"b": "Site <B>", "a": "A"}


def rows(*found: tuple[str, date, str, str, str | None]) -> pl.DataFrame:
    """Rows of coverage: site, month, stage and table, status, reason."""
    return pl.DataFrame(
        [
            {"site": site, "month": month, "asset": f"openstack/{asset}", "status": status, "reason": reason}
            | {"checks_failed": 0, "gap_hours": 0.0}
            for site, month, asset, status, reason in found
        ],
        schema=COVERAGE.polars_schema,
    )


MADE = rows(
    ("a", JAN, "raw/x", "ok", None),
    ("a", JAN, "raw/y", "missing", "never built"),
    ("a", JAN, "raw/z", "refused", "a <b>rule</b>"),
    ("a", FEB, "raw/x", "ok", None),
    ("a", JAN, "facts/total", "waits", "raw/y was never built"),
    ("b", FEB, "raw/x", "known_gap", "known gap of x"),
)


def test_a_cell_has_the_worst_status_of_its_stage_and_rows_stand_in_the_order_of_the_sites():
    figure = drawn(coverage_map(MADE, NAMES))
    (heat,) = [trace for trace in figure["data"] if trace["type"] == "heatmap"]
    assert figure["layout"]["yaxis"]["ticktext"] == ["A  facts", "A  raw", "Site &lt;B&gt;  raw"]
    names = list(STATUSES)
    said = [[None if code is None else names[code] for code in line] for line in heat["z"]]
    assert said == [["waits", None], ["missing", "ok"], [None, "known_gap"]]


def test_hovering_says_the_counts_and_the_worst_tables_with_their_reasons_escaped():
    (heat,) = [trace for trace in coverage_map(MADE, NAMES)["data"] if trace["type"] == "heatmap"]
    assert heat["text"][1][0] == (
        "<b>A</b> raw 2020-01: 1 missing, 1 refused, 1 ok<br>y: never built<br>z: a &lt;b&gt;rule&lt;/b&gt;"
    )
    assert heat["text"][1][1] == "<b>A</b> raw 2020-02: 1 ok"


def test_every_status_has_a_colour_of_its_own_that_grey_print_tells_apart_and_a_place_in_the_legend():
    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    assert list(COLOURS) == list(STATUSES)
    bad = [lightness(COLOURS[name]) for name in ("stale", "waits", "refused", "missing")]
    assert bad == sorted(bad, reverse=True)
    assert all(after < before - 20 for before, after in itertools.pairwise(bad))
    legend = [trace["name"] for trace in coverage_map(MADE, NAMES)["data"] if trace["type"] == "scatter"]
    assert legend == ["missing", "refused", "blocked", "stale", "known gap", "ok"]


def test_the_same_rows_give_the_same_figure_in_whatever_order_they_come():
    assert coverage_map(MADE, NAMES) == coverage_map(MADE.reverse(), NAMES)


def test_without_a_row_it_is_a_sentence():
    assert drawn(coverage_map(MADE.clear(), NAMES))["data"] == []


def test_four_sites_of_ten_years_have_a_thumbnail():
    months = pl.date_range(date(2016, 1, 1), date(2026, 10, 1), "1mo", eager=True)
    many = rows(
        *(
            (site, month, f"{stage}/x", "ok" if month.month > 2 else "stale", None if month.month > 2 else "old")
            for site in "abcd"
            for stage in ("raw", "facts", "timelines", "reports")
            for month in months
        )
    )
    figure = coverage_map(many, {site: site for site in "abcd"})
    assert thumbnail.fitting(figure)
    assert datetime.fromisoformat(figure["layout"]["xaxis"]["range"][1]) == datetime(2026, 11, 1)
