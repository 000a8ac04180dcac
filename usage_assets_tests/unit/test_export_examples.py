"""The queries of docs/exports, run against the DuckDB snapshot and, where they apply, against SQLite."""

import sqlite3
from datetime import date, datetime, timedelta

import duckdb
import polars as pl
import pytest

from usage_assets.reports.exports import database, files, snapshot
from usage_assets.reports.exports.tables import EXPORTS
from usage_assets_tests import export_queries as examples
from usage_assets_tests.export_queries import FIRST, LAST, MONTHS, SITES, assert_series


@pytest.fixture(autouse=True)
def _written() -> None:
    examples.write_files()


def test_the_dashboards_ask_the_exported_tables_only():
    for name in ("grafana-mysql.json", "grafana-duckdb.json"):
        assert examples.dashboard_queries(name)
        for _, sql, _ in examples.dashboard_queries(name):
            assert any(f"FROM {table}" in sql for table in EXPORTS), sql


@pytest.mark.parametrize(("title", "sql", "kind"), examples.dashboard_queries("grafana-duckdb.json"), ids=str)
def test_a_panel_of_the_duckdb_dashboard_shows_series_from_the_snapshot(title, sql, kind):
    path = snapshot.write_snapshot()
    with duckdb.connect(str(path), read_only=True) as con:
        found = con.execute(examples.grafana(sql, "duckdb", one_site="$site" in title))
        columns = [column[0] for column in found.description]
        assert_series(columns, found.fetchall(), kind)


@pytest.mark.parametrize(
    ("title", "sql", "kind"),
    [query for query in examples.report_queries() if "date_format" not in query[1] and "interval" not in query[1]],
    ids=str,
)
def test_a_query_of_the_report_runs_on_sqlite_with_dates_written_out(title, sql, kind, tmp_path, monkeypatch):
    monkeypatch.setenv("USAGE_EXPORT_URL", f"sqlite:///{tmp_path / 'export.db'}")
    for site in SITES:
        paths = {table: files.site_paths(table, site) for table in EXPORTS.values()}
        database.load(site, [database.Load(table, found, found) for table, found in paths.items()])
    literal = sql.replace("{from}", f"'{FIRST:%Y-%m-%d}'").replace("{to}", f"'{LAST:%Y-%m-%d}'").replace("%%", "%")
    with sqlite3.connect(tmp_path / "export.db") as con:
        found = con.execute(literal)
        rows = [(datetime.fromisoformat(row[0]), *row[1:]) if kind == "plot" else row for row in found.fetchall()]
        assert_series([column[0] for column in found.description], rows, kind)


def test_the_exported_days_of_the_examples_are_dense():
    rows = pl.concat([pl.read_parquet(path) for path in files.all_paths(EXPORTS["usage_wide"])])
    days = (date(MONTHS[1].year, MONTHS[1].month, 29) - MONTHS[0]) + timedelta(days=1)
    assert rows.height == len(SITES) * days.days
