"""Record files: every format gives the same rows, exactly, and every fault says file, line and key."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from usage_assets.core.errors import SiteError
from usage_assets.pricing import values
from usage_assets.pricing.files import Records, read_records

FIELDS = {
    "name": values.text(required=True),
    "price": values.money(),
    "amount": values.quantity(),
    "size": values.whole(),
    "on": values.flag(),
    "since": values.instant(),
    "steps": values.decimals(),
    "pair": values.texts(),
}
ROW = {
    "name": "a b",
    "price": Decimal("0.1"),
    "amount": Decimal("12345678901234567890.123456789"),
    "size": 5,
    "on": True,
    "since": datetime(2026, 1, 1, 6),
    "steps": [Decimal("0.5"), Decimal(1)],
    "pair": '["ü","m"]',
}
CSV = """name,price,amount,size,on,since,steps,pair
a b,0.1,12345678901234567890.123456789,5,true,2026-01-01T00:00:00-06:00,0.5 1,"[""ü"",""m""]"
"""
JSON = (
    '{"name": "a b", "price": 0.1, "amount": "12345678901234567890.123456789", "size": 5, "on": true, '
    '"since": "2026-01-01T06:00:00Z", "steps": [0.5, 1], "pair": ["ü", "m"]}\n'
)
YAML = """- name: a b
  price: 0.1
  amount: 12345678901234567890.123456789
  size: 5
  on: true
  since: 2026-01-01T00:00:00-06:00
  steps: [0.5, 1.0]
  pair: [ü, m]
