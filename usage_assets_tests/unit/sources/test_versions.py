"""Versions of rows that a dump replaces go to evidence.<table>; whatever it finds as it was keeps its seen_from."""

from datetime import date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from usage_assets.core.errors import EvidenceError, WarehouseError
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.sources.record import dumps
from usage_assets.warehouse import Warehouse, Writer
from usage_assets.warehouse.bookkeeping import DUMPS
from usage_assets.warehouse.readiness import extracted_at
from usage_assets_tests.unit.sources.sources import Data, make_sqlite, run, site_of, stored, tables_of

JAN, FEB = date(2020, 1, 1), date(2020, 2, 1)
A = {"id": "a", "created_at": "2020-01-05 00:00:00", "end_date": "2020-05-01 00:00:00"}
B = {"id": "b", "created_at": "2020-01-06 00:00:00", "end_date": "2020-05-01 00:00:00"}
LEASES = BY_NAME["blazar_leases"]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "data" / "warehouse.duckdb")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The source's clock; `dumped` sets it."""
    now: list[datetime] = []
    monkeypatch.setattr("usage_assets.sources.sql.servers._wall_clock", lambda: now[-1])
    return now


def day(number: int) -> datetime:
    return datetime(2020, 6, number, 2, 15)


class Site:
    """A site whose dumps are on given days of June."""

    def __init__(self, folder: Path, warehouse: Warehouse, clock: list[datetime]) -> None:
        self.folder, self.warehouse, self.clock = folder, warehouse, clock

    def dump(self, number: int, leases: list[dict], first: date = JAN, last: date = JAN, **options):
        self.clock.append(day(number))
        data: Data = {"blazar.leases": leases}
        return run(make_sqlite(self.folder, data), self.warehouse, first, last, tables=tables_of(data), **options)

    def rows(self) -> list[tuple]:
        return stored(self.warehouse, "blazar_leases", ["month", "id", "status", "seen_from", "gone_at"]).rows()

    def versions(self) -> list[tuple]:
        with self.warehouse.read() as reader:
            frame = reader.frame(LEASES.versions)
        return frame.sort("seen_from", "id", "month").select("month", "id", "status", "seen_from", "seen_to").rows()


@pytest.fixture
def site(tmp_path: Path, warehouse: Warehouse, clock: list[datetime]) -> Site:
    return Site(tmp_path / "source", warehouse, clock)


def test_a_row_that_stays_as_it_is_keeps_the_first_dump_that_saw_it(site):
    for number in (1, 2, 3):
        site.dump(number, [A])
    site.dump(4, [A, B])
    assert site.rows() == [(JAN, "a", None, day(1), None), (JAN, "b", None, day(4), None)]
    assert site.versions() == []


def test_a_changed_row_leaves_its_old_version_with_the_span_in_which_it_was_believed(site):
    site.dump(1, [{**A, "status": "PENDING"}])
    site.dump(2, [{**A, "status": "PENDING"}])
    site.dump(3, [{**A, "status": "ACTIVE"}])
    assert site.rows() == [(JAN, "a", "ACTIVE", day(3), None)]
    assert site.versions() == [(JAN, "a", "PENDING", day(1), day(3))]


def test_a_row_that_leaves_the_month_leaves_its_version(site):
    site.dump(1, [A, B], JAN, FEB)
    site.dump(2, [A, {**B, "end_date": "2020-01-20 00:00:00"}], JAN, FEB)
    assert site.versions() == [(JAN, "b", None, day(1), day(2)), (FEB, "b", None, day(1), day(2))]
    assert [row[:2] for row in site.rows()] == [(JAN, "a"), (JAN, "b"), (FEB, "a")]


def test_a_row_that_is_gone_is_no_new_version_however_often_it_is_missed(site):
    site.dump(1, [A, B])
    for number in (2, 3, 4):
        site.dump(number, [A])
    assert site.rows() == [(JAN, "a", None, day(1), None), (JAN, "b", None, day(1), day(2))]
    assert site.versions() == []


def test_a_row_that_returns_unchanged_is_a_new_version_all_the_same(site):
    for number, rows in enumerate(([A, B], [A], [A, B]), start=1):
        result = site.dump(number, rows)
    assert site.rows() == [(JAN, "a", None, day(1), None), (JAN, "b", None, day(3), None)]
    assert site.versions() == [(JAN, "b", None, day(1), day(3))]
    assert result.months[0].rows_changed == 0
    with site.warehouse.read() as reader:
        assert reader.frame(LEASES.versions)["gone_at"].to_list() == [day(2)]


def test_a_row_that_becomes_context_is_a_new_version_but_not_counted_as_changed(tmp_path, warehouse, clock):
    node = {"id": 1, "hypervisor_hostname": "h", "created_at": "2019-11-01 00:00:00"}
    table = "nova.compute_nodes"
    for number, ended in ((1, "2020-01-20 00:00:00"), (2, "2019-12-20 00:00:00")):
        clock.append(day(number))
        data: Data = {table: [{**node, "deleted_at": ended}]}
        result = run(make_sqlite(tmp_path / "source", data), warehouse, JAN, tables=tables_of(data))
    with warehouse.read() as reader:
        old = reader.frame(BY_NAME["nova_compute_nodes"].versions)
    assert old.select("is_context", "seen_from", "seen_to").rows() == [(False, day(1), day(2))]
    assert stored(warehouse, "nova_compute_nodes", ["is_context", "seen_from"]).rows() == [(True, day(2))]
    assert result.months[0].rows_changed == 1  # its end; that it is context now is no change at the source


