"""Evidence is never lost: rows that move, vanish and come back; reads that would make too much vanish."""

from datetime import date
from pathlib import Path

import pytest

from usage_assets.core.errors import EvidenceError, SourceError
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import DUMPS, GATES
from usage_assets_tests.unit.sources.sources import (
    Data,
    everything,
    held,
    make_sqlite,
    month_of,
    run,
    stored,
    tables_of,
)

JAN, FEB, MAR = date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1)
A = {"id": "a", "created_at": "2020-01-05 00:00:00", "end_date": "2020-05-01 00:00:00"}
B = {"id": "b", "created_at": "2020-01-06 00:00:00", "end_date": "2020-05-01 00:00:00"}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "data" / "warehouse.duckdb")


def dumped(tmp_path: Path, warehouse: Warehouse, data: Data, first: date = JAN, last: date = FEB, **options):
    urls = make_sqlite(tmp_path / "source", data)
    return run(urls, warehouse, first, last, tables=tables_of(data), **options)


def leases(number: int, start: int = 0) -> list[dict]:
    return [{**A, "id": f"l{n:03}"} for n in range(start, start + number)]


def test_a_row_that_vanished_is_kept_and_marked_with_the_time_of_the_dump(tmp_path, warehouse):
    dumped(tmp_path, warehouse, {"blazar.leases": [A, B]})
    result = dumped(tmp_path, warehouse, {"blazar.leases": [A]})
    frame = stored(warehouse, "blazar_leases", ["month", "id", "gone_at"])
    assert frame.rows() == [
        (JAN, "a", None),
        (JAN, "b", result.extracted_at),
        (FEB, "a", None),
        (FEB, "b", result.extracted_at),
    ]
    item = month_of(result, "blazar_leases", JAN)
    assert (item.rows, item.rows_new, item.rows_changed, item.rows_moved, item.rows_gone) == (2, 0, 0, 0, 1)


def test_an_earlier_gone_at_is_kept_and_the_row_keeps_the_time_it_was_last_seen(tmp_path, warehouse, monkeypatch):
    clock = iter(("2020-03-01", "2020-03-02", "2020-03-03"))

    def tick():
        from datetime import datetime

        return datetime.fromisoformat(next(clock))

    monkeypatch.setattr("usage_assets.sources.sql.servers._wall_clock", tick)
    for rows in ([A, B], [A], [A]):
        dumped(tmp_path, warehouse, {"blazar.leases": rows}, JAN, JAN)
    frame = stored(warehouse, "blazar_leases", ["id", "gone_at", "extracted_at"])
    assert [tuple(str(value)[:10] for value in row) for row in frame.rows()] == [
        ("a", "None", "2020-03-03"),
        ("b", "2020-03-02", "2020-03-01"),
    ]


def test_a_row_seen_again_is_no_longer_gone(tmp_path, warehouse):
    for rows in ([A, B], [A], [A, B]):
        result = dumped(tmp_path, warehouse, {"blazar.leases": rows})
    assert stored(warehouse, "blazar_leases")["gone_at"].to_list() == [None] * 4
    assert month_of(result, "blazar_leases", JAN).rows_gone == 0


def test_a_row_still_at_the_source_that_no_longer_touches_the_month_leaves_it(tmp_path, warehouse):
    dumped(tmp_path, warehouse, {"blazar.leases": [A, B]})
    result = dumped(tmp_path, warehouse, {"blazar.leases": [A, {**B, "end_date": "2020-01-20 00:00:00"}]})
    assert held(warehouse, "blazar_leases") == {"a": ["2020-01", "2020-02"], "b": ["2020-01"]}
    february, january = month_of(result, "blazar_leases", FEB), month_of(result, "blazar_leases", JAN)
    assert (february.rows, february.rows_moved, february.rows_gone) == (1, 1, 0)
    assert (january.rows, january.rows_changed) == (2, 1)


def test_a_row_that_was_archived_meanwhile_is_not_gone(tmp_path, warehouse):
    row = {"id": 1, "uuid": "u", "created_at": "2020-01-05 00:00:00", "deleted_at": "2020-02-05 00:00:00"}
    dumped(tmp_path, warehouse, {"nova.instances": [row], "nova.shadow_instances": []})
    result = dumped(tmp_path, warehouse, {"nova.instances": [], "nova.shadow_instances": [row]})
    item = month_of(result, "nova_instances", JAN)
    assert (item.rows, item.rows_new, item.rows_gone, item.rows_moved) == (1, 0, 0, 0)


