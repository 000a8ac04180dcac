"""Messages: grouped, errors first, bounded whatever is told, nothing of a database is markup."""

import json
from datetime import timedelta

import pytest

from usage_assets.alerts.causes import Cause
from usage_assets.alerts.message import JSON_BYTES, MAIL_BYTES, SLACK_CHARACTERS, Message, ranges
from usage_assets.alerts.state import Item
from usage_assets_tests.unit.alerts.conftest import NOW


def item(
    severity: str = "ERROR",
    site: str = "chi",
    asset: str = "openstack/facts/total",
    what: str = "conservation",
    month: str = "2016-01",
    **more,
) -> Item:
    told = {"text": "hours differ", "ref": "run-1", "sample": "", "at": NOW.timestamp(), **more}
    return Item(Cause(site, asset, what, month), severity, **told)


def test_months_are_told_as_ranges():
    months = ["2016-01", "2016-02", "2016-03", "2015-12", "2017-05", ""]
    assert ranges(months) == "2015-12..2016-03, 2017-05"


def test_ranges_are_bounded():
    found = ranges(f"{year}-{month:02}" for year in range(1000, 3000) for month in (1, 3, 5))
    assert len(found) < 340
    assert found.endswith("more")


def test_a_subject_counts_checks_and_names_sites():
    items = [
        item(month="2016-01"),
        item(month="2016-02"),
        item(site="kvm", what="order", severity="WARN"),
        item(site="kvm", what="coverage"),
        item(site="uc", severity="RECOVERED", was="ERROR"),
    ]
    assert Message.of(items, NOW).subject == "usage_assets: 2 errors, 1 warning, 1 recovered (chi, kvm, uc)"


def test_many_sites_are_counted_in_the_subject():
    items = [item(site=f"s{number}") for number in range(9)]
    assert Message.of(items, NOW).subject == "usage_assets: 9 errors (s0, s1, s2, s3, 5 more)"


def test_errors_come_first_then_warnings_then_what_recovered():
    items = [item("RECOVERED", "a", was="WARN"), item("WARN", "b"), item("ERROR", "c")]
    text = Message.of(items, NOW).text()
    assert text.index("ERROR c") < text.index("WARN b") < text.index("RECOVERED a")


def test_a_text_names_months_sentences_examples_and_links(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USAGE_UI_URL", "https://dagster.example/")
    items = [item(month=f"2016-{month:02}", sample=f"rows {month}") for month in range(1, 6)]
    assert Message.of(items, NOW).text() == (
        "usage_assets: 1 error (chi)\n\n"
        "ERROR chi openstack/facts/total\n"
        "  conservation, 5 month(s): 2016-01..2016-05\n"
        "    - 2016-01: hours differ\n"
        "    for example: rows 1\n"
        "    for example: rows 2\n"
        "    for example: rows 3\n"
        "    https://dagster.example/runs/run-1\n"
        "    https://dagster.example/assets/openstack/facts/total?view=checks&checkDetail=conservation"
    )


def test_ten_thousand_failures_make_bounded_messages_that_count_what_is_left_out():
    long = "überlänge " * 40
    items = [
        item(site=f"s{n % 10}", asset=f"k/facts/t{n % 100}", what=f"c{n % 7}", month=f"{2000 + n % 20}-{n % 12 + 1:02}",
             text=f"{n} {long}"[:400], sample=long[:300])
        for n in range(10_000)
    ]  # fmt: skip
    message = Message.of(items, NOW)
    assert len(message.text().encode()) <= MAIL_BYTES
    assert len(message.slack()) <= SLACK_CHARACTERS
    assert len(message.as_json()) <= JSON_BYTES
    body = json.loads(message.as_json())
    assert body["errors"] == 700
    assert len(body["groups"]) + body["groups_left_out"] == 100
    shown = message.text().count("ERROR s")
    assert shown
    assert f"... and {100 - shown} more site(s) and asset(s) are left out" in message.text()


def test_one_asset_too_long_for_slack_shows_its_first_lines():
    items = [item(what=f"check_{n}", text=f"{n} " + "x" * 390, month="") for n in range(8)]
    slack = Message.of(items, NOW).slack()
    assert "check_0" in slack
    assert len(slack) <= SLACK_CHARACTERS


def test_text_of_a_database_is_no_markup_in_slack():
    slack = Message.of([item(text="<!channel> <https://evil.example|ok> & more")], NOW).slack()
    assert "&lt;!channel&gt; &lt;https://evil.example|ok&gt; &amp; more" in slack
    assert "<!channel>" not in slack


def test_names_with_line_ends_stay_on_one_line():
    message = Message.of([item(site="a\r\nBcc: x", asset="k/b\u202e/c", what="d\ne", month="m\nn")], NOW)
    assert "\n" not in message.subject
    assert "ERROR a Bcc: x k/b\\u202e/c" in message.text()


def test_what_waited_says_since_when():
    late = Message.of([item(at=(NOW - timedelta(hours=5)).timestamp())], NOW)
    assert f"waiting since {NOW - timedelta(hours=5):%Y-%m-%d %H:%M} UTC" in late.text()
    assert "waiting since" not in Message.of([item()], NOW).text()


def test_what_recovered_is_said_in_its_own_words():
    whats = ["run", "nightly", "file", "order"]
    items = [item("RECOVERED", what=what, month="2020-01", was="WARN", ref="") for what in whats]
    lines = Message.of(items, NOW).text().splitlines()
    assert [line.strip() for line in lines[3:] if "http" not in line] == [
        "can be used again: 2020-01",
        "nightly is back: 2020-01",
        "order holds again (was WARN): 2020-01",
        "a run succeeded: 2020-01",
    ]
