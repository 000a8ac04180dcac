"""What check-site says of a GPU pool."""

from datetime import datetime
from pathlib import Path

import pytest

from usage_assets.core import clock
from usage_assets.core.errors import SiteError, SourceError
from usage_assets.kinds.htcondor.raw.access import check_files, check_site, grants
from usage_assets.kinds.htcondor.raw.tables import TABLES
from usage_assets_tests.unit.kinds.htcondor.raw.pools import ROW, every, parquet, rows, site_of, sqlite

TIMES = every(15, "2025-10-05 00:00", 4)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "naive_utc_now", lambda: datetime(2025, 11, 5, 7))


def test_each_file_is_shown_with_its_rows_times_and_missing_columns(tmp_path: Path):
    sqlite(tmp_path, rows(TIMES))
    short = [
        {name: row[name] for name in ("timestamp", "State", "AssignedGPUs", "Machine", "Name")} for row in rows(TIMES)
    ]
    parquet(tmp_path, short, "gpu_state_2025-11.parquet")
    found = check_site(site_of(tmp_path), TABLES)
    assert [(one.source, one.state, one.rows) for one in found.tables] == [
        ("gpu_state_2025-10.db", "found", 4), ("gpu_state_2025-11.parquet", "found", 4),
    ]  # fmt: skip
    assert (found.tables[0].first_at, found.tables[0].last_at) == (
        datetime(2025, 10, 5, 5), datetime(2025, 10, 5, 5, 45),
    )  # fmt: skip
    assert found.tables[1].columns_missing[:2] == ("AvailableGPUs", "GPUs_DeviceName")
    (folder,) = found.servers
    assert "newest poll is of 2025-10-05 05:45 UTC, 31 days ago" in folder.warnings[0]


def test_files_that_cant_be_read_are_named_and_the_others_shown(tmp_path: Path):
    parquet(tmp_path, rows(TIMES))
    (tmp_path / "gpu_state_2025-09.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "gpu_state_2025-08.db").write_bytes(b"")
    sqlite(tmp_path, [ROW | {"timestamp": "soon"}], "gpu_state_2025-07.db")
    found = {one.source: one for one in check_site(site_of(tmp_path), TABLES).tables}
    assert found["gpu_state_2025-09.parquet"].state == "unreadable"
    assert "is empty" in str(found["gpu_state_2025-08.db"].note)
    assert "'soon' is no time" in str(found["gpu_state_2025-07.db"].note)
    assert found["gpu_state_2025-10.parquet"].state == "found"


def test_an_empty_folder_is_missing_and_none_at_all_an_error(tmp_path: Path):
    assert check_site(site_of(tmp_path), TABLES).tables[0].state == "missing"
    with pytest.raises(SourceError, match="can't be read"):
        check_site(site_of(tmp_path / "nowhere"), TABLES, count=False)


@pytest.mark.parametrize("write", [parquet, sqlite])
def test_listed_hosts_that_no_row_names_are_said(tmp_path: Path, write):
    write(tmp_path, [*rows(TIMES), *rows(TIMES, Machine="h20.x.edu")])
    said = check_files(site_of(tmp_path, hosted=["h1", "h2"], masked={"h20": "broken", "gone.x.edu": "sold"}))
    assert said[0].endswith("newest poll 2025-10-05 05:45:00 UTC, 31 days ago, 2 machines")
    assert said[1:] == [
        "hosted: 2 host(s), never seen in the newest file: h2",
        "masked: 2 host(s), never seen in the newest file: gone.x.edu",
    ]


def test_a_list_with_a_fault_is_an_error(tmp_path: Path):
    parquet(tmp_path, rows(TIMES))
    (tmp_path / "hosts").write_text("a b\n")
    with pytest.raises(SiteError, match="hosts:1"):
        check_files(site_of(tmp_path, hosted={"file": str(tmp_path / "hosts")}))


def test_files_need_no_grant(tmp_path: Path):
    assert str(tmp_path) in grants(site_of(tmp_path), TABLES)
