"""A dump as a whole: months in any order, what a source lacks, what it says, how values are read."""

import sqlite3
from datetime import date, datetime
from pathlib import Path

import pytest

from usage_assets.core.errors import SourceError
from usage_assets.core.months import months_between
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import GATES
from usage_assets_tests.unit.sources.sources import (
    Data,
    everything,
    held,
    make_sqlite,
    month_of,
    run,
    stored,
    tables_of,
    world,
)

JAN, FEB, APR, JUN = date(2020, 1, 1), date(2020, 2, 1), date(2020, 4, 1), date(2020, 6, 1)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "data" / "warehouse.duckdb")


def dumped(tmp_path: Path, warehouse: Warehouse, data: Data, first: date = JAN, last: date | None = None):
    return run(make_sqlite(tmp_path / "source", data), warehouse, first, last, tables=tables_of(data))


def notes(result, table: str) -> str | None:
    return month_of(result, table, JAN).note


@pytest.mark.heavy
def test_months_one_by_one_reversed_in_one_range_and_twice_give_equal_tables(tmp_path):
    data = {table: rows for table, rows in world().items() if table.startswith(("nova", "blazar"))}
    tables = tables_of(data)
    urls = make_sqlite(tmp_path / "source", data)
    months = months_between(JAN, APR)
    made = {}
    for name, steps in (
        ("range", [(JAN, APR)]),
        ("one by one", [(month, month) for month in months]),
        ("reversed", [(month, month) for month in reversed(months)]),
        ("twice", [(JAN, APR), (FEB, APR)]),
    ):
        warehouse = Warehouse(tmp_path / name / "warehouse.duckdb")
        for first, last in steps:
            run(urls, warehouse, first, last, tables=tables)
        made[name] = everything(warehouse)
    assert made["range"]["nova_instance_actions_events"].height > 30
    for name in ("one by one", "reversed", "twice"):
        assert all(frame.equals(made["range"][table]) for table, frame in made[name].items()), name


def test_a_part_of_the_tables_is_dumped_like_all_of_them(tmp_path):
    urls = make_sqlite(tmp_path / "source", world())
    whole, part = Warehouse(tmp_path / "whole" / "w.duckdb"), Warehouse(tmp_path / "part" / "w.duckdb")
    run(urls, whole, JAN, JUN)
    names = ["nova_instance_actions_events", "blazar_computehost_extra_capabilities", "zun_container_actions"]
    for name in names:
        run(urls, part, JAN, JUN, tables=[BY_NAME[name]])
        assert stored(part, name).equals(stored(whole, name))
    with part.read() as reader:
        assert not reader.has(BY_NAME["nova_instances"].table)


def test_sites_share_tables_without_touching_each_other(tmp_path, warehouse):
    row = {"id": 1, "uuid": "a", "created_at": "2020-01-05 00:00:00"}
    for key in ("one", "two"):
        urls = make_sqlite(tmp_path / key, {"nova.instances": [{**row, "host": key}]})
        run(urls, warehouse, JAN, tables=[BY_NAME["nova_instances"]], site_key=key)
    assert stored(warehouse, "nova_instances", ["site", "host"]).rows() == [("one", "one"), ("two", "two")]


def test_a_database_that_the_site_does_not_name_gives_empty_months_with_a_note(tmp_path, warehouse):
    urls = make_sqlite(tmp_path / "source", {"nova.instances": []})
    result = run(urls, warehouse, JAN, tables=[BY_NAME["nova_instances"], BY_NAME["zun_container"]])
    item = month_of(result, "zun_container", JAN)
    assert (item.rows, item.note) == (0, "the site names no database zun")
    with warehouse.read() as reader:
        assert reader.frame(GATES)["ok"].to_list() == [True, True]


def test_a_table_or_column_that_a_release_lacks_is_empty_or_null_and_noted(tmp_path, warehouse):
    row = {"id": 1, "uuid": "a", "created_at": "2020-01-05 00:00:00"}
    lacking = ["power_state", "deleted_at", "hidden"]
    urls = make_sqlite(tmp_path / "source", {"nova.instances": [row]}, without=lacking)
    result = run(urls, warehouse, JAN, tables=[BY_NAME["nova_instances"], BY_NAME["nova_services"]])
    assert notes(result, "nova_instances") == "nova.instances has no column deleted_at, power_state"
    assert notes(result, "nova_services") == "the source has no table nova.services"
    assert stored(warehouse, "nova_instances", ["id", "power_state"]).rows() == [(1, None)]


