"""The queries of docs/exports as the tools send them, exported tables to ask, and what their answers must be."""

import json
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import yaml

from usage_assets.reports.exports import files
from usage_assets.reports.exports.tables import PARITY, USAGE_LONG, USAGE_WIDE
from usage_assets_tests import ROOT

FOLDER = ROOT / "docs" / "exports"
MONTHS = (date(2020, 1, 1), date(2020, 2, 1))
SITES = ("chi_tacc", "chi_uc")
FIRST, LAST = datetime(2020, 1, 27), datetime(2020, 2, 3)
DAYS = (LAST - FIRST).days
VALUES = {"total": 10.0, "reservable": 8.0, "committed": 6.0, "occupied": 5.0, "active": 4.5, "idle": 1.0,
          "utilization": 0.5}  # fmt: skip


def write_files() -> None:
    """Two months of two sites as the export writes them."""
    for site in SITES:
        for month in MONTHS:
            last = 31 if month.month == 1 else 29
            at = pl.datetime_range(datetime(month.year, month.month, 1), datetime(month.year, month.month, last), "1d",
                                   time_unit="us", eager=True)  # fmt: skip
            base = pl.DataFrame({"time": at, "site": site, "resource": "nodes"})
            numbers = dict(zip(USAGE_WIDE.names[3:], (10.0, 8.0, 6.0, 0.5, 5.0, 0.5, 4.5, True), strict=True))
            files.write_month(USAGE_WIDE, site, month, base.with_columns(**{k: pl.lit(v) for k, v in numbers.items()}))
            metrics = pl.DataFrame({"metric": list(VALUES), "value": list(VALUES.values()), "complete": True})
            files.write_month(USAGE_LONG, site, month, base.join(metrics, how="cross"))
            types = pl.DataFrame({"node_type": ["compute", "gpu"]}).with_columns(
                **{
                    name: pl.lit(hours)
                    for name, hours in zip(PARITY.names[3:], (24, 12, 36, 24, 96, True), strict=True)
                }
            )
            days = base.select(date="time", site="site")
            files.write_month(PARITY, site, month, days.join(types, how="cross"))


def dashboard_queries(name: str) -> list[tuple[str, str, str]]:
    """Title, query and kind (wide, long, table) of each panel."""
    board = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    out = []
    for panel in board["panels"]:
        for target in panel["targets"]:
            sql = target["rawSql"]
            kind = (
                "table" if panel["type"] == "table" else "long" if re.search(r"\bAS metric|, metric,", sql) else "wide"
            )
            out.append((panel["title"], sql, kind))
    return out


def variable_queries(name: str) -> list[str]:
    """The queries that fill the choices above the panels."""
    board = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return [each["query"] for each in board["templating"]["list"] if each["type"] == "query"]


def report_queries() -> list[tuple[str, str, str]]:
    """Name, query and kind (plot, single_stat, table) of each query of the report."""
    report = yaml.safe_load((FOLDER / "kpireporter.yaml").read_text(encoding="utf-8"))
    out = []
    for name, view in report["views"].items():
        out += [(name, sql, view["plugin"]) for key, sql in view["args"].items() if key.endswith("query")]
    return out


def grafana(sql: str, dialect: str, *, one_site: bool) -> str:
    """A query with macros and variables replaced as Grafana does."""
    span = {
        "mysql": r"\1 BETWEEN FROM_UNIXTIME({0}) AND FROM_UNIXTIME({1})",
        "duckdb": r"\1 >= '{2}' AND \1 <= '{3}'",
    }[dialect].format(
        int((FIRST - datetime(1970, 1, 1)).total_seconds()),
        int((LAST - timedelta(seconds=1) - datetime(1970, 1, 1)).total_seconds()),
        f"{FIRST.isoformat()}Z",
        f"{(LAST - timedelta(seconds=1)).isoformat()}Z",
    )
    sites = SITES[:1] if one_site else SITES
    sql = re.sub(r"\$__timeFilter\((\w+)\)", span, sql)
    sql = sql.replace("${site:sqlstring}", ",".join(f"'{site}'" for site in sites))
    sql = sql.replace("${resource:sqlstring}", "'nodes'")
    assert "$" not in sql, sql
    return sql


def reported(sql: str) -> tuple[str, list[datetime]]:
    """A query and its parameters as KPI Reporter makes them of its tokens."""
    values: list[datetime] = []

    def value(match: re.Match[str]) -> str:
        if match[1] == "interval":
            return f"interval {DAYS} day"
        values.append(FIRST if match[1] == "from" else LAST)
        return "%s"

    return re.sub(r"\{(interval|from|to)\}", value, sql), values


def assert_series(columns: Sequence[str], rows: Sequence[Sequence[Any]], kind: str) -> None:
    """What panels and plots need: time first, ascending, dense, no time twice in a series, numbers."""
    assert rows
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    if kind == "single_stat":
        assert len(rows) == 1
        assert isinstance(float(rows[0][1]), float)
        return
    if kind == "table":
        assert len({tuple(str(cell) for cell in row) for row in rows}) == len(rows)
        return
    labels = [name for name in columns if isinstance(records[0][name], str)]
    assert columns[0] == "time"
    assert labels == (["metric"] if kind == "long" else labels)
    times = [row["time"] for row in records]
    assert times == sorted(times)
    if kind == "long":
        assert list(columns) == ["time", "metric", "value"]
    if kind == "wide":
        assert not labels
    series: dict[tuple[str, ...], list[datetime]] = {}
    for row in records:
        series.setdefault(tuple(row[name] for name in labels), []).append(row["time"])
        for name in columns[1:]:
            assert name in labels or float(row[name]) >= 0
    for found in series.values():
        assert found == [FIRST + timedelta(days=day) for day in range(DAYS)]
