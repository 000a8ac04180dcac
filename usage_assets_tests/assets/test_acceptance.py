"""Ten years of a site in one go: every date is there but for the known gaps, tables are as promised, sums hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from usage_assets.cli.home import dagster_home
from usage_assets.core import settings
from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.kinds import OPENSTACK
from usage_assets.schema import Table
from usage_assets.timelines.metrics import RATIOS
from usage_assets.timelines.tables import USAGE, USAGE_STEPS
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.decade import BLAZAR_SINCE, MONTHS, NOVA_SINCE, make_site
from usage_assets_tests.assets.decade import WINDOW as DECADE
from usage_assets_tests.assets.tiny import build, failed

pytestmark = pytest.mark.heavy

DAYS = [date(2016, 1, 1) + timedelta(days=n) for n in range(3653)]
EVER, NEVER = date(2016, 1, 1), date(2026, 1, 1)
KNOWN_SINCE = {
    "total": NOVA_SINCE,
    "occupied_ondemand": EVER,
    "occupied_unknown": EVER,
    "utilization": NEVER,  # a ratio is null wherever there is nothing to divide by; not asked here
}
"""Metrics that do not wait for Blazar's hosts, and the first day on which they are known."""
TABLES: list[Table] = [
    *(table.table for table in OPENSTACK.raw_tables),
    INTERVALS,
    REJECTS,
    USAGE,
    USAGE_STEPS,
    *{table.table.qualified: table.table for table in OPENSTACK.tables}.values(),
]
REQUIRED = {
    "timelines.usage": {
        "site", "month", "timestamp", "collector_type", "node_type", "metric", "resource", "value", "hours",
    },
    "timelines.usage_site": {"site", "timestamp", "collector_type", "count_type", "value"},
    "timelines.usage_by_host": {
        "site", "month", "period", "timestamp", "node", "node_type", "resource", "total_hours", "reservable_hours",
        "committed_hours", "occupied_hours", "idle_hours", "committed_share", "occupied_share",
    },
    "timelines.usage_by_project": {
        "site", "month", "project_id", "project_name", "resource", "committed_hours", "occupied_hours", "idle_hours",
        "committed_share", "occupied_share",
    },
    "timelines.usage_by_user": {
        "site", "month", "user_id", "resource", "committed_hours", "occupied_hours", "idle_hours", "committed_share",
        "occupied_share",
    },
    "reports.audit": {
        "site", "month", "asset", "source", "outcome", "reason", "rows", "hours", "rows_share", "hours_share",
    },
    "facts.timeline": {"site", "timestamp", "source", "entity_id", "quantity_type", "state"},
    "timelines.leadtime": {"site", "month", "timestamp", "leadtime_type", "node_type", "value"},
    "timelines.leadtime_site": {"site", "timestamp", "leadtime_type", "value"},
    "reports.legacy_comparison": {
        "site", "month", "date", "node_type", "metric", "legacy_hours", "current_hours", "difference",
        "relative_difference", "cause",
    },
}  # fmt: skip
"""What readers of a table or view rely on, written down once more apart from the declarations."""
MONTHLY_PLOTS = {
    "usage_stack", "utilization", "node_types", "leadtime", "leadtime_compare", "leadtime_projected", "legacy_facet",
    "collector_difference",
}  # fmt: skip
HISTORY_PLOTS = {"decade_stack", "decade_facet", "decade_leadtime", "decade_leadtime_compare"}
NOTHING = "is known for this time"


