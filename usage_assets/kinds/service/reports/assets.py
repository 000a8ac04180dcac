"""The usage report of each month, as a page, and its asset `service/reports/usage_report`."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from usage_assets.kinds.service.reports import page
from usage_assets.kinds.service.reports.content import UsageReport, report
from usage_assets.kinds.service.reports.period import Period
from usage_assets.kinds.service.reports.reading import INPUTS, Inputs, read_report
from usage_assets.kinds.service.reports.tables import SERVICE_REPORTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.specs.asset import Asset, Built
from usage_assets.warehouse import Reader

FOLDER = "usage_reports/monthly"
"""Where the pages of a site lie, below its folder of plots."""


def read_reports(reader: Reader, site: ServiceSite, months: Sequence[date]) -> dict[date, Inputs]:
    """What the reports of some months are made of."""
    return {month: read_report(reader, site, Period.of_month(month)) for month in months}


def make_reports(
    site: ServiceSite,
    months: Sequence[date],
    inputs: Mapping[date, Inputs],
    extracted: Mapping[date, datetime],  # noqa: ARG001 - all table assets are made alike
) -> Built:
    """Rows of the reports of some months, and their pages."""
    rows: list[dict[str, Any]] = []
    files: dict[date, dict[str, bytes]] = {}
    for month in months:
        made = report(site, Period.of_month(month), inputs[month])
        path = f"{site.key}/{FOLDER}/{made.period.name}.html"
        files[month] = {path: page.as_html(made)}
        rows.append(_row(month, made, path))
    return Built(pl.DataFrame(rows, schema=SERVICE_REPORTS.polars_schema, orient="row"), files=files)


def _row(month: date, made: UsageReport, path: str) -> dict[str, Any]:
    totals = made.tables["totals"].row(0, named=True)
    return {
        "site": made.site,
        "month": month,
        "period": made.period.name,
        "version": made.version,
        "state": made.months["state"][0],
        "subject": page.subject(made),
        "page": path,
        **{name: totals[name] for name in ("requests", "cost", "cost_unrated_requests")},
    }


REPORT_ASSETS: tuple[Asset, ...] = (
    Asset(
        stage="reports",
        name="usage_report",
        table=SERVICE_REPORTS,
        description="The usage report of each month as a page: totals, users, models, teams, limits, advice, quality.",
        after=INPUTS,
        read=read_reports,
        make=make_reports,
        months_at_once=1,  # a month may have 200,000 users
    ),
)
"""What the kind lists among its tables."""
