"""What the documentation shows works: site files load, links lead somewhere, queries run."""

import re
from pathlib import Path

import pytest

from usage_assets.facts.tables import INTERVALS
from usage_assets.sites import load_site
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not link.startswith("http") and not (page.parent / link).exists()] == []


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
    assert load_site(path).node_types["^gpu-.*"].gpus == 4


def test_every_key_of_a_site_file_is_in_the_guide():
    from usage_assets.sites import OpenStackSite

    text = (ROOT / "docs" / "adding-a-site.md").read_text(encoding="utf-8")
    keys = [field.alias or name for name, field in OpenStackSite.model_fields.items() if name != "key"]
    assert [key for key in keys if f"| `{key}` |" not in text] == []


def test_the_query_of_the_readme_runs(tmp_path):
    (query,) = blocks(ROOT / "README.md", "sql")
    warehouse = Warehouse(tmp_path / "w.duckdb")
    with warehouse.write("test") as writer:
        writer.ensure(USAGE, INTERVALS)
    with warehouse.read() as reader:
        assert reader.sql(query).columns == ["month", "committed_node_hours", "used_share"]


def test_the_picture_of_the_readme_is_small():
    picture = ROOT / "docs" / "images" / "usage_stack.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size <= 150_000