@dataclass(frozen=True)
class Built:
    """The site, built once."""

    warehouse: Warehouse
    result: dg.ExecuteInProcessResult
    failed: set[tuple[str, str, str | None]]
    plots: Path
    exports: Path

    def sql(self, query: str) -> pl.DataFrame:
        with self.warehouse.read() as reader:
            return reader.sql(query)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("decade")
    warehouse = Warehouse(folder / "data" / "warehouse.duckdb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USAGE_DATA", str(folder / "data"))
        patch.setenv("BROWSER_PATH", "nowhere")
        patch.setenv("DAGSTER_HOME", str(folder / "home"))
        dagster_home()  # storage in files as shipped, which is faster than Dagster's in memory
        with dg.DagsterInstance.get() as instance:
            result = build(make_site(folder), warehouse, instance, DECADE)
            yield Built(warehouse, result, failed(result), settings.plots_dir(), settings.data_dir() / "exports")


def test_the_run_succeeds_and_only_the_comparison_finds_something_to_explain(built: Built):
    assert built.result.success
    assert built.failed == {("openstack/reports/legacy_comparison", "unexplained", None)}


def test_every_day_is_there_and_unknown_exactly_in_the_known_gaps(built: Built):
    found = built.sql(
        "SELECT metric, CAST(timestamp AS DATE) AS day, bool_and(value IS NULL) AS nothing, "
        "bool_or(value IS NULL) AS something FROM timelines.usage "
        "WHERE collector_type = 'current' AND resource = 'nodes' GROUP BY ALL ORDER BY ALL"
    )
    metrics = set(found["metric"])
    assert metrics >= {"total", "reservable", "committed", "occupied_reservation", "active", "stopped", "idle"}
    for metric in metrics:
        days = found.filter(pl.col("metric") == metric)
        since = KNOWN_SINCE.get(metric, BLAZAR_SINCE)
        assert days["day"].to_list() == DAYS, metric
        if metric in RATIOS:
            continue
        assert days.filter("something")["day"].to_list() == [day for day in DAYS if day < since], metric
        assert days["nothing"].to_list() == days["something"].to_list(), metric


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.qualified)
def test_a_table_has_its_columns_and_no_others_and_a_unique_key(built: Built, table: Table):
    with built.warehouse.read() as reader:
        if not reader.has(table):
            assert table.stage == "raw"  # of a database that the site has not
            return
    assert tuple(built.sql(f"DESCRIBE {table.qualified}")["column_name"]) == table.names
    key = ", ".join(table.unique_key)
    if key:
        assert built.sql(f"SELECT {key} FROM {table.qualified} GROUP BY {key} HAVING count(*) > 1").is_empty()


@pytest.mark.parametrize("name", REQUIRED)
def test_what_readers_rely_on_is_there_and_nothing_else(built: Built, name: str):
    assert set(built.sql(f"DESCRIBE {name}")["column_name"]) == REQUIRED[name]


def test_every_plot_is_there_and_not_empty(built: Built):
    for month in MONTHS:
        folder = built.plots / "decade" / f"{month:%Y-%m}"
        assert {path.stem for path in folder.glob("*.html")} == {*MONTHLY_PLOTS, "audit"}
    assert {path.stem for path in (built.plots / "decade").glob("*.html")} == HISTORY_PLOTS
    assert (built.plots / "cross_site_usage.html").is_file()
    pages = [page for page in built.plots.rglob("*.html") if page.stem not in {"index", "audit"}]
    empty = [page for page in pages if "Plotly.newPlot" not in page.read_text(encoding="utf-8")]
    assert empty == []
    known = [built.plots / "decade" / f"{month:%Y-%m}" for month in MONTHS if BLAZAR_SINCE <= month < date(2025, 7, 1)]
    assert [page for folder in known for page in folder.glob("*.html") if NOTHING in page.read_text("utf-8")] == []


def apart(rows: pl.DataFrame, one: str = "one", other: str = "other") -> pl.DataFrame:
    """Rows in which two hours differ by more than sums of fractions may."""
    return rows.filter((pl.col(one) - pl.col(other)).abs() > 1e-6 * pl.max_horizontal(pl.col(other).abs(), 1.0))