def test_a_row_that_became_hidden_leaves_the_month(tmp_path, warehouse):
    row = {"id": 1, "uuid": "u", "created_at": "2020-01-05 00:00:00", "hidden": 0}
    dumped(tmp_path, warehouse, {"nova.instances": [row]})
    result = dumped(tmp_path, warehouse, {"nova.instances": [{**row, "hidden": 1}]})
    assert held(warehouse, "nova_instances") == {}
    assert month_of(result, "nova_instances", JAN).rows_moved == 1


def test_a_change_of_a_source_column_counts_as_changed(tmp_path, warehouse):
    dumped(tmp_path, warehouse, {"blazar.leases": [{**A, "status": None}, B]})
    result = dumped(tmp_path, warehouse, {"blazar.leases": [{**A, "status": "ACTIVE"}, B]})
    assert month_of(result, "blazar_leases", JAN).rows_changed == 1
    assert stored(warehouse, "blazar_leases", ["month", "id", "status"]).row(0) == (JAN, "a", "ACTIVE")


def test_many_rows_vanishing_at_once_stop_the_run_and_nothing_is_written(tmp_path, warehouse):
    hosts = [{"id": "h", "hypervisor_hostname": "h", "created_at": "2020-01-01 00:00:00"}]
    dumped(tmp_path, warehouse, {"blazar.leases": leases(100), "blazar.computehosts": hosts})
    before = everything(warehouse)
    changed = [{**hosts[0], "vcpus": 9}]
    with pytest.raises(EvidenceError, match=r"blazar_leases 2020-01: 21 of 100 rows have vanished .* purge_known"):
        dumped(tmp_path, warehouse, {"blazar.leases": leases(79), "blazar.computehosts": changed})
    assert all(frame.equals(before[name]) for name, frame in everything(warehouse).items())


def test_twenty_rows_or_a_fifth_may_vanish(tmp_path, warehouse):
    dumped(tmp_path, warehouse, {"blazar.leases": leases(40)})
    assert month_of(dumped(tmp_path, warehouse, {"blazar.leases": leases(20)}), "blazar_leases", JAN).rows_gone == 20
    dumped(tmp_path, warehouse, {"blazar.leases": leases(150)})
    assert month_of(dumped(tmp_path, warehouse, {"blazar.leases": leases(120)}), "blazar_leases", JAN).rows_gone == 30


def test_rows_gone_already_do_not_count_as_vanishing(tmp_path, warehouse):
    dumped(tmp_path, warehouse, {"blazar.leases": leases(40)})
    for left in (25, 24):  # 15 of 40, then 1 of 25 newly gone, 16 in all
        result = dumped(tmp_path, warehouse, {"blazar.leases": leases(left)})
    assert month_of(result, "blazar_leases", JAN).rows_gone == 16


def test_a_known_purge_marks_the_rows_gone(tmp_path, warehouse):
    dumped(tmp_path, warehouse, {"blazar.leases": leases(100)})
    result = dumped(tmp_path, warehouse, {"blazar.leases": leases(10)}, purge_known=True)
    item = month_of(result, "blazar_leases", JAN)
    assert (item.rows, item.rows_gone) == (100, 90)


def test_a_table_that_disappeared_is_a_fault_of_the_source_until_it_is_said_to_be_known(tmp_path, warehouse):
    dumped(tmp_path, warehouse, {"blazar.leases": [A], "blazar.computehosts": []})
    (tmp_path / "source" / "blazar.db").unlink()
    urls = make_sqlite(tmp_path / "source", {"blazar.computehosts": []})
    tables = [BY_NAME["blazar_leases"], BY_NAME["blazar_computehosts"]]
    with pytest.raises(SourceError, match=r"blazar_leases: the source has no table blazar.leases, but 2 row"):
        run(urls, warehouse, JAN, FEB, tables=tables)
    run(urls, warehouse, JAN, FEB, tables=tables, purge_known=True)
    assert stored(warehouse, "blazar_leases")["gone_at"].null_count() == 0
    run(urls, warehouse, JAN, FEB, tables=tables)  # all are gone by now: no fault any more
    assert held(warehouse, "blazar_leases") == {"a": ["2020-01", "2020-02"]}


