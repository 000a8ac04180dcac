"""Tables as text, HTML, JSON and CSV: the same numbers, and names from the pool do no harm."""

import csv
import io
import json

import pytest

from usage_assets.core.errors import UsageError
from usage_assets.kinds.htcondor.tables.analyse import all_tables
from usage_assets.kinds.htcondor.tables.formats import FORMATS, TITLES, label, shown
from usage_assets_tests.unit.kinds.htcondor.tables.made import MadePool, States, claimed, every, idle

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def results():
    gpus: States = {
        ("../m\x1b[2J", "0"): [claimed(EVIL)] * 4,
        ("n", "0"): [claimed("=cmd()"), claimed("line\nbreak"), idle(), idle(device="NVIDIA A40")],
    }
    made = MadePool(every(15, 1), gpus)
    return all_tables(made.facts, made.cube())


def test_every_table_has_a_title_and_is_shown_in_every_format(results):
    assert set(results) == set(TITLES)
    for wanted in FORMATS:
        for name, result in results.items():
            assert shown({name: result}, wanted)


def test_text_has_numbers_to_the_right_with_one_decimal_and_moves_no_cursor(results):
    text = shown({"users": results["users"], "hosts": results["hosts"]}, "text")
    assert "\x1b" not in text
    assert "\\x1b[2J" in text
    assert "line\\nbreak" in text
    assert "4 of 4 intervals of 15 minutes seen (100.0%)" in text
    users = text.splitlines()[8:14]
    ends = {len(line) for line in users}
    assert len(ends) == 1, "the last column is a number: all its lines end at one place"


def test_a_name_of_a_million_characters_does_not_widen_a_text_table():
    made = MadePool(every(15, 1), {("m", "0"): [claimed("x" * 1_000_000)] * 4})
    text = shown({"users": all_tables(made.facts, made.cube())["users"]}, "text")
    assert max(map(len, text.splitlines())) < 300


def test_html_escapes_what_the_pool_says(results):
    page = shown(results, "html", title="<b>pool</b>")
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>pool</b>" not in page
    assert "Without the families GTX 1080" in page


def test_json_has_the_numbers_unrounded_and_what_they_tell_about(results):
    tables = json.loads(shown(results, "json"))["tables"]
    assert set(tables) == set(results)
    cluster = tables["cluster"]
    assert cluster["rows"][0]["available_avg"] == 2
    assert cluster["metadata"]["coverage"] == 1
    assert cluster["metadata"]["start"] == "2026-03-02T00:00:00"


def test_csv_holds_one_table_and_no_formula(results):
    rows = list(csv.DictReader(io.StringIO(shown({"users": results["users"]}, "csv"))))
    assert {row["user"] for row in rows} == {EVIL, "'=cmd()", "line\nbreak"}
    with pytest.raises(UsageError, match="CSV holds one table"):
        shown(results, "csv")
    with pytest.raises(UsageError, match="format is one of"):
        shown(results, "pdf")


def test_rows_are_called_what_people_read_and_instants_say_their_clock(results):
    lines = shown({"summary": results["summary"]}, "text").splitlines()
    assert lines[8].startswith("Class ")
    assert lines[10].startswith("TOTAL (primary and secondary)")
    assert lines[12].startswith("  Researcher-owned hardware")
    assert "First seen (UTC)" in shown({"hosts": results["hosts"]}, "html")
    assert "Local at " in shown({"timeseries": results["timeseries"]}, "text")


def test_columns_have_names_that_people_read():
    assert label("gpu_hours_observed") == "GPU hours observed"
    assert label("allocated_percent") == "Allocated %"
    assert label("gpus") == "GPUs"
