"""What a backfill says of its findings: grouped and short, what it means, and what to do next."""

from usage_assets.cli.outcome import lines, where
from usage_assets.orchestration.run_faults import Failure
from usage_assets_tests import ROOT


def found(check: str, severity: str, *months: str, asset: str = "openstack/timelines/usage", site: str = "metal"):
    return [Failure(severity, f"found in {month}", asset, check, site, month) for month in months]


def months(first: int, last: int) -> list[str]:
    return [f"{2000 + n // 12}-{n % 12 + 1:02}" for n in range(first, last)]


def text(*failures: Failure) -> list[str]:
    return [line.text for line in lines(failures)]


def test_nothing_found_says_nothing():
    assert text() == []


def test_many_months_are_a_range_and_not_a_list():
    said = text(*found("order", "WARN", *months(24 * 12, 25 * 12 + 1)))
    assert said[0] == "WARN order of openstack/timelines/usage: metal 2024-01..2025-01 (13 months)"
    assert said[1].strip() == "the source contradicts itself: more in use than there is"
    assert said[2].strip() == "such as found in 2025-01"
    assert not any("2024-05" in line for line in said)


def test_errors_come_first_and_say_what_readers_have():
    said = text(*found("order", "WARN", "2024-01"), *found("conservation", "ERROR", "2024-02"))
    assert [line.split()[0] for line in said if line[0] != " "] == ["ERROR", "WARN", "Months", "Next:"]
    assert "readers keep the last good rows of them, or have none" in said[-2]
    assert "usage-assets status --site metal" in said[-1]
    assert 'docs/operations.md, "What each alert means"' in said[-1]


def test_warnings_alone_hold_nothing_back():
    assert "hold nothing back" in text(*found("order", "WARN", "2024-01"))[-2]


def test_one_check_of_many_assets_is_one_line():
    several = [one for n in range(26) for one in found("coverage", "ERROR", "2024-01", asset=f"openstack/raw/table{n}")]
    said = text(*several)
    assert said[0] == "ERROR coverage of openstack/raw/table0 and 25 more of openstack/raw: metal 2024-01"
    assert len(said) == 5


def test_sites_and_what_names_no_month_stand_beside_each_other():
    assert where([*found("x", "WARN", "2024-01", "2024-03"), *found("x", "WARN", "", site="kvm")]) == (
        "kvm; metal 2024-01, 2024-03 (2 months)"
    )


def test_the_advice_names_an_anchor_that_there_is():

    page = ROOT / "docs" / "operations.md"
    assert "\n## What each alert means\n" in page.read_text(encoding="utf-8")