def test_a_database_no_longer_named_is_a_fault_while_its_rows_are_stored(tmp_path, warehouse):
    urls = make_sqlite(tmp_path / "source", {"nova.instances": [], "blazar.leases": [A]})
    run(urls, warehouse, JAN, tables=[BY_NAME["blazar_leases"]])
    with pytest.raises(SourceError, match="the site names no database blazar, but 1 row"):
        run({"nova": urls["nova"]}, warehouse, JAN, tables=[BY_NAME["blazar_leases"]])


def test_a_host_named_by_an_allocation_that_is_gone_stays(tmp_path, warehouse):
    host = {"hypervisor_hostname": "h", "created_at": "2018-01-01 00:00:00", "deleted_at": "2018-06-01 00:00:00"}
    newer = {"hypervisor_hostname": "h", "created_at": "2018-07-01 00:00:00", "deleted_at": "2019-06-01 00:00:00"}
    data = {
        "blazar.computehosts": [{"id": "1", **host}, {"id": "2", **newer}],
        "blazar.computehost_extra_capabilities": [{"id": "c", "computehost_id": "1"}],
        "blazar.leases": [A],
        "blazar.reservations": [{"id": "r", "lease_id": "a"}],
        "blazar.computehost_allocations": [{"id": "x", "reservation_id": "r", "compute_host_id": "1"}],
    }
    dumped(tmp_path, warehouse, data)
    before = held(warehouse, "blazar_computehosts"), held(warehouse, "blazar_computehost_extra_capabilities")
    assert before[0]["1"] == ["2020-01*", "2020-02*"]
    dumped(tmp_path, warehouse, data | {"blazar.computehost_allocations": []})
    after = held(warehouse, "blazar_computehosts"), held(warehouse, "blazar_computehost_extra_capabilities")
    assert after == before
    assert stored(warehouse, "blazar_computehost_allocations")["gone_at"].null_count() == 0


def test_a_row_keyed_by_date_is_asked_for_as_well(tmp_path, warehouse):
    def row(day: str, kind: str) -> dict:
        return {"date": f"{day} 00:00:00", "node_type": kind, "used_hours": 1.0}

    table = "chameleon_usage.node_usage_report_cache"
    dumped(tmp_path, warehouse, {"nova.services": [], table: [row("2020-01-02", "x"), row("2020-01-03", "x")]})
    result = dumped(tmp_path, warehouse, {"nova.services": [], table: [row("2020-01-02", "x")]})
    item = month_of(result, "chameleon_usage_node_usage_report_cache", JAN)
    assert (item.rows, item.rows_gone, item.rows_moved) == (2, 1, 0)


def test_the_dump_is_recorded_with_its_rows_and_gate_in_the_same_transaction(tmp_path, warehouse):
    result = dumped(tmp_path, warehouse, {"blazar.leases": [A, B]})
    with warehouse.read() as reader:
        dumps = reader.frame(DUMPS).sort("month")
        gates = reader.frame(GATES).sort("month")
    assert dumps["rows"].to_list() == [2, 2]
    assert dumps["table_name"].to_list() == ["blazar_leases"] * 2
    assert dumps["extracted_at"].to_list() == [result.extracted_at] * 2
    assert gates["asset"].to_list() == ["openstack/raw/blazar_leases"] * 2
    assert gates["ok"].to_list() == [True, True]


def test_a_run_that_can_not_write_leaves_the_last_good_state(tmp_path, warehouse, monkeypatch):
    dumped(tmp_path, warehouse, {"blazar.leases": [A], "blazar.reservations": []})
    before = everything(warehouse)
    import duckdb

    from usage_assets.core.errors import WarehouseError
    from usage_assets.warehouse import Writer

    real = Writer.replace

    def full(self, table, *args, **kwargs):
        if table.name == "blazar_reservations":
            raise duckdb.IOException("Could not write file: No space left on device")
        return real(self, table, *args, **kwargs)

    monkeypatch.setattr(Writer, "replace", full)
    with pytest.raises(WarehouseError, match=r"site here 2020-01..2020-02: .*No space left on device.*untouched"):
        dumped(tmp_path, warehouse, {"blazar.leases": [A, B], "blazar.reservations": []})
    assert all(frame.equals(before[name]) for name, frame in everything(warehouse).items())


def test_nothing_is_left_of_the_staging_database(tmp_path, warehouse):
    dumped(tmp_path, warehouse, {"blazar.leases": [A]}, MAR, MAR)
    assert list((warehouse.path.parent / ".staging").glob("*.duckdb*")) == []
