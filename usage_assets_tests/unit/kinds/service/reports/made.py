"""A service with two months of requests, and the report of any period of them."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from usage_assets.kinds.service.reports.content import UsageReport
from usage_assets.kinds.service.reports.export import usage_report
from usage_assets.kinds.service.reports.period import Period
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.warehouse import Reader, Writer
from usage_assets.warehouse.bookkeeping import DUMPS, VERSIONS
from usage_assets_tests.unit.kinds.service.tables.made import APRIL, MARCH, build, opened, request, store

SITE = ServiceSite.model_validate(
    {
        "kind": "service",
        "key": "llm",
        "name": "Chat & co",
        "currency": "EUR",
        "sources": [{"reader": "records", "path": "/srv", "pattern": "*.jsonl"}],
    }
)
TABLES = ("service_user_daily", "service_team_daily")


def requests() -> list[dict[str, Any]]:
    """Five requests of March and one of April; two of ann's cost nothing that is known."""
    physics = {"team_id": "physics", "session_id": "s1"}
    return [
        request("r1", "03-02 10:00:00", "03-02 10:00:02", submitted="03-02 09:59:59", cost=Decimal("0.10"),
                input_tokens=100, cached_tokens=40, output_tokens=10, **physics),
        request("r2", "03-03 10:00:00", "03-03 10:00:05", **physics),
        request("r3", "03-03 11:00", "03-03 11:01", user_id="bob", model_id="small", final_state="failed",
                cost=Decimal("0.05"), error="Timeout"),
        request("r4", "04-01 00:00:01", "04-01 00:00:03", user_id="bob", cost=Decimal(1)),
        request("r5", "03-31 12:00", team_id="physics"),
        request("r6", "03-31 23:00:00", "03-31 23:00:10", user_id="(none)", session_id="s2",
                cost=Decimal("0.000000000001")),
    ]  # fmt: skip


def stored(rows: list[dict[str, Any]] | None = None) -> Writer:
    """The requests, and the sums that reports are made of."""
    writer = opened()
    store(writer, requests() if rows is None else rows)
    for name in TABLES:
        build(writer, name, (MARCH, APRIL), SITE)
    return writer


def read_at(writer: Writer, months: Mapping[date, datetime]) -> None:
    """Record when months were read."""
    writer.ensure(DUMPS)
    for month, at in months.items():
        writer.con.execute(
            f"INSERT INTO {DUMPS.qualified} BY NAME SELECT 'llm' AS site, ?::DATE AS month, 'usage_events' AS "
            "table_name, ?::TIMESTAMP AS extracted_at, 0 AS rows, 0 AS rows_new, 0 AS rows_changed, 0 AS rows_moved, "
            "0 AS rows_gone, 0 AS zero_dates",
            [month, at],
        )


def version(writer: Writer, asset: str, month: date, number: int) -> None:
    """Record that an asset's month was written so often."""
    writer.ensure(VERSIONS)
    writer.con.execute(f"DELETE FROM {VERSIONS.qualified} WHERE asset = ? AND month = ?", [asset, month])
    writer.con.execute(
        f"INSERT INTO {VERSIONS.qualified} VALUES ('llm', ?, ?, ?, 1, 'run', TIMESTAMP '2026-05-01 12:34:56')",
        [month, asset, number],
    )


def reported(reader: Reader, first: str = "2026-03", last: str | None = None, site: ServiceSite = SITE) -> UsageReport:
    """The report of a period."""
    return usage_report(reader, site, Period.between(first, last or first))
