"""A picture of ten years is drawn from means over what shares one of its columns; nothing else changes."""

from datetime import datetime, timedelta

import pytest

from usage_assets.reports.pictures import thinned
from usage_assets.specs.plot_context import Trace

START = datetime(2020, 1, 1)
DAY_MS = 86_400_000


def steps(values: list[float], *, start: datetime = START, **more: object) -> Trace:
    """A run of known values by days, as figures have it: the last one again at the end of its day."""
    return {"type": "scatter", "x0": f"{start:%Y-%m-%d}", "dx": DAY_MS, "y": [*values, values[-1]], **more}


def day(number: int) -> str:
    return f"{START + timedelta(days=number):%Y-%m-%d}"


def test_steps_that_share_a_column_become_their_mean_and_the_last_one_ends_where_the_run_did():
    figure = {"data": [steps([1.0, 3.0, 5.0, 5.0, 8.0], name="a", customdata=[0] * 6)], "layout": {"title": "t"}}
    assert thinned(figure, columns=3) == {
        "data": [{"type": "scatter", "name": "a", "x": [day(0), day(2), day(4), day(5)], "y": [2.0, 5.0, 8.0, 8.0]}],
        "layout": {"title": "t"},
    }


def test_runs_of_one_figure_are_made_coarser_alike_be_they_long_or_short():
    short = steps([4.0, 6.0, 7.0], start=START + timedelta(days=5))
    first, second = thinned({"data": [steps([1.0] * 4), short], "layout": {}}, columns=4)["data"]
    assert (first["x"], first["y"]) == ([day(0), day(2), day(4)], [1.0, 1.0, 1.0])
    assert (second["x"], second["y"]) == ([day(5), day(7), day(8)], [5.0, 7.0, 7.0])


@pytest.mark.parametrize(
    "trace",
    [
        pytest.param(steps([1.0, 2.0, 3.0]), id="as many steps as columns"),
        pytest.param({"type": "scatter", "x": [day(n) for n in range(9)], "y": [1.0] * 9}, id="no regular steps"),
        pytest.param(
            {"type": "heatmap", "x0": day(0), "dx": DAY_MS, "y": [f"gpu{n}" for n in range(9)], "z": [[1.0]] * 9},
            id="a heat map of many rows",
        ),
    ],
)
def test_what_a_picture_can_show_is_left_as_it_is(trace: Trace):
    figure = {"data": [trace], "layout": {}}
    assert thinned(figure, columns=3) is figure


def test_hours_are_kept():
    """The sum of value times width is that of the days."""
    values = [float(n * n % 7) for n in range(100)]
    (trace,) = thinned({"data": [steps(values)], "layout": {}}, columns=30)["data"]
    at = [datetime.fromisoformat(x) for x in trace["x"]]
    hours = sum(
        value * ((after - before) / timedelta(hours=1))
        for value, before, after in zip(trace["y"], at, at[1:], strict=False)
    )
    assert hours == pytest.approx(24 * sum(values))