def test_node_types_add_up_to_the_site(built: Built):
    rows = built.sql(
        "SELECT s.timestamp, s.collector_type, s.count_type, s.value AS one, sum(u.value) AS other "
        "FROM timelines.usage_site s JOIN timelines.usage u ON u.site = s.site AND u.timestamp = s.timestamp "
        "AND u.metric = s.count_type AND u.collector_type = s.collector_type AND u.resource = 'nodes' GROUP BY ALL"
    )
    assert rows.height > len(DAYS)
    assert apart(rows).is_empty()


def test_days_add_up_to_the_hours_of_the_facts(built: Built):
    rows = built.sql(
        "WITH facts AS (SELECT month, metric, sum(nodes * epoch(end_at - start_at)) / 3600 AS one "
        "FROM facts.intervals GROUP BY ALL), "
        "days AS (SELECT month, metric, sum(hours) AS other FROM timelines.usage "
        "WHERE resource = 'nodes' AND collector_type = 'current' AND hours IS NOT NULL GROUP BY ALL) "
        "SELECT * FROM facts JOIN days USING (month, metric)"
    )
    assert set(rows["metric"]) >= {"total", "committed", "occupied_reservation", "occupied_ondemand", "active"}
    assert apart(rows).is_empty()


def wide(built: Built) -> pl.DataFrame:
    """A row per day and node type, a column per metric, in node-hours; only days on which everything is known."""
    rows = built.sql(
        "SELECT timestamp, node_type, metric, hours FROM timelines.usage "
        "WHERE resource = 'nodes' AND collector_type = 'current' AND metric <> 'utilization'"
    )
    return rows.pivot("metric", index=["timestamp", "node_type"], values="hours").drop_nulls()


def test_active_and_stopped_add_up_to_occupied(built: Built):
    rows = wide(built).with_columns(both=pl.col("active") + pl.col("stopped"))
    assert rows["stopped"].sum() > 0
    assert apart(rows, "both", "occupied").is_empty()


def test_the_shares_of_capacity_add_up_to_total(built: Built):
    parts = ["occupied_reservation", "idle", "available_reservable", "occupied_ondemand", "available_ondemand"]
    rows = wide(built)
    parts += [name for name in ("maintenance",) if name in rows.columns]
    rows = rows.with_columns(parts=pl.sum_horizontal(parts))
    assert rows["timestamp"].min() == datetime(2020, 1, 1)
    assert apart(rows, "parts", "total").is_empty()


@pytest.mark.parametrize("table", ["usage_by_host", "usage_by_project", "usage_by_user"])
def test_hosts_projects_and_users_add_up_to_the_site(built: Built, table: str):
    period = "AND period = 'month'" if table == "usage_by_host" else ""
    rows = built.sql(
        "WITH parts AS (SELECT month, sum(committed_hours) AS committed, sum(occupied_hours) AS occupied "
        f"FROM timelines.{table} WHERE resource = 'nodes' {period} "
        "GROUP BY month), "
        "whole AS (SELECT month, sum(hours) FILTER (metric = 'committed') AS all_committed, "
        "sum(hours) FILTER (metric = 'occupied') AS all_occupied FROM timelines.usage "
        "WHERE resource = 'nodes' AND collector_type = 'current' GROUP BY month) "
        f"SELECT * FROM parts JOIN whole USING (month) WHERE month >= DATE '{BLAZAR_SINCE}'"
    )
    assert rows.height == 72
    assert rows["committed"].sum() > 0
    assert apart(rows, "committed", "all_committed").is_empty()
    assert apart(rows, "occupied", "all_occupied").is_empty()


def test_days_of_hosts_add_up_to_their_months(built: Built):
    rows = built.sql(
        "SELECT month, node, sum(total_hours) FILTER (period = 'day') AS one, "
        "sum(total_hours) FILTER (period = 'month') AS other FROM timelines.usage_by_host "
        "WHERE resource = 'nodes' GROUP BY ALL"
    )
    assert rows["node"].n_unique() == 5
    assert apart(rows).is_empty()


