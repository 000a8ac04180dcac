"""A kind that another installed package brings is there like ours: its site files load, the graph has its assets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from usage_assets_tests import ROOT

KIND = '''
"""A kind of one raw table and one fact."""

from typing import ClassVar, Literal

import polars as pl

from usage_assets.schema import Column, Type
from usage_assets.sites.base import BaseSite
from usage_assets.facts.assets import metric_asset
from usage_assets.specs.kind import Kind
from usage_assets.specs.raw_table import RawTable, Whole
from usage_assets.timelines.usage import Scope


class BookSite(BaseSite):
    kind: Literal["books"] = "books"
    shelf: str


LOANS = RawTable("shelf", "loans", "Books that are lent.", (Column("id", Type.INT, "Number"),), Whole())


class Books(Kind):
    name = "books"
    label = "Books: what is lent"
    source = "file"
    site_model = BookSite
    raw_tables = (LOANS,)
    facts = (metric_asset("total", "Books that exist.", ("total",), (LOANS.name,)),)
    tables = ()

    def dump(self, *_, **__): raise NotImplementedError
    def read_raw(self, *_): raise NotImplementedError
    def build_facts(self, *_): raise NotImplementedError
    def usage_scope(self, site): return Scope(site.key, ("total",), 1440, ("nodes",), {})
    def node_types(self, *_): return pl.DataFrame(schema={"month": pl.Date, "node_type": pl.String})
    def check_site(self, *_, **__): raise NotImplementedError
    def check_files(self, site): return []
    def grants(self, *_): return f"read access to {LOANS.name}"
'''
OURS = "['usage_assets.kinds.openstack.kind', 'usage_assets.kinds.htcondor.kind', 'usage_assets.kinds.service.kind']"
SITE = "kind: books\nname: Town library\nfirst_month: 2024-01\nshelf: north\n"


def installed(folder: Path, code: str) -> dict[str, str]:
    """An installed package with this code, and a site of its kind; the environment that finds both."""
    packages = folder / "site-packages"
    entry = packages / "library_usage-1.0.dist-info"
    entry.mkdir(parents=True)
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: library-usage\nVersion: 1.0\n")
    (entry / "entry_points.txt").write_text("[usage_assets.kinds]\nbooks = library_usage:Books\n")
    (packages / "library_usage.py").write_text(code)
    (folder / "sites").mkdir()
    (folder / "sites" / "town.yaml").write_text(SITE)
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(packages)]), "USAGE_SITES": str(folder / "sites")}


def answer(env: dict[str, str], code: str) -> tuple[str, str]:
    """What a new process prints, and what it says beside."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_the_kind_of_an_installed_package_is_known(tmp_path: Path) -> None:
    asked = (
        "from usage_assets.definitions import build_defs; from usage_assets.kinds import KINDS, kind_of; "
        "from usage_assets.kinds.site_files import load_sites; site = load_sites()['town']; "
        "print(sorted(KINDS), kind_of(site).label, site.shelf); "
        "graph = build_defs().get_repository_def().asset_graph; "
        "print(*sorted(key.to_user_string() for key in graph.get_all_asset_keys() if key.path[0] == 'books'))"
    )
    known, assets = answer(installed(tmp_path, KIND), asked)[0].splitlines()
    assert known == "['books', 'htcondor', 'openstack', 'service'] Books: what is lent north"
    assert {"books/raw/shelf_loans", "books/facts/total", "books/timelines/usage"} <= set(assets.split())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "raise OSError('no licence')",
            "kind books of package library-usage is left out, it can't be loaded: no licence",
        ),
        (KIND.replace("    def grants", "    def other"), "is left out, it can't be loaded: Can't instantiate"),
        (KIND.replace('name = "books"', 'name = "openstack"'), "is left out, usage_assets has one of its own"),
    ],
)
def test_a_package_whose_kind_is_of_no_use_costs_no_other_kind(tmp_path: Path, code: str, said: str) -> None:
    asked = (
        "from usage_assets.kinds import KINDS; from usage_assets.kinds.site_files import load_book; "
        "print([type(kind).__module__ for kind in KINDS.values()], load_book().faults['town'])"
    )
    known, warned = answer(installed(tmp_path, code), asked)
    assert said in warned
    assert OURS in known
    assert "kind is 'books'; allowed: openstack, htcondor, service" in known
