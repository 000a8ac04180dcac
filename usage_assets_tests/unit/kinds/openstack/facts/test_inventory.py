"""The operator's inventory file: what it may look like, and faults that name file, line, column and what was found."""

import os
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from usage_assets.core.errors import SiteError
from usage_assets.kinds.openstack.facts.inventory import describe_inventory, read_inventory
from usage_assets_tests import ROOT

HEADER = "hostname,node_type,vcpus,memory_mb,disk_gb,gpus,in_service_from,in_service_to\n"


def read(folder: Path, text: str, name: str = "machines.csv") -> list[tuple]:
    (folder / name).write_text(text)
    return read_inventory("chi", folder / name).rows()


def test_a_file_may_lack_columns_and_leave_cells_empty(tmp_path: Path):
    assert read(tmp_path, "in_service_from,hostname,vcpus\n2020-01-01, a ,48\n2020-01-02T06:30,b,\n") == [
        (2, "a", None, 48.0, None, None, None, datetime(2020, 1, 1), None),
        (3, "b", None, None, None, None, None, datetime(2020, 1, 2, 6, 30), None),
    ]


def test_json_and_parquet_say_the_same(tmp_path: Path):
    text = '[{"hostname": "a", "vcpus": 48, "gpus": 0, "in_service_from": "2020-01-01", "in_service_to": null}]'
    wanted = [(1, "a", None, 48.0, None, None, 0.0, datetime(2020, 1, 1), None)]
    assert read(tmp_path, text, "machines.json") == wanted
    frame = pl.read_json(tmp_path / "machines.json").with_columns(pl.col("in_service_from").str.to_datetime("%Y-%m-%d"))
    frame.with_columns(pl.col("in_service_from").dt.replace_time_zone("UTC")).write_parquet(tmp_path / "m.parquet")
    assert read_inventory("chi", tmp_path / "m.parquet").rows() == wanted


def test_the_shipped_example_is_read(tmp_path: Path):
    example = ROOT / "sites" / "examples" / "inventory.csv.example"
    machines = read(tmp_path, example.read_text())
    assert len(machines) > 5
    assert len({hostname for _, hostname, *_ in machines}) == len(machines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADER + "a,x,many,,,,2020-01-01,\n", "line 2, column vcpus: found 'many', expected a number that is not"),
        (HEADER + "a,x,1,,,,2020-01-01,\nb,x,-1,,,,2020-01-01,\n", "line 3, column vcpus: found '-1', expected"),
        (HEADER + "a,x,1,,,,January,\n", "line 2, column in_service_from: found 'January', expected a date as 2019-"),
        ("hostname,vcpu,in_service_from\n", "line 1: has a column vcpu that is not known; columns are hostname, node_"),
        ("hostname,vcpus\n", "line 1: has no column in_service_from; columns are"),
        ("", "is no CSV table"),
        (
            HEADER + "a,x,1,,,,2020-01-01,\nb,x,1,,,,2020-01-01,,,,\n",
            ", line 3: is no CSV table (11 cells under 8 column",
        ),
        (HEADER + 'a,x,1,,,,2020-01-01,\n"b,x,1,,,,2020-01-01,\n', ", line 3: is no CSV table (unexpected end of data"),
    ],
)
def test_a_fault_is_said_with_site_file_line_and_column(tmp_path: Path, text: str, said: str):
    with pytest.raises(SiteError) as error:
        read(tmp_path, text)
    assert f"site chi, inventory {tmp_path}/machines.csv" in str(error.value)
    assert said in str(error.value)


def test_a_character_of_another_encoding_is_said_with_its_line(tmp_path: Path):
    (tmp_path / "machines.csv").write_bytes(b"hostname,in_service_from\na,2020-01-01\nb\xe9,2020-01-01\n")
    with pytest.raises(SiteError, match=r"machines\.csv, line 3: is no CSV table \(a character that is not UTF-8\)"):
        read_inventory("chi", tmp_path / "machines.csv")


def test_a_file_that_is_not_there_or_of_another_kind_is_said(tmp_path: Path):
    with pytest.raises(SiteError, match=r"machines\.csv: can't be read .*; put it there, or correct sources in chi"):
        read_inventory("chi", tmp_path / "machines.csv")
    with pytest.raises(SiteError, match=r"machines\.xlsx: can't read \.xlsx; write it as \.csv, \.json, \.parquet"):
        read_inventory("chi", tmp_path / "machines.xlsx")


def test_what_the_file_holds_is_said_in_a_sentence(tmp_path: Path):
    lines = "a,2020-01-01,2021-01-01\na,2022-01-01,\n"
    (tmp_path / "machines.csv").write_text("hostname,in_service_from,in_service_to\n" + lines)
    assert describe_inventory("chi", tmp_path / "machines.csv") == (
        f"{tmp_path}/machines.csv: 1 machines in 2 rows, 1 without an end, the first in service from 2020-01-01"
    )


@pytest.mark.parametrize("name", ["machines.csv", "machines.json", "machines.parquet"])
def test_a_pipe_in_its_place_is_refused_not_waited_for(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / name)
    with pytest.raises(SiteError, match="is no regular file"):
        read_inventory("chi", tmp_path / name)


def test_a_fault_repeats_no_url(tmp_path: Path):
    with pytest.raises(SiteError, match=r"line 2, column vcpus: found 'mysql://\*\*\*'") as error:
        read(tmp_path, "in_service_from,hostname,vcpus\n2020-01-01,a,mysql://u:S3cr3t@h/d\n")
    assert "S3cr3t" not in str(error.value)