"""


def read(folder: Path, name: str, text: str) -> Records:
    (folder / name).write_text(text, encoding="utf-8")
    return read_records(folder / name, FIELDS)


def fault(folder: Path, name: str, text: str) -> str:
    with pytest.raises(SiteError) as caught:
        read(folder, name, text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [("r.csv", CSV, 2), ("r.csv", "\ufeff" + CSV.replace("\n", "\r\n"), 2), ("r.jsonl", "\n" + JSON, 2),
     ("r.ndjson", JSON, 1), ("r.yaml", "# of 2026\n" + YAML.replace('  on:', '  "on":'), 2)],
)  # fmt: skip
def test_every_format_of_text_gives_the_same_exact_row(tmp_path: Path, name: str, text: str, line: int):
    assert list(read(tmp_path, name, text).rows()) == [(f"{name}:{line}", ROW)]


def test_parquet_gives_its_rows_by_number_and_its_floats_by_their_shortest_text(tmp_path: Path):
    frame = pl.DataFrame({"name": ["a", "b"], "price": [0.1, None], "since": [datetime(2026, 1, 1), None],
                          "steps": [[0.5, 0.95], None]})  # fmt: skip
    frame.write_parquet(tmp_path / "r.parquet")
    empty = dict.fromkeys(FIELDS)
    assert list(read_records(tmp_path / "r.parquet", FIELDS).rows()) == [
        ("r.parquet:1", empty | {"name": "a", "price": Decimal("0.1"), "since": datetime(2026, 1, 1),
                                 "steps": [Decimal("0.5"), Decimal("0.95")]}),
        ("r.parquet:2", empty | {"name": "b"}),
    ]  # fmt: skip


def test_a_frame_has_the_declared_types_and_the_lines(tmp_path: Path):
    frame = read(tmp_path, "r.csv", CSV).frame()
    assert frame.schema == pl.Schema({name: field.dtype for name, field in FIELDS.items()} | {"line": pl.Int64})
    assert frame.row(0) == (*ROW.values(), 2)
    assert read(tmp_path, "e.csv", "name\n").frame().schema == frame.schema


def test_a_record_over_several_lines_stands_where_it_begins(tmp_path: Path):
    assert list(read(tmp_path, "r.csv", 'name,size\n"a\nb",1\nc,2\n').frame()["line"]) == [2, 4]


@pytest.mark.parametrize(
    ("cell", "said"),
    [("1,5", "'1,5' is no number; write decimal digits, such as 1.5"), ("0.1234567890123", "has more than 12 decimal"),
     ("1e26", "is too large; at most 26 digits"), ("inf", "is no number"), ("1e999999999", "is too large")],
)  # fmt: skip
def test_a_price_that_is_no_exact_decimal_is_refused(tmp_path: Path, cell: str, said: str):
    text = f'name,price\na,1\nb,"{cell}"\n'
    assert fault(tmp_path, "r.csv", text).startswith("r.csv:3: price: ")
    assert said in fault(tmp_path, "r.csv", text)


def test_a_float_with_more_places_is_rounded_half_even_but_never_to_nothing(tmp_path: Path):
    rows = list(read(tmp_path, "r.jsonl", '{"name": "a", "price": 0.30000000000000004}\n').rows())
    assert rows[0][1]["price"] == Decimal("0.3")
    half = list(read(tmp_path, "r.jsonl", '{"name": "a", "price": 0.0000000000025}\n').rows())
    assert half[0][1]["price"] == Decimal("0.000000000002")
    assert "more than 12 decimal places" in fault(tmp_path, "r.jsonl", '{"name": "a", "price": 1e-13}\n')


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.csv", "name,prise\na,1\n", "r.csv:2: prise: unknown key; allowed: amount, name, on, pair, price"),
        ("r.csv", "name,price\n,1\n", "r.csv:2: name: is missing; every row needs it"),
        ("r.csv", "name,price\na\n", "r.csv:2: has 1 cells, the header has 2"),
        ("r.csv", "name,name\na,b\n", "r.csv:1: name stands twice"),
        ("r.csv", 'name\n"a\n', "r.csv:2: is not CSV"),
        ("r.jsonl", '{"name": "a"}\n[1]\n', "r.jsonl:2: expected an object of keys and values, found list"),
        ("r.jsonl", '{"name": "a", "name": "b"}\n', "r.jsonl:1: is not JSON (name stands twice)"),
        ("r.jsonl", '{"name": "a", "price": NaN}\n', "r.jsonl:1: is not JSON (NaN is no number)"),
        ("r.yaml", "name: a\n", "r.yaml:1: expected a list of rows (- key: value), found dict"),
        ("r.yaml", "- name: a\n- name: 1.5\n", "r.yaml:2: name: 1.5 is no text; put it in quotes"),
        ("r.yaml", "- {name: a, price: .inf}\n", "r.yaml:1: price: inf is too large"),
        ("r.csv", "name,on\na,perhaps\n", "r.csv:2: on: 'perhaps' is neither true nor false"),
        ("r.csv", "name,since\na,2026-02-30\n", "r.csv:2: since: '2026-02-30' is no date or time; write 2026-01-31"),
        ("r.csv", "name,size\na,1.5\n", "r.csv:2: size: '1.5' is no whole number"),
        ("r.txt", "name\n", "r.txt: the suffix says the format; it is one of .csv, .jsonl"),
        ("r.parquet", "no parquet", "r.parquet: can't be read as Parquet"),
    ],
)
def test_a_fault_says_file_line_and_key(tmp_path: Path, name: str, text: str, said: str):
    assert fault(tmp_path, name, text).startswith(said)


def test_all_faults_are_told_at_once_and_no_password_of_an_address(tmp_path: Path):
    text = "name,price,since\n,x,y\na,https://me:secret@host/x,2026-01-01\n"
    lines = fault(tmp_path, "r.csv", text).split("\n")
    assert [line.split(": ")[:2] for line in lines] == [
        ["r.csv:2", "name"], ["r.csv:2", "price"], ["r.csv:2", "since"], ["r.csv:3", "price"],
    ]  # fmt: skip
    assert "secret" not in lines[-1]


def test_a_file_that_is_not_there_is_an_error_of_the_site(tmp_path: Path):
    with pytest.raises(SiteError, match=r"r\.csv: can't be read \(No such file"):
        read_records(tmp_path / "r.csv", FIELDS)
