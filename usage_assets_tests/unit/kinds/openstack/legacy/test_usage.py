"""The legacy usage counter as rows of timelines.usage."""

from datetime import date, datetime

import polars as pl
import pytest

from usage_assets.kinds.openstack.legacy.usage import COUNTS, REPORTS, has_legacy, legacy_usage
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.timelines.tables import USAGE

MONTH = date(2020, 1, 1)
SITE = OpenStackSite.model_validate(
    {"kind": "openstack", "key": "s", "name": "S", "databases": {"nova": "x", "chameleon_usage": "x"}}
)


def report(day=1, node_type="a", *, maint=24.0, reserved=12.0, used=36.0, idle=24.0, total=96.0, hour=0, gone=None):
    return {
        "site": "s", "month": MONTH, "date": datetime(2020, 1, day, hour), "node_type": node_type,
        "maint_hours": maint, "reserved_hours": reserved, "used_hours": used, "idle_hours": idle,
        "total_hours": total, "is_context": False, "gone_at": gone, "extracted_at": datetime(2020, 2, 1),
        "seen_from": datetime(2020, 2, 1),
    }  # fmt: skip


def counted(day=1, node_type="a", cnt=4):
    return {
        "site": "s", "month": MONTH, "date": date(2020, 1, day), "node_type": node_type, "cnt": cnt,
        "is_context": False, "gone_at": None, "extracted_at": datetime(2020, 2, 1),
        "seen_from": datetime(2020, 2, 1),
    }  # fmt: skip


def build(reports, counts=(), *, counts_fill=False):
    return legacy_usage(
        pl.LazyFrame(list(reports), schema=REPORTS.polars_schema),
        pl.LazyFrame(list(counts), schema=COUNTS.polars_schema),
        SITE,
        counts_fill=counts_fill,
    ).collect()


def hours(usage):
    return {(row["timestamp"].day, row["metric"]): row["hours"] for row in usage.iter_rows(named=True)}


def test_the_hours_are_read_as_a_partition_of_the_day():
    usage = build([report()])
    assert hours(usage) == {
        (1, "total"): 96.0,
        (1, "reservable"): 72.0,
        (1, "committed"): 48.0,
        (1, "occupied_reservation"): 36.0,
        (1, "idle"): 12.0,
        (1, "available_reservable"): 24.0,
        (1, "maintenance"): 24.0,
    }
    assert (usage["value"] * 24).to_list() == usage["hours"].to_list()


def test_rows_are_daily_nodes_of_the_legacy_collector_in_the_declared_shape():
    usage = build([report(day=2, hour=9)])
    assert usage.schema == USAGE.polars_schema
    assert usage["timestamp"].unique().to_list() == [datetime(2020, 1, 2)]
    assert usage["collector_type"].unique().to_list() == ["legacy"]
    assert usage["resource"].unique().to_list() == ["nodes"]


def test_a_null_makes_what_is_derived_from_it_null():
    found = hours(build([report(maint=None)]))
    assert [metric for (_, metric), value in found.items() if value is None] == [
        "reservable",
        "available_reservable",
        "maintenance",
    ]


def test_of_rows_that_share_day_and_node_type_the_latest_counts_and_one_that_is_gone_last():
    gone = report(total=1.0, hour=12, gone=datetime(2020, 1, 5))
    assert hours(build([report(total=10.0), report(total=20.0, hour=6), gone]))[1, "total"] == 20.0


@pytest.mark.parametrize(("fill", "expected"), [(False, None), (True, 96.0)])
def test_a_day_without_a_report_has_the_count_of_nodes_where_the_site_lists_it(fill, expected):
    found = hours(build([report()], [counted(cnt=9), counted(day=2)], counts_fill=fill))
    assert found[1, "total"] == 96.0
    assert found.get((2, "total")) == expected
    assert (2, "reservable") not in found


def test_only_a_site_with_the_old_database_has_it():
    assert has_legacy(SITE)
    assert not has_legacy(SITE.model_copy(update={"databases": {"nova": "x"}}))
