"""Old hours against ours on literal rows: one case per cause, each worked by hand."""

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from usage_assets.facts.tables import REJECTS
from usage_assets.kinds.openstack.legacy import comparison
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.reports.tables import LEGACY_COMPARISON
from usage_assets.sites.base import Gap
from usage_assets.timelines.tables import USAGE

MONTH, DAY = date(2020, 1, 1), date(2020, 1, 10)
COUNTED = ("total", "reservable", "committed", "occupied_reservation")
_HOURS = pl.Schema(
    {"month": pl.Date, "date": pl.Date, "node_type": pl.String, "metric": pl.String, "collector_type": pl.String,
     "hours": pl.Float64}
)  # fmt: skip
_DOUBLES = pl.Schema({"date": pl.Date, "node_type": pl.String, "metric": pl.String, "hours": pl.Float64})


Side = dict[str, float | None]


def compared(legacy: Side, current: Side, *, doubles=(), gaps=(), counted=COUNTED):
    rows = [(MONTH, DAY, "a", metric, "legacy", hours) for metric, hours in legacy.items()]
    rows += [(MONTH, DAY, "a", metric, "current", hours) for metric, hours in current.items()]
    frame = comparison.compare(
        pl.LazyFrame(rows, schema=_HOURS, orient="row"),
        pl.LazyFrame([(DAY, "a", *row) for row in doubles], schema=_DOUBLES, orient="row"),
        gaps=dict(gaps),
        counted=counted,
    ).collect()
    return {row["metric"]: row for row in frame.iter_rows(named=True)}


def cause(metric: str, *args: Any, **more: Any) -> str | None:
    return compared(*args, **more)[metric]["cause"]


def test_both_sides_stand_beside_each_other_with_their_difference():
    row = compared({"total": 100.0}, {"total": 90.0})["total"]
    assert (row["legacy_hours"], row["current_hours"]) == (100.0, 90.0)
    assert (row["difference"], row["relative_difference"]) == (-10.0, -0.1)


@pytest.mark.parametrize(("ours", "expected"), [(24.5, None), (24.51, "unexplained"), (23.5, None)])
def test_within_half_an_hour_there_is_nothing_to_explain(ours, expected):
    assert cause("total", {"total": 24.0}, {"total": ours}) == expected


@pytest.mark.parametrize(("ours", "expected"), [(2412.0, None), (2412.1, "unexplained")])
def test_within_half_a_percent_there_is_nothing_to_explain(ours, expected):
    assert cause("total", {"total": 2400.0}, {"total": ours}) == expected


@pytest.mark.parametrize(
    ("legacy", "current"), [({"total": 24.0}, {}), ({}, {"total": 24.0}), ({"total": 24.0}, {"total": None})]
)
def test_a_side_that_tells_nothing_of_a_day_is_null_and_the_other_one_alone(legacy, current):
    row = compared(legacy, current)["total"]
    assert (row["difference"], row["cause"]) == (None, "one side only")
    gap = Gap.model_validate({"source": "nova_compute_nodes", "to": "2020-01-11"})
    assert compared(legacy, current, gaps={"total": (gap,)})["total"]["cause"] == "known gap"


Types = dict[str, tuple[float | None, float | None]]


def by_type(of_total: Types, *, maintenance: Types | None = None, days: int = 3) -> dict[str, tuple]:
    """(difference, cause) of total per node type, of (theirs, ours) per type, the same on some days."""
    rows = [
        (MONTH, date(2020, 1, 1 + day), name, metric, collector, hours)
        for metric, found in (("total", of_total), ("maintenance", maintenance or {}))
        for name, sides in found.items()
        for collector, hours in zip(("legacy", "current"), sides, strict=True)
        if hours is not None
        for day in range(days)
    ]
    frame = comparison.compare(
        pl.LazyFrame(rows, schema=_HOURS, orient="row"), pl.LazyFrame(schema=_DOUBLES), gaps={},
        counted=(*COUNTED, "maintenance"),
    ).collect()  # fmt: skip
    total = frame.filter(metric="total", date=date(2020, 1, 1)).sort("node_type")
    assert frame.filter(metric="total").height == days * total.height
    return {name: tuple(rest) for name, *rest in total.select("node_type", "difference", "cause").iter_rows()}


def test_types_that_one_side_lacks_count_there_as_nothing():
    found = by_type({"a": (240.0, 240.0), "old": (48.0, None), "new": (None, 96.0)})
    assert found == {"a": (0.0, None), "new": (96.0, "one side only"), "old": (-48.0, "one side only")}
    assert sum(difference for difference, _ in found.values()) == (240 + 96) - (240 + 48)


def test_types_that_theirs_took_for_one_are_found_from_the_hours():
    found = by_type(
        {
            "gpu_p100": (480.0, 360.0), "gpu_p100_nvlink": (None, 96.0), "gpu_p100_v100": (None, 24.0),
            "storage": (528.0, 480.0), "storage_hierarchy": (None, 48.0),
            "compute_haswell": (408.0, None), "compute_haswell_ib": (None, 408.0),
            "compute_zen3": (None, 312.0),
        }
    )  # fmt: skip
    assert found.pop("compute_zen3") == (312.0, "one side only")
    assert {cause for _, cause in found.values()} == {"merged types"}
    assert sum(difference for difference, _ in found.values()) == 0


