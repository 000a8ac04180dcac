"""The disk is full: the run says so, the last good state stays and opens, and with room again the next run works."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from usage_assets.core.errors import UsageError, WarehouseError
from usage_assets.core.months import RANGE_END, RANGE_START
from usage_assets.definitions import build_defs
from usage_assets.kinds import OPENSTACK
from usage_assets.orchestration.partitions import partition_keys
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.serving import publish, read
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.tiny import WINDOW, make_site
from usage_assets_tests.unit.sources.sources import Data, make_sqlite, run, stored, tables_of

JAN = date(2020, 1, 1)
MEGABYTES = 24
FULL = "No space left on device"


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small disk of the test's own as `USAGE_DATA`."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    monkeypatch.setenv("USAGE_DATA", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Take all room but some bytes; the file to remove to have it back."""
    filler = disk / "filler"
    free = shutil.disk_usage(disk).free
    filler.write_bytes(b"x" * max(free - leave, 0))
    return filler


def rows(count: int) -> Data:
    """A table of servers of about 300 bytes each."""
    one = {"created_at": "2020-01-05 00:00:00", "project_id": "p", "hidden": 0}
    texts = (os.urandom(100).hex() for _ in range(count))  # nothing that packs well
    return {"nova.instances": [one | {"id": n, "uuid": f"u{n}", "host": text} for n, text in enumerate(texts)]}


@pytest.fixture
def sources(tmp_path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """A source as it was, and as it is after a busy month."""
    return make_sqlite(tmp_path / "before", rows(5)), make_sqlite(tmp_path / "after", rows(8_000))


@pytest.mark.parametrize("leave", [0, 300_000, 3_000_000, 6_000_000])
def test_a_dump_that_fills_the_disk_changes_nothing_says_so_and_works_with_room_again(disk, sources, leave: int):
    before, after = sources
    warehouse, tables = Warehouse(disk / "warehouse.duckdb"), tables_of(rows(0))
    run(before, warehouse, JAN, tables=tables)
    held = stored(warehouse, "nova_instances")
    filler = fill(disk, leave)
    with pytest.raises(WarehouseError, match=FULL) as caught:
        run(after, warehouse, JAN, tables=tables)
    assert f"free some room on the disk of {disk}" in str(caught.value)
    assert stored(warehouse, "nova_instances").equals(held)
    filler.unlink()
    run(after, warehouse, JAN, tables=tables)
    assert stored(warehouse, "nova_instances").height == 8_000
    assert not list((disk / ".staging").iterdir())


def steps(site) -> dict[str, list[str]]:
    """The steps of a run with assets of theirs."""
    return {
        "raw": [f"raw/{table.name}" for table in OPENSTACK.tables_of(site)],
        "facts": [f"facts/{fact.name}" for fact in OPENSTACK.facts],
        "timelines": ["timelines/usage"],
        "plots": ["reports/usage_stack"],
        "exports": ["reports/usage_wide"],
    }


def materialize(site, warehouse: Warehouse, instance: dg.DagsterInstance, names: list[str]) -> str:
    """What a run of some assets ends with: nothing where all went well, else what it tells the operator."""
    job = build_defs({site.key: site}, warehouse, automation=False).resolve_job_def("openstack")
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[asset_key("openstack", *name.split("/")) for name in names],
        tags={RANGE_START: str(partition_keys(WINDOW)[0]), RANGE_END: str(partition_keys(WINDOW)[0])},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert result.success == (not failures)
    told = [(found.user_failure_data and found.user_failure_data.description) or found.error for found in failures]
    return "; ".join(map(str, told))


def everything(disk: Path) -> tuple[dict, dict]:
    """All tables, and all files of plots."""
    with Warehouse(disk / "warehouse.duckdb").read() as reader:
        found = reader.sql("SELECT schema_name || '.' || table_name AS name FROM duckdb_tables()")["name"].to_list()
        tables = {name: reader.sql(f"SELECT * FROM {name} ORDER BY ALL").rows() for name in found}
    files = {path: path.read_bytes() for path in (disk / "plots").rglob("*") if path.is_file()}
    return tables, files


def test_every_step_says_that_the_disk_is_full_and_leaves_what_is_stored_and_works_with_room_again(
    disk, tmp_path, monkeypatch
):
    monkeypatch.setenv("BROWSER_PATH", "nowhere")
    site, warehouse = make_site(tmp_path), Warehouse(disk / "warehouse.duckdb")
    with dg.DagsterInstance.ephemeral() as instance:
        for names in steps(site).values():
            assert materialize(site, warehouse, instance, names) == ""
        before = everything(disk)
        assert len(before[1]) >= 2
        filler = fill(disk, 0)
        for step, names in steps(site).items():
            said = materialize(site, warehouse, instance, names)
            assert re.search(FULL, said), (step, said)
            assert "site tiny 2020-01" in said, (step, said)
            assert everything(disk) == before, step
        filler.unlink()
        for step, names in steps(site).items():
            assert materialize(site, warehouse, instance, names) == "", step
        left = [path for path in disk.rglob("*") if path.name.startswith(".") and path.suffix == ".part"]
    assert left == []


@pytest.mark.parametrize("taken", ["before", "meanwhile"])
def test_publishing_on_a_full_disk_leaves_readers_the_generation_that_they_have(disk, sources, monkeypatch, taken: str):
    before, after = sources
    warehouse, tables = Warehouse(disk / "warehouse.duckdb"), tables_of(rows(0))
    run(before, warehouse, JAN, tables=tables)
    assert publish.publish(warehouse).pointer.generation == 1
    run(after, warehouse, JAN, tables=tables)
    real = publish.require_room

    def room(folder: Path, needed: int, to: str) -> None:
        real(folder, needed, to)
        fill(disk, 100_000)  # another program was quicker

    if taken == "before":
        fill(disk, 0)
    monkeypatch.setattr(publish, "require_room", room)
    with pytest.raises(UsageError) as caught:
        publish.publish(warehouse)
    monkeypatch.setattr(publish, "require_room", real)
    assert re.search(rf"{FULL}.*generation 1 stays|{disk}/published: 0 MB are free", str(caught.value)), caught.value
    with read.open() as published:
        assert published.generation == 1
        assert published.tables()
    assert not list((disk / "published").glob(".*.part*"))
    (disk / "filler").unlink()
    assert publish.publish(warehouse).pointer.generation == 2
    with read.open() as published:
        assert published.generation == 2
