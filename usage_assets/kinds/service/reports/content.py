"""The content of a usage report: its tables, the version of its data, and what of it is provisional."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from usage_assets.core.months import next_month
from usage_assets.kinds.service.reports.period import Period
from usage_assets.kinds.service.reports.reading import Inputs
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.warehouse.bookkeeping import VERSIONS

FORM = 1
"""Raise it when the content of reports changes: their versions change with it."""
STATES: Mapping[str, str] = {
    "complete": "read after its end and the days in which late events are waited for",
    "late events": "over, but late events may still be added",
    "running": "read before its end",
    "not read": "never read",
}
_VERSION_LETTERS = 12


@dataclass(frozen=True)
class UsageReport:
    """A report: `tables` by name, each in its order; `version` stands for all that it is made of."""

    site: str
    name: str
    currency: str
    reporting_tz: str
    period: Period
    version: str
    tables: Mapping[str, pl.DataFrame]

    @property
    def stem(self) -> str:
        """How its files begin: site, period and version of the data."""
        return f"{self.site}_{self.period.name}_{self.version}"

    @property
    def months(self) -> pl.DataFrame:
        """month, extracted_at, state: how final each month of it is."""
        return self.tables["months"]

    @property
    def provisional(self) -> tuple[str, ...]:
        """A sentence on each month whose numbers may still change."""
        return tuple(_sentence(*row) for row in self.months.iter_rows() if row[2] != "complete")


def report(site: ServiceSite, period: Period, inputs: Inputs) -> UsageReport:
    """The report of a period, of what was read for it; the same inputs give the same report."""
    months = [(month, inputs.extracted.get(month)) for month in period.months]
    states = [(month, at, state(month, at, site.late_days)) for month, at in months]
    schema: dict[str, pl.DataType] = {"month": pl.Date(), "extracted_at": pl.Datetime("us"), "state": pl.String()}
    of_months = pl.DataFrame(states, schema=schema, orient="row")
    versions = inputs.versions.select("asset", "month", "version", "rows")
    return UsageReport(
        site=site.key,
        name=site.name,
        currency=site.currency,
        reporting_tz=site.reporting_tz,
        period=period,
        version=data_version(site, period, inputs),
        tables={**inputs.tables, "months": of_months, "inputs": versions},
    )


def data_version(site: ServiceSite, period: Period, inputs: Inputs) -> str:
    """Hash of what a report is made of: versions of the tables' months, when they were read, and what names them."""
    known = inputs.versions.select(name for name in VERSIONS.names if name in {"asset", "month", "version"})
    parts = (
        FORM, site.key, site.name, site.currency, site.reporting_tz, site.late_days, period.name,
        sorted(map(list, known.rows())), sorted(inputs.extracted.items()),
    )  # fmt: skip
    text = json.dumps(parts, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_VERSION_LETTERS]


def state(month: date, extracted: datetime | None, late_days: int) -> str:
    """How final a month is that was read at an instant: a key of STATES."""
    if extracted is None:
        return "not read"
    end = datetime.combine(next_month(month), datetime.min.time())
    if extracted < end:
        return "running"
    return "complete" if extracted >= end + timedelta(days=late_days) else "late events"


def _sentence(month: date, extracted: datetime | None, what: str) -> str:
    read = f" (read {extracted:%Y-%m-%d %H:%M} UTC)" if extracted else ""
    return f"{month:%Y-%m} is provisional: {STATES[what]}{read}."