def test_what_merged_types_leave_has_its_own_cause():
    """Theirs lacks the maintenance of one machine on a day of three: the rest of the month tells the types."""
    of_total: Types = {"gpu": (240.0, 144.0), "gpu_b": (None, 96.0)}
    rows = [(MONTH, date(2020, 1, day), name, "total", collector, hours)
            for day in (1, 2, 3) for name, sides in of_total.items()
            for collector, hours in zip(("legacy", "current"), sides, strict=True) if hours is not None]  # fmt: skip
    rows[0] = (*rows[0][:5], 216.0)
    rows.append((MONTH, date(2020, 1, 1), "gpu_b", "maintenance", "current", 24.0))
    frame = comparison.compare(
        pl.LazyFrame(rows, schema=_HOURS, orient="row"), pl.LazyFrame(schema=_DOUBLES), gaps={},
        counted=(*COUNTED, "maintenance"),
    ).collect()  # fmt: skip
    causes = frame.filter(metric="total").sort("date", "node_type")["cause"].to_list()
    assert causes == ["maintenance", "merged types", *["merged types"] * 4]


def test_a_difference_on_a_day_in_a_known_gap_of_a_source_is_a_known_gap():
    gap = Gap.model_validate({"source": "blazar_computehosts", "to": "2020-01-11"})
    until = Gap.model_validate({"source": "blazar_computehosts", "to": "2020-01-10"})
    sides: tuple[Side, ...] = ({"available_reservable": 48.0}, {"available_reservable": 24.0})
    assert cause("available_reservable", *sides, gaps={"reservable": (gap,)}) == "known gap"
    assert cause("available_reservable", *sides, gaps={"reservable": (until,)}) == "unexplained"


def test_a_difference_of_the_legacy_maintenance_is_maintenance_either_way():
    for ours in (124.0, 76.2):
        assert cause("reservable", {"reservable": 100.0, "maintenance": 24.0}, {"reservable": ours}) == "maintenance"
    assert cause("reservable", {"reservable": 100.0, "maintenance": 24.0}, {"reservable": 110.0}) == "unexplained"


def test_our_maintenance_that_the_old_total_leaves_out_is_maintenance():
    sides: tuple[Side, ...] = ({"total": 96.0, "maintenance": 0.0}, {"total": 120.0, "maintenance": 24.0})
    counted = (*COUNTED, "maintenance")
    assert cause("total", *sides, counted=counted) == "maintenance"
    assert cause("maintenance", *sides, counted=counted) == "maintenance"


def test_maintenance_of_a_site_that_names_none_is_maintenance():
    assert cause("maintenance", {"maintenance": 24.0}, {}) == "maintenance"
    assert cause("maintenance", {"maintenance": 0.0}, {}) is None
    with_rule = (*COUNTED, "maintenance")
    assert cause("maintenance", {"maintenance": 24.0}, {"maintenance": 24.0}, counted=with_rule) is None
    assert cause("maintenance", {"maintenance": 24.0}, {}, counted=with_rule) == "one side only"


def test_a_difference_of_the_time_of_hosts_that_were_there_twice_is_a_duplicate_host():
    doubles = [("reservable", 24.0)]
    assert cause("reservable", {"reservable": 120.0}, {"reservable": 96.0}, doubles=doubles) == "duplicate host"
    assert cause("reservable", {"reservable": 110.0}, {"reservable": 96.0}, doubles=doubles) == "unexplained"


SITE = OpenStackSite.model_validate(
    {"kind": "openstack", "key": "s", "name": "S", "databases": {"nova": "x", "blazar": "x", "chameleon_usage": "x"}}
)


def usage(collector, at, hours, node_type="a"):
    return ("s", MONTH, at, collector, node_type, "total", "nodes", None if hours is None else hours / 24, hours)


def test_finer_buckets_are_added_up_and_the_day_of_the_read_is_left_out(warehouse):
    rows = [usage("legacy", datetime(2020, 1, day), 48.0) for day in (1, 2, 3)]
    rows += [usage("current", datetime(2020, 1, 1, hour), 2.0) for hour in range(24)]
    rows += [usage("current", datetime(2020, 1, 2, hour), None if hour == 5 else 2.0) for hour in range(24)]
    rows += [usage("current", datetime(2020, 1, 3, hour), 2.0) for hour in range(9)]
    double = dict.fromkeys(REJECTS.names) | {
        "site": "s", "month": MONTH, "metric": "total", "source": "t", "node_type": "a", "reason": "duplicate",
        "start_at": datetime(2020, 1, 1, 12), "end_at": datetime(2020, 1, 2, 6),
    }  # fmt: skip
    with warehouse.write("test") as writer:
        writer.ensure(USAGE, REJECTS)
        writer.put(USAGE, pl.DataFrame(rows, schema=USAGE.polars_schema, orient="row"))
        writer.put(REJECTS, pl.DataFrame([double], schema=REJECTS.polars_schema))
    with warehouse.read() as reader:
        read = comparison.read(reader, SITE, [MONTH])
    doubles = read[1].sort("date").rows()
    assert doubles == [
        (date(2020, 1, 1), "a", "total", 12.0),
        (date(2020, 1, 2), "a", "total", 6.0),
    ]
    made = comparison.make(SITE, [MONTH], read, {MONTH: datetime(2020, 1, 3, 9)})
    assert made.rows.schema == LEGACY_COMPARISON.polars_schema
    assert made.rows.sort("date").select("date", "legacy_hours", "current_hours", "cause").rows() == [
        (date(2020, 1, 1), 48.0, 48.0, None),
        (date(2020, 1, 2), 48.0, None, "one side only"),
    ]
