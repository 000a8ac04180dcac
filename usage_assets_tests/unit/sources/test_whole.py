"""What was counted was read: a short answer fails, and a row that is missed left its month only if its dates did."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from usage_assets.core.errors import SourceError
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.sources.sql.servers import Server
from usage_assets.sources.sql.servers import _groups as groups
from usage_assets.warehouse import Warehouse
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

JAN, FEB, MAR, JUN = date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1), date(2020, 6, 1)
LIFE = {"created_at": "2020-01-05 00:00:00", "hidden": 0}
INSTANCES = [{"id": n, "uuid": f"u{n}", **LIFE} for n in range(1, 61)]
SPECS = [{"id": n, "instance_uuid": f"u{n}", "spec": "{}", "created_at": "2020-01-05 00:00:00"} for n in range(1, 61)]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "data" / "warehouse.duckdb")


def cap(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """No answer has more rows than that."""
    real = Server.stream

    def capped(self: Server, statement: Any, where: str) -> Iterator[Any]:
        left = most
        for batch in real(self, statement, where):
            yield batch[:left]
            left -= len(batch[:left])
            if not left:
                return

    monkeypatch.setattr(Server, "stream", capped)


def keep_back(monkeypatch: pytest.MonkeyPatch, table: str, keys: set[bytes]) -> None:
    """Rows of a table with these keys come only where they are asked for by key, and no count tells of them."""
    real = Server.stream

    def partial(self: Server, statement: Any, where: str) -> Iterator[Any]:
        everything = " IN (" in str(statement) or not where.endswith(table)
        for batch in real(self, statement, where):
            yield batch if everything else [row for row in batch if row[0] not in keys]

    monkeypatch.setattr(Server, "stream", partial)
    monkeypatch.setattr(Server, "count", lambda self, statement, where: 0)


def test_an_answer_that_is_cut_fails_with_what_was_counted_and_read_and_nothing_is_stored(
    tmp_path, warehouse, monkeypatch
):
    data: Data = {"nova.instances": INSTANCES}
    run(make_sqlite(tmp_path / "source", {"nova.instances": INSTANCES[:3]}), warehouse, JAN, tables=tables_of(data))
    before = stored(warehouse, "nova_instances", BY_NAME["nova_instances"].table.names)
    cap(monkeypatch, 40)
    urls = make_sqlite(tmp_path / "source", data)
    with pytest.raises(
        SourceError, match=r"^site here: nova\.instances: the server counts 60 rows and gave 40 of them; nothing was"
    ):
        run(urls, warehouse, JAN, tables=tables_of(data))
    assert stored(warehouse, "nova_instances", BY_NAME["nova_instances"].table.names).equals(before)


@pytest.mark.parametrize("most", [1, 30, 59])
def test_a_cap_is_found_also_where_rows_of_one_server_are_followed_to_another(tmp_path, warehouse, monkeypatch, most):
    urls = make_sqlite(tmp_path / "one", {"nova.instances": INSTANCES})
    urls |= make_sqlite(tmp_path / "two", {"nova_api.request_specs": SPECS})
    apart = [BY_NAME["nova_api_request_specs"]]
    monkeypatch.setattr("usage_assets.sources.sql.servers._groups", _each_alone)
    cap(monkeypatch, most)
    with pytest.raises(SourceError, match=r"site here: .*: the server counts \d+ rows and gave \d+ of them"):
        run(urls, warehouse, JAN, tables=apart)


def _each_alone(site: str, urls: dict[str, str]) -> dict[Any, Any]:
    return {name: group for name, url in urls.items() for group in groups(site, {name: url}).values()}


@pytest.mark.parametrize("table", ["instances", "request_specs"])
def test_a_missed_row_that_lies_in_its_month_still_was_not_read(tmp_path, warehouse, monkeypatch, table):
    data: Data = {"nova.instances": INSTANCES, "nova_api.request_specs": SPECS}
    urls = make_sqlite(tmp_path / "source", data)
    run(urls, warehouse, JAN, FEB, tables=tables_of(data))
    before = everything_of(warehouse)
    keep_back(monkeypatch, table, {str(n).encode() for n in range(50, 61)})
    said = rf"{table} 2020-01: 11 stored row\(s\) \(and rows of 1 more months\) were not read, but the source has them"
    with pytest.raises(SourceError, match=said):
        run(urls, warehouse, JAN, FEB, tables=tables_of(data))
    assert everything_of(warehouse).equals(before)


def everything_of(warehouse: Warehouse):
    return stored(warehouse, "nova_instances", ["month", "id", "gone_at", "extracted_at"])


def _moved(data: dict[str, list[Any]]) -> Data:
    """The same with dates by which rows leave their months, with what belongs to them."""
    shorter = {"terminated_at": "2020-01-20 00:00:00"}
    return data | {
        "nova.instances": [row | shorter if row["id"] in {2, 4} else row for row in data["nova.instances"]],
        "blazar.leases": [row | {"end_date": "2020-01-31 00:00:00"} for row in data["blazar.leases"]],
        "blazar.computehosts": [
            row | {"deleted_at": "2020-02-20 00:00:00", "created_at": "2020-01-03 00:00:00"}
            for row in data["blazar.computehosts"]
        ],
        "zun.container": [row | {"updated_at": "2020-02-03 00:00:00"} for row in data["zun.container"]],
    }


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.heavy
def test_rows_whose_dates_moved_leave_their_months_with_what_belongs_to_them(tmp_path, warehouse, monkeypatch, apart):
    if apart:
        monkeypatch.setattr("usage_assets.sources.sql.servers._groups", _each_alone)
    run(make_sqlite(tmp_path / "source", world()), warehouse, JAN, JUN)
    urls = make_sqlite(tmp_path / "source", _moved(world()))
    result = run(urls, warehouse, JAN, JUN)
    fresh = Warehouse(tmp_path / "fresh" / "warehouse.duckdb")
    run(urls, fresh, JAN, JUN)
    got = everything(warehouse)
    for name, frame in everything(fresh).items():
        assert frame.equals(got[name]), name
    assert month_of(result, "nova_instances", MAR).rows_moved == 1
    assert month_of(result, "nova_api_request_specs", MAR).rows_moved == 1
    assert sum(item.rows_gone for item in result.months) == 0


def test_a_row_of_a_file_whose_text_is_no_utf8_is_read_with_a_sign_in_place_of_what_is_none(tmp_path, warehouse):
    import sqlite3

    leases = [{"id": "a", "created_at": "2020-01-05 00:00:00", "name": "Ja"}, {"id": "b", "name": "Müller"}]
    urls = make_sqlite(tmp_path / "source", {"blazar.leases": leases})
    with sqlite3.connect(tmp_path / "source" / "blazar.db") as con:
        con.execute("UPDATE leases SET name = CAST(X'4AFC7267656E' AS TEXT) WHERE id = 'a'")
    con.close()
    run(urls, warehouse, JAN, tables=[BY_NAME["blazar_leases"]])
    assert stored(warehouse, "blazar_leases", ["id", "name"]).rows() == [("a", "J\ufffdrgen"), ("b", "Müller")]
    assert held(warehouse, "blazar_leases") == {"a": ["2020-01"], "b": ["2020-01"]}
