"""What the legacy usage counter is asked: a question passes where data agree with it, and says what it found."""

from datetime import date

import polars as pl
import pytest

from usage_assets.core.months import Window
from usage_assets.kinds.openstack.legacy import checks as legacy
from usage_assets.kinds.openstack.legacy.usage import COUNTS, REPORTS
from usage_assets.reports.tables import LEGACY_COMPARISON
from usage_assets_tests.unit.kinds.openstack.legacy.test_usage import MONTH, SITE, counted, report

WINDOW = Window("s", (MONTH,))


@pytest.fixture
def ask(warehouse):
    def ask(question, reports, counts=()):
        with warehouse.write("test") as writer:
            for table, rows in ((REPORTS, reports), (COUNTS, counts)):
                writer.ensure(table)
                writer.put(table, pl.DataFrame(list(rows), schema=table.polars_schema))
        with warehouse.read() as reader:
            return question(reader, SITE, WINDOW)[MONTH]

    return ask


def test_hours_that_add_up_to_total_with_maintenance_are_the_partition(ask):
    found = ask(legacy.partition, [report(), report(2)])
    assert found.passed
    assert "total = maintenance + reserved + used + idle on 2 of 2 rows" in found.text
    assert found.figures["rows_without_maintenance"] == 0


def test_hours_that_add_up_without_maintenance_are_not_and_the_worst_day_is_named(ask):
    found = ask(legacy.partition, [report(), report(2, total=72.0), report(3, "b", total=72.0, maint=30.0)])
    assert not found.passed
    assert (found.figures["rows_with_maintenance"], found.figures["rows_without_maintenance"]) == (1, 2)
    assert (found.figures["days"], found.figures["node_types"], found.figures["worst"]) == (2, 2, "2020-01-03 b")
    assert "node types a, b" in found.text
    assert "total 72 h, parts 102 h" in found.text


def test_without_maintenance_nothing_tells_the_two_readings_apart(ask):
    found = ask(legacy.partition, [report(maint=0.0, total=72.0)])
    assert found.passed
    assert "no maintenance this month" in found.text


def test_total_is_the_count_of_nodes(ask):
    found = ask(legacy.count, [report(), report(2)], [counted(), counted(2)])
    assert found.passed
    assert "total / 24 is the count of nodes on 2 of 2 rows" in found.text


def test_total_is_the_count_less_the_nodes_in_maintenance(ask):
    found = ask(legacy.count, [report(total=72.0), report(2, total=10.0)], [counted(), counted(2)])
    assert not found.passed
    assert found.figures["rows_count_less_maintenance"] == 1
    assert "the count less the nodes in maintenance on 1, neither on 1" in found.text
    assert found.figures["worst"] == "2020-01-02 a"


def test_used_that_exceeds_reserved_is_no_part_of_it(ask):
    found = ask(legacy.used_beside_reserved, [report(), report(2, reserved=48.0, used=0.0)])
    assert found.passed
    assert "used exceeds reserved on 1 of 2 rows (1 day(s), node types a), most by 24 h" in found.text


def test_used_and_reserved_that_exceed_what_is_there_can_not_stand_beside_each_other(ask):
    found = ask(legacy.used_beside_reserved, [report(reserved=60.0, used=36.0)])
    assert not found.passed
    assert "used may be a part of reserved" in found.text
    assert "reserved + used 96 h, total - maintenance 72 h" in found.text


def test_negative_hours_and_totals_above_the_count_are_named(ask):
    found = ask(legacy.bounds, [report(idle=-3.0), report(2, total=200.0), report(3)], [counted(), counted(2)])
    assert not found.passed
    assert (found.figures["rows_negative"], found.figures["rows_above_count"]) == (1, 1)
    assert "total 200 h, 24 x count 96 h" in found.text


def test_good_hours_are_within_bounds(ask):
    assert ask(legacy.bounds, [report()], [counted()]).passed


def test_doubled_rows_and_nulls_are_counted(ask):
    found = ask(legacy.source_rows, [report(), report(hour=6), report(2, maint=None)])
    assert not found.passed
    assert found.figures == {"rows": 3, "rows_doubled": 1, "rows_with_nulls": 1}


def test_a_site_without_the_caches_is_asked_nothing(warehouse):
    site = SITE.model_copy(update={"databases": {"nova": "x"}})
    questions = (legacy.partition, legacy.count, legacy.used_beside_reserved, legacy.bounds, legacy.source_rows)
    with warehouse.read() as reader:
        assert all(not question(reader, site, WINDOW)[MONTH].text for question in questions)


def compared(metric, day, legacy, ours, cause):
    return ("s", MONTH, date(2020, 1, day), "a", metric, legacy, ours, ours - legacy, 0.0, cause)


def test_unexplained_differences_are_shown_per_metric_with_their_worst_days(warehouse):
    rows = [
        compared("total", 1, 24.0, 24.0, None),
        compared("total", 2, 24.0, 20.0, "unexplained"),
        compared("reservable", 3, 24.0, 60.0, "unexplained"),
        compared("reservable", 4, 24.0, 0.0, "maintenance"),
    ]
    with warehouse.write("test") as writer:
        writer.ensure(LEGACY_COMPARISON)
        writer.put(LEGACY_COMPARISON, pl.DataFrame(rows, schema=LEGACY_COMPARISON.polars_schema, orient="row"))
    with warehouse.read() as reader:
        found = legacy.unexplained(reader, SITE, WINDOW)[MONTH]
    assert not found.passed
    assert "reservable 50.0%, total 50.0% of the rows" in found.text
    assert found.figures["worst_days"] == "2020-01-03 (36 h), 2020-01-02 (4 h)"
