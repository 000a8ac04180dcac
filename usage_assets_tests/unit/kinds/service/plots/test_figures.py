"""The figures of a service show the rows that they are given, all of them, and text of others as text."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import plotly.graph_objects as go
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.plots import days, history, hours, latency, load, parts, reading, spending
from usage_assets.kinds.service.plots.declare import PLOTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.kinds.service.tables.declarations import SERVICE_USER_DAILY, SERVICE_USER_MONTHLY
from usage_assets.reports import thumbnail
from usage_assets.reports.render import page
from usage_assets.schema import Table, Type
from usage_assets.specs.plot_context import Figure, Scene
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Reader

MARCH = date(2026, 3, 1)
START = datetime(2026, 3, 1)
SITE = ServiceSite.model_validate(
    {
        "kind": "service",
        "key": "llm",
        "name": "LLM",
        "sources": [{"reader": "records", "path": "/srv", "pattern": "*.jsonl"}],
        "reporting_tz": "America/Chicago",
        "currency": "EUR",
        "resolution": "1h",
    }
)
SCENE = Scene(SITE, MARCH)
EVIL = "<script>alert(1)</script>"
SPENDING: dict[str, Any] = {
    "scope_type": pl.String, "scope_id": pl.String, "window": pl.String, "as_of": pl.Datetime("us"),
    "period": pl.String, "spent": pl.Decimal(38, 12), "remaining": pl.Decimal(38, 12), "percent": pl.Float64,
    "burn_per_day": pl.Decimal(38, 12), "projected_crossing_date": pl.Date, "unrated_requests": pl.Int64,
}  # fmt: skip
_PLAIN: dict[Type, object] = {
    Type.TEXT: "x", Type.INT: 0, Type.FLOAT: 0.0, Type.BOOL: False, Type.DATE: MARCH, Type.INSTANT: START,
    Type.MONEY: Decimal(0),
}  # fmt: skip


def warehouse(rows: Mapping[Table, list[dict[str, Any]]]) -> Reader:
    """Tables with these rows; columns that are not said are null, or something of their type where they may not be."""
    con = duckdb.connect()
    for table in (SERVICE_REQUESTS, SERVICE_USER_DAILY, SERVICE_USER_MONTHLY, USAGE):
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {table.stage}")
        con.execute(table.ddl)
        plain = {column.name: None if column.nullable else _PLAIN[column.type] for column in table.columns}
        made = [{**plain, "site": "llm", "month": MARCH, **row} for row in rows.get(table, [])]
        con.register("made", pl.DataFrame(made, schema=table.polars_schema, orient="row").to_arrow())
        con.execute(f"INSERT INTO {table.qualified} BY NAME SELECT * FROM made")
    return Reader(con)


def drawn(figure: Figure) -> Figure:
    """The figure, once plotly has found nothing wrong in it, and a thumbnail and a page were made of it."""
    go.Figure(figure)
    thumbnail.fitting(figure)
    page(figure, "llm/2026-03/x")
    return figure


def use(model: str, day: int, **columns: Any) -> dict[str, Any]:
    return {"model_id": model, "user_id": f"u-{model}", "date": date(2026, 3, day)} | columns


def request(number: int, **columns: Any) -> dict[str, Any]:
    plain = {"final_state": "succeeded", "requests": 1, "model_id": "m", "submitted_at": START, "lead_s": 0.0}
    return plain | {"request_id": f"r{number}"} | columns


def bars(figure: Figure, panel: str) -> dict[str, dict[str, float]]:
    """Name -> day -> value of the bars of a panel."""
    return {
        trace["name"]: dict(zip((at[:10] for at in trace["x"]), trace["y"], strict=True))
        for trace in figure["data"]
        if trace["type"] == "bar" and trace["yaxis"] == panel
    }


def subtitle(figure: Figure) -> str:
    return figure["layout"]["title"]["subtitle"]["text"]


def test_ten_models_stand_by_themselves_and_all_others_are_one_series():
    rows = [use(f"m{n:02}", 1 + n % 2, requests=n, cost=Decimal(n)) for n in range(1, 13)]
    found = reading.models(warehouse({SERVICE_USER_DAILY: rows}), SCENE)
    figure = drawn(days.service_models(found, SCENE))
    cost, requests = bars(figure, "y"), bars(figure, "y2")
    assert list(cost) == [f"m{n:02}" for n in range(12, 2, -1)] + ["2 others"]
    assert cost["m12"] == {"2026-03-01": 12.0}
    assert cost["2 others"] == requests["2 others"] == {"2026-03-01": 2.0, "2026-03-02": 1.0}
    assert "10 models of 12" in str(figure["layout"]["annotations"])
    assert subtitle(figure).endswith("78.00 EUR, 78 requests")


def test_the_largest_share_of_cost_counts_as_much_as_that_of_requests():
    rows = [use("dear", 1, requests=1, cost=Decimal(9)), use("busy", 1, requests=100, cost=Decimal(1))]
    found = reading.models(warehouse({SERVICE_USER_DAILY: rows}), SCENE)
    # shares: 0.9 + 1 / 101 against 0.1 + 100 / 101
    assert found["name"].to_list() == ["busy", "dear"]


def test_unknown_costs_are_told_and_not_drawn_as_zero():
    rows = [use("m", 1, requests=3, cost_unrated_requests=2)]
    figure = drawn(days.service_models(reading.models(warehouse({SERVICE_USER_DAILY: rows}), SCENE), SCENE))
    assert "2 of them without a known cost" in subtitle(figure)
    assert figure["layout"]["yaxis"]["title"]["text"] == "Requests"
    assert bars(figure, "y") == {"m": {"2026-03-01": 3.0}}


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 31), st.integers(0, 9), st.integers(0, 9)),
        min_size=1, max_size=60, unique_by=lambda row: row[:2],
    )
)  # fmt: skip
def test_bars_add_up_to_the_table_whatever_is_shown_apart(rows: list[tuple[int, int, int, int]]):
    made = [use(f"m{model}", day, requests=n, cost=Decimal(c)) for model, day, n, c in rows]
    reader = warehouse({SERVICE_USER_DAILY: made})
    figures = (
        days.service_models(reading.models(reader, SCENE), SCENE),
        days.service_users(reading.users(reader, SCENE), SCENE),
    )
    requests, cost = sum(row[2] for row in rows), sum(row[3] for row in rows)
    for figure in figures:
        of_requests, of_cost = ("y2", "y") if cost else ("y", "y2")
        if requests:
            assert sum(sum(one.values()) for one in bars(figure, of_requests).values()) == requests
            assert sum(sum(one.values()) for one in bars(figure, of_cost).values()) == cost
        else:
            assert figure["data"] == []


def test_the_cached_part_of_tokens_is_not_counted_twice_nor_above_the_input():
    rows = [
        use("a", 1, input_tokens=100, cached_tokens=30, output_tokens=5),
        use("b", 1, input_tokens=10, cached_tokens=20),
    ]
    figure = drawn(days.service_tokens(reading.tokens(warehouse({SERVICE_USER_DAILY: rows}), SCENE), SCENE))
    assert [(trace["meta"], trace["y"]) for trace in figure["data"]] == [
        ("input", [70.0]), ("cached", [40.0]), ("output", [5.0]),
    ]  # fmt: skip
    assert "36.4% of the input came from a cache" in subtitle(figure)


def test_models_in_progress_are_added_up_and_stand_against_the_capacity():
    def at(hour: int, metric: str, node_type: str, value: float) -> dict[str, Any]:
        series = {"timestamp": START + timedelta(hours=hour), "collector_type": "current", "node_type": node_type}
        return series | {"metric": metric, "resource": "requests", "value": value}

    rows = [at(0, "running", "a", 1.5), at(0, "running", "b", 0.5), at(1, "running", "a", 1.0)]
    rows += [at(hour, "capacity", "*", 4.0) for hour in (0, 1)]
    rows += [at(0, "available", "*", 2.0), at(1, "available", "*", 3.0)]
    rows += [at(0, "running_max", "a", 3.0), at(0, "running_max", "b", 1.0)]
    figure = drawn(load.service_load(reading.load(warehouse({USAGE: rows}), SCENE), SCENE))
    areas = [trace["y"] for trace in figure["data"] if "stackgroup" in trace]
    assert areas == [[2.0, 1.0, 1.0]]
    lines = {trace["meta"]: trace["y"] for trace in figure["data"] if "stackgroup" not in trace}
    assert lines == {"running_max": [3.0, 3.0], "capacity": [4.0, 4.0, 4.0]}
    assert "37.5% of the capacity" in subtitle(figure)


def test_latencies_are_of_succeeded_single_requests_with_a_duration():
    rows = [request(n, duration_s=float(n), lead_s=1.0) for n in (1, 2, 3)]
    rows += [request(7, duration_s=50.0, final_state="failed"), request(8, duration_s=50.0, requests=5), request(9)]
    found = reading.latencies(warehouse({SERVICE_REQUESTS: rows}), SCENE)
    assert found.models.rows() == [("m", 3, 3.0, pytest.approx(3.9))]
    # 2, 3 and 4 s: floor of ten times the logarithms 0.301, 0.477, 0.602
    assert found.bins.rows() == [(3, 1), (4, 1), (6, 1)]
    assert found.waits == (1.0, 1.0)  # of 0, 0, 1, 1 and 1 s: also of the failed one
    figure = drawn(latency.service_latency(found, SCENE))
    histogram = next(trace for trace in figure["data"] if trace["meta"] == "histogram")
    assert sum(histogram["y"]) == pytest.approx(1.0)


def test_hours_are_by_the_clocks_of_the_site_and_means_over_the_days_that_had_them():
    # Sundays 1, 8 (clocks go forward at 2:00), 15, 22, 29 March; the month by UTC begins on Saturday, 18:00 CST
    at = [datetime(2026, 3, 1, 6, 30), datetime(2026, 3, 8, 6, 10), datetime(2026, 3, 15, 5, 0)]
    rows = [request(n, submitted_at=when) for n, when in enumerate(at)]
    rows += [request(9, submitted_at=START, requests=40), request(10, submitted_at=datetime(2026, 3, 8, 8))]
    found = reading.hours(warehouse({SERVICE_REQUESTS: rows}), SCENE)
    assert found.rows() == [(6, 18, 0, 40), (7, 0, 3, 0), (7, 3, 1, 0)]
    figure = drawn(hours.service_hours(found, SCENE))
    grid = figure["data"][0]["z"]
    assert grid[6][0] == pytest.approx(3 / 5)
    assert grid[6][2] == 0  # only four Sundays had the hour
    assert grid[6][3] == pytest.approx(1 / 5)
    assert "without 40 requests of pre-summed rows" in subtitle(figure)


def limit(**columns: Any) -> dict[str, Any]:
    plain = {
        "scope_type": "user", "scope_id": "u", "window": "month", "as_of": datetime(2026, 3, 21), "period": "2026-03",
        "spent": Decimal(50), "remaining": Decimal(50), "percent": 50.0, "burn_per_day": Decimal(2),
        "projected_crossing_date": None, "unrated_requests": 0,
    }  # fmt: skip
    return plain | columns


def spent(*rows: dict[str, Any]) -> Figure:
    """The figure of these statuses, stored and read."""
    con = duckdb.connect()
    made = [{"site": "llm", "month": MARCH} | row for row in rows]
    con.register("made", pl.DataFrame(made, {"site": pl.String, "month": pl.Date} | SPENDING, orient="row").to_arrow())
    con.execute("CREATE SCHEMA reports; CREATE TABLE reports.spending_status AS FROM made")
    return drawn(spending.service_spending(reading.spending(Reader(con), SCENE), SCENE))


def test_a_period_ends_at_midnight_of_the_site_also_where_clocks_change():
    assert spending.days_left("month", "2026-03", datetime(2026, 3, 31, 5), clock="America/Chicago") == 1.0
    assert spending.days_left("week", "2026-03-02", datetime(2026, 3, 8, 6), clock="America/Chicago") == 23 / 24
    assert spending.days_left("day", "2026-03-08", datetime(2026, 3, 9), clock="UTC") == 0.0
    assert spending.days_left("month", "2026-03", datetime(2026, 5, 1), clock="UTC") == 0.0


def test_limits_stand_by_what_is_spent_with_their_projection():
    over = limit(scope_id="over", spent=Decimal(150), remaining=Decimal(-50), percent=150.0)
    nothing = limit(scope_id="nothing", spent=Decimal(1), remaining=Decimal(-1), percent=None)
    none = limit(scope_id="unlimited", remaining=None, percent=None)
    older = limit(as_of=datetime(2026, 3, 20), spent=Decimal(7), percent=7.0)
    last = limit(as_of=datetime(2026, 3, 31, 5))
    figure = spent(older, last, over, nothing, limit(scope_id="near", percent=80.0), none)
    levels = {trace["name"]: trace["x"] for trace in figure["data"] if trace["type"] == "bar"}
    assert levels == {"Limit reached": [150.0, 100.0], "80 % or more": [80.0], "Below 80 %": [50.0]}
    assert figure["layout"]["yaxis"]["ticktext"] == [f"month, user {name}" for name in ("over", "nothing", "near", "u")]
    (marks,) = [trace for trace in figure["data"] if trace["meta"] == "projected"]
    # one day is left of the last: 50 + 2 of 100
    assert marks["x"][-1] == pytest.approx(52.0)
    assert "2 of 4 limits reached" in subtitle(figure)


def test_a_limit_of_a_pair_names_both():
    assert spending.scope_text("user_model", '["u","m \\"x\\""]') == 'user u, model m "x"'
    assert spending.scope_text("site", "llm") == "the whole service"


def test_a_history_has_a_bar_per_month_and_outcome():
    rows = [
        {"month": date(2026, 1, 1), "requests": 3, "succeeded": 2, "failed": 1, "cost": Decimal("1.5")},
        {"month": MARCH, "requests": 4, "succeeded": 4, "cost_unrated_requests": 1, "input_tokens": 9},
    ]
    found = reading.months(warehouse({SERVICE_USER_MONTHLY: rows}), SCENE)
    assert found is not None
    figure = drawn(history.service_history(found, Scene(SITE)))
    assert bars(figure, "y") == {"Cost": {"2026-01-16": 1.5}}
    assert bars(figure, "y2") == {"Succeeded": {"2026-01-16": 2.0, "2026-03-16": 4.0}, "Failed": {"2026-01-16": 1.0}}
    assert bars(figure, "y3") == {"Input": {"2026-03-16": 9.0}}
    assert subtitle(figure).startswith("2026-01-01 to 2026-03-31 UTC: 1.50 EUR, 7 requests, 1 of them without")


def test_nothing_at_all_is_a_sentence():
    reader = warehouse({})
    month = {plot.name: plot for plot in PLOTS if plot.scope == "month" and plot.name != "service_spending"}
    figures = {name: drawn(plot.draw(plot.read(reader, SCENE), SCENE)) for name, plot in month.items()}
    assert {name: (one["data"], len(one["layout"]["annotations"])) for name, one in figures.items()} == dict.fromkeys(
        month, ([], 1)
    )
    assert spent()["data"] == []
    assert reading.months(reader, SCENE) is None
    assert reading.months(Reader(None), SCENE) is None


def test_names_are_text_and_three_hundred_of_them_fit():
    names = [f"{EVIL}{'long name ' * 9}{n}" for n in range(300)]
    daily = [use(name, 1, requests=1, cost=Decimal(1)) for name in names]
    timed = [request(n, duration_s=2.0, model_id=name) for n, name in enumerate(names)]
    reader = warehouse({SERVICE_USER_DAILY: daily, SERVICE_REQUESTS: timed})
    figures = [
        days.service_models(reading.models(reader, SCENE), SCENE),
        days.service_users(reading.users(reader, SCENE), SCENE),
        latency.service_latency(reading.latencies(reader, SCENE), SCENE),
        spent(*(limit(scope_id=name) for name in names)),
    ]
    assert "0 of 300 limits reached; the 30 with the largest shares" in subtitle(figures[-1])
    for figure in figures:
        text = json.dumps(drawn(figure))
        assert "<script" not in text
        assert "&lt;script" in text
        assert len(text) < 60_000


def test_bars_that_share_a_colour_are_told_apart_by_a_pattern():
    looks = [json.dumps(parts.marker(place)) for place in (*range(reading.MOST), None)]
    assert len(set(looks)) == reading.MOST + 1


def test_names_that_look_alike_when_clipped_are_numbered():
    assert parts.labels(["a" * 40 + "x" * 40, "a" * 40 + "y" + "x" * 40, "b"], 10) == [
        "aaaa…xxxxx #1", "aaaa…xxxxx #2", "b",
    ]  # fmt: skip
