"""Sums of requests over days, by user, team, model and provider: what commands and reports show.

Sums are of service_user_daily and its siblings, so that any range of days adds up to its single days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from usage_assets.core.months import month_of
from usage_assets.kinds.service.tables.declarations import (
    ADDITIVE,
    SERVICE_MODEL_DAILY,
    SERVICE_TEAM_DAILY,
    SERVICE_USER_DAILY,
)
from usage_assets.schema import Table
from usage_assets.warehouse import Reader

PARTS: Mapping[str, str] = {
    "day": "date",
    "month": "month",
    "user": "user_id",
    "team": "team_id",
    "model": "model_id",
    "provider": "provider",
}
"""What sums may be by, and the column of each."""


@dataclass(frozen=True)
class Days:
    """Whole UTC days, both included."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


def sums(
    reader: Reader, site: str, days: Days, by: Sequence[str], only: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """One row per value of `by` (parts of PARTS): additive columns, success_rate and latency_mean_s; dearest first.

    `only` keeps the rows of one user, team, model or provider each. Rows by day and month are in their order.
    """
    table = _table(by, only or {})
    keys = [PARTS[part] for part in by]
    added = [f'sum("{column.name}")::{column.type} AS "{column.name}"' for column in ADDITIVE]
    if not reader.has(table):
        columns = {column: table.polars_schema[column] for column in (*keys, *(each.name for each in ADDITIVE))}
        return pl.DataFrame(schema=columns | {"success_rate": pl.Float64(), "latency_mean_s": pl.Float64()})
    where = [f'"{PARTS[part]}" = ${part}' for part in only or {}]
    where += ["site = $site", "month BETWEEN $first_month AND $last_month", "date BETWEEN $first AND $last"]
    listed = ", ".join(f'"{key}"' for key in keys)
    order = [key for key in keys if key in {"date", "month"}] or ["cost DESC", "requests DESC"]
    return reader.sql(
        f"SELECT {listed}{', ' if keys else ''}{', '.join(added)}, "
        "sum(succeeded) / nullif(sum(succeeded) + sum(failed), 0) AS success_rate, "
        "sum(latency_sum_s) / nullif(sum(latency_n), 0) AS latency_mean_s "
        f"FROM {table.qualified} WHERE {' AND '.join(where)} {f'GROUP BY {listed}' if keys else ''} "
        f"ORDER BY {', '.join([*order, *(f'{chr(34)}{key}{chr(34)}' for key in keys)])}",
        {
            "site": site,
            "first": days.first,
            "last": days.last,
            "first_month": month_of(days.first),
            "last_month": month_of(days.last),
            **(only or {}),
        },
    )


def _table(by: Sequence[str], only: Mapping[str, str]) -> Table:
    """The table that has all columns asked about; users and teams are never in one table."""
    asked = {*by, *only}
    if "team" in asked:
        return SERVICE_TEAM_DAILY
    return SERVICE_USER_DAILY if "user" in asked else SERVICE_MODEL_DAILY
