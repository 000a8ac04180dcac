"""What somebody wrote into a source is data all the way: in tables, pages, files, previews and on the terminal."""

import csv
import io
import sqlite3
from pathlib import Path

import dagster as dg
import pytest
from rich.table import Table

from usage_assets.cli.console import PlainConsole
from usage_assets.core.errors import SiteError
from usage_assets.core.markdown import markdown_table
from usage_assets.core.text import printable
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.site_files import load_book, load_site
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.tiny import JAN, Window, build, change, make_site

SCRIPT = "<script>alert('x')</script>"
IMAGE = "![x](http://tracker.example/x.png)"
FORMULA = "=cmd|'/C calc'!A0"
INJECTION = "'; DROP TABLE raw.nova_instances; --"
LINES = "two\nlines | a pipe \x1b[31m\u202e"
LONG = "x" * 1_000_000


@pytest.fixture
def site(tmp_path: Path) -> OpenStackSite:
    made = make_site(tmp_path / "source")
    hostile = {"host": f"{SCRIPT}{INJECTION}", "project": f'{IMAGE}"{INJECTION}', "user": f"{LINES}\0nul", "name": LONG}
    for database, table, name, value in (
        ("nova", "compute_nodes", "hypervisor_hostname", hostile["host"]),
        ("blazar", "computehosts", "hypervisor_hostname", hostile["host"]),
        ("nova", "instances", "node", hostile["host"]),
    ):
        run(made, database, f"UPDATE {table} SET {name} = ? || substr({name}, -1)", value)
    for database, table in (("nova", "instances"), ("blazar", "leases")):
        run(made, database, f"UPDATE {table} SET project_id = ?, user_id = ?", hostile["project"], hostile["user"])
    run(made, "blazar", "UPDATE leases SET name = ?", hostile["name"])
    run(made, "blazar", "CREATE TABLE computehost_extra_capabilities (id TEXT, created_at TEXT, computehost_id TEXT, "
        "capability_name TEXT, capability_value TEXT)")  # fmt: skip
    for number, text in (("1", FORMULA), ("2", f"{SCRIPT}|{IMAGE}")):
        run(made, "blazar", "INSERT INTO computehost_extra_capabilities VALUES (?, '2019-05-01', ?, 'node_type', ?)",
            number, number, text)  # fmt: skip
    change(made, "nova", 'UPDATE instances SET availability_zone = \'{"a": "]]>"}\'')
    return made.model_copy(update={"name": f"{SCRIPT} [/red] {IMAGE}"})


def run(site: OpenStackSite, database: str, statement: str, *values: str) -> None:
    with sqlite3.connect(site.databases[database].removeprefix("sqlite:///")) as con:  # type: ignore[index]  # of it
        con.execute(statement, values)
    con.close()


