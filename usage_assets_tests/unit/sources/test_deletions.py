"""Rows that their service holds as deleted without a date touch the months up to what stands in for it."""

from datetime import date
from pathlib import Path

import pytest

from usage_assets.checks.raw import evidence
from usage_assets.core.months import Window
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.sources.record import dumps
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.sources.sources import Data, held, make_sqlite, run, site_of, stored, tables_of

JAN, FEB, MAR, JUN = date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1), date(2020, 6, 1)
ZERO = "0000-00-00 00:00:00"
BORN = {"created_at": "2020-01-05 00:00:00", "launched_at": "2020-01-05 00:00:00"}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "data" / "warehouse.duckdb")


def dumped(folder: Path, warehouse: Warehouse, data: Data, first: date = JAN, last: date = JUN, **options) -> None:
    run(make_sqlite(folder / "source", data), warehouse, first, last, tables=tables_of(data), **options)


def undated(warehouse: Warehouse, table: str) -> dict[str, int]:
    with warehouse.read() as reader:
        found = dumps(reader, "here", table=table).filter("is_latest")
    return {f"{month:%Y-%m}": count for month, count in found.select("month", "undated").iter_rows() if count}


def server(number: int, **more: object) -> dict[str, object]:
    return {"id": number, "uuid": f"u{number}", **BORN, "deleted": 0, "vm_state": "active", **more}


def end(number: int, on: str, at: str, result: str = "Success") -> tuple[dict, dict]:
    request = {"id": number, "instance_uuid": on, "created_at": at, "start_time": at}
    step = {"id": number, "action_id": number, "event": "compute_terminate_instance", "result": result}
    return request, step | {"created_at": at, "start_time": at}


def test_a_server_held_as_deleted_without_a_date_is_held_until_its_last_change(tmp_path, warehouse):
    changed = {"updated_at": "2020-03-05 00:00:00"}
    rows = [
        server(1, deleted=1, **changed),
        server(2, deleted=2, deleted_at=ZERO, **changed),
        server(3, vm_state="deleted", **changed),
        server(4, deleted=4, terminated_at="2020-02-03 00:00:00", **changed),
        server(5, deleted=5),
        server(6, vm_state="soft-delete", deleted_at="2020-02-03 00:00:00", **changed),
        server(7, vm_state="soft-delete", deleted=7, **changed),
        server(8, **changed),
    ]
    dumped(tmp_path, warehouse, {"nova.instances": rows})
    months = [f"2020-{month:02}" for month in range(1, 7)]
    assert held(warehouse, "nova_instances") == {
        "1": months[:3], "2": months[:3], "3": months[:3], "4": months[:2], "5": months[:1],
        "6": months, "7": months[:3], "8": months,
    }  # fmt: skip
    assert undated(warehouse, "nova_instances") == {"2020-01": 1, "2020-02": 1, "2020-03": 4}
    assert stored(warehouse, "nova_instances", ["month", "id", "deleted"]).rows()[:8] == [
        (JAN, number, deleted) for number, deleted in enumerate((True, True, False, True, True, False, True, False), 1)
    ]


def test_the_event_that_ended_a_server_comes_before_its_last_change_whether_or_not_its_table_is_read(
    tmp_path, warehouse
):
    changed = {"updated_at": "2020-03-05 00:00:00"}
    rows = [server(1, deleted=1, **changed), server(2, deleted=2, **changed), server(3, deleted=3)]
    pairs = [
        end(1, "u1", "2020-02-10 00:00:00"),
        end(2, "u2", "2020-02-10 00:00:00", "Error"),
        end(3, "u3", "2020-05-10 00:00:00"),
    ]
    data = {
        "nova.instances": rows,
        "nova.instance_actions": [request for request, _ in pairs],
        "nova.instance_actions_events": [step for _, step in pairs],
    }
    urls = make_sqlite(tmp_path / "source", data)
    run(urls, warehouse, JAN, JUN, tables=[BY_NAME["nova_instances"]])
    months = [f"2020-{month:02}" for month in range(1, 7)]
    wanted = {"1": months[:2], "2": months[:3], "3": months[:5]}
    assert held(warehouse, "nova_instances") == wanted
    run(urls, warehouse, JAN, JUN, tables=tables_of(data))
    assert held(warehouse, "nova_instances") == wanted
    assert held(warehouse, "nova_instance_actions_events") == wanted


