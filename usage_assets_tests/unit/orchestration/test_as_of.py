"""As of: whatever happens at a source between dumps, the rows stored after each dump can be had again, exactly.

Half-open: a version is believed from the dump that saw it first up to, not including, the dump that replaced it.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from usage_assets.core.errors import EvidenceError, WarehouseError
from usage_assets.kinds import KINDS
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.orchestration.as_of import rebuild, stage_rows
from usage_assets.warehouse import Warehouse, staging
from usage_assets_tests.unit.sources.sources import make_sqlite, run, site_of

JAN, FEB, MAR = date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1)
MONTHS = (JAN, FEB)
TABLES = [BY_NAME["blazar_leases"], BY_NAME["blazar_computehosts"]]
OPENSTACK = KINDS["openstack"]

# when a row ends: which months hold it, and of a host whether as context
ENDS = (None, "2019-12-20 00:00:00", "2020-01-20 00:00:00", "2020-02-20 00:00:00")
DUMPS = 9


def history(rng: random.Random) -> Iterator[tuple[dict[str, Any], dict[str, Any], tuple[date, date]]]:
    """Leases, hosts and months of dump after dump: most rows stay as they are, others change, vanish or come back."""

    def lease() -> dict[str, Any]:
        return {"end_date": rng.choice(ENDS), "status": rng.choice((None, "ACTIVE"))}

    def host() -> dict[str, Any]:
        return {"deleted_at": rng.choice(ENDS), "vcpus": rng.choice((None, 4))}

    rows = {name: lease() for name in "abcdef"} | {name: host() for name in "xyz"}
    there = dict.fromkeys(rows, True)
    for _ in range(DUMPS):
        for name in rows:
            what = rng.random()
            if what < 0.2:
                rows[name] = lease() if name in "abcdef" else host()
            elif what < 0.5:
                there[name] = not there[name]
        now = {name: row for name, row in rows.items() if there[name]}
        yield (
            {name: row for name, row in now.items() if name in "abcdef"},
            {name: row for name, row in now.items() if name in "xyz"},
            rng.choice(((JAN, JAN), (FEB, FEB), (JAN, FEB), (JAN, FEB))),
        )


def at(number: int) -> datetime:
    return datetime(2020, 6, 1, 2, 15) + timedelta(days=number)


def source(folder: Path, leases: dict[str, Any], hosts: dict[str, Any]) -> dict[str, str]:
    """The tables with the rows that there are; the hosts are one machine's successive rows."""
    born = "2019-12-05 00:00:00"
    return make_sqlite(
        folder,
        {
            "blazar.leases": [{"id": k, "created_at": born, **row} for k, row in leases.items()],
            "blazar.computehosts": [
                {"id": k, "created_at": born, "hypervisor_hostname": "h", **row} for k, row in hosts.items()
            ],
        },
    )


def stored(warehouse: Warehouse) -> dict[str, pl.DataFrame]:
    with warehouse.read() as reader:
        return {raw.name: reader.frame(raw.table).sort("month", "id") for raw in TABLES}


def as_of(warehouse: Warehouse, instant: datetime) -> dict[str, pl.DataFrame]:
    out = {raw.name: raw.table.empty() for raw in TABLES}
    with staging(warehouse.path.parent / "scratch.duckdb") as con, warehouse.beside(con):
        read = stage_rows(con, OPENSTACK, site_of({"blazar": "sqlite://"}), instant, MONTHS)
        for name in read:
            names = ", ".join(f'"{column}"' for column in BY_NAME[name].table.names)
            frame = pl.from_arrow(con.execute(f"SELECT {names} FROM out_{name} ORDER BY month, id").to_arrow_table())
            assert isinstance(frame, pl.DataFrame)
            out[name] = frame
    return out


@pytest.mark.parametrize("seed", range(3))
def test_the_rows_stored_after_each_dump_can_be_had_again(seed, tmp_path, monkeypatch):
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    states = []
    for number, (leases, hosts, (first, last)) in enumerate(history(random.Random(seed))):
        monkeypatch.setattr("usage_assets.sources.sql.servers._wall_clock", lambda number=number: at(number))
        run(source(tmp_path / "source", leases, hosts), warehouse, first, last, tables=TABLES)
        states.append(stored(warehouse))
    for number, state in enumerate(states):
        instant = at(number) if number % 2 else at(number + 1) - timedelta(microseconds=1)
        for name, frame in as_of(warehouse, instant).items():
            assert frame.equals(state[name]), f"{name} as of {instant}\n{frame}\n{state[name]}"
    assert all(frame.is_empty() for frame in as_of(warehouse, at(0) - timedelta(seconds=1)).values())
    chains_do_not_overlap(warehouse)


