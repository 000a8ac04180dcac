"""What the golden tests share: months, and a built site from which a test reads what it worked out by hand."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any

import polars as pl

from usage_assets_tests.golden.builder import DATABASES, Month, Rows, make_site
from usage_assets_tests.golden.compare import build
from usage_assets_tests.golden.stores import Scratch

DEC, JAN, FEB = date(2023, 12, 1), date(2024, 1, 1), date(2024, 2, 1)
LATER = datetime(2024, 4, 1)
OCCUPIED = ("occupied", "occupied_reservation", "occupied_ondemand", "occupied_unknown")


@cache
def scratch() -> Scratch:
    """One database for all sites: making its tables takes longer than filling them."""
    return Scratch()


class Worked:
    """Facts and timeline of a site; instants are shown as `01-10` or `01-10 06:00`."""

    def __init__(
        self,
        rows: Rows,
        months: Sequence[Month] = (JAN,),
        extracted: datetime = LATER,
        databases: Sequence[str] = DATABASES,
        **site: Any,
    ) -> None:
        self.site = make_site(databases, **({"first_month": "2024-01"} | site))
        self.facts, self.usage = build(self.site, rows, months, dict.fromkeys(months, extracted), scratch())

    def kept(self, metric: str, *more: str) -> list[tuple[Any, ...]]:
        """Every interval of a metric: entity, start, end, action, and further columns."""
        return _rows(
            self.facts.intervals.filter(pl.col("metric") == metric),
            ("entity_id", "start_at", "end_at", "action", *more),
        )

    def rejected(self, source: str, *more: str) -> list[tuple[Any, ...]]:
        """Every reject of a source: entity, reason, and further columns."""
        return _rows(self.facts.rejects.filter(pl.col("source") == source), ("entity_id", "reason", *more))

    def hours(self, metric: str, resource: str = "nodes", node_type: str | None = None) -> float:
        """Resource-hours of the timeline."""
        mine = self.usage.usage.filter(pl.col("metric") == metric, pl.col("resource") == resource)
        if node_type is not None:
            mine = mine.filter(pl.col("node_type") == node_type)
        return round(float(mine["hours"].sum()), 6)

    def account(self, source: str, asset: str, month: Month = JAN) -> Mapping[str, Any]:
        """Where the rows and hours of a source went."""
        row = self.facts.accounts.filter(
            pl.col("source") == source, pl.col("asset") == f"openstack/facts/{asset}", pl.col("month") == month
        ).row(0, named=True)
        return {name: row[name] for name in row if name.startswith(("rows_", "hours_"))}


def _rows(frame: pl.DataFrame, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    shown = (tuple(_short(value) for value in row) for row in frame.select(columns).rows())
    return sorted(shown, key=lambda row: [(value is not None, str(value)) for value in row])


def _short(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    return f"{value:%m-%d}" if value == datetime(value.year, value.month, value.day) else f"{value:%m-%d %H:%M}"


def one_machine(**host: Any) -> tuple[Rows, str]:
    """A KVM machine `h` that exists and is reservable since long ago, and its Blazar host."""
    rows = Rows()
    rows.compute_node("h", "2023-06-01")
    return rows, rows.computehost("h", "2023-06-01", **host)


def one_metal(**host: Any) -> tuple[Rows, str]:
    """The same, as bare metal."""
    rows = Rows()
    rows.ironic_node("h", "2023-06-01")
    return rows, rows.computehost("h", "2023-06-01", **host)
