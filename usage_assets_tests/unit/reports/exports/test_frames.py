"""The exported shapes: columns as reports expect them, unknown stays null, parts add up."""

from datetime import date, datetime

import polars as pl
import pytest

from usage_assets.reports.exports import frames
from usage_assets.reports.exports.reading import PARITY_METRICS
from usage_assets.reports.exports.tables import PARITY, USAGE_LONG, USAGE_WIDE
from usage_assets.timelines.usage import Scope

MONTH, AT = date(2020, 1, 1), datetime(2020, 1, 10)
READ = {MONTH: datetime(2020, 2, 5)}
COUNTED = (
    "total", "reservable", "committed", "occupied_reservation", "occupied_ondemand", "occupied_unknown", "active",
)  # fmt: skip
VALUES = {"total": 10.0, "reservable": 8.0, "committed": 6.0, "occupied_reservation": 5.0, "occupied_ondemand": 1.0,
          "occupied_unknown": 0.0, "occupied": 6.0, "active": 5.5}  # fmt: skip


def added(values=VALUES, *, at=AT, resource="nodes", partly=()):
    rows = [
        (MONTH, at, metric, resource, value, value is not None and metric not in partly)
        for metric, value in values.items()
    ]
    schema = pl.Schema(
        {"month": pl.Date(), "timestamp": pl.Datetime("us"), "metric": pl.String(), "resource": pl.String(),
         "value": pl.Float64(), "complete": pl.Boolean()}
    )  # fmt: skip
    return pl.LazyFrame(rows, schema=schema, orient="row")


def ran(hours):
    rows = [(MONTH, AT, metric, "nodes", value) for metric, value in hours.items()]
    schema = pl.Schema(
        {"month": pl.Date(), "timestamp": pl.Datetime("us"), "metric": pl.String(), "resource": pl.String(),
         "hours": pl.Float64()}
    )  # fmt: skip
    return pl.LazyFrame(rows, schema=schema, orient="row")


def wide(values=VALUES, hours=None, *, counted=COUNTED, read=READ, minutes=1440, partly=()):
    hours = {"occupied_reservation": 108.0, "occupied_ondemand": 24.0} if hours is None else hours
    made = Scope("s", minutes, counted, ("nodes",), {})
    return frames.wide(added(values, partly=partly), ran(hours), made, read).collect()


def test_usage_wide_has_the_columns_that_older_reports_read_in_their_order():
    assert USAGE_WIDE.names == [
        "time", "site", "resource", "total", "reservable", "committed", "occupied_ondemand", "occupied_reserved",
        "active_ondemand", "active_reserved", "complete",
    ]  # fmt: skip
    assert wide().drop("month").schema == USAGE_WIDE.polars_schema
    assert wide().drop("month").rows() == [(AT, "s", "nodes", 10.0, 8.0, 6.0, 1.0, 5.0, 1.0, 4.5, True)]


def test_a_row_is_complete_where_all_of_every_sum_in_it_is_known():
    assert wide(VALUES | {"total": None})["complete"].to_list() == [False]
    assert wide(partly=("active",))["complete"].to_list() == [False]
    assert wide(partly=("occupied_unknown", "idle"))["complete"].to_list() == [True]


def test_what_is_unknown_stays_null_and_nothing_stands_in_for_it():
    row = wide(VALUES | {"total": None, "occupied_reservation": None, "occupied_ondemand": None}).row(0, named=True)
    assert (row["total"], row["occupied_reserved"], row["occupied_ondemand"]) == (None, None, None)
    assert (row["active_reserved"], row["active_ondemand"]) == (None, None)
    assert (row["reservable"], row["committed"]) == (8.0, 6.0)


def test_activity_is_null_where_it_is_not_known_and_zero_where_nothing_ran():
    unknown = wide(VALUES | {"active": None}).row(0, named=True)
    assert (unknown["active_reserved"], unknown["active_ondemand"]) == (None, None)
    none = wide(hours={}).row(0, named=True)
    assert (none["active_reserved"], none["active_ondemand"]) == (0.0, 0.0)


def test_the_bucket_of_the_read_is_as_long_as_was_seen_of_it():
    row = wide(hours={"occupied_ondemand": 9.0}, read={MONTH: datetime(2020, 1, 10, 9)}).row(0, named=True)
    assert row["active_ondemand"] == 1.0


def test_what_a_site_can_not_have_is_zero_and_said():
    counted = ("total", "occupied_ondemand", "occupied_unknown", "active")
    row = wide({"total": 10.0, "occupied_ondemand": 1.0, "active": 1.0}, counted=counted).row(0, named=True)
    assert (row["reservable"], row["committed"], row["occupied_reserved"], row["active_reserved"]) == (0, 0, 0, 0)
    assert frames.filled_columns(counted) == dict.fromkeys(
        ("reservable", "committed", "occupied_reserved", "active_reserved"), "no such thing at the site"
    )
    assert frames.filled_columns(COUNTED) == {}


def test_a_site_that_counts_no_servers_has_no_zero_use():
    row = wide({"total": 4.0, "reservable": 4.0, "committed": 1.0}, counted=("total", "reservable", "committed"))
    assert row.select("occupied_ondemand", "occupied_reserved", "active_reserved").row(0) == (None, None, None)


