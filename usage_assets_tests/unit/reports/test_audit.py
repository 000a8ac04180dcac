"""The audit of a pool: rows of many polls are rejected by one span, and are counted as the rows that they are."""

import json
from datetime import date

import polars as pl
import pytest

from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.reports.audit import Read, make
from usage_assets.warehouse.bookkeeping import ACCOUNTS

MONTH = date(2026, 10, 1)
ASSET, SOURCE = "htcondor/facts/total", "gpu_state"
SITE = HTCondorSite.model_validate(
    {"kind": "htcondor", "key": "pool", "name": "Pool", "snapshots": "nowhere", "first_month": "2026-10"}
)


def account(reasons: dict[str, int] | None) -> pl.DataFrame:
    rejected = sum((reasons or {}).values()) or 1
    said = None if reasons is None else json.dumps(reasons)
    row = ("pool", MONTH, ASSET, SOURCE, 100 + rejected, 100, rejected, 0, 60.0, 50.0, 0.0, 10.0, None, said)
    return pl.DataFrame([row], schema=ACCOUNTS.polars_schema, orient="row")


@pytest.mark.parametrize(
    ("reasons", "rows"),
    [
        ({"masked": 5179, "duplicate": 2}, {"masked": (5179, 10.0), "duplicate": (2, 0.0)}),
        (None, {"masked": (1, 10.0)}),  # built before accounts told reasons
    ],
)
def test_rejected_rows_are_those_of_the_account(reasons: dict[str, int] | None, rows: dict[str, tuple[int, float]]):
    rejects = pl.DataFrame(
        {"month": [MONTH], "asset": [ASSET], "source": [SOURCE], "reason": ["masked"], "rows": [1], "hours": [10.0]}
    )
    found = make((), SITE, [MONTH], Read(account(reasons), rejects), {}).rows
    by_outcome = found.select("outcome", "reason", "rows", "hours")
    told = {reason: tuple(rest) for outcome, reason, *rest in by_outcome.iter_rows() if outcome == "rejected"}
    assert told == rows
    counted = by_outcome.filter(pl.col("outcome").is_in(["kept", "outside", "rejected"]))["rows"].sum()
    assert counted == by_outcome.filter(outcome="read")["rows"].item()
