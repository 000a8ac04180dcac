"""What the golden tests of leases share: facts.leases of a small site, read by lease."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl

from usage_assets.kinds.openstack.facts.leases import build_leases, read_leases
from usage_assets.kinds.openstack.timelines.leadtime import leadtime
from usage_assets_tests.golden.builder import Month, Rows, make_site
from usage_assets_tests.golden.worked import JAN, LATER, scratch


class WorkedLeases:
    """Leases, rejects and timeline of a site."""

    def __init__(self, rows: Rows, months: Sequence[Month] = (JAN,), extracted: datetime = LATER, **site: Any) -> None:
        self.site = make_site(**({"first_month": "2024-01"} | site))
        known = dict.fromkeys(months, extracted)
        raw = read_leases(scratch().reader(rows, self.site, months, known), self.site, months)
        made = build_leases(self.site, months, raw, known)
        assert made.rejects is not None
        assert made.accounts is not None
        self.rows, self.rejects, self.accounts = made.rows, made.rejects, made.accounts
        self.timeline = leadtime(made.rows)

    def of(self, lease: str, *columns: str) -> Any:
        """One column of a lease, or a tuple of several."""
        values = self.rows.filter(pl.col("lease_id") == lease).select(columns).row(0)
        return values[0] if len(columns) == 1 else values

    def projected(self, lease: str) -> tuple[float | None, bool | None]:
        """Projected hours, and whether the search ended at the horizon."""
        return self.of(lease, "projected", "is_censored")
