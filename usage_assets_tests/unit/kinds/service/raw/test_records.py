"""The reader `records`: formats, mappings, files that are broken, and tables of databases."""

import gzip
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from usage_assets.core.errors import SourceError, UsageError
from usage_assets.kinds.service.raw.access import check_site
from usage_assets_tests.unit.kinds.service.raw.services import JANUARY, Service, event

NOON = datetime(2026, 1, 5, 12)


def service_of(folder: Path, **source: Any) -> Service:
    """A service whose source is a file, or files, with more said of it."""
    return Service.of(folder, sources=[{"reader": "records", "path": "events", "pattern": "*"} | source])


def test_csv_has_columns_in_any_order_with_quotes_and_lines_in_them(tmp_path: Path):
    service = service_of(tmp_path)
    text = 'ts,event_type,event_id,error,cost\n2026-01-05T12:00:00Z,failed,a,"one, ""two""\nthree",0.30\n'
    (tmp_path / "events" / "a.csv").write_text(f"{text}2026-01-05T12:00:00Z,complete,b,,\n")
    service.dump()
    assert service.events("event_id", "ts", "error", "cost", "source_row") == [
        {"event_id": "a", "ts": NOON, "error": 'one, "two"\nthree', "cost": Decimal("0.3"), "source_row": 1},
        {"event_id": "b", "ts": NOON, "error": None, "cost": None, "source_row": 2},
    ]


def test_parquet_has_typed_times_numbers_and_quantities(tmp_path: Path):
    service = service_of(tmp_path)
    pl.DataFrame(
        {
            "event_id": ["a"], "event_type": ["complete"], "ts": [NOON.replace(tzinfo=UTC)], "cost": [0.1 + 0.2],
            "input_tokens": [3.0], "meters": [{"images": 2}], "success": [True],
        }
    ).write_parquet(tmp_path / "events" / "a.parquet")  # fmt: skip
    service.dump()
    assert service.events("ts", "cost", "input_tokens", "meters", "success") == [
        {"ts": NOON, "cost": Decimal("0.3"), "input_tokens": 3, "meters": {"images": Decimal(2)}, "success": True}
    ]


def test_naive_times_of_parquet_are_refused_unless_a_zone_is_said(tmp_path: Path):
    for number, zone in enumerate((None, "America/Chicago")):
        service = service_of(tmp_path / str(number), timezone=zone)
        frame = pl.DataFrame({"event_id": ["a"], "event_type": ["complete"], "ts": [NOON]})
        frame.write_parquet(service.folder / "events" / "a.parquet")
        service.dump()
        found = [] if zone is None else [{"ts": datetime(2026, 1, 5, 18)}]
        assert service.events("ts") == found
        assert service.reasons() == ([(1, "bad_time")] if zone is None else [])


def test_a_mapping_names_columns_paths_constants_values_and_units(tmp_path: Path):
    mapping = {
        "ts": {"from": "started", "unit": "ms"}, "ended": {"from": "done", "unit": "ms"}, "user_id": "who.name",
        "event_type": {"from": "state", "values": {"OK": "complete", "ERR": "failed"}, "default": "request"},
        "provider": {"value": "local"}, "queue_s": {"from": "waited", "unit": "ns"},
        "input_tokens": ["use.prompt", "use.input"], "meters": {"images": "use.images"},
    }  # fmt: skip
    service = service_of(tmp_path, mapping=mapping, filter={"kind": ["call", "chat"]}, null=["", "-"])
    at = 1767614400123
    service.put(
        "a.jsonl",
        [
            {"id": 1, "kind": "call", "started": at, "done": at + 1500, "who": {"name": "ann"}, "state": "OK",
             "waited": 2_000_000_000, "use": {"input": 7, "images": 2}},
            {"id": 2, "kind": "chat", "started": str(at), "who": {"name": "-"}, "use": {"prompt": 1, "input": 9}},
            {"id": 3, "kind": "tool", "started": at},
        ],
    )  # fmt: skip
    service.dump()
    columns = ("ts", "user_id", "event_type", "provider", "duration_s", "queue_s", "input_tokens", "meters")
    rows = sorted((tuple(row.values()) for row in service.events(*columns)), key=lambda row: str(row[2]))
    when = datetime(2026, 1, 5, 12, 0, 0, 123000)
    assert rows == [
        (when, "ann", "complete", "local", 1.5, 2.0, 7, {"images": Decimal(2)}),
        (when, None, "request", "local", None, None, 1, None),
    ]
    assert service.reasons() == [(3, "not_usage")]