def test_a_machine_held_as_deleted_without_a_date_is_context_after_its_last_change(tmp_path, warehouse):
    node = {"hypervisor_hostname": "h", "created_at": "2020-01-05 00:00:00", "updated_at": "2020-02-10 00:00:00"}
    dumped(tmp_path, warehouse, {"nova.compute_nodes": [{"id": 1, "deleted": 1, **node}]}, JAN, MAR)
    assert held(warehouse, "nova_compute_nodes") == {"1": ["2020-01", "2020-02", "2020-03*"]}


@pytest.mark.parametrize(
    ("mark", "deleted"),
    [(None, False), ("", False), ("0", False), ("false", False), ("5f8c7f7e-0000", True), ("7", True), ("1", True)],
)
def test_a_mark_is_any_text_but_none_and_no(tmp_path, warehouse, mark, deleted):
    lease = {"id": "a", "created_at": "2020-01-05 00:00:00", "updated_at": "2020-02-05 00:00:00", "deleted": mark}
    dumped(tmp_path, warehouse, {"blazar.leases": [lease | {"end_date": "2020-04-05 00:00:00"}]})
    assert stored(warehouse, "blazar_leases")["deleted"].unique().to_list() == [deleted]
    until = 2 if deleted else 4
    assert held(warehouse, "blazar_leases") == {"a": [f"2020-{month:02}" for month in range(1, until + 1)]}


def test_a_release_without_the_mark_holds_no_row_as_deleted_and_never_had_it_to_lose(tmp_path, warehouse):
    data: Data = {"blazar.leases": [{"id": "a", "created_at": "2020-01-05 00:00:00"}]}
    for _ in range(2):
        urls = make_sqlite(tmp_path / "source", data, without=["deleted", "deleted_at"])
        run(urls, warehouse, JAN, FEB, tables=tables_of(data))
    assert stored(warehouse, "blazar_leases")["deleted"].to_list() == [False, False]


def test_rows_stored_before_the_mark_was_read_are_no_new_versions_when_it_is(tmp_path, warehouse):
    leases: list[dict] = [{"id": name, "created_at": "2020-01-05 00:00:00"} for name in "ab"]
    dumped(tmp_path, warehouse, {"blazar.leases": leases}, JAN, JAN)
    with warehouse.write("as an older release left it") as writer:
        writer.con.execute("UPDATE raw.blazar_leases SET deleted = NULL").fetchall()
    leases[1] |= {"deleted": "b", "updated_at": None}
    dumped(tmp_path, warehouse, {"blazar.leases": leases}, JAN, JAN)
    with warehouse.read() as reader:
        assert reader.frame(BY_NAME["blazar_leases"].versions).select("id", "deleted").rows() == [("b", None)]
        latest = dumps(reader, "here", table="blazar_leases").filter("is_latest")
    assert latest.select("rows_changed", "undated").rows() == [(1, 1)]


def test_a_row_that_was_open_for_ever_leaves_the_months_after_its_end_when_it_is_read_with_its_mark(
    tmp_path, warehouse
):
    rows = [server(1, updated_at="2020-03-05 00:00:00"), server(2)]
    dumped(tmp_path, warehouse, {"nova.instances": rows})
    with warehouse.write("as an older release left it") as writer:
        writer.con.execute("UPDATE raw.nova_instances SET deleted = NULL").fetchall()
    rows[0]["deleted"] = 1
    dumped(tmp_path, warehouse, {"nova.instances": rows})
    assert held(warehouse, "nova_instances")["1"] == ["2020-01", "2020-02", "2020-03"]


def test_the_evidence_check_counts_them_in_the_month_of_their_end(tmp_path, warehouse):
    rows = [server(1, deleted=1, updated_at="2020-02-05 00:00:00"), server(2, deleted=2)]
    dumped(tmp_path, warehouse, {"nova.instances": rows}, JAN, MAR)
    with warehouse.read() as reader:
        site, window = site_of({"nova": "sqlite:////nowhere.db"}), Window("here", (JAN, FEB, MAR))
        said = evidence("nova_instances", reader, site, window)
    assert {month: finding.passed for month, finding in said.items()} == {JAN: False, FEB: False, MAR: True}
    assert said[FEB].text.startswith("1 row(s) held as deleted without a date: ")