def test_names_of_capabilities_are_found_under_each_of_their_three_shapes(tmp_path, warehouse):
    make_sqlite(tmp_path / "source", {"blazar.leases": []})
    path = tmp_path / "source" / "blazar.db"
    with sqlite3.connect(path) as con:
        con.executescript(
            """
            CREATE TABLE extra_capabilities (id VARCHAR(36), resource_type VARCHAR(255), capability_name VARCHAR(255));
            INSERT INTO extra_capabilities VALUES ('p', 'physical:host', 'node_type');
            CREATE TABLE computehost_extra_capabilities (id VARCHAR(36), created_at DATETIME,
              computehost_id VARCHAR(36), capability_name VARCHAR(64), capability_value TEXT);
            INSERT INTO computehost_extra_capabilities VALUES ('c', '2020-01-01', '1', 'gpu', 'yes');
            """
        )
    names = ["blazar_resource_properties", "blazar_computehost_extra_capabilities"]
    run({"blazar": f"sqlite:///{path}"}, warehouse, JAN, tables=[BY_NAME[name] for name in names])
    assert stored(warehouse, names[0], ["id", "property_name"]).rows() == [("p", "node_type")]
    assert stored(warehouse, names[1], ["id", "property_id", "capability_name"]).rows() == [("c", None, "gpu")]


def test_values_are_read_as_declared_whatever_the_source_holds(tmp_path, warehouse):
    make_sqlite(tmp_path / "source", {"nova.services": []})
    with sqlite3.connect(tmp_path / "source" / "blazar.db") as con:
        con.executescript(
            """
            CREATE TABLE leases (id INTEGER PRIMARY KEY, created_at, degraded, name, end_date);
            INSERT INTO leases VALUES (1, '2020-01-01 00:00:00', 0, 5, NULL),
              (2, '2020-01-01T00:00:00', 'true', 'x', ''),
              (3, '2020-01-01', '1.0', 'y', NULL), (4, '2020-01-01', 'f', 'z', NULL),
              (5, '2020-01-01', NULL, NULL, NULL),
              (6, '2020-01-01', 'maybe', '', NULL);
            """
        )
    urls = {"blazar": f"sqlite:///{tmp_path / 'source' / 'blazar.db'}"}
    result = run(urls, warehouse, JAN, tables=[BY_NAME["blazar_leases"]])
    assert stored(warehouse, "blazar_leases", ["id", "degraded", "name"]).rows() == [
        ("1", False, "5"),
        ("2", True, "x"),
        ("3", True, "y"),
        ("4", False, "z"),
        ("5", None, None),
        ("6", None, ""),
    ]
    assert "1 value(s) are not of their column's type" in str(notes(result, "blazar_leases"))
    assert month_of(result, "blazar_leases", JAN).zero_dates == 1


def test_of_rows_with_one_key_the_latest_updated_is_kept_in_every_window(tmp_path, warehouse):
    rows = [
        {"id": 1, "uuid": "a", "created_at": "2020-01-05 00:00:00", "updated_at": "2020-01-06 00:00:00", "host": "old"},
        {"id": 1, "uuid": "a", "created_at": "2020-05-05 00:00:00", "updated_at": "2020-05-06 00:00:00", "host": "new"},
        {"id": 2, "uuid": "b", "created_at": "2020-01-05 00:00:00"},
    ]
    urls = make_sqlite(tmp_path / "source", {"nova.instances": rows}, primary=False)
    result = run(urls, warehouse, JAN, tables=[BY_NAME["nova_instances"]])
    assert notes(result, "nova_instances") == "1 row(s) share their key with another; the one updated last was kept"
    run(urls, warehouse, JUN, tables=[BY_NAME["nova_instances"]])
    assert held(warehouse, "nova_instances") == {"2": ["2020-01", "2020-06"], "1": ["2020-06"]}


