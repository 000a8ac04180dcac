"""What exports read: node types added up, and activity told apart by booking."""

from datetime import date, datetime, timedelta

import polars as pl

from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.reports.exports import reading
from usage_assets.timelines.tables import USAGE

MONTH = date(2020, 1, 1)
SITE = OpenStackSite.model_validate({"kind": "openstack", "key": "s", "name": "S", "databases": {"nova": "x"}})


def usage(at, node_type, value, *, collector="current", metric="total"):
    return ("s", MONTH, at, collector, node_type, metric, "nodes", value, value and value * 24)


def held(metric, start, end, entity="e", nodes=1.0):
    return dict.fromkeys(INTERVALS.names) | {
        "site": "s", "month": MONTH, "metric": metric, "source": "nova_instances", "entity_id": entity,
        "start_at": start, "end_at": end, "action": "kept", "node_type": "a", "nodes": nodes,
    }  # fmt: skip


def read(warehouse, *, rows=(), intervals=(), site=SITE):
    with warehouse.write("test") as writer:
        writer.ensure(USAGE, INTERVALS)
        writer.put(USAGE, pl.DataFrame(list(rows), schema=USAGE.polars_schema, orient="row"))
        writer.put(INTERVALS, pl.DataFrame(list(intervals), schema=INTERVALS.polars_schema))
    with warehouse.read() as reader:
        return reading.read(reader, site, [MONTH])


def test_node_types_that_are_known_are_added_up_and_the_others_named(warehouse):
    first, second = datetime(2020, 1, 1), datetime(2020, 1, 2)
    rows = [usage(at, name, value) for at in (first, second) for name, value in (("a", 2.0), ("b", 3.0), ("c", None))]
    rows += [usage(first, "a", None, metric="committed"), usage(first, "b", None, metric="committed")]
    rows += [usage(first, "a", 99.0, collector="legacy"), usage(first, "a", 0.5, metric="utilization")]
    found = read(warehouse, rows=rows)
    assert found.added.sort("metric", "timestamp").select("timestamp", "metric", "value", "complete").rows() == [
        (first, "committed", None, False),
        (first, "total", 5.0, False),
        (second, "total", 5.0, False),
    ]
    assert found.left_out.rows() == [(MONTH, "nodes", "c")]
    total = found.daily.filter(pl.col("metric") == "total").sort("date", "node_type")
    assert total["hours"].to_list() == [48.0, 72.0, None] * 2
    assert total["complete"].to_list() == [True, True, False] * 2


def test_a_sum_that_lacks_a_machine_of_a_type_is_not_complete_while_the_machine_is_there(warehouse):
    days = [datetime(2020, 1, day) for day in (1, 2, 3)]
    rows = [usage(at, name, 2.0, metric=metric) for at in days for name in "ab" for metric in ("total", "occupied")]
    rows += [usage(at, "a", 1.0, metric="occupied_ondemand") for at in days]
    device = held("total", days[0], days[2], "device", nodes=None) | {"node_type": "b", "devices": 1.0}
    intervals = [
        device,
        held("total", days[0], days[2]) | {"node_type": "b"},
        held("total", days[0], days[2]),
        held("occupied_ondemand", days[0], days[2], nodes=None, entity="nowhere"),
        held("occupied_ondemand", days[1], days[2] - timedelta(hours=1), nodes=None, entity="nowhere else"),
        held("occupied_ondemand", days[1], days[2]),
    ]
    intervals[3]["end_at"] = days[1]
    found = read(warehouse, rows=rows, intervals=intervals)
    lacking = found.added.filter(~pl.col("complete")).sort("metric", "timestamp").select("timestamp", "metric")
    assert lacking.rows() == [(at, metric) for metric in ("occupied", "occupied_ondemand") for at in days[:2]]
    assert found.left_out.rows() == [(MONTH, "nodes", "a")]
    assert found.daily["complete"].all()


def test_activity_goes_to_the_booking_of_its_server_and_is_cut_at_buckets(warehouse):
    intervals = [
        held("occupied_reservation", datetime(2020, 1, 1, 6), datetime(2020, 1, 3)),
        held("active", datetime(2020, 1, 1, 12), datetime(2020, 1, 2, 6)),
        held("active", datetime(2020, 1, 2, 12), datetime(2020, 1, 3)),
        held("occupied_ondemand", datetime(2020, 1, 1), datetime(2020, 1, 2), "other", nodes=0.5),
        held("active", datetime(2020, 1, 1), datetime(2020, 1, 2), "other", nodes=0.5),
        held("occupied_unknown", datetime(2020, 1, 1), datetime(2020, 1, 2), "third"),
        held("active", datetime(2020, 1, 1), datetime(2020, 1, 2), "third"),
    ]
    found = read(warehouse, intervals=intervals).active.sort("metric", "timestamp")
    assert found.select("timestamp", "metric", "resource", "hours").rows() == [
        (datetime(2020, 1, 1), "occupied_ondemand", "nodes", 12.0),
        (datetime(2020, 1, 1), "occupied_reservation", "nodes", 12.0),
        (datetime(2020, 1, 2), "occupied_reservation", "nodes", 18.0),
    ]


def test_activity_is_cut_at_the_buckets_of_the_site(warehouse):
    intervals = [
        held("occupied_ondemand", datetime(2020, 1, 1), datetime(2020, 1, 2)),
        held("active", datetime(2020, 1, 1, 1, 30), datetime(2020, 1, 1, 3)),
    ]
    found = read(warehouse, intervals=intervals, site=SITE.model_copy(update={"resolution": "1h"})).active
    assert found.sort("timestamp").select("timestamp", "hours").rows() == [
        (datetime(2020, 1, 1, 1), 0.5),
        (datetime(2020, 1, 1, 2), 1.0),
    ]
