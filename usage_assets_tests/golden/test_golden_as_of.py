"""What was believed at a time: facts and timelines as of an instant are those that were built then, row for row."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from usage_assets.cli.app import app
from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS, LEASES, REJECTS
from usage_assets.kinds import OPENSTACK
from usage_assets.kinds.openstack.raw.dump import dump
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.as_of import STAGES, rebuild
from usage_assets.orchestration.build import build_assets
from usage_assets.timelines.assets import assets_of
from usage_assets.timelines.dimension_tables import USAGE_BY_HOST
from usage_assets.timelines.tables import LEADTIME, USAGE, USAGE_STEPS
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import ACCOUNTS
from usage_assets_tests.golden.builder import Rows, spec_text
from usage_assets_tests.golden.stores import write_sqlite
from usage_assets_tests.golden.worked import FEB, JAN

MADE = (INTERVALS, REJECTS, ACCOUNTS, LEASES, USAGE, USAGE_STEPS, LEADTIME, USAGE_BY_HOST)
THEN, LATER = datetime(2024, 3, 2, 2, 15), datetime(2024, 3, 3, 2, 15)


def believed(*, corrected: bool) -> Rows:
    """A leased machine; later the source says that the server on it ran longer, and has lost the allocation."""
    rows = Rows()
    rows.ironic_node("h", "2023-06-01")
    host = rows.computehost("h", "2023-06-01", node_type="fast")
    _, reservation, _ = rows.booked(host, "2024-01-05", "2024-02-15", name="lease")
    server = rows.instance("h", "2024-01-06", "2024-02-10" if corrected else "2024-01-26")
    rows.spec(server, spec_text([reservation]))
    if corrected:
        rows.tables["blazar_computehost_allocations"].clear()
    return rows


class Told:
    """A site that was built from what was believed at first, then from what the source says now."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = Warehouse(folder / "data" / "warehouse.duckdb")
        self.window = Window("golden", (JAN, FEB))
        with pytest.MonkeyPatch.context() as patch:
            for at, corrected in ((THEN, False), (LATER, True)):
                patch.setattr("usage_assets.sources.sql.servers._wall_clock", lambda at=at: at)
                self.site: OpenStackSite = write_sqlite(
                    believed(corrected=corrected), folder / "sources", first_month="2024-01"
                )
                dump(self.site, self.window, self.warehouse, tables=OPENSTACK.raw_tables, run_id=f"{at:%d}")
                self._build()
                if not corrected:
                    self.then = made(self.warehouse)
        self.now = made(self.warehouse)

    def _build(self) -> None:
        kind, window = OPENSTACK, self.window
        assets = [asset for asset in assets_of(kind) if asset.stage in STAGES]
        build_assets(kind, self.site, window, self.warehouse, assets, run_id="r")


def made(warehouse: Warehouse) -> dict[str, pl.DataFrame]:
    with warehouse.read() as reader:
        return {table.qualified: reader.frame(table).sort(pl.all()) for table in MADE}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return Told(tmp_path_factory.mktemp("as_of"))


@pytest.mark.parametrize(("at", "which"), [(THEN, "then"), (LATER, "now")])
@pytest.mark.heavy
def test_all_that_was_made_then_is_made_again_row_for_row(told: Told, tmp_path: Path, at: datetime, which: str):
    before = made(told.warehouse)
    found = rebuild(told.site, at, [JAN, FEB], told.warehouse, tmp_path / "then.duckdb")
    assert (found.months, found.never, found.partly) == ((JAN, FEB), (), {})
    for name, frame in made(Warehouse(found.path)).items():
        assert frame.equals(getattr(told, which)[name]), f"{name}\n{frame}\n{getattr(told, which)[name]}"
    assert all(frame.equals(before[name]) for name, frame in made(told.warehouse).items())


def test_the_two_beliefs_differ_where_the_source_changed_and_nowhere_else(told: Told):
    def hours(tables: dict[str, pl.DataFrame], metric: str) -> float:
        usage = tables[USAGE.qualified].filter(metric=metric, resource="nodes", collector_type="current")
        return float(usage["hours"].sum())

    assert hours(told.then, "occupied") == 20 * 24
    assert hours(told.now, "occupied") == 35 * 24
    assert hours(told.then, "total") == hours(told.now, "total") == (31 + 29) * 24


@pytest.fixture
def command(told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Runs usage-assets on that site."""
    sites = tmp_path / "sites"
    sites.mkdir()
    urls = ", ".join(f"{name}: {json.dumps(str(url))}" for name, url in told.site.databases.items())
    (sites / "golden.yaml").write_text(f"kind: openstack\nfirst_month: 2024-01\ndatabases: {{{urls}}}\n")
    monkeypatch.setenv("USAGE_SITES", str(sites))
    monkeypatch.setenv("USAGE_DATA", str(told.warehouse.path.parent))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_the_dumps_of_a_site_are_listed_with_what_was_new_changed_moved_and_gone(command):
    found = command("dumps", "--site", "golden")
    assert found.exit_code == 0, found.output
    first, second = [" ".join(line.split()) for line in found.output.splitlines() if "2024-03-0" in line]
    tables = len(OPENSTACK.raw_tables)
    assert first.startswith(f"│ 2024-03-02 02:15:00 │ 2024-01..2024-02 │ {tables} │ ")
    assert "shrank by 2" in second


def test_one_table_is_listed_with_its_months(command):
    found = command("dumps", "--site", "golden", "--table", "blazar_computehost_allocations", "--json")
    assert found.exit_code == 0, found.output
    rows = json.loads(found.output)
    assert [(row["extracted_at"], row["month"], row["rows"], row["rows_gone"], row["shrank"]) for row in rows] == [
        ("2024-03-02T02:15:00", "2024-01-01", 1, 0, None),
        ("2024-03-02T02:15:00", "2024-02-01", 1, 0, None),
        ("2024-03-03T02:15:00", "2024-01-01", 1, 1, 1),
        ("2024-03-03T02:15:00", "2024-02-01", 1, 1, 1),
    ]


def test_only_the_last_dumps_or_those_of_a_month_are_listed_when_asked_for(command):
    assert "2024-03-02" not in command("dumps", "--site", "golden", "--last", "1").output
    rows = json.loads(command("dumps", "--site", "golden", "--month", "2024-02", "--json").output)
    assert [row["months"] for row in rows] == [["2024-02-01"], ["2024-02-01"]]


def test_an_unknown_table_is_wrong_usage_and_those_that_there_are_are_named(command):
    found = command("dumps", "--site", "golden", "--table", "nova_instance")
    assert found.exit_code == 2
    assert "nova_instances" in found.output


def test_the_command_prints_the_hours_of_then_and_now_and_where_the_file_is(command, tmp_path):
    path = tmp_path / "march.duckdb"
    arguments = ("as-of", "--site", "golden", "--at", "2024-03-02T12:00", "--output", str(path))
    found = command(*arguments)
    assert found.exit_code == 0, found.output
    occupied = next(line for line in found.output.splitlines() if " occupied " in line and " nodes " in line)
    assert occupied.replace("│", " ").split() == ["occupied", "nodes", "480.00", "840.00", "+360.00"]
    assert "not read by then, and left out: 2024-03" in found.output
    assert str(path) in found.output
    assert [each.name for each in tmp_path.iterdir() if each.name != "sites"] == ["march.duckdb"]
    assert command(*arguments).exit_code == 2  # the file is there by now