def failures(result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(str(event.step_failure_data.error)[-3000:] for event in result.all_events if event.is_step_failure)


def test_hostile_values_pass_through_everything_as_data(site, warehouse: Warehouse, monkeypatch, capsys):
    monkeypatch.setenv("BROWSER_PATH", "nowhere")
    monkeypatch.setenv("USAGE_DATA", str(warehouse.path.parent))
    with dg.DagsterInstance.ephemeral() as instance:
        result = build(site, warehouse, instance, Window("tiny", (JAN,)))
        assert result.success, failures(result)
        shown = [
            value.value
            for event in result.get_asset_materialization_events()
            for value in event.materialization.metadata.values()
            if isinstance(value, dg.MarkdownMetadataValue)
        ]
    with warehouse.read() as reader:
        assert reader.sql("SELECT count(*) FROM raw.nova_instances")["count_star()"].to_list() == [1]
        types = set(reader.sql("SELECT DISTINCT node_type FROM timelines.usage")["node_type"])
    assert types >= {FORMULA, f"{SCRIPT}|{IMAGE}"}
    assert any("calc" in text for text in shown)
    for text in shown:
        assert "<script" not in text
        assert "tracker" not in text or IMAGE not in text
    data = warehouse.path.parent
    pages = list(data.rglob("*.html"))
    assert any("calc" in page.read_text() for page in pages)
    assert [page.name for page in pages if "<script>alert" in page.read_text()] == []
    rows = [row for path in data.rglob("*.csv") for row in csv.reader(path.read_text().splitlines())]
    assert f"'{FORMULA}" in {cell for row in rows for cell in row}
    assert [cell for row in rows for cell in row if cell[:1] in "=@" and cell] == []
    says_what_it_holds(site, capsys, monkeypatch)


def says_what_it_holds(site: OpenStackSite, capsys, monkeypatch) -> None:
    """The commands that show rows print no control character but the ends of their own lines."""
    from usage_assets.cli.access import show_access, show_status
    from usage_assets.cli.console import instant
    from usage_assets.cli.explain import show
    from usage_assets.reports.explain import Question

    for metric in ("occupied_reservation", "committed", "total"):
        show(site, Question(metric, instant("2020-01-15"), None, None, 20, rejected=False), as_json=False)
    show_status({site.key: site})
    show_access(site)
    out = capsys.readouterr().out
    assert "DROP TABLE" in out
    assert {c for c in out if not c.isprintable()} <= {"\n"}


def test_a_preview_of_hostile_cells_is_one_line_per_row_and_no_markup():
    table = markdown_table(("a",), [(SCRIPT,), (IMAGE,), (LINES,), ("`code`",), (LONG,), ("\\|",)])
    assert len(table.split("\n")) == 8
    assert "<" not in table
    assert "![" not in table
    assert "\x1b" not in table
    assert max(map(len, table.split("\n"))) < 100
    assert table.split("\n")[-1] == "| \\\\\\| |"


def test_a_console_shows_markup_and_escapes_as_text():
    out = io.StringIO()
    console = PlainConsole(file=out, width=120, force_terminal=False)
    console.print("[red]a[/blue] :smile: \x1b[2J\x07 \u202eback")
    table = Table()
    table.add_column("[bold]x")
    table.add_row("[/nothing] \x1b]0;title\x07")
    console.print(table)
    said = out.getvalue()
    assert "[red]a[/blue] :smile: \\x1b[2J\\x07 \\u202eback" in said
    assert "[/nothing] \\x1b]0;title\\x07" in said


def test_text_that_can_be_seen_stays_as_it_is():
    assert printable("Zürich 東京 a|b 'quoted' <tag>") == "Zürich 東京 a|b 'quoted' <tag>"
    assert printable("a\nb\0\ud800") == "a\\nb\\x00\\ud800"


@pytest.mark.parametrize(
    "name", ["a'; DROP", "..x", "ä", "x" * 200, "A", "1a", "a-b", "a b", "a\n", "", "a\u202e", "con."]
)
def test_a_site_whose_key_could_be_taken_for_something_else_is_refused(tmp_path, name):
    path = tmp_path / f"{name}.yaml"
    path.write_text("kind: openstack\ndatabases: {nova: 'sqlite:///nova.db'}\n")
    with pytest.raises(SiteError, match="small letters, digits and _"):
        load_site(path)


def test_a_folder_of_odd_files_gives_the_good_sites_and_a_fault_per_bad_one(tmp_path):
    for name in ("good", "a'; DROP", "x" * 200, "ä"):
        (tmp_path / f"{name}.yaml").write_text("kind: openstack\ndatabases: {nova: 'sqlite:///nova.db'}\n")
    (tmp_path / "dir.yaml").mkdir()
    (tmp_path / "binary.yaml").write_bytes(b"\0\xff")
    (tmp_path / "deep.yaml").write_text("a: " + "[" * 5_000)
    book = load_book(tmp_path)
    assert list(book) == ["good"]
    assert len(book.faults) >= 3
