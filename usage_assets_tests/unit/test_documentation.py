"""What the documentation shows works: site files load, links lead somewhere, queries run."""

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.site_files import load_site
from usage_assets.timelines import views
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import GATES
from usage_assets_tests import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def headings(page: Path) -> set[str]:
    """What links into a page may name: its headings in small letters, without punctuation, blanks as dashes."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading_in_it(page):
    broken = []
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (heading and heading not in headings(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "adding-a-site.md"], ids=lambda page: page.name)
def test_the_site_of_ten_lines_loads(page, tmp_path):
    text = next(block for block in blocks(page, "yaml") if block.startswith("kind:"))
    path = tmp_path / "chi_tacc.yaml"
    path.write_text(text, encoding="utf-8")
    site = load_site(path)
    assert len(text.splitlines()) <= 10
    assert site.name == "CHI@TACC"
    assert [gap.source for gap in site.known_gaps] == ["blazar_computehosts"]


def test_the_node_types_of_the_guide_load(tmp_path):
    (text,) = [block for block in blocks(ROOT / "docs" / "adding-a-site.md", "yaml") if block.startswith("node_types:")]
    path = tmp_path / "made.yaml"
    path.write_text(f"kind: openstack\ndatabases: {{nova: 'sqlite:///nova.db'}}\n{text}", encoding="utf-8")
    site = load_site(path)
    assert isinstance(site, OpenStackSite)
    assert site.node_types["^gpu-.*"].gpus == 4


def test_every_key_of_a_site_file_is_in_the_guide():
    from usage_assets.kinds.openstack.site.model import OpenStackSite

    text = (ROOT / "docs" / "adding-a-site.md").read_text(encoding="utf-8")
    keys = [field.alias or name for name, field in OpenStackSite.model_fields.items() if name != "key"]
    assert [key for key in keys if f"| `{key}` |" not in text] == []


COUNTED = (("current", "nodes", 1), ("legacy", "nodes", 1), ("current", "vcpus", 64))


def usage_rows() -> pl.DataFrame:
    """Two months of demo_metal and one of another site: two node types, two collectors, two resources, hand-made."""
    jan, feb = date(2026, 1, 1), date(2026, 2, 1)
    rows: list[tuple[Any, ...]] = []
    for site, month, node_type, committed, used, idle in (
        ("demo_metal", jan, "a", 100.0, 50.0, 50.0),
        ("demo_metal", jan, "b", 300.0, 250.0, 50.0),
        ("demo_metal", feb, "a", 200.0, 50.0, 150.0),
        ("demo_metal", feb, "b", 80.0, None, None),
        ("other", jan, "a", 7.0, 7.0, 0.0),
    ):
        hours = {"committed": committed, "occupied_reservation": used, "idle": idle}
        at = datetime(month.year, month.month, 1)
        for metric, value in hours.items():
            for collector, resource, times in (
                ("current", "nodes", 1),
                ("legacy", "nodes", 1),
                ("current", "vcpus", 64),
            ):
                amount = None if value is None else value * times
                rows.append((site, month, at, collector, node_type, metric, resource, amount, amount))
        rows.append((site, month, at, "current", node_type, "utilization", "nodes", 0.5, None))
    return pl.DataFrame(rows, schema=USAGE.polars_schema, orient="row")


def store_usage(warehouse: Warehouse) -> None:
    with warehouse.write("test") as writer:
        writer.ensure(USAGE, INTERVALS, GATES)
        writer.put(USAGE, usage_rows())
        writer.record_readiness(
            "openstack/timelines/usage", "demo_metal", [date(2026, 1, 1), date(2026, 2, 1)], {}, "test"
        )
        for view in views.USAGE_VIEWS:
            writer.con.execute(view).fetchall()


def test_the_query_of_the_readme_gives_the_right_numbers(tmp_path):
    (query,) = blocks(ROOT / "README.md", "sql")
    warehouse = Warehouse(tmp_path / "w.duckdb")
    store_usage(warehouse)
    with warehouse.read() as reader:
        rows = reader.sql(query).to_dicts()
    assert rows == [
        {"month": date(2026, 1, 1), "committed_node_hours": 400.0, "used_share": 0.75, "complete": True},
        {"month": date(2026, 2, 1), "committed_node_hours": 280.0, "used_share": 50 / 280, "complete": False},
    ]


def test_the_readmes_example_of_a_published_read_gives_the_right_numbers():
    from usage_assets.core import settings
    from usage_assets.serving.publish import publish

    (script,) = blocks(ROOT / "README.md", "python")
    warehouse = Warehouse(settings.warehouse_path())
    store_usage(warehouse)
    publish(warehouse)
    names: dict[str, Any] = {}
    exec(script, names)
    assert names["usage"].columns[:2] == ["site", "month"]
    assert names["idle"].to_pylist() == [
        {"month": date(2026, 1, 1), "idle_node_hours": 100.0, "complete": True},
        {"month": date(2026, 2, 1), "idle_node_hours": 150.0, "complete": False},
    ]


def test_a_site_of_which_a_node_type_is_unknown_is_unknown_in_the_plain_view(tmp_path):
    warehouse = Warehouse(tmp_path / "w.duckdb")
    store_usage(warehouse)
    query = (
        "SELECT timestamp, value FROM timelines.usage_site WHERE site = 'demo_metal' AND count_type = 'idle' "
        "AND collector_type = 'current' ORDER BY 1"
    )
    with warehouse.read() as reader:
        assert reader.sql(query)["value"].to_list() == [100.0, None]


@pytest.mark.parametrize(("name", "most"), [("usage_stack", 150_000), ("gpu_heatmap", 200_000)])
def test_the_pictures_of_the_documentation_are_small(name, most):
    picture = ROOT / "docs" / "images" / f"{name}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size <= most


def code_of(page: Path) -> list[str]:
    """What a page shows as code: lines of its blocks, fenced or indented, and its inline spans."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"```.*?\n(.*?)```", text, flags=re.DOTALL)
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    indented = re.findall(r"^ {4,}(\S.*)$", rest, flags=re.MULTILINE)
    return [*"\n".join(fenced).splitlines(), *indented, *re.findall(r"`([^`\n]+)`", rest)]