def test_a_row_without_key_is_left_out_and_noted(tmp_path, warehouse):
    rows = [{"id": None, "uuid": "a", "created_at": "2020-01-05 00:00:00"}, {"id": 1, "uuid": "b"}]
    urls = make_sqlite(tmp_path / "source", {"nova.instances": rows}, primary=False)
    result = run(urls, warehouse, JAN, tables=[BY_NAME["nova_instances"]])
    assert notes(result, "nova_instances") == "1 row(s) without a key were left out"
    assert held(warehouse, "nova_instances") == {"1": ["2020-01"]}


def test_parents_with_one_key_do_not_multiply_their_satellites(tmp_path, warehouse):
    data = {
        "blazar.leases": [
            {"id": "l", "created_at": "2020-01-05 00:00:00", "updated_at": "2020-01-05 00:00:00"},
            {"id": "l", "created_at": "2020-01-05 00:00:00", "updated_at": "2020-01-06 00:00:00"},
        ],
        "blazar.reservations": [{"id": "r", "lease_id": "l"}],
    }
    urls = make_sqlite(tmp_path / "source", data, primary=False)
    result = run(urls, warehouse, JAN, tables=tables_of(data))
    assert month_of(result, "blazar_reservations", JAN).rows == 1
    assert notes(result, "blazar_reservations") is None


def test_rows_of_a_nightly_run_are_filtered_at_the_source(tmp_path, warehouse):
    many = [
        {"id": n, "uuid": f"u{n}", "created_at": "2019-01-01 00:00:00", "deleted_at": "2019-02-01 00:00:00"}
        for n in range(200)
    ]
    data = {
        "nova.instances": [*many, {"id": 900, "uuid": "now", "created_at": "2020-01-05 00:00:00"}],
        "nova.instance_actions": [{"id": n, "instance_uuid": f"u{n}"} for n in range(200)],
    }
    said: list[str] = []
    run(make_sqlite(tmp_path / "source", data), warehouse, JAN, FEB, tables=tables_of(data), log=said.append)
    assert "site here 2020-01..2020-02: nova_instances: 1 row(s) read" in said
    assert "site here 2020-01..2020-02: nova_instance_actions: 0 row(s) read" in said


def test_the_source_is_not_written_and_need_not_be_writable(tmp_path, warehouse):
    urls = make_sqlite(tmp_path / "source", {"nova.instances": [{"id": 1, "uuid": "a"}]})
    path = tmp_path / "source" / "nova.db"
    before = path.read_bytes()
    path.chmod(0o444)
    run(urls, warehouse, JAN, tables=[BY_NAME["nova_instances"]])
    assert path.read_bytes() == before


def test_extraction_time_is_the_clock_when_the_snapshot_began_in_whole_seconds(tmp_path, warehouse, monkeypatch):
    monkeypatch.setattr("usage_assets.core.clock.naive_utc_now", lambda: datetime(2020, 3, 4, 5, 6, 7, 89))
    result = dumped(tmp_path, warehouse, {"nova.instances": [{"id": 1, "uuid": "a"}]})
    assert result.extracted_at == datetime(2020, 3, 4, 5, 6, 7)
    assert stored(warehouse, "nova_instances", ["extracted_at"])["extracted_at"].to_list() == [result.extracted_at]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///{folder}/none.db", "no file none.db"),
        ("sqlite:///{folder}/text.db", "file is not a database"),
        ("oracle://u:s3cr3t@h/nova", "oracle is not supported"),
        ("mysql+pymysql://u:s3cr3t@127.0.0.1:1/nova", "check host and port"),
        ("mysql+pymysql://u:s3@cr3t@h/nova", "percent-encode"),
        ("mysql+pymysql://u:s3cr3t@h:port/nova", "percent-encode"),
        ("mysql+nodriver://u:s3cr3t@h/nova", "nodriver"),
    ],
)
def test_a_source_that_can_not_be_opened_is_named_without_its_password(tmp_path, warehouse, url, message):
    (tmp_path / "text.db").write_text("this is no database, though it is long enough to be one" * 50)
    with pytest.raises(SourceError, match=f"site here: .*nova.*{message}") as caught:
        run({"nova": url.format(folder=tmp_path)}, warehouse, JAN)
    assert "cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
