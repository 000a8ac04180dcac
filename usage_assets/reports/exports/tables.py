"""Declarations of the exported tables: columns in order, types and key of files, database and snapshot."""

from dataclasses import dataclass

import polars as pl

from usage_assets.schema import Column, at, flag, number, polars_schema, real, text


@dataclass(frozen=True)
class ExportTable:
    """A table that leaves the warehouse. `key` is unique; its first column is the time of a row, UTC."""

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def first_names(self) -> list[str]:
        """Columns of the first release: its tables and files have no others."""
        return [name for name in self.names if name != COMPLETE]

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    @property
    def time(self) -> str:
        """The column that says when: the start of a bucket."""
        return self.key[0]

    @property
    def polars_schema(self) -> pl.Schema:
        """Names and polars types, in order."""
        return polars_schema(self.columns)


COMPLETE = "complete"


def _complete(description: str) -> Column:
    return flag(COMPLETE, f"{description}; null in what a release before this column exported")


_TIME = at("time", "Start of the bucket", nullable=False)
_SITE = text("site", "Site key: the stem of its file in sites/", nullable=False)
_RESOURCE = text("resource", "nodes, vcpus, vcpus_overcommit, memory_mb, disk_gb, gpus or devices", nullable=False)


def _mean(name: str, description: str) -> Column:
    return real(name, f"{description}; mean over the bucket", "unit of the resource")


def _hours(name: str, description: str) -> Column:
    return number(name, description, "node-hours")


USAGE_WIDE = ExportTable(
    name="usage_wide",
    description="Use of a site per bucket and resource, a column per metric: the shape that older reports read.",
    key=("time", "site", "resource"),
    columns=(
        _TIME,
        _SITE,
        _RESOURCE,
        _mean("total", "What exists"),
        _mean("reservable", "What may be reserved"),
        _mean("committed", "What leases hold"),
        _mean("occupied_ondemand", "Held by servers without a reservation"),
        _mean("occupied_reserved", "Held by servers within their reservation"),
        _mean("active_ondemand", "Of occupied_ondemand, held by servers that run"),
        _mean("active_reserved", "Of occupied_reserved, held by servers that run"),
        _complete("Whether every node type's part of the row's sums is known, none left out"),
    ),
)
USAGE_LONG = ExportTable(
    name="usage_long",
    description="Use of a site per bucket, resource and metric, a row each; derived metrics too.",
    key=("time", "site", "resource", "metric"),
    columns=(
        _TIME,
        _SITE,
        _RESOURCE,
        text("metric", "What was measured or derived", nullable=False),
        _mean("value", "Value; utilization is a share"),
        _complete("Whether every node type's part of the value is known, none left out"),
    ),
)
PARITY = ExportTable(
    name="node_usage_report_cache",
    description="Node-hours per day, site and node type in the shape of the legacy usage counter, in whole hours.",
    key=("date", "site", "node_type"),
    columns=(
        at("date", "Day", nullable=False),
        _SITE,
        text("node_type", "Type of the machines", nullable=False),
        _hours("maint_hours", "Total less reservable: maintenance, and what may not be reserved"),
        _hours("reserved_hours", "Committed and not used"),
        _hours("used_hours", "Held by servers within their reservation"),
        _hours("idle_hours", "Reservable and not committed"),
        _hours("total_hours", "What exists; the sum of the four"),
        _complete("Whether all machines' part of the hours is known"),
    ),
)
EXPORTS: dict[str, ExportTable] = {table.name: table for table in (USAGE_WIDE, USAGE_LONG, PARITY)}
