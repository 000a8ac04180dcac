"""A column that the source has no more: what is stored of it is not overwritten until someone says that it is known."""

import sqlite3
from datetime import date
from pathlib import Path

import pytest

from usage_assets.core.errors import SourceError
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.sources.sources import Data, everything, make_sqlite, run, stored, tables_of

JAN, FEB, MAR = date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1)
LEASE = {"id": "a", "created_at": "2020-01-05 00:00:00", "end_date": "2020-05-01 00:00:00", "status": "ACTIVE"}
SERVER = {"id": 1, "uuid": "u", "created_at": "2020-01-05 00:00:00", "host": "compute-1", "vcpus": 1}
ARCHIVED = {**SERVER, "id": 2, "uuid": "v", "deleted_at": "2020-02-20 00:00:00"}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "data" / "warehouse.duckdb")


def dumped(tmp_path: Path, warehouse: Warehouse, data: Data, first: date = JAN, last: date = FEB):
    urls = make_sqlite(tmp_path / "source", data)
    run(urls, warehouse, first, last, tables=tables_of(data))
    return urls


def rename(tmp_path: Path, table: str, old: str, new: str) -> None:
    database, source = table.split(".")
    with sqlite3.connect(tmp_path / "source" / f"{database}.db") as con:
        con.execute(f"ALTER TABLE {source} RENAME COLUMN {old} TO {new}")
    con.close()


def test_a_renamed_column_stops_the_dump_and_the_text_says_what_it_may_be_called_now(tmp_path, warehouse):
    urls = dumped(tmp_path, warehouse, {"blazar.leases": [LEASE]})
    before = everything(warehouse)
    rename(tmp_path, "blazar.leases", "status", "lease_status")
    text = (
        r"site here: blazar_leases: column status is not in .*leases any more, or not granted \(is it lease_status "
        r"now\?\), but rows of 2020-01\.\.2020-02 hold values of it; nothing was written\. .*: lease_status\. .*"
        r"--allow-missing"
    )
    with pytest.raises(SourceError, match=text):
        run(urls, warehouse, JAN, FEB, tables=[BY_NAME["blazar_leases"]])
    assert all(frame.equals(before[name]) for name, frame in everything(warehouse).items())


def test_a_month_that_was_never_read_is_not_begun_without_a_column_that_the_latest_month_has(tmp_path, warehouse):
    urls = dumped(tmp_path, warehouse, {"blazar.leases": [LEASE]})
    rename(tmp_path, "blazar.leases", "status", "lease_status")
    with pytest.raises(SourceError, match=r"column status .* rows of 2020-02 hold values"):
        run(urls, warehouse, MAR, tables=[BY_NAME["blazar_leases"]])


def test_once_it_is_said_to_be_known_the_column_is_null_the_old_values_are_evidence_and_later_dumps_go_on(
    tmp_path, warehouse
):
    urls = dumped(tmp_path, warehouse, {"blazar.leases": [LEASE]})
    rename(tmp_path, "blazar.leases", "status", "lease_status")
    tables = [BY_NAME["blazar_leases"]]
    run(urls, warehouse, JAN, FEB, tables=tables, allow_missing=True)
    assert stored(warehouse, "blazar_leases")["status"].to_list() == [None, None]
    with warehouse.read() as reader:
        assert reader.frame(tables[0].versions)["status"].to_list() == ["ACTIVE", "ACTIVE"]
    result = run(urls, warehouse, JAN, FEB, tables=tables)
    assert "has no column status" in str(result.months[0].note)


def test_a_column_that_never_held_a_value_may_be_missing(tmp_path, warehouse):
    urls = dumped(tmp_path, warehouse, {"blazar.leases": [{**LEASE, "status": None}]})
    rename(tmp_path, "blazar.leases", "status", "lease_status")
    result = run(urls, warehouse, JAN, FEB, tables=[BY_NAME["blazar_leases"]])
    assert "has no column status" in str(result.months[0].note)


def test_a_column_that_only_the_archive_still_has_is_missed_of_live_rows(tmp_path, warehouse):
    urls = dumped(tmp_path, warehouse, {"nova.instances": [SERVER], "nova.shadow_instances": [ARCHIVED]})
    rename(tmp_path, "nova.instances", "host", "compute_host")
    with pytest.raises(SourceError, match=r"nova_instances: column host .*is it compute_host now"):
        run(urls, warehouse, JAN, FEB, tables=[BY_NAME["nova_instances"]])


def test_a_column_that_only_the_archive_ever_had_is_no_loss(tmp_path, warehouse):
    live = {name: value for name, value in SERVER.items() if name != "host"}
    urls = make_sqlite(tmp_path / "source", {"nova.instances": [live]}, without=["host"])
    make_sqlite(tmp_path / "source", {"nova.shadow_instances": [ARCHIVED]})
    for _ in range(2):
        run(urls, warehouse, JAN, FEB, tables=[BY_NAME["nova_instances"]])
    held = stored(warehouse, "nova_instances", ["month", "id", "host"]).rows()
    assert held == [(JAN, 1, None), (JAN, 2, "compute-1"), (FEB, 1, None), (FEB, 2, "compute-1")]


def test_a_table_read_along_for_its_months_must_have_its_columns_as_well(tmp_path, warehouse):
    reservation = {"id": "r", "lease_id": "a", "created_at": "2020-01-05 00:00:00"}
    urls = dumped(tmp_path, warehouse, {"blazar.leases": [LEASE], "blazar.reservations": [reservation]})
    rename(tmp_path, "blazar.leases", "end_date", "ends_at")
    with pytest.raises(SourceError, match="blazar_leases: column end_date"):
        run(urls, warehouse, JAN, FEB, tables=[BY_NAME["blazar_reservations"]])