def test_evidence_has_no_table_where_nothing_was_replaced(site):
    site.dump(1, [A])
    site.dump(2, [A, B])
    with site.warehouse.read() as reader:
        assert reader.sql("SELECT schema_name FROM duckdb_schemas() WHERE schema_name = 'evidence'").is_empty()


def test_a_dump_that_is_refused_writes_no_evidence(site):
    many = [{**A, "id": f"l{n:03}", "status": "PENDING"} for n in range(100)]
    site.dump(1, many)
    with pytest.raises(EvidenceError):
        site.dump(2, [{**row, "status": "ACTIVE"} for row in many[:70]])
    assert site.versions() == []
    assert {row[3] for row in site.rows()} == {day(1)}


def test_a_dump_that_can_not_be_written_writes_no_evidence_and_the_next_writes_it_once(site, monkeypatch):
    site.dump(1, [{**A, "status": "PENDING"}])

    def full(*args, **kwargs):
        raise duckdb.IOException("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("usage_assets.sources.record.record", full)
        with pytest.raises(WarehouseError, match="No space left"):
            site.dump(2, [{**A, "status": "ACTIVE"}])
    assert site.versions() == []
    for number in (3, 4):
        site.dump(number, [{**A, "status": "ACTIVE"}])
    assert site.versions() == [(JAN, "a", "PENDING", day(1), day(3))]


def test_a_month_that_is_refused_keeps_its_rows_and_gets_no_evidence_while_others_do(site, monkeypatch):
    site.dump(1, [{**A, "status": "PENDING"}], JAN, FEB)
    real = Writer.replace

    def refuse_january(self, table, *args, **kwargs):
        return real(self, table, *args, **kwargs, blocked={JAN: "broken"})

    monkeypatch.setattr(Writer, "replace", refuse_january)
    site.dump(2, [{**A, "status": "ACTIVE"}], JAN, FEB)
    assert [row[:4] for row in site.rows()] == [(JAN, "a", "PENDING", day(1)), (FEB, "a", "ACTIVE", day(2))]
    assert site.versions() == [(FEB, "a", "PENDING", day(1), day(2))]


def test_two_dumps_of_one_second_leave_one_record_of_the_second_of_them(site):
    site.dump(1, [A])
    site.dump(1, [A, B])
    with site.warehouse.read() as reader:
        assert reader.frame(DUMPS).select("extracted_at", "rows", "rows_new").rows() == [(day(1), 2, 1)]


def test_every_dump_is_recorded_and_a_month_was_read_when_its_last_dump_was_made(site):
    for number in (1, 2, 3):
        site.dump(number, [A], JAN, FEB)
    site.dump(4, [A], FEB, FEB)
    with site.warehouse.read() as reader:
        assert reader.frame(DUMPS).height == 7
        found = extracted_at(reader, site_of({"blazar": "sqlite://"}), [JAN, FEB], [LEASES])
    assert found == {JAN: day(3), FEB: day(4)}


def test_a_dump_that_got_fewer_rows_than_the_one_before_says_by_how_many(site):
    for number, rows in enumerate(([A, B], [A, B], [A], [A]), start=1):
        site.dump(number, rows)
    with site.warehouse.read() as reader:
        found = dumps(reader, "here")
    assert found.select("extracted_at", "rows", "rows_gone", "shrank", "is_latest").rows() == [
        (day(1), 2, 0, None, False),
        (day(2), 2, 0, None, False),
        (day(3), 2, 1, 1, False),
        (day(4), 2, 1, None, True),
    ]


def test_a_clock_set_back_makes_the_last_dump_the_latest_and_says_so(site):
    site.dump(10, [{**A, "status": "PENDING"}, B])
    site.dump(5, [{**A, "status": "ACTIVE"}, B])
    with site.warehouse.read() as reader:
        record = reader.frame(DUMPS)
    assert record["extracted_at"].to_list() == [day(5)]
    assert "clock of the source went back: the dump before said 2020-06-10 02:15:00" in record["note"][0]
    assert [row[1:4] for row in site.rows()] == [("a", "ACTIVE", day(5)), ("b", None, day(5))]


def test_rows_of_other_sites_are_not_compared(site, tmp_path):
    site.dump(1, [{**A, "status": "PENDING"}])
    site.clock.append(day(2))
    urls = make_sqlite(tmp_path / "other", {"blazar.leases": [{**A, "status": "ACTIVE"}]})
    run(urls, site.warehouse, JAN, tables=[LEASES], site_key="there")
    assert site.versions() == []
    with site.warehouse.read() as reader:
        seen = reader.frame(LEASES.table, columns=["site", "seen_from"]).sort(pl.col("site")).rows()
    assert seen == [("here", day(1)), ("there", day(2))]


def make_old(path: Path) -> None:
    """A file as the first release left it: no versions of rows, no runs of dumps, no version of its own."""
    with duckdb.connect(str(path)) as con:
        con.execute("ALTER TABLE raw.blazar_leases DROP COLUMN seen_from").fetchall()
        con.execute("ALTER TABLE serving.dumps DROP COLUMN run_id").fetchall()
        con.execute("DROP TABLE serving.schema_version").fetchall()


def test_a_file_of_the_first_release_is_upgraded_and_its_rows_are_seen_from_their_last_dump_on(site):
    site.dump(1, [A])
    site.dump(2, [A, B])
    site.dump(3, [A])
    make_old(site.warehouse.path)
    site.dump(4, [{**A, "status": "ACTIVE"}])
    assert site.rows() == [(JAN, "a", "ACTIVE", day(4), None), (JAN, "b", None, day(2), day(3))]
    assert site.versions() == [(JAN, "a", None, day(3), day(4))]
    with site.warehouse.read() as reader:
        assert reader.frame(DUMPS).sort("extracted_at")["run_id"].to_list() == [None, None, None, "test"]