@pytest.mark.parametrize(
    ("number", "unit", "at"),
    [
        (1767614400, "s", NOON),
        ("1767614400.1234567", "s", datetime(2026, 1, 5, 12, 0, 0, 123456)),
        (1767614400123456, "us", datetime(2026, 1, 5, 12, 0, 0, 123456)),
        (1767614400123456789, "ns", datetime(2026, 1, 5, 12, 0, 0, 123456)),
        (1767614400, "auto", NOON),
        (1767614400123, "auto", datetime(2026, 1, 5, 12, 0, 0, 123000)),
        (1767614400123456789, "auto", datetime(2026, 1, 5, 12, 0, 0, 123456)),
        (-5, "s", None),
        (10**30, "s", None),
        ("NaN", "ms", None),
    ],
)
def test_numbers_since_1970_are_instants_by_their_unit(tmp_path: Path, number: Any, unit: str, at: datetime | None):
    mapping = {"event_id": "id", "ts": {"from": "t", "unit": unit}, "event_type": {"value": "complete"}}
    service = service_of(tmp_path, mapping=mapping)
    service.put("a.jsonl", [{"id": "a", "t": number}])
    service.dump()
    assert [row["ts"] for row in service.events("ts")] == ([] if at is None else [at])
    assert service.reasons() == ([(1, "bad_time")] if at is None else [])


def test_numbers_since_another_origin_are_instants_after_it(tmp_path: Path):
    mapping = {"ts": {"from": "t", "unit": "ms", "origin": "2026-01-05"}, "event_type": {"value": "complete"}}
    service = service_of(tmp_path, mapping=mapping)
    service.put("a.jsonl", [{"t": 43_200_000}])
    service.dump()
    assert service.events("ts") == [{"ts": NOON}]


def test_a_gzip_file_that_was_cut_off_loses_no_good_line_and_is_told(tmp_path: Path):
    service = service_of(tmp_path)
    whole = "".join(f'{{"event_id": "{n}", "ts": "2026-01-05T12:00:00Z", "event_type": "start"}}\n' for n in range(99))
    packed = gzip.compress(whole.encode())
    (tmp_path / "events" / "a.jsonl.gz").write_bytes(packed)
    (tmp_path / "events" / "b.jsonl.gz").write_bytes(
        gzip.compress(whole.replace('"event_id": "', '"event_id": "b').encode())
    )
    (tmp_path / "events" / "cut.jsonl.gz").write_bytes(
        gzip.compress(whole.replace('"event_id": "', '"event_id": "c').encode())[:-30]
    )
    result = service.dump()
    files = pl.Series(row["source_file"] for row in service.events("source_file")).value_counts(name="n")
    counts = dict(files.iter_rows())
    assert counts["a.jsonl.gz"] == counts["b.jsonl.gz"] == 99
    assert 0 < counts["cut.jsonl.gz"] < 99
    assert {row["reason"] for row in service.rejects("reason")} == {"unreadable"}
    assert any("cut.jsonl.gz" in warning for warning in result.warnings)


def test_bytes_that_are_no_text_make_their_line_unreadable_only(tmp_path: Path):
    service = service_of(tmp_path)
    path = service.put("a.jsonl", [event("a"), event("b")])
    first, second = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join((first, b'{"event_id": "\xff"}', second)))
    service.dump()
    assert [row["source_row"] for row in service.events("source_row")] == [1, 3]
    assert service.reasons() == [(2, "unreadable")]


def test_a_parquet_file_that_is_none_is_listed_and_the_others_are_read(tmp_path: Path):
    service = service_of(tmp_path)
    (tmp_path / "events" / "bad.parquet").write_bytes(b"PAR1 no, it is not")
    service.put("a.jsonl", [event("a")])
    result = service.dump()
    assert [row["event_id"] for row in service.events("event_id")] == ["a"]
    assert service.rejects("source_file", "source_row", "reason") == [
        {"source_file": "bad.parquet", "source_row": 0, "reason": "unreadable"}
    ]
    assert result.warnings


def test_a_folder_that_is_not_there_stops_the_dump_and_nothing_is_marked_as_gone(tmp_path: Path):
    service = service_of(tmp_path)
    service.put("a.jsonl", [event("a")])
    service.dump()
    (tmp_path / "events").rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="can't be read"):
        service.dump()
    assert service.events("gone_at") == [{"gone_at": None}]