def chains_do_not_overlap(warehouse: Warehouse) -> None:
    """Versions of a row follow each other: none begins before the one before ended, the stored one is the last."""
    with warehouse.read() as reader:
        for raw in TABLES:
            spans = pl.concat(
                [
                    reader.frame(raw.versions, columns=["month", "id", "seen_from", "seen_to"]),
                    reader.frame(raw.table, columns=["month", "id", "seen_from"]).with_columns(
                        seen_to=pl.lit(datetime(9999, 1, 1))
                    ),
                ]
            ).sort("month", "id", "seen_from")
            follows = pl.col("seen_from") >= pl.col("seen_to").shift().over("month", "id")
            assert spans.select(
                (follows.fill_null(value=True) & (pl.col("seen_from") < pl.col("seen_to"))).all()
            ).item()


def dumped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: str, months: Sequence[date] = MONTHS):
    warehouse = Warehouse(tmp_path / "data" / "warehouse.duckdb")
    monkeypatch.setattr("usage_assets.sources.sql.servers._wall_clock", lambda: at(number))
    urls = source(tmp_path / "source", {"a": {"end_date": None, "status": status}}, {})
    run(urls, warehouse, months[0], months[-1], tables=TABLES)
    return warehouse


def test_where_a_clock_was_set_back_the_younger_of_two_versions_counts(tmp_path, monkeypatch):
    for number, status in ((1, "PENDING"), (10, "ACTIVE"), (5, "ERROR")):
        warehouse = dumped(tmp_path, monkeypatch, number, status)
    for number, status in ((1, "PENDING"), (4, "PENDING"), (6, "ERROR"), (11, "ERROR")):
        assert as_of(warehouse, at(number))["blazar_leases"]["status"].to_list() == [status] * 2


def test_an_instant_before_the_first_dump_is_refused_with_when_that_was(tmp_path, monkeypatch):
    warehouse = dumped(tmp_path, monkeypatch, 3, "ACTIVE")
    text = r"site here: no month asked for had been read by 2020-06-02 .*first dump known is of 2020-06-04 02:15:00"
    with pytest.raises(EvidenceError, match=text):
        rebuild(site_of({"blazar": "sqlite://"}), at(1), MONTHS, warehouse, tmp_path / "then.duckdb")
    assert not [path.name for path in tmp_path.iterdir() if "then" in path.name]


def test_a_file_that_can_not_be_made_leaves_nothing_behind_and_says_where_to_look(tmp_path, monkeypatch):
    warehouse = dumped(tmp_path, monkeypatch, 1, "ACTIVE")

    def full(*args, **kwargs):
        raise duckdb.IOException("No space left on device")

    monkeypatch.setattr("usage_assets.orchestration.as_of.build_assets", full)
    with pytest.raises(WarehouseError, match=r"site here: .* could not be made .*No space left.* the warehouse is unt"):
        rebuild(site_of({"blazar": "sqlite://"}), at(2), MONTHS, warehouse, tmp_path / "then.duckdb")
    assert not [path.name for path in tmp_path.iterdir() if "then" in path.name]


def test_months_that_had_not_been_read_by_then_are_named_and_left_out(tmp_path, monkeypatch):
    warehouse = dumped(tmp_path, monkeypatch, 1, "PENDING", [JAN])
    dumped(tmp_path, monkeypatch, 2, "ACTIVE", [JAN, FEB])
    made = rebuild(site_of({"blazar": "sqlite://"}), at(1), [JAN, FEB, MAR], warehouse, tmp_path / "then.duckdb")
    assert (made.months, made.never) == ((JAN,), (FEB, MAR))
    assert "blazar_allocations" not in made.partly[JAN]
    assert "blazar_reservations" in made.partly[JAN]
    with Warehouse(made.path).read() as reader:
        rows = reader.frame(BY_NAME["blazar_leases"].table)
    assert rows.select("month", "status", "extracted_at").rows() == [(JAN, "PENDING", at(1))]