def commands() -> dict[str, set[str]]:
    """Every command with its options; one of a group by both its words."""
    import typer
    from typer.core import TyperGroup

    from usage_assets.cli.app import app

    def options(command: Any) -> set[str]:
        return {word for each in command.params for word in (*each.opts, *each.secondary_opts)}

    found: dict[str, set[str]] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]  # app is a group
        if isinstance(command, TyperGroup):
            found |= {f"{name} {word}": options(each) for word, each in command.commands.items()}
        else:
            found[name] = options(command)
    return found


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_command_that_is_shown_exists_with_its_options(page):
    known = commands()
    groups = {name.split()[0] for name in known if " " in name}
    shown = [
        (name, set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest)))
        for line in code_of(page)
        for name, rest in re.findall(
            rf"(?<![\w./-])usage-assets ((?:(?:{'|'.join(groups)}) )?[a-z][a-z-]*)([^#|;&]*)", line
        )
        if name not in groups
    ]
    wrong = [f"{name} {options}" for name, options in shown if name not in known or options - known[name] - {"--help"}]
    assert wrong == []


def test_every_command_is_in_the_documentation():
    text = "\n".join(line for page in PAGES for line in code_of(page))
    assert [name for name in commands() if not re.search(rf"usage-assets {name}(?![\w-])", text)] == []


def test_the_reports_of_the_guide_load():
    import yaml

    from usage_assets.kinds.htcondor.site.reports import Reports

    (text,) = [block for block in blocks(ROOT / "docs" / "gpu-reports.md", "yaml") if block.startswith("reports:")]
    reports = Reports.model_validate(yaml.safe_load(text)["reports"])
    assert (reports.weekly.day, reports.monthly.at.minute, reports.model) == ("monday", 30, "H200")


def test_the_table_of_settings_has_every_variable_that_the_code_reads_and_no_other():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = text.split("\n## Settings\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`((?:USAGE|DAGSTER|BROWSER)_[A-Z_]+)`", row)}
    read = {
        name
        for path in (ROOT / "usage_assets").rglob("*.py")
        for name in re.findall(r"\"(USAGE_[A-Z_]+|DAGSTER_HOME|BROWSER_PATH)\"", path.read_text(encoding="utf-8"))
    }
    assert told - {"DAGSTER_EVENT_BATCH_SIZE"} == read


def test_every_setting_of_the_shipped_environment_is_explained():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    shipped = re.findall(r"^([A-Z_]+)=", (ROOT / "deploy" / "environment.example").read_text(), flags=re.MULTILINE)
    assert [name for name in shipped if f"`{name}`" not in text] == []