def test_activity_that_is_not_counted_is_a_copy_and_said():
    counted = tuple(name for name in COUNTED if name != "active")
    row = wide(counted=counted, hours={}).row(0, named=True)
    assert (row["active_reserved"], row["active_ondemand"]) == (5.0, 1.0)
    assert set(frames.filled_columns(counted).values()) == {"not counted: a copy of occupied"}


def scope(counted=COUNTED, utilization_of=None):
    return Scope("s", 1440, counted, ("nodes",), {}, utilization_of)


def long(rows, *, counted=COUNTED, utilization_of=None):
    found = frames.long(rows, scope(counted, utilization_of)).collect()
    assert found.drop("month").schema == USAGE_LONG.polars_schema
    return {(row["time"], row["metric"]): row["value"] for row in found.iter_rows(named=True)}


def test_a_share_is_complete_where_what_it_is_made_of_is():
    def whole(*partly: str) -> dict[str, bool]:
        found = frames.long(added(partly=partly), scope()).collect()
        return {row["metric"]: row["complete"] for row in found.iter_rows(named=True)}

    assert all(whole().values())
    for name in ("occupied", "total"):
        assert {metric for metric, complete in whole(name).items() if not complete} == {name, "utilization"}
    assert whole("reservable")["utilization"]


def test_usage_long_has_every_metric_and_utilization_as_a_share_of_sums():
    found = long(added())
    assert {metric for _, metric in found} == {*VALUES, "utilization"}
    assert found[AT, "utilization"] == 0.6  # something ran on demand: of total


def test_utilization_is_of_reservable_in_a_month_without_on_demand_use_unless_the_site_says():
    values = VALUES | {"occupied_ondemand": 0.0, "occupied": 5.0}
    assert long(added(values))[AT, "utilization"] == 5 / 8
    assert long(added(values), utilization_of="total")[AT, "utilization"] == 0.5
    later = datetime(2020, 1, 11)
    both = pl.concat([added(values), added(VALUES, at=later)])
    assert long(both)[AT, "utilization"] == 0.5


def test_utilization_of_nothing_or_of_something_unknown_is_null():
    assert long(added(VALUES | {"total": 0.0}))[AT, "utilization"] is None
    assert long(added(VALUES | {"occupied": None}))[AT, "utilization"] is None


def parity(*hours: float | None, read=READ, at=AT):
    rows = [
        (MONTH, at, "a", metric, value, value is not None) for metric, value in zip(PARITY_METRICS, hours, strict=True)
    ]
    schema = pl.Schema({"month": pl.Date(), "date": pl.Datetime("us"), "node_type": pl.String(), "metric": pl.String(),
              "hours": pl.Float64(), "complete": pl.Boolean()})  # fmt: skip
    daily = pl.LazyFrame(rows, schema=schema, orient="row")
    return frames.parity(daily, site="s", extracted=read).collect()


def parts(*hours: float | None):
    return parity(*hours).row(0)[4:-1]


def test_the_parity_row_is_what_the_old_cache_would_have_said():
    assert parity(96.0, 72.0, 48.0, 36.0).drop("month").rows() == [(AT, "s", "a", 24, 12, 36, 24, 96, True)]
    assert parity(96.0, None, 48.0, 36.0)["complete"].to_list() == [False]
    assert parity(96.0, 72.0, 48.0, 36.0).drop("month").schema == PARITY.polars_schema


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        # maint 10.9, reserved 20.4, used 30.3, idle 38.4 of 100: one down each is 98, the two greatest fractions go up
        ((100.0, 89.1, 50.7, 30.3), (11, 21, 30, 38, 100)),
        # quarters: three hours are short, and of equal fractions the first parts get them
        ((99.0, 74.25, 49.5, 24.75), (25, 25, 25, 24, 99)),
        # total is cut as well
        ((10.9, 10.9, 0.0, 0.0), (0, 0, 0, 10, 10)),
        # sums of floats that are whole
        ((72.00000000001, 71.99999999999, 24.0, 24.0), (0, 0, 24, 48, 72)),
        # more used than committed
        ((24.0, 24.0, 6.0, 6.5), (0, 0, 6, 18, 24)),
    ],
)
def test_parts_are_whole_hours_that_add_up_to_total(hours, expected):
    found = parts(*hours)
    assert found == expected
    assert sum(found[:4]) == found[4]


def test_any_hours_add_up_and_no_part_is_further_than_an_hour_from_its_own():
    for step in range(200):
        total, reservable, committed, used = 100 + step * 0.37, 80 + step * 0.31, 40 + step * 0.29, 20 + step * 0.13
        found = parts(total, reservable, committed, used)
        exact = (total - reservable, committed - used, used, reservable - committed)
        assert sum(found[:4]) == found[4] == int(total)
        assert all(abs(whole - hours) < 1 for whole, hours in zip(found, exact, strict=False))


def test_a_part_with_an_unknown_term_is_null():
    assert parts(96.0, None, 48.0, 36.0) == (None, 12, 36, None, 96)


def test_the_day_of_the_read_is_left_out():
    assert parity(96.0, 72.0, 48.0, 36.0, read={MONTH: datetime(2020, 1, 10, 23)}).is_empty()
    assert parity(96.0, 72.0, 48.0, 36.0, read={MONTH: datetime(2020, 1, 11)}).height == 1
