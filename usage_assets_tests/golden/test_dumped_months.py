"""A dump of SQLite sources holds, month by month, the rows that the month rule asks for."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from usage_assets.core.months import Window
from usage_assets.kinds.openstack.facts import build_facts, read_inputs
from usage_assets.kinds.openstack.raw.dump import dump
from usage_assets.kinds.openstack.raw.tables import TABLES
from usage_assets.warehouse import Reader, Warehouse
from usage_assets_tests.golden.builder import ZERO, Month, Row, Rows
from usage_assets_tests.golden.random_site import random_case
from usage_assets_tests.golden.raw_months import month_rows
from usage_assets_tests.golden.stores import write_sqlite
from usage_assets_tests.golden.worked import JAN, LATER

SERVED = [table for table in TABLES if table.database != "chameleon_usage"]


def _stored(reader: Reader, months: list[Month]) -> dict[tuple[str, Month], list[Row]]:
    out: dict[tuple[str, Month], list[Row]] = {}
    for table in SERVED:
        frame = reader.frame(table.table, "golden", months)
        for month in months:
            mine = frame.filter(month=month).drop("site", "month", "extracted_at", "seen_from")
            out[table.name, month] = _ordered(mine.to_dicts())
    return out


def _ordered(rows: list[Row]) -> list[Row]:
    return sorted(({name: row[name] for name in sorted(row)} for row in rows), key=lambda row: str(row["id"]))


@pytest.mark.parametrize("seed", range(6))
def test_a_month_of_every_raw_table_holds_the_rows_that_touch_it(seed: int, tmp_path: Path):
    case = random_case(random.Random(seed))
    for rows in case.rows.tables.values():
        for row in rows:
            row["gone_at"] = None  # no dump before this one, so nothing can be gone
            if "deleted" in row:
                row["deleted"] = bool(row["deleted"])  # and whatever is read is read with its mark
    site = write_sqlite(case.rows, tmp_path / "sources", first_month=f"{case.site.first_month:%Y-%m}")
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    dump(site, Window(site.key, tuple(case.months)), warehouse, tables=SERVED, run_id="r")
    with warehouse.read() as reader:
        stored = _stored(reader, case.months)
    for month in case.months:
        held = month_rows(case.rows, month, site.first_month)
        for table in SERVED:
            assert stored[table.name, month] == _ordered(held[table.name]), (table.name, month)


def test_zero_dates_archived_soft_deleted_and_hidden_rows_of_a_source_count_as_they_should(tmp_path: Path):
    rows = Rows()
    rows.compute_node("h", "2023-06-01", ZERO)  # a zero date is no date: the machine is still there
    host = rows.computehost("h", "2023-06-01", ZERO, node_type="t")
    rows.booked(host, "2024-01-10", "2024-01-20", deleted="2024-01-18")
    deleted = rows.instance("h", "2024-01-02", "2024-01-03", archived=True)
    rows.event(deleted, "compute_terminate_instance", "2024-01-02 12:00", archived=True)
    for row in rows.tables["nova_instance_actions"]:
        row["archived"] = True
    rows.spec(rows.instance("h", "2024-01-05", ZERO))
    rows.instance("h", "2024-01-05", hidden=True)
    rows.instance(None, "2024-01-06", "2024-01-07", launched_at=None, table="nova_cell0_instances")
    site = write_sqlite(rows, tmp_path / "sources", first_month="2024-01")
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    done = dump(site, Window(site.key, (JAN,)), warehouse, tables=SERVED, run_id="r")
    counted = {item.table.name: item.zero_dates for item in done.months if item.zero_dates}
    assert counted == {"nova_compute_nodes": 1, "blazar_computehosts": 1, "nova_instances": 2}
    with warehouse.read() as reader:
        facts = build_facts(site, [JAN], read_inputs(reader, site, [JAN]), {JAN: LATER})
    hours = {
        metric: sum((end - start).total_seconds() / 3600 for start, end in frame.select("start_at", "end_at").rows())
        for (metric,), frame in facts.intervals.group_by("metric")
    }
    assert hours == {
        "total": 744,
        "reservable": 744,
        "committed": 8 * 24,  # to the deletion of its lease
        "occupied_unknown": 12,  # archived servers have lost their spec
        "occupied_ondemand": 27 * 24,
        "active": 27 * 24 + 12,
    }
    assert facts.rejects.select("source", "reason").rows() == [("nova_cell0_instances", "never_launched")]


def test_fractions_of_seconds_of_a_source_count_to_the_microsecond(tmp_path: Path):
    rows = Rows()
    rows.compute_node("h", "2023-06-01")
    server = rows.instance("h", "2024-01-05 10:00:00.250000", vcpus=40, vm_state="deleted",
                           terminated_at="2024-01-05 11:00:00.750001")  # fmt: skip
    rows.spec(server)
    rows.event(server, "compute_stop_instance", "2024-01-05 10:30:00.000001")
    site = write_sqlite(rows, tmp_path / "sources", first_month="2024-01")
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    dump(site, Window(site.key, (JAN,)), warehouse, tables=SERVED, run_id="r")
    with warehouse.read() as reader:
        facts = build_facts(site, [JAN], read_inputs(reader, site, [JAN]), {JAN: LATER})
    spans = {
        metric: [(end - start) / timedelta(microseconds=1) for start, end in frame.select("start_at", "end_at").rows()]
        for (metric,), frame in facts.intervals.group_by("metric")
    }
    assert spans["occupied_ondemand"] == [3_600_500_001]
    assert spans["active"] == [1_799_750_001]  # until it was stopped