def test_rows_of_a_removed_file_stay_marked_and_many_are_not_let_go_without_a_word(tmp_path: Path):
    service = service_of(tmp_path)
    service.put("a.jsonl", [event("x")])
    path = service.put("b.jsonl", [event(f"y{number}") for number in range(30)])
    service.dump()
    path.unlink()
    refused = service.dump()
    assert [bool(month.refused) for month in refused.months] == [True, True]
    assert sum(row["gone_at"] is not None for row in service.events("gone_at")) == 0
    service.dump(purge_known=True)
    gone = {row["event_id"] for row in service.events() if row["gone_at"] is not None}
    assert gone == {f"y{number}" for number in range(30)}


def test_a_changed_row_takes_the_place_of_its_older_version_which_is_evidence(tmp_path: Path):
    service = service_of(tmp_path)
    service.put("a.jsonl", [event("x", cost=1), event("y")])
    service.dump()
    service.put("a.jsonl", [event("x", cost=2), event("y"), event("z")])
    service.dump()
    assert [(row["event_id"], row["cost"]) for row in service.events()] == [("x", 2), ("y", None), ("z", None)]
    with service.warehouse.read() as reader:
        assert reader.sql("SELECT event_id, cost FROM evidence.usage_events").rows() == [("x", Decimal(1))]


def test_a_table_of_a_database_is_read_by_a_mapping(tmp_path: Path):
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("CREATE TABLE message (id TEXT, who TEXT, made INTEGER, usage TEXT, secret TEXT)")
        con.execute("INSERT INTO message VALUES ('m1', 'ann', 1767614400, '{\"tokens\": 5, \"cost\": 0.1}', 'no')")
        con.execute("INSERT INTO message VALUES ('m2', NULL, 'soon', NULL, NULL)")
    mapping = {
        "event_id": "id", "user_id": "who", "ts": {"from": "made", "unit": "s"}, "event_type": {"value": "complete"},
        "input_tokens": "usage.tokens", "cost": "usage.cost",
    }  # fmt: skip
    source = {"reader": "records", "url": f"sqlite:///{path}", "table": "message", "mapping": mapping}
    service = Service.of(tmp_path, sources=[source])
    service.dump()
    assert service.events("event_id", "user_id", "ts", "input_tokens", "cost", "source_file") == [
        {"event_id": "m1", "user_id": "ann", "ts": NOON, "input_tokens": 5, "cost": Decimal("0.1"),
         "source_file": "message"}
    ]  # fmt: skip
    assert [row["reason"] for row in service.rejects("reason")] == ["bad_time"]
    versions = service.versions()
    service.dump()
    assert service.versions() == versions


def test_what_a_site_s_sources_hold_is_said_before_anything_is_stored(tmp_path: Path):
    service = service_of(tmp_path)
    service.put("a.jsonl", [event("a", user_id="u", extra=1), event("b", "2026-01-06T00:00:00Z"), {"ts": "no"}])
    found = check_site(service.site, ())
    (table,) = found.tables
    assert (table.state, table.rows, table.first_at) == ("found", 2, datetime(2026, 1, 5, 10))
    assert "1 bad_time" in str(table.note)
    assert "no row says its cost" in str(table.note)
    assert "mapped: event_id, event_type, ts, user_id; not mapped: extra" in str(table.note)
    assert not service.warehouse.path.exists()


def test_a_fault_of_the_site_s_file_names_the_key(tmp_path: Path):
    service = service_of(tmp_path, preset="no_such")
    with pytest.raises(UsageError, match="no preset 'no_such'"):
        service.dump(JANUARY)


def test_a_file_with_columns_that_no_rule_names_is_set_aside_or_refused_where_the_site_says_so(tmp_path: Path):
    service = Service.of(tmp_path, new_columns="aside")
    service.put("a.jsonl", [event("a")])
    service.put("b.jsonl", [event("b", extra=1)])
    service.dump()
    assert service.events("event_id") == [{"event_id": "a"}]
    assert service.rejects("source_file", "reason") == [{"source_file": "b.jsonl", "reason": "unreadable"}]
    with pytest.raises(SourceError, match=r"b\.jsonl has columns that are not mapped: extra"):
        Service.of(tmp_path, new_columns="refuse").dump()
