"""Which buckets an export lacks: found from the files of the months that were built and their neighbours."""

from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from usage_assets.core.months import Window
from usage_assets.kinds import OPENSTACK
from usage_assets.reports.exports import checks, files
from usage_assets.reports.exports.tables import USAGE_WIDE
from usage_assets.warehouse import Warehouse

MONTHS = [date(2020, month, 1) for month in (1, 2, 4, 5)]
KIND = SimpleNamespace(
    asset=OPENSTACK.asset,
    usage_scope=lambda site: SimpleNamespace(bucket_minutes=1440),
)
SITE = SimpleNamespace(key="s", first_month=date(2020, 1, 1), known_gaps=())


@pytest.fixture
def _exported() -> None:
    """Days of four months; March and the first two days of May are not there."""
    for month in MONTHS:
        days = pl.datetime_range(month, (month + timedelta(days=31)).replace(day=1), "1d", closed="left", eager=True)
        rows = pl.DataFrame({"time": days.cast(pl.Datetime("us"))}).filter(pl.col("time").dt.date() != date(2020, 5, 1))
        rows = rows.filter(pl.col("time") != datetime(2020, 5, 2)).with_columns(
            site=pl.lit("s"), resource=pl.lit("nodes")
        )
        lacking = [pl.lit(None).alias(name) for name in USAGE_WIDE.names if name not in rows.columns]
        files.write_month(USAGE_WIDE, "s", month, rows.with_columns(lacking))


@pytest.mark.usefixtures("_exported")
@pytest.mark.parametrize(
    ("months", "said"),
    [
        (MONTHS[:1], {}),
        (MONTHS[1:2], {}),
        ([date(2020, 3, 1)], {date(2020, 3, 1): "there is no file"}),
        (MONTHS[2:3], {}),
        (MONTHS[3:], {MONTHS[3]: "nothing between 2020-04-30 00:00 and 2020-05-03 00:00"}),
    ],
    ids=["January", "before a hole", "the hole", "after the hole", "begins late"],
)
def test_a_gap_counts_for_the_month_in_which_it_begins(months: list[date], said: dict[date, str], tmp_path: Path):
    window = Window("s", tuple(months))
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    with warehouse.write("test") as writer:
        writer.record_readiness("openstack/timelines/usage", "s", months, {}, "r")
    with warehouse.read() as reader:
        found = checks.coverage(KIND, USAGE_WIDE, reader, SITE, window)  # type: ignore[arg-type]  # all it asks of them
    assert {month: one.text for month, one in found.items() if not one.passed} == said
