"""The demo's warnings: the README lists those that are planted, and whatever else fails is named."""

from datetime import UTC, date, datetime

import pytest

from usage_assets.checks.record import Evaluated, record
from usage_assets.cli import demo
from usage_assets.demo.make import DEMOS
from usage_assets.demo.planted import PLANTED, readme_table, unplanted
from usage_assets.kinds.site_files import load_book
from usage_assets.specs.finding import Finding
from usage_assets.warehouse import Warehouse
from usage_assets_tests import ROOT

README = ROOT / "README.md"


def test_the_readme_lists_what_is_planted():
    assert readme_table() in README.read_text(encoding="utf-8")
    assert {each.site for each in PLANTED} <= set(DEMOS)


def test_what_is_planted_is_told_from_what_is_not():
    failed = [
        ("demo_metal", "evidence", "2024-03"),
        ("demo_metal", "evidence", "2024-04"),
        ("demo_metal", "inventory", "2025-01"),
        ("demo_metal", "inventory", "2026-11"),
        ("demo_kvm", "inventory", "2026-11"),
        ("demo_metal", "nodes", "2026-12"),
        ("demo_metal", "nodes", "2026-11"),
        ("demo_metal", "nodes", "2026-10"),
    ]
    assert list(unplanted(failed, date(2026, 12, 9))) == [failed[1], failed[2], failed[4], failed[7]]


@pytest.mark.parametrize(
    ("month", "said"),
    [
        (date(2024, 3, 1), "All 1 warnings are planted"),
        (date(2024, 5, 1), "not planted: evidence of demo_metal in 2024-05"),
    ],
)
def test_the_command_says_whether_all_warnings_are_planted(month: date, said: str, capsys: pytest.CaptureFixture[str]):
    bad = Finding(False, "an instant that is no date", {})
    evaluated = [Evaluated("openstack/raw/nova_instances", "evidence", "WARN", {month: bad})]
    record(Warehouse.default(), "demo_metal", [month], "run", evaluated)
    demo._say_warnings()
    assert said in capsys.readouterr().out


def test_sources_are_made_up_to_now_because_what_is_due_by_now_is_held_against_them(monkeypatch: pytest.MonkeyPatch):
    now = datetime(2026, 11, 28, 4, 52)
    made: dict[str, datetime] = {}
    monkeypatch.setattr(demo, "naive_utc_now", lambda: now)
    monkeypatch.setattr(demo, "make_site", lambda name, _, *, until: made.setdefault(name, until) and {})
    monkeypatch.setattr(demo, "run", lambda *_, **__: 0)
    sites = {name: site for name, site in load_book(README.parent / "sites").items() if name in DEMOS}
    assert demo._build(sites, 1) == 0
    assert made == dict.fromkeys(DEMOS, now.replace(tzinfo=UTC))