def test_an_interval_is_two_events(built: Built):
    events = built.sql("SELECT state, count(*) AS n FROM facts.timeline GROUP BY ALL ORDER BY ALL")
    (intervals,) = built.sql("SELECT count(*) AS n FROM facts.intervals")["n"]
    assert dict(events.iter_rows())["start"] == intervals


def test_projects_have_the_names_that_keystone_gives(built: Built):
    names = built.sql("SELECT DISTINCT project_id, project_name FROM timelines.usage_by_project ORDER BY ALL")
    assert dict(names.iter_rows())["p1"] == "Project p1"


def test_legacy_hours_are_imported_and_add_up(built: Built):
    rows = built.sql(
        "SELECT timestamp, node_type, metric, hours FROM timelines.usage WHERE collector_type = 'legacy'"
    ).pivot("metric", index=["timestamp", "node_type"], values="hours")
    assert rows["timestamp"].max() == datetime(2025, 6, 30)
    parts = pl.sum_horizontal("maintenance", "occupied_reservation", "idle", "available_reservable")
    assert apart(rows.with_columns(parts=parts), "parts", "total").is_empty()


def exported(built: Built, table: str) -> pl.DataFrame:
    return pl.read_parquet(built.exports / table / "decade" / "*.parquet")


def test_the_parity_export_adds_up_to_its_total(built: Built):
    rows = exported(built, "node_usage_report_cache")
    assert rows.columns == [
        "date", "site", "node_type", "maint_hours", "reserved_hours", "used_hours", "idle_hours", "total_hours",
        "complete",
    ]  # fmt: skip
    assert rows.select("date", "site", "node_type").is_unique().all()
    whole = rows.filter(pl.col("date") >= BLAZAR_SINCE)
    parts = pl.sum_horizontal("maint_hours", "reserved_hours", "used_hours", "idle_hours")
    assert whole["total_hours"].sum() > 0
    assert whole.filter(parts != pl.col("total_hours")).is_empty()


def test_the_wide_export_has_a_row_per_day_in_order(built: Built):
    rows = exported(built, "usage_wide").filter(pl.col("resource") == "nodes")
    assert rows.columns == [
        "time", "site", "resource", "total", "reservable", "committed", "occupied_ondemand", "occupied_reserved",
        "active_ondemand", "active_reserved", "complete",
    ]  # fmt: skip
    assert rows["time"].cast(pl.Date).to_list() == DAYS


def test_the_comparison_knows_the_gaps(built: Built):
    causes = built.sql("SELECT date, cause, difference FROM reports.legacy_comparison WHERE metric = 'committed'")
    before = causes.filter(pl.col("date") < BLAZAR_SINCE)
    assert before.height > 0
    assert set(before["cause"]) == {"known gap"}
    exact = built.sql("SELECT legacy_hours - current_hours - -difference AS rest FROM reports.legacy_comparison")
    assert exact["rest"].drop_nulls().abs().max() < 1e-6  # type: ignore[operator]  # a number


def test_every_lease_is_told_once_and_how_long_it_took(built: Built):
    leases = built.sql("SELECT lease_id, outcome, requested, effective, projected FROM facts.leases")
    assert leases.height == leases["lease_id"].n_unique() == 2 * len(MONTHS) + 10
    assert set(leases["outcome"]) == {"started"}
    first = leases.filter(pl.col("lease_id") == "l1").row(0, named=True)
    assert (first["requested"], first["effective"]) == (1.0, pytest.approx(1 + 20 / 3600))
    points = built.sql("SELECT leadtime_type, count(*) AS n FROM timelines.leadtime GROUP BY ALL")
    assert set(points["leadtime_type"]) == {"requested", "effective", "projected"}
    outside = "SELECT * FROM timelines.leadtime WHERE date_trunc('month', timestamp) <> month"
    assert built.sql(outside).is_empty()
